//! Which of the selected events can be replayed and how they are held, as pure code.

use std::collections::BTreeSet;

use outbox_core::{
    log::{HoldState, OrderKey, Ordering},
    message::Seq,
    progress::SeqRanges,
    publisher::Topics,
};

use super::Skipped;

/// A selected event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) seq: Seq,
    pub(super) topic: String,
    pub(super) aggregate: Option<OrderKey>,
}

/// How the subscription and the log stand while nobody can change either.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) floor: Seq,
    pub(super) position: Seq,
    pub(super) holes: SeqRanges,
    pub(super) held: BTreeSet<Seq>,
    pub(super) topics: Topics,
    pub(super) ordering: Ordering,
}

/// A hold that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) seq: Seq,
    pub(super) key: Option<OrderKey>,
}

impl Chosen {
    /// What has an order waits in it, to be released by the leader; the rest is due at once.
    pub(super) fn state(&self) -> HoldState {
        if self.key.is_some() { HoldState::Blocked } else { HoldState::Scheduled }
    }
}

/// Tells what is settled from what is not: only that is published a second time.
pub(super) fn choose(candidates: Vec<Candidate>, standing: &Standing) -> (Vec<Chosen>, Skipped) {
    let (mut chosen, mut skipped) = (Vec::with_capacity(candidates.len()), Skipped::default());
    for candidate in candidates {
        let Candidate { seq, topic, aggregate } = candidate;
        if seq <= standing.floor {
            skipped.purged += 1;
        } else if !takes(&standing.topics, &topic) {
            skipped.other_topics += 1;
        } else if standing.held.contains(&seq) {
            skipped.on_hold += 1;
        } else if seq > standing.position || standing.holes.contains(seq) {
            skipped.not_settled += 1;
        } else {
            let key = match standing.ordering {
                Ordering::Aggregate => aggregate,
                Ordering::Total => Some(OrderKey::default()),
                Ordering::None => None,
            };
            chosen.push(Chosen { seq, key });
        }
    }
    (chosen, skipped)
}

fn takes(topics: &Topics, topic: &str) -> bool {
    match topics {
        Topics::All => true,
        Topics::Only(names) => names.contains(topic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(seq: Seq, topic: &str) -> Candidate {
        let aggregate = (seq % 2 == 0).then(|| ("order".to_owned(), seq.to_string()));
        Candidate { seq, topic: topic.to_owned(), aggregate }
    }

    fn standing(ordering: Ordering) -> Standing {
        Standing {
            floor: 2,
            position: 8,
            holes: "5".parse().expect("ranges"),
            held: [6].into(),
            topics: Topics::Only(["orders".to_owned()].into()),
            ordering,
        }
    }

    #[test]
    fn only_what_is_settled_goes_out_again_and_each_other_one_is_told() {
        let mut candidates: Vec<_> = (1..=10).map(|seq| candidate(seq, "orders")).collect();
        candidates[6].topic = "mail".to_owned();
        let (chosen, skipped) = choose(candidates, &standing(Ordering::Aggregate));
        assert_eq!(chosen.iter().map(|chosen| chosen.seq).collect::<Vec<_>>(), [3, 4, 8]);
        assert_eq!(skipped, Skipped { purged: 2, other_topics: 1, on_hold: 1, not_settled: 3 });
        assert_eq!(skipped.total(), 7);
    }

    #[test]
    fn the_ordering_decides_what_waits_for_what() {
        let hold = |ordering, seq| {
            let (chosen, _) = choose(vec![candidate(seq, "orders")], &standing(ordering));
            (chosen[0].key.clone(), chosen[0].state())
        };
        let order = Some(("order".to_owned(), "4".to_owned()));
        assert_eq!(hold(Ordering::Aggregate, 4), (order, HoldState::Blocked));
        assert_eq!(hold(Ordering::Aggregate, 3), (None, HoldState::Scheduled));
        assert_eq!(hold(Ordering::Total, 3), (Some(OrderKey::default()), HoldState::Blocked));
        assert_eq!(hold(Ordering::None, 4), (None, HoldState::Scheduled));
    }
}
