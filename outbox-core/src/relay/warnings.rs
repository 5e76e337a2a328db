//! What is worth one line in the log and not one for each event.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use super::subscription::takes;
use crate::{log::SubscriptionName, progress::SeqRanges, publisher::Topics};

/// The most topics that are remembered as warned of.
const MAX_TOPICS: usize = 1_000;

/// What was warned of already.
#[derive(Debug)]
pub(super) struct Warnings {
    /// The topics of each subscription of this relay.
    taken: Vec<Topics>,
    topics: Mutex<HashSet<String>>,
    bounded: Mutex<HashSet<SubscriptionName>>,
}

impl Warnings {
    pub(super) fn new(taken: Vec<Topics>) -> Self {
        Self { taken, topics: Mutex::default(), bounded: Mutex::default() }
    }

    /// A topic that a subscription does not take. Returns whether that was worth a warning.
    pub(super) fn other_topic(&self, topic: String) -> bool {
        if self.taken.iter().any(|topics| takes(topics, &topic)) {
            return false;
        }
        let mut known = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_TOPICS || known.contains(&topic) {
            return false;
        }
        tracing::warn!(%topic, "there are events of a topic that no subscription of this relay takes");
        known.insert(topic);
        true
    }

    /// A subscription that waits because it has too many holes.
    pub(super) fn hole_bound(&self, subscription: &SubscriptionName, unseen: &SeqRanges) {
        let mut known = self.bounded.lock().unwrap_or_else(PoisonError::into_inner);
        if known.insert(subscription.clone()) {
            tracing::warn!(
                %subscription,
                ranges = unseen.range_count(),
                first = unseen.first(),
                "too many holes: reading waits until some close; is a transaction that captured events still open?"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_nobody_takes_is_warned_of_once() {
        let taken =
            vec![Topics::Only(["orders".to_owned()].into()), Topics::Only(["mail".to_owned()].into())];
        let warnings = Warnings::new(taken);
        let told: Vec<_> = ["mail", "lost", "lost", "orders", "other", "lost"]
            .map(|topic| warnings.other_topic(topic.to_owned()))
            .into();
        assert_eq!(told, [false, true, false, false, true, false]);
    }
}
