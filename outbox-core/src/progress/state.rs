//! Position, anchor, holes: the bookkeeping of one subscription.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Absence, SeqRanges};
use crate::{
    log::{Flush, HoldChange, Page, ReadRequest, RowKind, StoredProgress, SubscriptionName},
    message::{Message, Seq},
    publisher::Topics,
};

/// What a leader knows of its subscription: what was read, and what of it is not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    position: Seq,
    anchor: Option<Uuid>,
    /// No row was there when it was read.
    unseen: SeqRanges,
    /// Read, and neither published nor on hold.
    unsettled: SeqRanges,
    flush_no: i64,
    interventions: i64,
}

/// The log is not the one that was read: the row at the position is gone or is another one.
/// Nothing of the page may be used; what is in memory is worth nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected event {expected} at position {position}, found {found:?}: the log is not the one that was read"
)]
pub struct AnchorLost {
    /// The highest seq that was read.
    pub position: Seq,
    /// The id that its row had.
    pub expected: Uuid,
    /// The id of the row that is there now.
    pub found: Option<Uuid>,
}

/// An event that a page brought.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadEvent {
    /// The event.
    pub message: Box<Message>,
    /// Set while its time has not come.
    pub scheduled_for: Option<DateTime<Utc>>,
}

/// What a page brought.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Absorbed {
    /// The events, in order. They are unsettled until [`Progress::settle`] is told of them.
    pub events: Vec<ReadEvent>,
    /// The topics of rows that were not asked for.
    pub other_topics: BTreeSet<String>,
    /// Seqs at which no row was, met for the first time.
    pub new_holes: SeqRanges,
    /// Whether the progress to store has changed.
    pub moved: bool,
    /// Whether the page was full, so that another read will bring more.
    pub more: bool,
    /// The highest seq up to which the page has shown every row that there is to see.
    pub covered: Seq,
    /// Whether rows were left because there are too many holes: reading waits until some close.
    pub at_hole_bound: bool,
    /// Whether an operator has changed something of the subscription since the progress was loaded.
    pub intervened: bool,
}

impl Progress {
    /// Takes up what is stored. Whether a stored hole was seen is not stored: all of them are asked for
    /// again, and those that were read come back first, in order.
    #[must_use]
    pub fn load(stored: StoredProgress) -> Self {
        let StoredProgress { position, anchor, holes, flush_no, interventions } = stored;
        Self { position, anchor, unseen: holes, unsettled: SeqRanges::new(), flush_no, interventions }
    }

    /// What to read next, of any size.
    #[must_use]
    pub fn read_request<'a>(
        &'a self,
        subscription: &'a SubscriptionName,
        topics: &'a Topics,
        source: &'a std::sync::Arc<str>,
        limit: usize,
    ) -> ReadRequest<'a> {
        let (position, unseen, max_bytes) = (self.position, &self.unseen, usize::MAX);
        ReadRequest { subscription, position, unseen, topics, source, limit, max_bytes }
    }

    /// Takes in a page that was read with [`read_request`](Self::read_request) and `limit`.
    ///
    /// `absence` is what *this* read proves of the seqs it did not show: a proof that was completed after
    /// the read was sent does not count. With `max_holes` ranges of holes nothing is read past the next gap.
    ///
    /// # Errors
    /// [`AnchorLost`] where the row at the position is not the one that was read; the progress is then unchanged.
    pub fn absorb(
        &mut self,
        page: Page,
        limit: usize,
        absence: Absence,
        max_holes: usize,
    ) -> Result<Absorbed, AnchorLost> {
        self.check_anchor(page.anchor)?;

        let intervened = page.interventions.is_some_and(|count| count != self.interventions);
        let more = page.is_cut || page.rows.len() >= limit;
        let mut absorbed = Absorbed { more, intervened, ..Absorbed::default() };
        let gone_upto = absence.upto();
        // Of seqs above this one the page says nothing.
        let mut covered = match page.rows.last() {
            Some(last) if absorbed.more => last.seq,
            _ => Seq::MAX,
        };
        absorbed.events.reserve(page.rows.len());
        for row in page.rows {
            if row.seq <= self.position {
                if !self.unseen.remove(row.seq) {
                    continue;
                }
                if row.seq == self.position {
                    self.anchor = Some(row.id);
                }
            } else {
                let gap = (self.position + 1).max(gone_upto.saturating_add(1))..=row.seq - 1;
                if !gap.is_empty() {
                    if self.unseen.range_count() >= max_holes {
                        absorbed.at_hole_bound = true;
                        covered = self.position;
                        break;
                    }
                    self.unseen.insert_range(gap.clone());
                    absorbed.new_holes.insert_range(gap);
                }
                self.position = row.seq;
                self.anchor = Some(row.id);
            }
            absorbed.moved = true;
            match row.kind {
                RowKind::Event { message, scheduled_for } => {
                    self.unsettled.insert(row.seq);
                    absorbed.events.push(ReadEvent { message, scheduled_for });
                }
                RowKind::OtherTopic { topic } => {
                    absorbed.other_topics.insert(topic);
                }
                RowKind::Tombstone => {}
            }
        }
        absorbed.covered = covered;
        let gone = gone_upto.min(covered);
        if self.unseen.first().is_some_and(|first| first <= gone) {
            self.unseen.remove_range(Seq::MIN..=gone);
            absorbed.moved = true;
        }
        Ok(absorbed)
    }

    /// An event was published, or its hold goes into the same flush.
    pub fn settle(&mut self, seqs: impl IntoIterator<Item = Seq>) {
        let mut run: Option<(Seq, Seq)> = None;
        for seq in seqs {
            match &mut run {
                Some((_, last)) if seq == *last + 1 => *last = seq,
                _ => {
                    if let Some((first, last)) = run.replace((seq, seq)) {
                        self.unsettled.remove_range(first..=last);
                    }
                }
            }
        }
        if let Some((first, last)) = run {
            self.unsettled.remove_range(first..=last);
        }
    }

    /// Tombstones were written at these holes: nobody else ever will.
    pub fn close(&mut self, filled: &SeqRanges) {
        self.unseen.remove_all(filled);
    }

    /// What to store: this progress and these changes of holds, together.
    #[must_use]
    pub fn to_flush(&self, holds: Vec<HoldChange>) -> Flush {
        let mut holes = self.unseen.clone();
        holes.insert_all(&self.unsettled);
        Flush {
            position: self.position,
            anchor: self.anchor,
            holes,
            previous_flush_no: self.flush_no,
            holds,
            ..Flush::default()
        }
    }

    /// The flush was stored.
    pub fn flushed(&mut self) {
        self.flush_no += 1;
    }

    /// How often operators had changed something of the subscription when this was loaded.
    #[must_use]
    pub fn interventions(&self) -> i64 {
        self.interventions
    }

    /// The highest seq that was read.
    #[must_use]
    pub fn position(&self) -> Seq {
        self.position
    }

    /// Seqs below the position at which no row was.
    #[must_use]
    pub fn unseen(&self) -> &SeqRanges {
        &self.unseen
    }

    /// Seqs that were read and are neither published nor on hold.
    #[must_use]
    pub fn unsettled(&self) -> &SeqRanges {
        &self.unsettled
    }

    fn check_anchor(&self, found: Option<Uuid>) -> Result<(), AnchorLost> {
        match self.anchor {
            Some(expected) if found != Some(expected) => {
                Err(AnchorLost { position: self.position, expected, found })
            }
            _ => Ok(()),
        }
    }
}
