//! Held events that have a time: scheduled ones and those that are tried again.

use std::{collections::HashSet, time::Duration};

use tokio::time::Instant;

use crate::{
    log::{Hold, HoldChange},
    message::{Message, Seq},
};

/// What a leader knows of them.
#[derive(Debug)]
pub(super) struct Schedule {
    next: Next,
    /// Due events that are out: their holds are stored until a flush after their publishing ends them.
    out: HashSet<Seq>,
    /// While some are out, which are found each time, the next fetch waits for this.
    not_before: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Holds have changed: ask the database.
    Ask,
    /// Events are due then.
    At(Instant),
    /// Nothing is scheduled.
    Never,
}

/// What to do about scheduled events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScheduleStep {
    /// Ask when the next one is due.
    AskNext,
    /// Fetch those that are due.
    Fetch,
}

impl Schedule {
    pub(super) fn new() -> Self {
        Self { next: Next::Ask, out: HashSet::new(), not_before: None }
    }

    pub(super) fn step(&self, now: Instant) -> Option<ScheduleStep> {
        match self.next {
            Next::Ask => Some(ScheduleStep::AskNext),
            Next::At(at) if at <= now => Some(ScheduleStep::Fetch),
            Next::At(_) | Next::Never => None,
        }
    }

    /// When [`step`](Self::step) has something to do, unless it has now.
    pub(super) fn next(&self) -> Option<Instant> {
        match self.next {
            Next::At(at) => Some(at),
            Next::Ask | Next::Never => None,
        }
    }

    /// The database says how long until the next one is due. Those that are out are due still: with them it is not
    /// fetched again before the patience of the last fetch is over, however often it is asked.
    pub(super) fn asked(&mut self, until_next: Option<Duration>, now: Instant) {
        self.next = match until_next {
            None => Next::Never,
            Some(wait) => {
                let not_before = self.not_before.filter(|_| !self.out.is_empty()).unwrap_or(now);
                Next::At((now + wait).max(not_before))
            }
        };
    }

    /// A question erred.
    pub(super) fn erred(&mut self, pause: Duration, now: Instant) {
        self.next = Next::At(now + pause);
    }

    /// Those of the fetched ones that are not out yet; they are now. Where there is none, the next fetch
    /// waits for `patience`: the clocks differ by a little.
    pub(super) fn fetched(
        &mut self,
        due: Vec<(Hold, Message)>,
        patience: Duration,
        now: Instant,
    ) -> Vec<(Hold, Message)> {
        let mut fresh = due;
        fresh.retain(|(hold, _)| self.out.insert(hold.seq));
        self.not_before = Some(now + patience);
        self.next = if fresh.is_empty() { Next::At(now + patience) } else { Next::Ask };
        fresh
    }

    /// Holds were changed by somebody else, or those that were out are not any more: ask the database.
    pub(super) fn ask_again(&mut self, no_longer_out: &[Seq]) {
        for seq in no_longer_out {
            self.out.remove(seq);
        }
        self.next = Next::Ask;
    }

    /// How many due events are out.
    pub(super) fn out(&self) -> usize {
        self.out.len()
    }

    /// These changes of holds were stored.
    pub(super) fn flushed(&mut self, changes: &[HoldChange]) {
        for change in changes {
            self.next = Next::Ask;
            match change {
                HoldChange::Delete(seq) | HoldChange::Update(Hold { seq, .. }) => self.out.remove(seq),
                HoldChange::Insert(_) => false,
            };
        }
    }
}
