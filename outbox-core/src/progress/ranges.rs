//! A set of seqs, kept as inclusive ranges: holes come in runs.

use std::{collections::BTreeMap, fmt, ops::RangeInclusive, str::FromStr};

use crate::message::Seq;

/// A set of seqs as disjoint, non-adjacent, inclusive ranges. Its text form, as stored in
/// `outbox_subscription.holes`, is `3,7-9`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeqRanges {
    /// First seq of a range to its last.
    ranges: BTreeMap<Seq, Seq>,
}

/// A text that is not a list of ranges.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected ranges such as `3,7-9` in ascending order, found `{found}`")]
pub struct RangesError {
    found: String,
}

impl SeqRanges {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one seq.
    pub fn insert(&mut self, seq: Seq) {
        self.insert_range(seq..=seq);
    }

    /// Adds a range; an empty one adds nothing.
    pub fn insert_range(&mut self, range: RangeInclusive<Seq>) {
        let (mut first, mut last) = range.into_inner();
        if first > last {
            return;
        }
        if let Some((&start, &end)) = self.ranges.range(..first).next_back()
            && end.saturating_add(1) >= first
        {
            first = start;
            last = last.max(end);
        }
        while let Some((&start, &end)) = self.ranges.range(first..=last.saturating_add(1)).next() {
            self.ranges.remove(&start);
            last = last.max(end);
        }
        self.ranges.insert(first, last);
    }

    /// Takes one seq out and says whether it was in.
    pub fn remove(&mut self, seq: Seq) -> bool {
        let contained = self.contains(seq);
        if contained {
            self.remove_range(seq..=seq);
        }
        contained
    }

    /// Takes a range out.
    pub fn remove_range(&mut self, range: RangeInclusive<Seq>) {
        let (first, last) = range.into_inner();
        if first > last {
            return;
        }
        if let Some((&start, &end)) = self.ranges.range(..first).next_back()
            && end >= first
        {
            self.ranges.insert(start, first - 1);
            if end > last {
                self.ranges.insert(last + 1, end);
            }
        }
        while let Some((&start, &end)) = self.ranges.range(first..=last).next() {
            self.ranges.remove(&start);
            if end > last {
                self.ranges.insert(last + 1, end);
            }
        }
    }

    /// Takes every seq of `other` out.
    pub fn remove_all(&mut self, other: &Self) {
        for range in other.iter() {
            self.remove_range(range);
        }
    }

    /// Adds every seq of `other`.
    pub fn insert_all(&mut self, other: &Self) {
        for range in other.iter() {
            self.insert_range(range);
        }
    }

    /// Keeps only what is also in `other`.
    pub fn retain_in(&mut self, other: &Self) {
        let mut kept = Self::new();
        for (&first, &last) in &self.ranges {
            let from = other.ranges.range(..=first).next_back().map_or(first, |(&start, _)| start);
            for (&start, &end) in other.ranges.range(from..=last) {
                let (start, end) = (start.max(first), end.min(last));
                if start <= end {
                    kept.ranges.insert(start, end);
                }
            }
        }
        *self = kept;
    }

    /// The `n` lowest seqs.
    #[must_use]
    pub fn first_n(&self, n: u64) -> Self {
        let mut taken = Self::new();
        let mut left = n;
        for (&first, &last) in &self.ranges {
            let Some(more) = left.checked_sub(1) else { break };
            let end = first.saturating_add_unsigned(more).min(last);
            taken.ranges.insert(first, end);
            left -= end.abs_diff(first) + 1;
        }
        taken
    }

    /// Whether `seq` is in the set.
    #[must_use]
    pub fn contains(&self, seq: Seq) -> bool {
        self.ranges.range(..=seq).next_back().is_some_and(|(_, &end)| end >= seq)
    }

    /// The ranges, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = RangeInclusive<Seq>> {
        self.ranges.iter().map(|(&first, &last)| first..=last)
    }

    /// The lowest seq.
    #[must_use]
    pub fn first(&self) -> Option<Seq> {
        self.ranges.first_key_value().map(|(&first, _)| first)
    }

    /// The highest seq.
    #[must_use]
    pub fn last(&self) -> Option<Seq> {
        self.ranges.last_key_value().map(|(_, &last)| last)
    }

    /// How many seqs are in the set.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|(first, last)| last.abs_diff(*first).saturating_add(1)).sum()
    }

    /// How many ranges hold them.
    #[must_use]
    pub fn range_count(&self) -> usize {
        self.ranges.len()
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

impl fmt::Display for SeqRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.ranges.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            if first == last {
                write!(f, "{first}")?;
            } else {
                write!(f, "{first}-{last}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for SeqRanges {
    type Err = RangesError;

    fn from_str(text: &str) -> Result<Self, RangesError> {
        let mut set = Self::new();
        let error = || RangesError { found: text.chars().take(80).collect() };
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let first: Seq = first.parse().map_err(|_| error())?;
            let last: Seq = last.parse().map_err(|_| error())?;
            if first > last || set.last().is_some_and(|highest| highest >= first) {
                return Err(error());
            }
            set.insert_range(first..=last);
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Change {
        Insert(Seq, Seq),
        Remove(Seq, Seq),
        RemoveOne(Seq),
        Retain(BTreeSet<Seq>),
        FirstN(u64),
    }

    fn change() -> impl Strategy<Value = Change> {
        let range = (0..60i64, -2..12i64).prop_map(|(first, len)| (first, first + len));
        prop_oneof![
            4 => range.clone().prop_map(|(first, last)| Change::Insert(first, last)),
            3 => range.prop_map(|(first, last)| Change::Remove(first, last)),
            2 => (0..60i64).prop_map(Change::RemoveOne),
            1 => proptest::collection::btree_set(0..60i64, 0..40).prop_map(Change::Retain),
            1 => (0..30u64).prop_map(Change::FirstN),
        ]
    }

    fn of(seqs: &BTreeSet<Seq>) -> SeqRanges {
        let mut ranges = SeqRanges::new();
        for &seq in seqs {
            ranges.insert(seq);
        }
        ranges
    }

    proptest! {
        #[test]
        fn it_is_a_set(changes in proptest::collection::vec(change(), 0..60)) {
            let (mut ranges, mut model) = (SeqRanges::new(), BTreeSet::new());
            for change in changes {
                match change {
                    Change::Insert(first, last) => {
                        ranges.insert_range(first..=last);
                        model.extend(first..=last);
                    }
                    Change::Remove(first, last) => {
                        ranges.remove_range(first..=last);
                        model.retain(|seq| !(first..=last).contains(seq));
                    }
                    Change::RemoveOne(seq) => prop_assert_eq!(ranges.remove(seq), model.remove(&seq)),
                    Change::Retain(other) => {
                        ranges.retain_in(&of(&other));
                        model.retain(|seq| other.contains(seq));
                    }
                    Change::FirstN(n) => {
                        ranges = ranges.first_n(n);
                        model = model.into_iter().take(usize::try_from(n).expect("small")).collect();
                    }
                }
                prop_assert_eq!(ranges.iter().flatten().collect::<BTreeSet<_>>(), model.clone());
                prop_assert_eq!(&ranges, &of(&model), "one form for one set");
                prop_assert_eq!(ranges.count(), model.len() as u64);
                prop_assert_eq!((ranges.first(), ranges.last()), (model.first().copied(), model.last().copied()));
                prop_assert!((-2..75).all(|seq| ranges.contains(seq) == model.contains(&seq)));
                prop_assert_eq!(ranges.to_string().parse::<SeqRanges>(), Ok(ranges.clone()));
            }
        }
    }

    #[test]
    fn the_text_form_is_short_and_read_strictly() {
        let mut ranges = SeqRanges::new();
        ranges.insert_range(7..=9);
        ranges.insert(3);
        assert_eq!(ranges.to_string(), "3,7-9");
        assert_eq!("".parse(), Ok(SeqRanges::new()));
        for wrong in ["9-7", "3,3", "5,2", "x", "1-", "1-2-3", "2-6,4"] {
            assert!(wrong.parse::<SeqRanges>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_ends_of_the_number_space_do_not_overflow() {
        let mut ranges = SeqRanges::new();
        ranges.insert_range(Seq::MAX - 1..=Seq::MAX);
        ranges.insert(Seq::MIN);
        ranges.remove_range(Seq::MIN..=Seq::MIN);
        assert_eq!(ranges.first_n(u64::MAX), ranges);
        ranges.remove_range(Seq::MIN..=Seq::MAX);
        assert!(ranges.is_empty());
    }
}
