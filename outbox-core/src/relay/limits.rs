//! What bounds a subscription's calls to its broker.

use std::time::Duration;

use super::RateLimit;
use crate::settings::{ConfigError, at_least, at_most};

/// An event that waits longer than this for company would be taken for stuck.
const LONGEST_LINGER: Duration = Duration::from_secs(60);

/// The limits of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Limits {
    pub(super) rate: Option<RateLimit>,
    pub(super) linger: Duration,
    /// The relay's where it is not set.
    pub(super) max_in_flight: Option<usize>,
}

impl Limits {
    /// # Errors
    /// The first field that is out of range.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        self.rate.map_or(Ok(()), |rate| rate.validate())?;
        at_most("linger", self.linger, LONGEST_LINGER)?;
        at_least("max_in_flight", self.max_in_flight.unwrap_or(1), 1)
    }
}
