//! What the tests across the crates share: a database of one's own for each test.
#![allow(missing_docs, reason = "a test harness; nobody outside this workspace uses it")]

pub mod database;
pub mod events;
pub mod gate;
pub mod reader;
pub mod shop;
pub mod source;
pub mod sqs;
pub mod told;

pub use database::{Kind, TestDb};
pub use source::{ScriptedSource, Told};
