//! A broker in this process: the embedded default, and a double for tests.
//!
//! It behaves as a queue service does: a received message is invisible for a while and comes again if it is
//! not acknowledged. Messages of one aggregate are delivered one after the other, in the order of their arrival.
//! Messages go through the [wire format](crate::wire), so that what is embedded is what is real. With [`Faults`]
//! it misbehaves on purpose, by a seed.
//!
//! **Nothing in it outlives the process.** Where events must not be lost, publish with
//! [`confirmed`](MemoryPublisher::confirmed): then an event stays unpublished in the log until a consumer is done
//! with it, and after a crash it is sent again.
//!
//! ```
//! use outbox_core::memory::MemoryBroker;
//!
//! let broker = MemoryBroker::new();
//! let publisher = broker.publisher().route("orders", "orders-queue").confirmed(); // goes into a subscription
//! let source = broker.source("orders-queue"); // goes into a consumer
//! assert_eq!(broker.depth("orders-queue").total(), 0);
//! ```

mod awaited;
mod broker;
mod faults;
mod publisher;
mod queue;
mod source;

pub use broker::{BrokerConfig, MemoryBroker};
pub use faults::Faults;
pub use publisher::MemoryPublisher;
pub use queue::Depth;
pub use source::MemorySource;

/// What a trace calls this broker.
const SYSTEM: &str = "memory";
