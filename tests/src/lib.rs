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

/// The guide to SQS is compiled with the doc tests; it uses more than one crate.
#[cfg(doctest)]
#[doc = include_str!("../../docs/sqs.md")]
mod guide_to_sqs {}

pub use database::{Kind, TestDb};
pub use source::{ScriptedSource, Told};
