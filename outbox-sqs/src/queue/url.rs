//! The URL of a queue: what every request names.

use std::{fmt, sync::Arc};

/// The URL of a queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct QueueUrl(Arc<str>);

impl QueueUrl {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self(url.into().into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The last part of the URL.
    pub(crate) fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&*self.0, |(_, name)| name)
    }
}

impl fmt::Display for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
