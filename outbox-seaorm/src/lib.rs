//! A macro-driven transactional outbox and inbox for SeaORM 2.
//!
//! A service that saves an order and then tells a broker of it does two things, and a crash in between leaves one of
//! them undone. Here the event is stored in the order's own transaction; a relay publishes it from there, and the
//! consumer's inbox drops what comes twice.
//!
//! ```
//! mod order {
//!     use outbox_seaorm::prelude::*;
//!     use sea_orm::entity::prelude::*;
//!
//!     use super::{OrderPaid, OrderPlaced};
//!
//!     #[sea_orm::model]
//!     #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
//!     #[sea_orm(table_name = "orders")]
//!     pub struct Model {
//!         #[sea_orm(primary_key, auto_increment = false)]
//!         pub id: Uuid,
//!         pub status: String,
//!         pub total_cents: i64,
//!     }
//!
//!     // hooks: events for every insert and update of this entity
//!     #[outbox_hooks(on_insert = OrderPlaced::from, on_update = paid)]
//!     impl ActiveModelBehavior for ActiveModel {}
//!
//!     // only when this save has set the status
//!     fn paid(update: &Update<Model>) -> Option<OrderPaid> {
//!         let order = update.row();
//!         (update.set(Column::Status) && order.status == "paid").then(|| OrderPaid { order_id: order.id })
//!     }
//! }
//!
//! use outbox_seaorm::{
//!     Inbox, SeaOrmLog,
//!     consumer::{Consumer, Delivery, HandlerError},
//!     prelude::*,
//!     publisher::Publisher,
//!     relay::{Relay, Subscription},
//!     source::Source,
//! };
//! use sea_orm::{DatabaseConnection, IntoActiveModel as _, Set, TransactionTrait as _, prelude::Uuid};
//!
//! #[derive(Clone, Debug, Serialize, Deserialize, OutboxEvent)]
//! #[outbox(event_type = "order.placed", version = 1, topic = "orders", aggregate = "order")]
//! pub struct OrderPlaced {
//!     #[outbox(aggregate_id)]
//!     pub order_id: Uuid,
//!     pub total_cents: i64,
//! }
//!
//! #[derive(Clone, Debug, Serialize, Deserialize, OutboxEvent)]
//! #[outbox(event_type = "order.paid", topic = "orders", aggregate = "order")]
//! pub struct OrderPaid {
//!     #[outbox(aggregate_id)]
//!     pub order_id: Uuid,
//! }
//!
//! impl From<&order::Model> for OrderPlaced {
//!     fn from(order: &order::Model) -> Self {
//!         Self { order_id: order.id, total_cents: order.total_cents }
//!     }
//! }
//!
//! async fn shop(db: &DatabaseConnection) -> Result<(), sea_orm::DbErr> {
//!     // 1. hooks: the normal save, on a plain connection: atomic
//!     let order = order::ActiveModel { id: Set(Uuid::now_v7()), status: Set("placed".into()), total_cents: Set(1_000) };
//!     let order = order.insert(db).await?;
//!
//!     // 2. raised on the entity: the same verbs, also when `db` is a transaction
//!     let order_id = order.id;
//!     let again = OrderPaid { order_id };
//!     order.into_active_model().raise(again.deliver_after(std::time::Duration::from_secs(60))).update(db).await?;
//!
//!     // 3. by hand, for bulk writes: write or lock the row first, then record; a pool here does not compile
//!     let txn = db.begin().await?;
//!     OrderPaid { order_id }.record(&txn).await?;
//!     record_all(&txn, [OrderPaid { order_id }, OrderPaid { order_id }]).await?;
//!     txn.commit().await
//! }
//!
//! // the relay; the source names this service in every event
//! async fn publish(db: DatabaseConnection, publisher: impl Publisher) -> Result<(), outbox_seaorm::relay::RelayError> {
//!     Relay::new(SeaOrmLog::new(db), "/orders")
//!         .subscription(Subscription::new("broker", publisher))
//!         .run_until(std::future::pending()) // or a signal to shut down
//!         .await
//! }
//!
//! // the consumer, in another service
//! async fn consume(db: DatabaseConnection, source: impl Source) -> Result<(), Box<dyn std::error::Error>> {
//!     Consumer::new(source, Inbox::new(db, "inventory")?).on(reserve_stock).run_until(std::future::pending()).await?;
//!     Ok(())
//! }
//!
//! async fn reserve_stock(event: Delivery<OrderPlaced>, txn: outbox_seaorm::Tx) -> Result<(), HandlerError> {
//!     // writes in `txn`, and events raised in it, commit with the inbox's note
//!     Ok(())
//! }
//! # fn main() {}
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`capture`] | events in the transaction of their row: hooks, `raise`, `record` |
//! | [`log`] | the log on PostgreSQL, MySQL, MariaDB and SQLite, as the relay reads it |
//! | [`relay`] | reads the log, publishes, settles |
//! | [`inbox`] | each message once, in one transaction with its effects |
//! | [`consumer`] | runs typed handlers over an inbox |
//! | [`wake`] | wake-ups between processes, on PostgreSQL |
//! | [`outbox`] | what operators ask and do: dead letters, the state of an event, pause, rewind |
//! | [`tables`], [`migration`] | the tables as entities and as migrations to splice in |
//! | [`telemetry`] | what relay and consumer tell of themselves: metrics, spans, logs |
//! | [`context`], [`event`], [`message`], [`publisher`], [`source`], [`wire`] | the protocol, from `outbox-core` |
//!
//! The user's own SeaORM features decide on driver, runtime and TLS; this crate's features forward them by the same
//! names and choose nothing.

// Generated code names this crate, also inside of it.
extern crate self as outbox_seaorm;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
pub mod capture;
mod clock;
mod error_code;
pub mod inbox;
pub mod log;
pub mod migration;
pub mod outbox;
pub mod tables;
mod tx;
pub mod wake;

/// The guide is compiled with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/adopting.md")]
mod adopting {}

/// So is the guide for operators.
#[cfg(doctest)]
#[doc = include_str!("../../docs/operations.md")]
mod operations {}

pub use capture::{
    CaptureError, InTransaction, Raise, RaiseGraph, Record, SaveConnection, Update, UpdateWithBefore,
    record_all,
};
pub use inbox::Inbox;
pub use log::SeaOrmLog;
pub use migration::{create_tables, migrations};
pub use outbox::Outbox;
pub use outbox_core::OutboxEvent;
#[cfg(feature = "memory")]
pub use outbox_core::memory;
pub use outbox_core::{
    self as core, consumer, context, event, message, publisher, relay, retry, source, telemetry, wire,
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
