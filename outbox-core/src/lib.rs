//! The protocol of a transactional outbox, without an ORM and without a broker.
//!
//! | module | holds |
//! |---|---|
//! | [`event`] | what a user annotates: [`OutboxEvent`], [`Envelope`](event::Envelope), [`IntoEvents`](event::IntoEvents) |
//! | [`context`] | the task-local scope (correlation, causation, trace) that capture stores with each event |
//! | [`message`] | a stored event on its way to a broker, and a received one on its way to a handler |
//! | [`wire`] | how a message is written for a broker: CloudEvents 1.0, or the raw payload |
//! | [`publisher`] | the adapter to a broker, and the [`Outcome`](publisher::Outcome) of each message |
//! | [`log`] | the seam to the database: [`EventLog`](log::EventLog) |
//! | [`progress`] | position, anchor and holes: what a subscription has read and settled, as pure code |
//! | [`retry`] | when to try again, as pure code |
//! | [`relay`] | reads the log, publishes, settles, flushes |
//! | [`settings`] | how durations are written in a configuration, and the error of a value out of range |
//! | [`source`] | where a consumer receives from |
//! | [`consumer`] | runs handlers, each message once per inbox |
//! | [`telemetry`] | what relay and consumer tell of themselves: metrics, spans, logs |
//! | [`wake`] | signals that wake a relay before its poll interval ends |
#![cfg_attr(feature = "memory", doc = "| [`memory`] | a broker in this process |")]
#![cfg_attr(
    feature = "testing",
    doc = "| [`testing`] | in-memory log and broker, scripted publishers, conformance suites |"
)]

// Generated code names this crate, also inside of it.
extern crate self as outbox_core;

pub mod consumer;
pub mod context;
pub mod event;
pub mod log;
#[cfg(feature = "memory")]
pub mod memory;
pub mod message;
pub mod progress;
pub mod publisher;
pub mod relay;
pub mod retry;
pub mod settings;
pub mod source;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod wake;
pub mod wire;

pub use event::OutboxEvent;
