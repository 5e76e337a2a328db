//! A macro-driven transactional outbox and inbox for SeaORM 2.

// Generated code names this crate, also inside of it.
extern crate self as outbox_seaorm;

pub mod inbox;
pub mod migration;
pub mod tables;
mod tx;

pub use inbox::Inbox;
pub use migration::{create_tables, migrations};
pub use outbox_core::OutboxEvent;
pub use outbox_core::{
    self as core, consumer, context, event, log, message, publisher, relay, retry, source, wire,
};
pub use outbox_derive::OutboxEvent;
pub use tables::{TableNames, TableNamesError};
pub use tx::Tx;

/// What almost every file of a user needs.
pub mod prelude {
    pub use outbox_core::OutboxEvent;
    pub use outbox_derive::OutboxEvent;
}
