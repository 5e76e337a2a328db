//! Which events, and how many at once.

use outbox_core::message::Seq;
use sea_orm::{
    ColumnTrait, Condition, DbBackend,
    prelude::DateTimeUtc,
    sea_query::{Expr, ExprTrait as _, Func},
};

use crate::tables::{event, hold};

/// Rows of a page unless told otherwise.
const PAGE: u64 = 100;

/// Most rows of a page: what a page asks of other tables has to fit into one statement.
const LONGEST_PAGE: u64 = 1_000;

/// What an event is like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct EventConditions {
    event_type: Option<String>,
    topic: Option<String>,
    aggregate_type: Option<String>,
    aggregate_id: Option<String>,
    pub(super) stored_since: Option<DateTimeUtc>,
    pub(super) stored_until: Option<DateTimeUtc>,
}

impl EventConditions {
    pub(super) fn condition(&self) -> Condition {
        use event::Column;
        Condition::all()
            .add_option(self.event_type.as_ref().map(|text| Column::EventType.eq(text)))
            .add_option(self.topic.as_ref().map(|text| Column::Topic.eq(text)))
            .add_option(self.aggregate_type.as_ref().map(|text| Column::AggregateType.eq(text)))
            .add_option(self.aggregate_id.as_ref().map(|text| Column::AggregateId.eq(text)))
            .add_option(self.stored_since.map(|moment| Column::CreatedAt.gte(moment)))
            .add_option(self.stored_until.map(|moment| Column::CreatedAt.lt(moment)))
    }
}

/// The methods that filters of events have in common.
macro_rules! conditions_of_events {
    () => {
        /// Of this event type.
        pub fn event_type(mut self, event_type: impl Into<String>) -> Self {
            self.events.event_type = Some(event_type.into());
            self
        }

        /// Of this topic.
        pub fn topic(mut self, topic: impl Into<String>) -> Self {
            self.events.topic = Some(topic.into());
            self
        }

        /// Of this type of aggregate.
        pub fn aggregate_type(mut self, aggregate_type: impl Into<String>) -> Self {
            self.events.aggregate_type = Some(aggregate_type.into());
            self
        }

        /// Of the aggregates with this id; with [`aggregate_type`](Self::aggregate_type), of one aggregate.
        pub fn aggregate_id(mut self, aggregate_id: impl Into<String>) -> Self {
            self.events.aggregate_id = Some(aggregate_id.into());
            self
        }

        /// Stored at this moment or later, by the database's clock.
        pub fn stored_since(mut self, moment: DateTimeUtc) -> Self {
            self.events.stored_since = Some(moment);
            self
        }

        /// Stored before this moment, by the database's clock.
        pub fn stored_until(mut self, moment: DateTimeUtc) -> Self {
            self.events.stored_until = Some(moment);
            self
        }
    };
}

/// Which events to list: see [`Outbox::events`](super::Outbox::events).
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct EventFilter {
    pub(super) events: EventConditions,
    pub(super) subscription: Option<String>,
    pub(super) newest_first: bool,
    pub(super) after: Option<Seq>,
    limit: Option<u32>,
}

impl EventFilter {
    /// Every event of the log, for every subscription.
    pub fn all() -> Self {
        Self {
            events: EventConditions::default(),
            subscription: None,
            newest_first: false,
            after: None,
            limit: None,
        }
    }

    conditions_of_events!();

    /// Tells how they stand with this subscription only. Events of topics that it does not take are listed too.
    pub fn subscription(mut self, name: impl Into<String>) -> Self {
        self.subscription = Some(name.into());
        self
    }

    /// Begins with the event that was stored last.
    pub fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    /// Goes on after this one, the last of the page before.
    pub fn after(mut self, seq: Seq) -> Self {
        self.after = Some(seq);
        self
    }

    /// At most so many. Default: 100; a page never has more than 1,000.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    pub(super) fn page(&self) -> u64 {
        page(self.limit)
    }
}

/// Which dead letters: see [`Outbox::dead_letters`](super::Outbox::dead_letters) and the operator's
/// [`requeue_all`](super::Operator::requeue_all) and [`discard_all`](super::Operator::discard_all).
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct DeadLetterFilter {
    pub(super) events: EventConditions,
    pub(super) subscription: Option<String>,
    failed_since: Option<DateTimeUtc>,
    failed_until: Option<DateTimeUtc>,
    error: Option<String>,
    pub(super) after: Option<(String, Seq)>,
    limit: Option<u32>,
}

impl DeadLetterFilter {
    /// The dead letters of every subscription.
    pub fn all() -> Self {
        Self {
            events: EventConditions::default(),
            subscription: None,
            failed_since: None,
            failed_until: None,
            error: None,
            after: None,
            limit: None,
        }
    }

    /// The dead letters of one subscription.
    pub fn of(subscription: impl Into<String>) -> Self {
        Self { subscription: Some(subscription.into()), ..Self::all() }
    }

    conditions_of_events!();

    /// First failed at this moment or later, by the database's clock.
    pub fn failed_since(mut self, moment: DateTimeUtc) -> Self {
        self.failed_since = Some(moment);
        self
    }

    /// First failed before this moment, by the database's clock.
    pub fn failed_until(mut self, moment: DateTimeUtc) -> Self {
        self.failed_until = Some(moment);
        self
    }

    /// Whose last error has this text in it, letter for letter: no character has a meaning of its own.
    pub fn error(mut self, text: impl Into<String>) -> Self {
        self.error = Some(text.into());
        self
    }

    /// Goes on after this one, the last of the page before. They are in order of their subscriptions, then of seq.
    pub fn after(mut self, subscription: impl Into<String>, seq: Seq) -> Self {
        self.after = Some((subscription.into(), seq));
        self
    }

    /// At most so many. A list has 100 unless told otherwise and never more than 1,000; a change takes all that there
    /// are unless told otherwise.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    pub(super) fn page(&self) -> u64 {
        page(self.limit)
    }

    /// How many a change may take.
    pub(super) fn at_most(&self) -> u64 {
        self.limit.map_or(u64::MAX, u64::from)
    }

    /// What its hold and its event are like, without the subscription and the place in the list.
    pub(super) fn condition(&self, backend: DbBackend) -> Condition {
        use hold::Column;
        Condition::all()
            .add(Column::State.eq(outbox_core::log::HoldState::Dead.as_str()))
            .add(self.events.condition())
            .add_option(self.failed_since.map(|moment| Column::FirstFailedAt.gte(moment)))
            .add_option(self.failed_until.map(|moment| Column::FirstFailedAt.lt(moment)))
            .add_option(self.error.as_ref().map(|text| place_of(backend, text, Column::LastError).gt(0)))
    }
}

fn page(limit: Option<u32>) -> u64 {
    std::cmp::min(limit.map_or(PAGE, u64::from), LONGEST_PAGE)
}

/// Where a text begins in a column, 0 where it does not. `LIKE` was not chosen: its wildcards would have to be taken
/// out of the text, and SQLite's takes upper for lower case.
pub(super) fn place_of(backend: DbBackend, text: &str, column: impl ColumnTrait) -> Expr {
    let function = if backend == DbBackend::Postgres { "strpos" } else { "instr" };
    Func::cust(function).arg(Expr::expr(column.into_expr())).arg(text.replace('\0', "")).into()
}
