//! How the log and its subscriptions stand, without a metrics recorder.
//!
//! It is cheap: seven small statements and one for each subscription, none of which counts the log. The numbers of the
//! backlog are bounds from above: telling events from numbers that were rolled back would mean reading them.

mod ask;
mod pin;

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, Utc};
use outbox_core::{
    log::{HoldCounts, Ordering, SubscriptionState},
    message::Seq,
};
use serde::Serialize;

pub use pin::{Pin, PinnedBy};

use super::{Outbox, OutboxError, seconds};

/// How the log and its subscriptions stand.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// When it was asked, by the database's clock.
    pub at: DateTime<Utc>,
    /// The highest seq that was purged.
    pub floor: Seq,
    /// The last seq that has an event.
    pub last: Seq,
    /// How many events the log holds, at most.
    pub retained: u64,
    /// When its oldest event was stored.
    pub oldest_at: Option<DateTime<Utc>>,
    /// Topics that some subscription has met and that none takes: their events go nowhere.
    pub unrouted_topics: BTreeSet<String>,
    /// What keeps the log from being purged while others are done with it, the furthest behind first.
    pub pins: Vec<Pin>,
    /// Every subscription, by name.
    pub subscriptions: Vec<SubscriptionStatus>,
}

/// How one subscription stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SubscriptionStatus {
    /// Its name.
    pub name: String,
    /// What its leader, or an operator, says of it.
    pub state: SubscriptionState,
    /// Since when.
    pub state_since: DateTime<Utc>,
    /// What led to the state.
    pub last_error: Option<String>,
    /// Who leads it now.
    pub leadership: Leadership,
    /// The highest seq that it has stored as read.
    pub position: Seq,
    /// How many events there are to publish, at most, without those on hold.
    pub backlog: u64,
    /// How long ago the oldest event was stored that is neither published nor on hold, in seconds.
    #[serde(serialize_with = "seconds::option::serialize")]
    pub oldest_pending: Option<Duration>,
    /// What is on hold.
    pub holds: HoldCounts,
    /// How many seqs at or below the position are not settled: unpublished events and numbers without a row.
    pub holes: u64,
    /// In how many ranges they are: the relay stops reading at 100,000 of those without a row.
    pub hole_ranges: usize,
    /// Of how many deliveries the acknowledgement is overdue.
    pub overdue: u64,
    /// The topics that it takes.
    pub topics: TakenTopics,
    /// Topics that it has met and does not take.
    pub skipped_topics: BTreeSet<String>,
    /// Which events keep their order.
    pub ordering: Ordering,
    /// The lowest seq that it still needs: its position, or what is below and not settled, on hold or not acknowledged.
    pub needs_from: Seq,
}

/// Who leads a subscription.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Leadership {
    /// A relay does.
    Led {
        /// Which process, as a person would look for it; `None` while it has only begun.
        by: Option<String>,
        /// When its lease ends unless it is renewed, in seconds.
        #[serde(serialize_with = "seconds::serialize")]
        lease_ends_in: Duration,
    },
    /// Nobody does.
    Unled {
        /// Which process did last.
        last: Option<String>,
        /// Since when: the end of the last lease, or when the subscription was begun or came into its state, where that
        /// was later. A pause that has ended does not count.
        since: DateTime<Utc>,
    },
}

/// The topics that a subscription takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "are", content = "names", rename_all = "snake_case")]
pub enum TakenTopics {
    /// Every topic.
    All,
    /// These.
    Only(BTreeSet<String>),
    /// Nobody has led it yet, so nobody has told.
    Unknown,
}

impl Outbox {
    /// How the log and its subscriptions stand.
    ///
    /// # Errors
    /// Where the database is away; [`OutboxError::Corrupt`].
    pub async fn status(&self) -> Result<Status, OutboxError> {
        let asked = ask::ask(&self.db).await?;
        let mut subscriptions = Vec::with_capacity(asked.rows.len());
        for row in &asked.rows {
            subscriptions.push(asked.subscription(&self.db, &self.log, row).await?);
        }
        let pins = pin::pins(asked.last, &subscriptions);
        Ok(Status {
            at: asked.now,
            floor: asked.floor,
            last: asked.last,
            retained: u64::try_from(asked.last - asked.floor).unwrap_or(0),
            oldest_at: asked.oldest_at,
            unrouted_topics: unrouted(&subscriptions),
            pins,
            subscriptions,
        })
    }
}

/// What somebody has met and nobody takes.
fn unrouted(subscriptions: &[SubscriptionStatus]) -> BTreeSet<String> {
    let is_taken = |topic: &String| {
        subscriptions.iter().any(|subscription| match &subscription.topics {
            TakenTopics::All => true,
            TakenTopics::Only(names) => names.contains(topic),
            TakenTopics::Unknown => false,
        })
    };
    let met = subscriptions.iter().flat_map(|subscription| &subscription.skipped_topics);
    met.filter(|topic| !is_taken(topic)).cloned().collect()
}
