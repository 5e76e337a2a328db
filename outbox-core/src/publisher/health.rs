//! Whether a publisher could publish now, for a readiness endpoint.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a publisher says of its broker when it is asked.
///
/// It is an answer for people and probes, and no relay acts on it: what becomes of a message decides.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PublisherHealth {
    /// It cannot be told: the publisher has no way to ask, or may not.
    #[default]
    Unknown,
    /// The broker answered.
    Healthy,
    /// Messages could not be published now.
    Unhealthy {
        /// What was found, for the operator; without credentials.
        reason: String,
    },
}

impl PublisherHealth {
    /// Messages could not be published now.
    pub fn unhealthy(reason: impl fmt::Display) -> Self {
        Self::Unhealthy { reason: reason.to_string() }
    }

    /// Whether it is known to be unhealthy.
    #[must_use]
    pub fn is_unhealthy(&self) -> bool {
        matches!(self, Self::Unhealthy { .. })
    }

    /// The worse of two answers, for a publisher with several destinations: an unhealthy one is worse than one that
    /// cannot be told, and that is worse than a healthy one. Of two unhealthy ones the first is kept.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (unhealthy @ Self::Unhealthy { .. }, _) | (_, unhealthy @ Self::Unhealthy { .. }) => unhealthy,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Healthy, Self::Healthy) => Self::Healthy,
        }
    }
}

/// The answer of one subscription's publisher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublisherReport {
    /// The subscription that publishes through it.
    pub subscription: String,
    /// What it said.
    #[serde(flatten)]
    pub health: PublisherHealth,
}

#[cfg(test)]
mod tests {
    use super::PublisherHealth::{self, Healthy, Unknown};

    #[test]
    fn one_destination_that_is_away_is_not_hidden_by_those_that_are_there() {
        let away = PublisherHealth::unhealthy("away");
        assert_eq!(Healthy.and(away.clone()), away);
        assert_eq!(away.clone().and(Unknown), away);
        assert_eq!(Healthy.and(Unknown), Unknown);
        assert_eq!(Healthy.and(Healthy), Healthy);
        assert_eq!(away.clone().and(PublisherHealth::unhealthy("later")), away);
    }
}
