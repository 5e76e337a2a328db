//! Which events to replay.

use std::ops::{Bound, RangeBounds};

use chrono::{DateTime, Utc};
use outbox_core::message::Seq;
use sea_orm::{ColumnTrait as _, Condition};
use serde::{Deserialize, Serialize};

use crate::tables::event::Column;

/// Which events to replay: those for which all that is said here is true. Without another word, all that the log has.
///
/// ```
/// use outbox_seaorm::outbox::Selection;
///
/// let paid = Selection::all().event_type("order.paid").event_type("order.refunded").seqs(1_000..=2_000);
/// let one_order = Selection::all().aggregate("order", "4711");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[must_use]
pub struct Selection {
    first: Option<Seq>,
    last: Option<Seq>,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    event_types: Vec<String>,
    topics: Vec<String>,
    aggregate: Option<(String, String)>,
}

impl Selection {
    /// Every event that the log has.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only events with these numbers.
    pub fn seqs(mut self, seqs: impl RangeBounds<Seq>) -> Self {
        self.first = match seqs.start_bound() {
            Bound::Included(first) => Some(*first),
            Bound::Excluded(before) => Some(before.saturating_add(1)),
            Bound::Unbounded => None,
        };
        self.last = match seqs.end_bound() {
            Bound::Included(last) => Some(*last),
            Bound::Excluded(after) => Some(after.saturating_sub(1)),
            Bound::Unbounded => None,
        };
        self
    }

    /// Only events that were stored at this time or later, by the database's clock.
    pub fn since(mut self, moment: DateTime<Utc>) -> Self {
        self.since = Some(moment);
        self
    }

    /// Only events that were stored before this time, by the database's clock.
    pub fn until(mut self, moment: DateTime<Utc>) -> Self {
        self.until = Some(moment);
        self
    }

    /// Only events of this type; said more than once, of any of these types.
    pub fn event_type(mut self, event_type: impl Into<String>) -> Self {
        self.event_types.push(event_type.into());
        self
    }

    /// Only events of this topic; said more than once, of any of these topics.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topics.push(topic.into());
        self
    }

    /// Only events of this aggregate.
    pub fn aggregate(mut self, aggregate_type: impl Into<String>, aggregate_id: impl Into<String>) -> Self {
        self.aggregate = Some((aggregate_type.into(), aggregate_id.into()));
        self
    }

    /// The lowest number that can be meant.
    pub(super) fn first(&self) -> Seq {
        self.first.map_or(1, |first| first.max(1))
    }

    /// The highest number that can be meant.
    pub(super) fn last(&self) -> Seq {
        self.last.unwrap_or(Seq::MAX)
    }

    pub(super) fn stored_since(&self) -> Option<DateTime<Utc>> {
        self.since
    }

    pub(super) fn stored_until(&self) -> Option<DateTime<Utc>> {
        self.until
    }

    /// All of it but the numbers.
    pub(super) fn condition(&self) -> Condition {
        let aggregate = self.aggregate.as_ref();
        Condition::all()
            // A tombstone is no event.
            .add(Column::Topic.ne(""))
            .add_option(self.since.map(|since| Column::CreatedAt.gte(since)))
            .add_option(self.until.map(|until| Column::CreatedAt.lt(until)))
            .add_option(some_of(&self.event_types).map(|types| Column::EventType.is_in(types)))
            .add_option(some_of(&self.topics).map(|topics| Column::Topic.is_in(topics)))
            .add_option(aggregate.map(|(kind, _)| Column::AggregateType.eq(kind)))
            .add_option(aggregate.map(|(_, id)| Column::AggregateId.eq(id)))
    }
}

fn some_of(names: &[String]) -> Option<impl Iterator<Item = &str>> {
    (!names.is_empty()).then(|| names.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::Selection;

    #[test]
    fn a_range_of_any_kind_has_the_ends_that_were_meant() {
        let ends = |selection: Selection| (selection.first(), selection.last());
        assert_eq!(ends(Selection::all()), (1, i64::MAX));
        assert_eq!(ends(Selection::all().seqs(5..=7)), (5, 7));
        assert_eq!(ends(Selection::all().seqs(5..7)), (5, 6));
        assert_eq!(ends(Selection::all().seqs(..7)), (1, 6));
        assert_eq!(ends(Selection::all().seqs(-3..)), (1, i64::MAX));
    }
}
