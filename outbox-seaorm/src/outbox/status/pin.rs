//! Who keeps the log from being purged, as pure code.

use chrono::{DateTime, Utc};
use outbox_core::{log::SubscriptionState, message::Seq};
use serde::Serialize;

use super::{Leadership, SubscriptionStatus};

/// So many seqs behind the others is far: less is the ordinary distance of subscriptions that all run.
const FAR: u64 = 10_000;

/// A subscription that keeps events in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pin {
    /// Which subscription.
    pub subscription: String,
    /// Why it does not go on.
    pub by: PinnedBy,
    /// Since when, where that is known.
    pub since: Option<DateTime<Utc>>,
    /// The lowest seq that it needs.
    pub from: Seq,
    /// How many seqs that keeps in the log, at most.
    pub seqs: u64,
}

/// Why a subscription does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PinnedBy {
    /// An operator paused it.
    Pause,
    /// Nobody leads it.
    NoLeader,
    /// Its broker is away.
    BrokerDown,
    /// It is far behind another subscription.
    Distance,
    /// An old event is on hold or not acknowledged: often a dead letter that nobody has looked at.
    OldEvent,
}

/// The furthest behind first. What stands still counts from the first event that it has not settled; what runs only where
/// it is far behind another, or far behind its own position.
pub(super) fn pins(last: Seq, subscriptions: &[SubscriptionStatus]) -> Vec<Pin> {
    let furthest = subscriptions.iter().map(|subscription| subscription.needs_from).max().unwrap_or(last);
    let mut pins: Vec<Pin> = subscriptions
        .iter()
        .filter_map(|subscription| {
            let from = subscription.needs_from;
            let seqs = distance(from, last);
            let (by, since) = standing_still(subscription).or_else(|| {
                if distance(from, subscription.position) >= FAR {
                    Some((PinnedBy::OldEvent, None))
                } else {
                    (distance(from, furthest) >= FAR).then_some((PinnedBy::Distance, None))
                }
            })?;
            let name = subscription.name.clone();
            (seqs > 0).then_some(Pin { subscription: name, by, since, from, seqs })
        })
        .collect();
    pins.sort_by_key(|pin| pin.from);
    pins
}

fn standing_still(subscription: &SubscriptionStatus) -> Option<(PinnedBy, Option<DateTime<Utc>>)> {
    match (subscription.state, &subscription.leadership) {
        (SubscriptionState::Paused, _) => Some((PinnedBy::Pause, Some(subscription.state_since))),
        (_, Leadership::Unled { since, .. }) => Some((PinnedBy::NoLeader, Some(*since))),
        (SubscriptionState::BrokerDown, _) => Some((PinnedBy::BrokerDown, Some(subscription.state_since))),
        (SubscriptionState::Running, Leadership::Led { .. }) => None,
    }
}

fn distance(from: Seq, to: Seq) -> u64 {
    u64::try_from(to.saturating_sub(from)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use outbox_core::log::{HoldCounts, Ordering};

    use super::*;
    use crate::outbox::TakenTopics;

    fn running(name: &str, position: Seq, needs_from: Seq) -> SubscriptionStatus {
        SubscriptionStatus {
            name: name.to_owned(),
            state: SubscriptionState::Running,
            state_since: DateTime::UNIX_EPOCH,
            last_error: None,
            leadership: Leadership::Led { by: None, lease_ends_in: Duration::from_secs(9) },
            position,
            backlog: 0,
            oldest_pending: None,
            holds: HoldCounts::default(),
            holes: 0,
            hole_ranges: 0,
            overdue: 0,
            topics: TakenTopics::All,
            skipped_topics: BTreeSet::new(),
            ordering: Ordering::Aggregate,
            needs_from,
        }
    }

    #[test]
    fn whoever_stands_still_or_is_far_behind_is_named_and_nobody_else() {
        let paused =
            SubscriptionStatus { state: SubscriptionState::Paused, ..running("paused", 70_000, 70_000) };
        let unled = Leadership::Unled { last: None, since: DateTime::UNIX_EPOCH };
        let down =
            SubscriptionStatus { state: SubscriptionState::BrokerDown, ..running("down", 99_000, 98_999) };
        let all = [
            running("well", 99_990, 99_980),
            paused,
            SubscriptionStatus { leadership: unled.clone(), ..running("unled", 60_000, 60_000) },
            SubscriptionStatus { leadership: unled, ..running("done", 100_000, 100_000) },
            down,
            running("slow", 80_000, 80_000),
            running("dead letter", 99_990, 5),
        ];
        let found: Vec<_> =
            pins(100_000, &all).into_iter().map(|pin| (pin.subscription, pin.by, pin.seqs)).collect();
        let expected = [
            ("dead letter", PinnedBy::OldEvent, 99_995),
            ("unled", PinnedBy::NoLeader, 40_000),
            ("paused", PinnedBy::Pause, 30_000),
            ("slow", PinnedBy::Distance, 20_000),
            ("down", PinnedBy::BrokerDown, 1_001),
        ];
        assert_eq!(found, expected.map(|(name, by, seqs)| (name.to_owned(), by, seqs)));
    }
}
