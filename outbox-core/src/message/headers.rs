//! Names and values that travel beside the payload.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Header names that the library reads and writes. They are part of the wire contract: a name is
/// never changed, only added.
pub mod names {
    /// Ties together everything that one request caused.
    pub const CORRELATION_ID: &str = "correlationid";
    /// The id of the message that caused this one.
    pub const CAUSATION_ID: &str = "causationid";
    /// W3C trace context.
    pub const TRACEPARENT: &str = "traceparent";
    /// W3C trace state.
    pub const TRACESTATE: &str = "tracestate";
    /// The tenant on whose behalf the event happened.
    pub const TENANT: &str = "tenant";
    /// On a copy in a topic of dead letters: the id of the message that could not be published.
    pub const DEAD_LETTER_ID: &str = "deadletterid";
    /// On such a copy: the subscription that could not publish it.
    pub const DEAD_LETTER_SUBSCRIPTION: &str = "deadlettersubscription";
    /// On such a copy: how often it was tried.
    pub const DEAD_LETTER_ATTEMPTS: &str = "deadletterattempts";
    /// On such a copy: what the last attempt said, cut to 500 characters.
    pub const DEAD_LETTER_REASON: &str = "deadletterreason";
}

/// A small sorted map of text headers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Headers(BTreeMap<String, String>);

impl Headers {
    /// No headers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a header and gives back its old value.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) -> Option<String> {
        self.0.insert(name.into(), value.into())
    }

    /// A header's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Takes a header away and gives back its value.
    pub fn remove(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// All headers, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes over all headers of `other`; on a clash `other` wins. A trace context comes with its own trace
    /// state or with none: that of another would be wrong.
    pub fn extend(&mut self, other: Self) {
        if other.0.contains_key(names::TRACEPARENT) {
            self.0.remove(names::TRACESTATE);
        }
        self.0.extend(other.0);
    }
}

impl FromIterator<(String, String)> for Headers {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(headers: I) -> Self {
        Self(headers.into_iter().collect())
    }
}
