//! A macro-driven transactional outbox and inbox for SeaORM 2.

// Generated code names this crate, also inside of it.
extern crate self as outbox_seaorm;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
pub mod capture;
pub mod inbox;
pub mod log;
pub mod migration;
pub mod tables;
mod tx;

pub use capture::{
    CaptureError, InTransaction, Raise, RaiseGraph, Record, SaveConnection, Update, UpdateWithBefore,
    record_all,
};
pub use inbox::Inbox;
pub use log::SeaOrmLog;
pub use migration::{create_tables, migrations};
pub use outbox_core::OutboxEvent;
#[cfg(feature = "memory")]
pub use outbox_core::memory;
pub use outbox_core::{
    self as core, consumer, context, event, message, publisher, relay, retry, source, wire,
};
pub use outbox_derive::{OutboxEvent, outbox_hooks};
pub use tables::{TableNames, TableNamesError};
pub use tx::Tx;

/// What almost every file of a user needs.
pub mod prelude {
    pub use outbox_core::OutboxEvent;
    pub use outbox_derive::{OutboxEvent, outbox_hooks};
    pub use serde::{Deserialize, Serialize};

    pub use crate::capture::{Raise, RaiseGraph, Record, Update, UpdateWithBefore, record_all};
    pub use crate::log::SeaOrmLog;
}
