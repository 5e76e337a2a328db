//! What a user plugs in: a named reader of the log with its publisher.

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use super::{
    RateLimit, RelayError, SubscriptionConfig,
    limits::Limits,
    policy::{OnDead, Policy, ReceiptPolicy},
};
use crate::{
    log::{Ordering, StartPoint, SubscriptionName},
    publisher::{Publisher, Topics},
    retry::RetryPolicy,
    telemetry::RelayMeter,
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
    policy: Policy,
    limits: Limits,
    /// What makes it useless from the start.
    refusal: Option<String>,
}

impl Subscription {
    /// A subscription of this name. The name is a key in the database: under another name, it begins anew.
    pub fn new(name: impl Into<String>, publisher: impl Publisher) -> Self {
        Self::sharing(name.into(), Arc::new(publisher))
    }

    /// One for each topic that the publisher has routes for.
    pub(super) fn per_topic(name: &str, publisher: impl Publisher) -> Vec<Self> {
        let publisher: Arc<dyn Publisher> = Arc::new(publisher);
        match publisher.topics() {
            Topics::Only(topics) if !topics.is_empty() => topics
                .into_iter()
                .map(|topic| Self::sharing(format!("{name}.{topic}"), publisher.clone()).topics([topic]))
                .collect(),
            // Refused when the relay starts, as all that is wrong with its settings.
            found => {
                let found =
                    if found == Topics::All { "one that sends every topic" } else { "one without any" };
                let refusal =
                    format!("a subscription for each topic needs a publisher with routes, found {found}");
                vec![Self { refusal: Some(refusal), ..Self::sharing(name.to_owned(), publisher) }]
            }
        }
    }

    fn sharing(name: String, publisher: Arc<dyn Publisher>) -> Self {
        Self {
            name,
            publisher,
            topics: None,
            start: StartPoint::default(),
            policy: Policy::default(),
            limits: Limits::default(),
            refusal: None,
        }
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

    /// When an event that failed is tried again, and how often. Default: [`RetryPolicy::default`]. Failures of the
    /// broker are no failures of an event: they are waited for, however long they take.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.policy.retry = policy;
        self
    }

    /// The same for events of one type.
    pub fn retry_for(mut self, event_type: impl Into<String>, policy: RetryPolicy) -> Self {
        self.policy.retry_for.insert(event_type.into(), policy);
        self
    }

    /// What becomes of an aggregate one of whose events is dead. Default: the later ones go on.
    pub fn on_dead(mut self, on_dead: OnDead) -> Self {
        self.policy.on_dead = on_dead;
        self
    }

    /// Which events keep their order. Default: those of one aggregate. Change it while nothing is on hold: what is
    /// keeps the order in which it was held.
    pub fn ordering(mut self, ordering: Ordering) -> Self {
        self.policy.ordering = ordering;
        self
    }

    /// Has a copy of each event that dies stored in the log under this topic, in the transaction that stores its
    /// death. The copy is an event of its own, with a new id and the `deadletter..` headers of
    /// [`names`](crate::message::names); whichever subscription takes the topic publishes it. Default: none.
    pub fn dead_letter_topic(mut self, topic: impl Into<String>) -> Self {
        self.policy.dead_letter_topic = Some(topic.into());
        self
    }

    /// Remembers of each event when it was published and which id the broker gave it. Default: not; costs one row a
    /// published event, which goes with the event when the log is purged.
    pub fn receipts(mut self) -> Self {
        self.policy.receipts.get_or_insert(ReceiptPolicy { ack_within: None, resend: false });
        self
    }

    /// Keeps each published event in the log until a consumer has acknowledged it, and counts it as overdue this long
    /// after it was published. Brings [`receipts`](Self::receipts). Default: not awaited.
    pub fn await_ack(mut self, deadline: Duration) -> Self {
        let resend = self.policy.receipts.is_some_and(|receipts| receipts.resend);
        self.policy.receipts = Some(ReceiptPolicy { ack_within: Some(deadline), resend });
        self
    }

    /// Publishes what was not acknowledged in time once more, again and again, with the same id and outside of its
    /// aggregate's order: a consumer that has it drops it by its inbox. Needs [`await_ack`](Self::await_ack).
    pub fn resend_unacknowledged(mut self) -> Self {
        let ack_within = self.policy.receipts.and_then(|receipts| receipts.ack_within);
        self.policy.receipts = Some(ReceiptPolicy { ack_within, resend: true });
        self
    }

    /// Sends no more events than this to the broker. Default: no limit.
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.limits.rate = Some(limit);
        self
    }

    /// Lets a batch that is not full wait for more until its oldest event has been ready for this long; a full one goes at
    /// once. Default: no time, at most 60 s. Longer: fewer calls to the broker at a low rate, and that much latency; never
    /// more, however the events come.
    pub fn linger(mut self, longest: Duration) -> Self {
        self.limits.linger = longest;
        self
    }

    /// Publishes at most so many batches at the same time, whatever the relay's
    /// [`max_in_flight`](super::RelayConfig::max_in_flight) is. At least 1. A call that hangs holds one place, with the
    /// aggregates in its batch, until the publish timeout; with 1, everything waits for it.
    pub fn max_in_flight(mut self, batches: usize) -> Self {
        self.limits.max_in_flight = Some(batches);
        self
    }

    /// Takes these choices, as a service's configuration has them, in place of all that were made before. Topics that were
    /// given before stay where the configuration names none.
    pub fn config(mut self, config: SubscriptionConfig) -> Self {
        (self.policy, self.limits) = (config.policy(), config.limits());
        self.topics = config.topics.or(self.topics);
        self
    }

    /// Checks it.
    pub(super) fn build(self) -> Result<Reader, RelayError> {
        let name = SubscriptionName::new(&self.name)?;
        if let Some(reason) = self.refusal {
            return Err(RelayError::Policy { subscription: name, reason });
        }
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
        if let Err(error) = self.policy.validate().and_then(|()| self.limits.validate()) {
            return Err(RelayError::Policy { subscription: name, reason: error.to_string() });
        }
        Ok(Reader {
            meter: RelayMeter::new(&name),
            name,
            publisher: self.publisher,
            topics,
            start: self.start,
            policy: Arc::new(self.policy),
            limits: self.limits,
        })
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("name", &self.name)
            .field("topics", &self.topics)
            .field("start", &self.start)
            .field("policy", &self.policy)
            .field("limits", &self.limits)
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
    pub(super) policy: Arc<Policy>,
    pub(super) meter: RelayMeter,
    pub(super) limits: Limits,
}

pub(crate) fn takes(topics: &Topics, topic: &str) -> bool {
    match topics {
        Topics::All => true,
        Topics::Only(topics) => topics.contains(topic),
    }
}
