//! The crash test: writers, relays and a consumer as processes of their own, on database servers of its own, all of
//! which are killed, frozen and cut off at random, and then held against what the surviving database says.
//!
//! | module | holds |
//! |---|---|
//! | [`server`] | PostgreSQL and MariaDB with data folders of their own, killed and started again |
//! | [`process`] | a child that can be killed and frozen, and never outlives the test |
//! | [`broker`] | a journal and a queue outside of the processes that are killed; it fails at random |
//! | [`shop`] | what the writers save, and the consumer's effects |
//! | [`roles`] | what each process does |
//! | [`scene`] | starts them |
//! | [`chaos`] | kills, freezes and cuts them off |
//! | [`verdict`] | what was lost, doubled or out of order |
#![allow(missing_docs, reason = "a test harness; nobody outside this workspace uses it")]

pub mod broker;
pub mod chaos;
pub mod dice;
pub mod process;
pub mod roles;
pub mod scene;
pub mod server;
pub mod shop;
pub mod verdict;
