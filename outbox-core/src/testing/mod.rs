//! Doubles and suites, for this library's own tests and for those of its users.
//!
//! | item | what it is for |
//! |---|---|
//! | [`MemoryLog`] | an [`EventLog`](crate::log::EventLog) in memory whose writers commit late, roll back and crash on command |
//! | [`RecordingPublisher`] | takes everything and remembers it |
//! | [`ScriptedPublisher`] | answers as it is told: outages, short answers, panics, silence |
//! | [`log_conformance`] | the cases that every log has to pass |
//! | [`publisher_conformance`] | the cases that every publisher has to pass |

mod event;
mod log;
pub mod log_conformance;
pub mod publisher_conformance;
mod recording;
mod scripted;

pub use event::new_event;
pub use log::{LogCounts, MemoryLog, MemoryWriter, StoredReceipt, StoredSubscription, TimeTravel};
pub use recording::RecordingPublisher;
pub use scripted::{Answer, ScriptedPublisher};
