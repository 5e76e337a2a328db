//! The cases that every publisher has to pass, each named after the failure that it guards against.
//!
//! A broker's tests implement [`PublisherFixture`], say what the broker can do, and call
//! [`pass_all`], or the cases one by one from tests of their own. A case panics where it fails. Cases tell
//! their messages apart by id, so they may run side by side and on a queue that others use.
//!
//! ```
//! use std::time::Duration;
//!
//! use async_trait::async_trait;
//! use outbox_core::{
//!     memory::{MemoryBroker, MemoryPublisher},
//!     message::ReceivedMessage,
//!     source::Source,
//!     testing::publisher_conformance::{Capabilities, PublisherFixture, TOPIC, pass_all},
//! };
//!
//! struct InMemory(MemoryBroker);
//!
//! #[async_trait]
//! impl PublisherFixture for InMemory {
//!     type Publisher = MemoryPublisher;
//!
//!     async fn publisher(&self) -> MemoryPublisher {
//!         self.0.publisher().route(TOPIC, "queue")
//!     }
//!
//!     async fn receive(&self) -> Vec<ReceivedMessage> {
//!         let source = self.0.source("queue");
//!         let incoming = source.receive(100).await.unwrap();
//!         let receipts: Vec<_> = incoming.iter().map(|one| one.receipt.clone()).collect();
//!         source.ack(&receipts).await.unwrap();
//!         incoming.into_iter().map(|one| one.message.unwrap()).collect()
//!     }
//!
//!     async fn set_away(&self, away: bool) {
//!         self.0.set_away(away);
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let capabilities = Capabilities {
//!     routes: true,
//!     ordered: true,
//!     can_go_away: true,
//!     tells_health: true,
//!     ..Capabilities::default()
//! };
//! pass_all(&InMemory(MemoryBroker::new()), capabilities).await;
//! # }
//! ```

mod cases;
mod messages;

use async_trait::async_trait;

pub use cases::*;
pub use messages::TOPIC;

use crate::{message::ReceivedMessage, publisher::Publisher};

/// What the cases need of a broker.
#[async_trait]
pub trait PublisherFixture: Send + Sync {
    /// The publisher under test.
    type Publisher: Publisher;

    /// A publisher that sends [`TOPIC`] to where [`receive`](Self::receive) receives from.
    async fn publisher(&self) -> Self::Publisher;

    /// Receives what is there and acknowledges it, decoded by [`wire::decode`](crate::wire::decode) as a
    /// consumer would. Waits a moment where nothing is there; an empty answer is normal.
    async fn receive(&self) -> Vec<ReceivedMessage>;

    /// Makes the broker unreachable for this fixture's publisher, or reachable again. Only called where
    /// [`Capabilities::can_go_away`] says that it can be done.
    async fn set_away(&self, away: bool);
}

/// What a broker and its fixture can do: each switches cases on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// The publisher has routes, and none for another topic than [`TOPIC`].
    pub routes: bool,
    /// Messages of one aggregate arrive in the order in which they were published.
    pub ordered: bool,
    /// The publisher never sends a message of an aggregate behind one of the same batch that was not sent, and says
    /// [`Outcome::HeldBack`](crate::publisher::Outcome::HeldBack) of it. Looked at where the largest message is known.
    pub holds_back: bool,
    /// The fixture can make the broker unreachable.
    pub can_go_away: bool,
    /// The publisher can tell whether its broker is there: it says healthy or unhealthy, never unknown.
    pub tells_health: bool,
    /// The broker gives each message an id.
    pub gives_ids: bool,
    /// The largest message that the broker takes.
    pub max_message_bytes: Option<usize>,
}

/// Runs every case that the capabilities allow, one after the other.
///
/// # Panics
/// Where a case fails.
pub async fn pass_all(fixture: &impl PublisherFixture, capabilities: Capabilities) {
    every_message_of_a_full_batch_has_its_outcome_and_arrives(fixture).await;
    an_empty_batch_has_no_outcomes(fixture).await;
    nothing_of_a_message_is_lost_on_the_way(fixture).await;
    a_payload_arrives_as_it_was_written(fixture).await;
    batches_at_the_same_time_do_not_mix_up_their_outcomes(fixture).await;
    a_message_without_an_aggregate_arrives_without_one(fixture).await;
    a_replay_is_not_swallowed_and_carries_its_id(fixture).await;
    if capabilities.gives_ids {
        each_message_is_named_by_the_broker(fixture).await;
    }
    if capabilities.routes {
        the_topics_of_its_routes_are_told(fixture).await;
        a_message_without_a_route_is_rejected_and_the_rest_is_sent(fixture).await;
    }
    if let Some(limit) = capabilities.max_message_bytes {
        a_message_that_is_too_large_is_rejected_and_the_rest_is_sent(fixture, limit).await;
        large_messages_of_one_batch_do_not_reject_each_other(fixture, limit).await;
        if capabilities.holds_back {
            nothing_of_an_aggregate_overtakes_a_message_that_was_not_sent(fixture, limit).await;
        }
    }
    if capabilities.ordered {
        an_aggregate_arrives_in_the_order_of_its_batches(fixture).await;
        an_aggregate_arrives_in_the_order_of_one_batch(fixture).await;
    }
    if capabilities.can_go_away {
        an_absent_broker_is_unavailable_and_not_the_fault_of_a_message(fixture).await;
        an_absent_broker_is_not_called_healthy(fixture, capabilities.tells_health).await;
    }
}
