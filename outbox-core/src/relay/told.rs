//! What a leader tells of its subscription, for the status.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::leader::{Lapse, Leader};
use crate::log::Description;

/// The most topics that are told of as skipped.
const MAX_SKIPPED: usize = 100;

/// What is to be told, and when.
#[derive(Debug)]
pub(super) struct Told {
    skipped: BTreeSet<String>,
    /// When there is something to tell.
    next: Option<Instant>,
}

impl Told {
    /// A new leader tells who it is.
    pub(super) fn new(now: Instant) -> Self {
        Self { skipped: BTreeSet::new(), next: Some(now) }
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// An event of a topic that is not taken was met.
    pub(super) fn met(&mut self, topic: &str, now: Instant) {
        if self.skipped.len() < MAX_SKIPPED && !self.skipped.contains(topic) {
            self.skipped.insert(topic.to_owned());
            self.next.get_or_insert(now);
        }
    }
}

impl Leader<'_> {
    /// Stores what is to be told, where that has changed.
    pub(super) async fn describe(&mut self, now: Instant) -> Result<bool, Lapse> {
        if self.told.next.is_none_or(|next| next > now) {
            return Ok(false);
        }
        let description = Description {
            leader: self.shared.process.clone(),
            topics: self.reader.topics.clone(),
            skipped_topics: self.told.skipped.clone(),
            ordering: self.reader.policy.ordering,
        };
        let described = self.shared.log.describe(&self.reader.name, self.owner, &description);
        self.told.next = match Self::while_leading(&self.lease, described).await? {
            Ok(()) => None,
            Err(error) => Some(Instant::now() + self.log_erred(error)?),
        };
        Ok(true)
    }
}
