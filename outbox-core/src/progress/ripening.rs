//! Which holes are old enough to be filled with tombstones.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::SeqRanges;

/// The age of holes, on the monotonic clock. A hole is left alone for a grace, counted from when it was first
/// met, so that a slow writer does not find its number taken.
///
/// Holes that were met close together share an age (that of the youngest): at most a tenth of the grace apart.
#[derive(Debug, Clone)]
pub struct Ripening {
    grace: Duration,
    young: VecDeque<Generation>,
    ripe: SeqRanges,
}

#[derive(Debug, Clone)]
struct Generation {
    opened: Instant,
    youngest: Instant,
    holes: SeqRanges,
}

impl Ripening {
    /// No holes.
    #[must_use]
    pub fn new(grace: Duration) -> Self {
        Self { grace, young: VecDeque::new(), ripe: SeqRanges::new() }
    }

    /// These holes were met now.
    pub fn met(&mut self, holes: &SeqRanges, now: Instant) {
        if holes.is_empty() {
            return;
        }
        match self.young.back_mut() {
            Some(last) if now.duration_since(last.opened) <= self.grace / 10 => {
                last.youngest = now;
                last.holes.insert_all(holes);
            }
            _ => self.young.push_back(Generation { opened: now, youngest: now, holes: holes.clone() }),
        }
    }

    /// At most `limit` of the holes that are still unseen and whose grace is over, lowest first.
    pub fn ripe(&mut self, unseen: &SeqRanges, limit: u64, now: Instant) -> SeqRanges {
        while let Some(generation) =
            self.young.pop_front_if(|generation| now.duration_since(generation.youngest) >= self.grace)
        {
            self.ripe.insert_all(&generation.holes);
        }
        self.ripe.retain_in(unseen);
        self.ripe.first_n(limit)
    }

    /// When the next hole is ripe; `None` where there is none.
    #[must_use]
    pub fn next(&self, now: Instant) -> Option<Instant> {
        if self.ripe.is_empty() {
            self.young.front().map(|generation| generation.youngest + self.grace)
        } else {
            Some(now)
        }
    }
}
