//! What a user plugs in: a named reader of the log with its publisher.

use std::{collections::BTreeSet, fmt, sync::Arc};

use super::RelayError;
use crate::{
    log::{StartPoint, SubscriptionName},
    publisher::{Publisher, Topics},
};

/// A named reader of the log with its own progress and publisher.
///
/// What shares a subscription shares its outages: a destination that must not be held up by another gets a
/// subscription of its own.
#[must_use = "a subscription does nothing until it is given to a relay"]
pub struct Subscription {
    name: String,
    publisher: Arc<dyn Publisher>,
    topics: Option<BTreeSet<String>>,
    start: StartPoint,
}

impl Subscription {
    /// A subscription of this name. The name is a key in the database: under another name, it begins anew.
    pub fn new(name: impl Into<String>, publisher: impl Publisher) -> Self {
        Self { name: name.into(), publisher: Arc::new(publisher), topics: None, start: StartPoint::default() }
    }

    /// Takes only these topics. Default: those that the publisher has routes for.
    pub fn topics<T: Into<String>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.topics = Some(topics.into_iter().map(Into::into).collect());
        self
    }

    /// Where it begins the first time it runs. Default: with the oldest event that the log has.
    pub fn start_at(mut self, start: StartPoint) -> Self {
        self.start = start;
        self
    }

    /// Its name with its publisher.
    pub(super) fn publisher(&self) -> (String, Arc<dyn Publisher>) {
        (self.name.clone(), Arc::clone(&self.publisher))
    }

    /// Checks it.
    pub(super) fn build(self) -> Result<Reader, RelayError> {
        let name = SubscriptionName::new(&self.name)?;
        let routed = self.publisher.topics();
        let topics = match self.topics {
            None => routed,
            Some(narrowed) => {
                if let Some(topic) = narrowed.iter().find(|topic| !takes(&routed, topic)) {
                    return Err(RelayError::TopicWithoutRoute { subscription: name, topic: topic.clone() });
                }
                Topics::Only(narrowed)
            }
        };
        Ok(Reader { name, publisher: self.publisher, topics, start: self.start })
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("name", &self.name)
            .field("topics", &self.topics)
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}

/// A checked subscription.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) name: SubscriptionName,
    pub(super) publisher: Arc<dyn Publisher>,
    pub(super) topics: Topics,
    pub(super) start: StartPoint,
}

pub(crate) fn takes(topics: &Topics, topic: &str) -> bool {
    match topics {
        Topics::All => true,
        Topics::Only(topics) => topics.contains(topic),
    }
}
