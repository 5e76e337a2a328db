//! Storing progress and holds, in one transaction.

use tokio::time::Instant;

use super::leader::{Lapse, Leader};
use crate::log::Flushed;

impl Leader<'_> {
    /// Whether memory has been ahead of what is stored for long enough.
    pub(super) fn flush_is_due(&self, now: Instant) -> bool {
        self.next_flush().is_some_and(|next| next <= now)
    }

    /// When to flush: at once where an aggregate waits for it.
    pub(super) fn next_flush(&self) -> Option<Instant> {
        let since = self.dirty_since?;
        let next = if self.term.is_urgent() { since } else { since + self.shared.config.flush_interval };
        Some(self.flush_held_off.map_or(next, |not_before| next.max(not_before)))
    }

    /// Stores what has changed. Where it is not known whether that was done, the term ends: the next one
    /// begins from what is stored. Where it is known that it was not, memory stays ahead of what is stored.
    pub(super) async fn flush(&mut self) -> Result<(), Lapse> {
        let flush = self.term.take_flush();
        if let Some(closing) = self.holes.closing() {
            closing.flush_sent();
        }
        let stored = self.shared.log.flush(&self.reader.name, self.owner, &flush);
        match Self::while_leading(&self.lease, stored).await?? {
            Flushed::Stored => {}
            Flushed::Busy => {
                tracing::debug!(subscription = %self.reader.name, "another session is in the way of a flush");
                self.report_stuck(Instant::now());
                // Nothing of it was stored, and nothing in memory depends on it: the same goes again after a pause.
                self.holes.reset();
                self.term.not_flushed(flush);
                self.flush_held_off = Some(Instant::now() + self.shared.config.flush_interval);
                return Ok(());
            }
            Flushed::Fenced => return Err(Lapse::Fenced),
        }
        self.term.flushed();
        self.schedule.flushed(&flush.holds);
        self.dirty_since = None;
        self.flush_held_off = None;
        self.published_stored = self.term.published();
        if std::mem::take(&mut self.report.is_stuck) {
            tracing::info!(subscription = %self.reader.name, "progress is stored again");
        }
        self.outage.stored();
        // What erred while the flush ran is looked at before the next step: see `work`.
        if let Some(closing) = self.holes.closing() {
            closing.flush_stored();
        }
        Ok(())
    }
}
