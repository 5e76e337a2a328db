//! Driving the proofs that let holes be forgotten.

use std::time::Duration;

use tokio::time::Instant;

use super::RelayConfig;
use crate::{
    log::HoleProof,
    progress::{Absence, HoleClosing, NextStep, Ripening, SeqRanges},
    retry,
};

/// The most holes that are filled at once.
const FILL_AT_ONCE: u64 = 10_000;

/// The longest range of holes that is filled. A longer one is no rolled-back transaction, but an event that was stored
/// under a number of somebody's choice: a tombstone for each number before it would be without end.
const FILL_RANGE: u64 = 10_000_000;

/// The proof of this log, and when to bring it forward.
#[derive(Debug)]
pub(super) struct Holes {
    proof: Proof,
    next: Instant,
    /// How often in a row a step brought nothing: a writer is still there.
    stalls: u32,
}

#[derive(Debug)]
enum Proof {
    /// See [`HoleProof::WriterList`].
    WriterList(HoleClosing),
    /// See [`HoleProof::Tombstones`].
    Tombstones(Ripening),
    /// See [`HoleProof::SingleWriter`].
    SingleWriter,
}

/// What to do about holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HoleStep {
    /// Read a barrier.
    ReadBarrier,
    /// Send a flush, also where nothing has changed.
    Flush,
    /// List the writers.
    ListWriters,
    /// Read the log.
    Read,
    /// Fill these.
    Fill(SeqRanges),
}

impl Holes {
    /// `unseen` are the stored holes: how old they are is not known, so they are as old as this leader.
    pub(super) fn new(proof: HoleProof, unseen: &SeqRanges, now: Instant) -> Self {
        let proof = match proof {
            HoleProof::WriterList => Proof::WriterList(HoleClosing::default()),
            HoleProof::Tombstones { grace } => {
                let mut ripening = Ripening::new(grace);
                ripening.met(&worth_filling(unseen), now);
                Proof::Tombstones(ripening)
            }
            HoleProof::SingleWriter => Proof::SingleWriter,
        };
        Self { proof, next: now, stalls: 0 }
    }

    /// What a read that is sent now proves.
    pub(super) fn absence(&self) -> Absence {
        match &self.proof {
            Proof::WriterList(closing) => closing.absence(),
            Proof::Tombstones(_) => Absence::ProvesNothing,
            Proof::SingleWriter => Absence::Proves,
        }
    }

    /// A page was absorbed: it met these holes, and these are left.
    pub(super) fn absorbed(&mut self, met: &SeqRanges, unseen: &SeqRanges, now: Instant) {
        match &mut self.proof {
            Proof::WriterList(closing) => closing.absorbed(unseen),
            Proof::Tombstones(ripening) => ripening.met(&worth_filling(met), now),
            Proof::SingleWriter => {}
        }
    }

    /// What to do now, if anything.
    pub(super) fn step(&mut self, unseen: &SeqRanges, now: Instant) -> Option<HoleStep> {
        if unseen.is_empty() || self.next > now {
            return None;
        }
        match &mut self.proof {
            Proof::WriterList(closing) => match closing.next_step(unseen) {
                NextStep::Nothing => None,
                NextStep::ReadBarrier => Some(HoleStep::ReadBarrier),
                NextStep::Flush => Some(HoleStep::Flush),
                NextStep::ListWriters => Some(HoleStep::ListWriters),
                NextStep::Read => Some(HoleStep::Read),
            },
            Proof::Tombstones(ripening) => {
                let ripe = ripening.ripe(unseen, FILL_AT_ONCE, now);
                (!ripe.is_empty()).then_some(HoleStep::Fill(ripe))
            }
            Proof::SingleWriter => None,
        }
    }

    /// When [`step`](Self::step) is to be asked again.
    pub(super) fn next(&self, unseen: &SeqRanges, now: Instant) -> Option<Instant> {
        match &self.proof {
            _ if unseen.is_empty() => None,
            Proof::WriterList(_) => Some(self.next),
            Proof::Tombstones(ripening) => ripening.next(now).map(|ripe| ripe.max(self.next)),
            Proof::SingleWriter => None,
        }
    }

    /// A step was done. The pause after it grows for as long as steps bring nothing.
    pub(super) fn stepped(&mut self, has_advanced: bool, config: &RelayConfig, now: Instant) {
        self.stalls = if has_advanced { 0 } else { self.stalls.saturating_add(1) };
        let pause = retry::limit(config.flush_interval, config.poll_max, self.stalls.saturating_add(1));
        self.hold_off(pause, now);
    }

    /// Not before this pause is over.
    pub(super) fn hold_off(&mut self, pause: Duration, now: Instant) {
        self.next = now + pause;
    }

    /// The proof from the writer list, where that is the proof.
    pub(super) fn closing(&mut self) -> Option<&mut HoleClosing> {
        match &mut self.proof {
            Proof::WriterList(closing) => Some(closing),
            Proof::Tombstones(_) | Proof::SingleWriter => None,
        }
    }

    /// A statement erred: a proof under way is worth nothing.
    pub(super) fn reset(&mut self) {
        if let Some(closing) = self.closing() {
            closing.reset();
        }
    }
}

/// The holes without the ranges that are too long, each of which is told of where it is met.
fn worth_filling(holes: &SeqRanges) -> SeqRanges {
    let mut worth = SeqRanges::new();
    for range in holes.iter() {
        let (first, last) = (*range.start(), *range.end());
        if last.abs_diff(first) < FILL_RANGE {
            worth.insert_range(range);
        } else {
            tracing::error!(
                first,
                last,
                "a range of numbers without events is too long to be filled: was an event stored under a number that \
                 was not drawn from the counter? It stays open, and nothing from its beginning on is purged"
            );
        }
    }
    worth
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_number_of_somebodys_choice_is_not_led_up_to_with_tombstones() {
        let start = Instant::now();
        let mut unseen = SeqRanges::new();
        unseen.insert_range(5..=6);
        unseen.insert_range(10..=4_000_000_000_000);
        let mut holes = Holes::new(HoleProof::Tombstones { grace: Duration::ZERO }, &unseen, start);
        let mut few = SeqRanges::new();
        few.insert_range(5..=6);
        assert_eq!(holes.step(&unseen, start), Some(HoleStep::Fill(few.clone())));
        unseen.remove_all(&few);
        assert_eq!(holes.step(&unseen, start), None);
        assert_eq!(holes.next(&unseen, start), None, "and nobody spins");
    }
}
