//! The cases that every log has to pass, each named after the failure that it guards against.
//!
//! An adapter's tests implement [`LogFixture`]: how to begin a transaction that stores events, and, as far as it can be
//! done, how to let time pass, lose events and act as an operator. [`LogCapabilities`] say what can be done; a case
//! that needs more is switched off and reported as such. Each case runs on a fresh log.
//!
//! To have each case as a test of its own, so that one that fails is named by the test runner:
//!
//! ```
//! # use outbox_core::testing::log_conformance::LogCase;
//! async fn on_my_database(case: LogCase) {
//!     // create a database of its own, run the case, drop the database
//!     # let _ = case;
//! }
//!
//! outbox_core::log_conformance_tests!(#[tokio::test] on_my_database);
//! ```
//!
//! All of them in one go, with a report:
//!
//! ```
//! use async_trait::async_trait;
//! use outbox_core::{
//!     event::NewEvent,
//!     log::HoleProof,
//!     message::Seq,
//!     testing::{
//!         MemoryLog, MemoryWriter,
//!         log_conformance::{LogCapabilities, LogCapability, LogFixture, LogWriter, pass_all},
//!     },
//! };
//!
//! struct InMemory(MemoryLog);
//! struct Transaction(MemoryWriter);
//!
//! #[async_trait]
//! impl LogFixture for InMemory {
//!     type Log = MemoryLog;
//!     type Writer = Transaction;
//!
//!     fn capabilities(&self) -> LogCapabilities {
//!         LogCapabilities::only(HoleProof::WriterList)
//!     }
//!
//!     async fn log(&self) -> MemoryLog {
//!         self.0.clone()
//!     }
//!
//!     async fn begin(&self) -> Transaction {
//!         Transaction(self.0.begin())
//!     }
//! }
//!
//! #[async_trait]
//! impl LogWriter for Transaction {
//!     async fn append(&mut self, event: NewEvent) -> Seq {
//!         self.0.append(event)
//!     }
//!
//!     async fn commit(self) {
//!         self.0.commit();
//!     }
//!
//!     async fn rollback(self) {
//!         self.0.rollback();
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let report = pass_all(async || InMemory(MemoryLog::new(HoleProof::WriterList))).await;
//! println!("{report}");
//! // What was not run is known, and does not grow unseen.
//! assert!(report.switched_off().any(|(_, lacking)| lacking == LogCapability::MovesTime));
//! # }
//! ```

mod capability;
mod case;
mod cases;
mod fixture;
mod leader;

pub use capability::{LogCapabilities, LogCapability};
pub use case::{LogCase, LogReport, Verdict};
pub use fixture::{LogFixture, LogWriter, Operation, ReceiptView, StoredView};

/// Runs every case that the capabilities allow, one after the other, each on a log that `fresh` makes.
///
/// # Panics
/// Where a case fails.
pub async fn pass_all<F: LogFixture>(fresh: impl AsyncFn() -> F) -> LogReport {
    let mut verdicts = std::collections::BTreeMap::new();
    for case in LogCase::ALL {
        verdicts.insert(*case, case.run(&fresh().await).await);
    }
    LogReport { verdicts }
}
