//! What a leader tells of its subscription, for other processes to see.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::publisher::Topics;

/// Which events keep their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// Those of one aggregate.
    #[default]
    Aggregate,
    /// All of them, one after the other: one that cannot be sent holds up the rest. Of two transactions that overlap,
    /// either may come first; those of one order begin where the other has ended.
    Total,
    /// None: the fastest, where consumers do not mind.
    None,
}

impl Ordering {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aggregate => "aggregate",
            Self::Total => "total",
            Self::None => "none",
        }
    }

    /// The reverse of [`as_str`](Self::as_str).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Aggregate, Self::Total, Self::None].into_iter().find(|ordering| ordering.as_str() == text)
    }
}

/// What a leader tells of its subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The process that leads, as a person would look for it.
    pub leader: String,
    /// The topics that it takes.
    pub topics: Topics,
    /// Topics that it has met and does not take.
    pub skipped_topics: BTreeSet<String>,
    /// Which events keep their order.
    pub ordering: Ordering,
}
