//! The strictest user: every warning is an error, and common names mean something else.
#![deny(warnings, unused, nonstandard_style, future_incompatible, missing_docs)]
#![deny(unreachable_pub, unused_qualifications, missing_debug_implementations, single_use_lifetimes)]
#![deny(trivial_casts, trivial_numeric_casts, unused_results, unused_lifetimes, variant_size_differences)]
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

/// In the way.
#[derive(Debug)]
#[allow(dead_code)]
pub struct String;
/// In the way.
#[derive(Debug)]
#[allow(dead_code)]
pub enum Option {
    /// In the way.
    Some,
    /// In the way.
    None,
}
#[allow(unused_imports)]
use crate::Option::{None, Some};

/// An event.
#[derive(Debug, Serialize, outbox_seaorm::OutboxEvent)]
#[outbox(event_type = "order.placed", aggregate = "order", aggregate_id = self.order_id)]
pub struct Placed {
    /// Its id.
    pub order_id: u64,
}

/// Events.
#[derive(Debug, Serialize, outbox_seaorm::OutboxEvent)]
#[outbox(topic = "orders", aggregate = "order")]
pub enum Events {
    /// An old one.
    #[deprecated]
    #[outbox(event_type = "order.old")]
    Old,
    /// A new one.
    #[outbox(event_type = "order.new", aggregate_id = order_id)]
    New {
        /// Its id.
        order_id: u64,
        /// Not in the expression.
        lines: u64,
    },
    /// Unlike the others.
    #[outbox(event_type = "order.lower")]
    Lower(#[outbox(aggregate_id)] u64),
}

/// Of the old days.
#[derive(Debug, Serialize)]
#[deprecated]
pub struct Old;

/// Only read, and not to be used for anything else.
#[derive(Debug, Deserialize, outbox_seaorm::OutboxEvent)]
#[deprecated]
#[outbox(event_type = "order.sent", topic = "orders")]
pub struct SentV1 {
    /// Its id.
    pub order_id: u64,
}

/// A newer one.
#[derive(Debug, Serialize, Deserialize, outbox_seaorm::OutboxEvent)]
#[outbox(event_type = "order.sent", version = 2, topic = "orders", upcast_from = SentV1)]
pub struct Sent {
    /// Its id.
    pub order: u64,
}

#[allow(deprecated)]
impl From<SentV1> for Sent {
    fn from(old: SentV1) -> Self {
        Self { order: old.order_id }
    }
}

/// A newer one among others.
#[derive(Debug, Serialize, Deserialize, outbox_seaorm::OutboxEvent)]
#[outbox(topic = "orders")]
pub enum Sendings {
    /// With a past.
    #[outbox(event_type = "order.sent", version = 3, upcast_from = Sent)]
    Sent(u64),
    /// Without.
    #[outbox(event_type = "order.lost")]
    Lost(u64),
}

impl From<Sent> for Sendings {
    fn from(old: Sent) -> Self {
        Self::Sent(old.order)
    }
}

macro_rules! events {
    ($($(#[$meta:meta])* $name:ident: $event_type:literal, $id:ident;)*) => {
        $(
            $(#[$meta])*
            #[derive(Debug, Serialize, outbox_seaorm::OutboxEvent)]
            #[outbox(event_type = $event_type, aggregate = "made", aggregate_id = self.$id)]
            pub struct $name {
                /// Its id.
                pub $id: u64,
            }
        )*
    };
}

events! {
    /// Made by a macro.
    Made: "made.one", made_id;
}

fn main() {
    use outbox_seaorm::OutboxEvent as _;

    assert_eq!(Placed { order_id: 1 }.aggregate_id().as_deref(), ::core::option::Option::Some("1"));
    assert_eq!(Events::New { order_id: 1, lines: 0 }.kind().event_type, "order.new");
    assert_eq!(Events::Lower(1).kind().event_type, "order.lower");
    assert!(matches!(Sendings::decode("order.sent", 1, r#"{"order_id":7}"#), Ok(Sendings::Sent(7))));
    assert_eq!(Made { made_id: 3 }.aggregate_id().as_deref(), ::core::option::Option::Some("3"));
}
