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
        if let Some((&start, &end)) = self.ranges.range(..first).next_back() {
            if end.saturating_add(1) >= first {
                first = start;
                last = last.max(end);
            }
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
        if let Some((&start, &end)) = self.ranges.range(..first).next_back() {
            if end >= first {
                self.ranges.insert(start, first - 1);
                if end > last {
                    self.ranges.insert(last + 1, end);
                }
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
