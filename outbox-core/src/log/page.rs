//! One read of the log.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::SubscriptionName;
use crate::{
    message::{Message, Seq},
    progress::SeqRanges,
    publisher::Topics,
};

/// What to read.
#[derive(Debug, Clone, Copy)]
pub struct ReadRequest<'a> {
    /// Who reads.
    pub subscription: &'a SubscriptionName,
    /// The highest seq that was read. Rows after it are wanted, and the row at it as the anchor.
    pub position: Seq,
    /// Seqs below the position at which no row was there when they were read.
    pub unseen: &'a SeqRanges,
    /// Rows of other topics come back without payload: left out, they would look like holes.
    pub topics: &'a Topics,
    /// The source to put into each message.
    pub source: &'a Arc<str>,
    /// The most rows to give back, not counting the anchor row.
    pub limit: usize,
    /// Where the payloads and headers of the rows so far have as many bytes, no more rows are given back, so that a page of
    /// large events does not fill memory: the page then says that it [is cut](Page::is_cut). The first row always comes.
    pub max_bytes: usize,
}

/// The rows of one snapshot.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// The id of the row at the position, if there is a row.
    pub anchor: Option<Uuid>,
    /// Rows at unseen holes and after the position, strictly ascending by seq. With as many rows as the
    /// limit, or where the page is cut, nothing is said of seqs above the last one.
    pub rows: Vec<Row>,
    /// Whether it ends before the limit because its rows have too many bytes.
    pub is_cut: bool,
    /// How often an operator has changed something of the subscription; `None` where the page has no row, not even
    /// the anchor, to tell it by. See [`StoredProgress::interventions`](super::StoredProgress::interventions).
    pub interventions: Option<i64>,
}

/// One row of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its number.
    pub seq: Seq,
    /// Its message id.
    pub id: Uuid,
    /// What it holds.
    pub kind: RowKind,
}

/// What a row of the log holds.
#[derive(Debug, Clone, PartialEq)]
pub enum RowKind {
    /// An event of a topic that was asked for.
    Event {
        /// The event.
        message: Box<Message>,
        /// Set while the event's time has not come, by the database's clock.
        scheduled_for: Option<DateTime<Utc>>,
    },
    /// An event of another topic.
    OtherTopic {
        /// Its topic.
        topic: String,
    },
    /// No event: the mark that a number will never be used.
    Tombstone,
}
