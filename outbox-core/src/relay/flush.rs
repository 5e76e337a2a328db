//! Storing progress and holds, in one transaction.

use tokio::time::Instant;

use super::leader::{Lapse, Leader};
use crate::log::Flushed;

impl Leader<'_> {
    /// Whether memory has been ahead of what is stored for long enough.
    pub(super) fn flush_is_due(&self, now: Instant) -> bool {
        self.dirty_since.is_some_and(|since| now >= since + self.shared.config.flush_interval)
    }

    /// Stores what has changed. Where it is not known whether that was done, the term ends: the next one
    /// begins from what is stored. Where it is known that it was not, memory stays ahead of what is stored.
    pub(super) async fn flush(&mut self) -> Result<(), Lapse> {
        let flush = self.progress.to_flush(std::mem::take(&mut self.hold_changes));
        if let Some(closing) = self.holes.closing() {
            closing.flush_sent();
        }
        let stored = self.shared.log.flush(&self.reader.name, self.owner, &flush);
        match Self::while_leading(&self.lease, stored).await?? {
            Flushed::Stored => {}
            Flushed::Busy => {
                tracing::debug!(subscription = %self.reader.name, "another session is in the way of a flush");
                // Nothing of it was stored, and nothing in memory depends on it: the same goes again after a pause.
                self.holes.reset();
                self.hold_changes = flush.holds;
                self.dirty_since = Some(Instant::now());
                return Ok(());
            }
            Flushed::Fenced => return Err(Lapse::Fenced),
        }
        self.progress.flushed();
        self.schedule.flushed(&flush.holds);
        self.dirty_since = None;
        self.outage.stored();
        // What erred while the flush ran is looked at before the next step: see `work`.
        if let Some(closing) = self.holes.closing() {
            closing.flush_stored();
        }
        Ok(())
    }
}
