//! What others are told of the broker.

use tokio::time::Instant;

use super::leader::{Lapse, Leader};
use crate::log::SubscriptionState;

/// A state, and what led to it where all is not well.
pub(super) type BrokerState = (SubscriptionState, Option<String>);

/// What the subscription's row says of the broker, and what it is to say.
#[derive(Debug)]
pub(super) struct BrokerReport {
    /// `None` while it is not known what the row says.
    told: Option<BrokerState>,
    current: BrokerState,
    /// Not before.
    next: Option<Instant>,
    /// Whether it was said that progress cannot be stored.
    pub(super) is_stuck: bool,
}

impl BrokerReport {
    /// A new leader does not know what the row says: it tells of the broker as soon as it knows.
    pub(super) fn new() -> Self {
        Self { told: None, current: (SubscriptionState::Running, None), next: None, is_stuck: false }
    }

    /// When there is something to tell.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Whether it was well when last heard of.
    pub(super) fn is_well(&self) -> bool {
        self.current.1.is_none()
    }

    /// Whether nothing was told yet, and nothing is about to be.
    pub(super) fn is_first(&self) -> bool {
        self.told.is_none() && self.next.is_none()
    }

    pub(super) fn set(&mut self, current: BrokerState, now: Instant) {
        self.current = current;
        self.next = (self.told.as_ref() != Some(&self.current)).then_some(now);
    }
}

impl Leader<'_> {
    /// Whoever led before may have left word that the broker is away; where nothing is to be published, nobody else
    /// would take it back.
    pub(super) fn assume_well(&mut self) {
        if self.report.is_first() && !self.term.has_ready() && self.flights.len() == 0 {
            self.report.set((SubscriptionState::Running, None), Instant::now());
        }
    }

    /// Says once that progress cannot be stored, where that has been so for long.
    pub(super) fn report_stuck(&mut self, now: Instant) {
        if self.is_stuck(now) && !std::mem::replace(&mut self.report.is_stuck, true) {
            tracing::warn!(
                subscription = %self.reader.name,
                "another session keeps progress from being stored; publishing pauses until it can be"
            );
        }
    }

    /// Stores what is known of the broker, where that has changed.
    pub(super) async fn tell_of_broker(&mut self, now: Instant) -> Result<bool, Lapse> {
        if self.report.next.is_none_or(|next| next > now) {
            return Ok(false);
        }
        let current = self.report.current.clone();
        let report = self.shared.log.report(&self.reader.name, self.owner, current.0, current.1.as_deref());
        match Self::while_leading(&self.lease, report).await? {
            Ok(()) => {
                self.report.told = Some(current);
                self.report.next = None;
            }
            Err(error) => {
                let pause = self.log_erred(error)?;
                self.report.next = Some(Instant::now() + pause);
            }
        }
        Ok(true)
    }
}
