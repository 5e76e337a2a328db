//! Which entries go together in a request, and after which others, as pure code.
//!
//! A request may be answered for each of its entries by itself. So of two entries of one group that go in the same
//! request the first may fail and the second pass: it has overtaken. Hence each request holds at most one entry of a
//! group, and the next one goes when that is confirmed. Groups do not wait for each other, but for those of
//! their own request.

use std::collections::{HashMap, VecDeque};

use super::pack::pack;

/// The entries of one queue, those of a group in their order.
#[derive(Debug)]
pub(super) struct Groups<T> {
    groups: Vec<Group<T>>,
    by_id: HashMap<String, usize>,
}

#[derive(Debug)]
struct Group<T> {
    entries: VecDeque<T>,
    is_stopped: bool,
}

impl<T> Groups<T> {
    pub(super) fn new() -> Self {
        Self { groups: Vec::new(), by_id: HashMap::new() }
    }

    /// Adds an entry to its group, behind those that are there; `None` stands in no order. Gives it back where the
    /// group was stopped: it must not go.
    pub(super) fn push(&mut self, group: Option<&str>, entry: T) -> Result<(), T> {
        let group = self.group(group);
        if group.is_stopped {
            return Err(entry);
        }
        group.entries.push_back(entry);
        Ok(())
    }

    /// A message of this group cannot go: nothing behind it may.
    pub(super) fn stop(&mut self, group: Option<&str>) {
        self.group(group).is_stopped = true;
    }

    fn group(&mut self, id: Option<&str>) -> &mut Group<T> {
        let new = self.groups.len();
        let index = match id {
            None => new,
            Some(id) => *self.by_id.entry(id.to_owned()).or_insert(new),
        };
        if index == new {
            self.groups.push(Group { entries: VecDeque::new(), is_stopped: false });
        }
        &mut self.groups[index]
    }

    /// Deals the groups out to requests of at most ten entries and `max_bytes` bytes. Each then goes in as many rounds
    /// as its longest group has entries, so those of like length go together.
    pub(super) fn into_rounds(self, size: impl Fn(&T) -> usize, max_bytes: usize) -> Vec<Rounds<T>> {
        let mut groups: Vec<_> = self
            .groups
            .into_iter()
            .map(|group| group.entries)
            .filter(|entries| !entries.is_empty())
            .collect();
        groups.sort_by_key(|entries| std::cmp::Reverse(entries.len()));
        let largest = |entries: &VecDeque<T>| entries.iter().map(&size).max().unwrap_or_default();
        pack(groups, largest, max_bytes).into_iter().map(|groups| Rounds { groups }).collect()
    }
}

/// Groups that go together, one entry of each at a time.
#[derive(Debug)]
pub(super) struct Rounds<T> {
    groups: Vec<VecDeque<T>>,
}

impl<T> Rounds<T> {
    /// The first entry that is left of each group; `None` when all have gone.
    pub(super) fn next_round(&mut self) -> Option<Vec<T>> {
        self.groups.retain(|group| !group.is_empty());
        let round: Vec<T> = self.groups.iter_mut().filter_map(VecDeque::pop_front).collect();
        (!round.is_empty()).then_some(round)
    }

    /// Whether each entry of the last round was sent, in the order of that round. Gives back what is behind those that
    /// were not.
    pub(super) fn settle(&mut self, sent: impl IntoIterator<Item = bool>) -> Vec<T> {
        let mut held_back = Vec::new();
        for (group, sent) in self.groups.iter_mut().zip(sent) {
            if !sent {
                held_back.extend(group.drain(..));
            }
        }
        held_back
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::limits::MAX_ENTRIES;

    /// An entry is its group and its number.
    type Entry = (usize, usize);

    fn groups(entries: &[Entry]) -> Groups<Entry> {
        let mut groups = Groups::new();
        for entry in entries {
            groups.push(Some(&entry.0.to_string()), *entry).expect("no group is stopped");
        }
        groups
    }

    #[test]
    fn a_group_goes_one_entry_at_a_time_and_groups_side_by_side() {
        let mut all = groups(&[(1, 0), (1, 1), (2, 2), (1, 3), (2, 4)]).into_rounds(|_| 1, 100);
        assert_eq!(all.len(), 1);
        let rounds = &mut all[0];
        assert_eq!(rounds.next_round(), Some(vec![(1, 0), (2, 2)]));
        assert_eq!(rounds.settle([true, true]), []);
        assert_eq!(rounds.next_round(), Some(vec![(1, 1), (2, 4)]));
        assert_eq!(rounds.settle([false, true]), [(1, 3)], "behind one that was not sent");
        assert_eq!(rounds.next_round(), None);
    }

    #[test]
    fn entries_without_an_order_fill_the_requests_in_one_round() {
        let mut groups = Groups::new();
        for number in 0..25 {
            groups.push(None, (0, number)).expect("there is no group to be stopped");
        }
        groups.stop(None);
        let rounds = groups.into_rounds(|_| 1, 100);
        let lengths: Vec<_> = rounds
            .into_iter()
            .map(|mut rounds| {
                let first = rounds.next_round().map_or(0, |round| round.len());
                rounds.settle([false]);
                assert_eq!(rounds.next_round(), None);
                first
            })
            .collect();
        assert_eq!(lengths, [10, 10, 5]);
    }

    #[test]
    fn nothing_goes_behind_a_message_that_cannot_go() {
        let mut groups = groups(&[(1, 0), (2, 1)]);
        groups.stop(Some("1"));
        assert_eq!(groups.push(Some("1"), (1, 2)), Err((1, 2)));
        assert_eq!(groups.push(Some("2"), (2, 3)), Ok(()));
        let mut rounds = groups.into_rounds(|_| 1, 100);
        assert_eq!(rounds[0].next_round(), Some(vec![(2, 1), (1, 0)]), "those before it go");
    }

    #[test]
    fn groups_of_like_length_go_together() {
        let entries: Vec<Entry> = (0..20)
            .flat_map(|group| (0..if group % 2 == 0 { 5 } else { 1 }).map(move |n| (group, n)))
            .collect();
        let mut requests = 0;
        for mut rounds in groups(&entries).into_rounds(|_| 1, 100) {
            while let Some(round) = rounds.next_round() {
                requests += 1;
                rounds.settle(vec![true; round.len()]);
            }
        }
        assert_eq!(requests, 6, "five with the long ones, one with the short ones");
    }

    proptest! {
        #[test]
        fn no_entry_is_lost_overtakes_or_meets_its_own_group_in_a_request(
            entries in prop::collection::vec((0..8_usize, 1..60_usize, any::<bool>()), 0..80),
            failures in prop::collection::vec(0..10_u8, 1..40),
        ) {
            let mut groups = Groups::new();
            let mut held_back = BTreeSet::new();
            for (number, &(group, _, is_bad)) in entries.iter().enumerate() {
                let id = group.to_string();
                if is_bad && number % 7 == 0 {
                    groups.stop(Some(&id));
                    held_back.insert(number);
                } else if let Err(stopped) = groups.push(Some(&id), number) {
                    held_back.insert(stopped);
                }
            }
            let size = |number: &usize| entries[*number].1;
            let mut fails = failures.iter().cycle().map(|fate| *fate == 0);
            let (mut sent, mut failed) = (Vec::new(), BTreeSet::new());
            for mut rounds in groups.into_rounds(size, 100) {
                while let Some(round) = rounds.next_round() {
                    let of: BTreeSet<_> = round.iter().map(|number| entries[*number].0).collect();
                    prop_assert_eq!(of.len(), round.len(), "two of a group in one request");
                    prop_assert!(round.len() <= MAX_ENTRIES && round.iter().map(size).sum::<usize>() <= 100);
                    let fates: Vec<bool> = round.iter().map(|_| !fails.next().unwrap_or_default()).collect();
                    for (number, is_sent) in round.iter().zip(&fates) {
                        if *is_sent { sent.push(*number); } else { failed.insert(*number); }
                    }
                    held_back.extend(rounds.settle(fates));
                }
            }
            let mut last = BTreeMap::new();
            for number in &sent {
                let group = entries[*number].0;
                prop_assert!(last.insert(group, *number).is_none_or(|before| before < *number), "overtaken");
                let is_behind = |other: &usize| entries[*other].0 == group && other < number;
                prop_assert!(!failed.iter().chain(&held_back).any(is_behind), "{} went behind one that did not", number);
            }
            let all: BTreeSet<_> = sent.iter().copied().chain(failed.iter().copied()).chain(held_back).collect();
            prop_assert_eq!(all.len(), entries.len());
        }
    }
}
