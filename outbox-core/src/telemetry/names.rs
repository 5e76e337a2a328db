//! The names of all metrics and labels.
//!
//! They are part of the contract with whoever built a dashboard or an alarm on them: a name, its unit and its labels
//! are never changed, only added. Exporters write them in their own way: Prometheus puts underscores for the dots.

/// Counter: events that a broker took.
pub const PUBLISHED: &str = "outbox.relay.published";
/// Counter: events that a broker did not take, by [`OUTCOME`].
pub const FAILED: &str = "outbox.relay.failed";
/// Counter: events that will not be tried again.
pub const DEAD: &str = "outbox.relay.dead";
/// Counter: beginnings and ends of this process's terms as leader, by [`STATE`].
pub const LEASE_CHANGES: &str = "outbox.relay.lease.changes";
/// Gauge: whether this process leads.
pub const LEADER: &str = "outbox.relay.leader";
/// Gauge: the circuit breaker.
pub const BREAKER: &str = "outbox.relay.breaker";
/// Gauge: events on hold, by [`STATE`].
pub const HELD: &str = "outbox.relay.held";
/// Gauge: how many events there are to publish, at most.
pub const BACKLOG: &str = "outbox.relay.backlog";
/// Gauge: the age of the oldest event that is neither published nor on hold.
pub const OLDEST_PENDING: &str = "outbox.relay.oldest_pending.age";
/// Gauge: ranges of numbers that the leader has read past and waits for.
pub const HOLES: &str = "outbox.relay.holes";
/// Histogram: how long a call of the publisher took.
pub const PUBLISH_DURATION: &str = "outbox.relay.publish.duration";
/// Histogram: from the storing of an event to the broker's acceptance.
pub const LAG: &str = "outbox.relay.lag";
/// Counter: deliveries that were handled and committed.
pub const PROCESSED: &str = "outbox.consumer.processed";
/// Counter: deliveries that the inbox dropped.
pub const DUPLICATES: &str = "outbox.consumer.duplicates";
/// Counter: deliveries that were given back.
pub const CONSUMER_FAILED: &str = "outbox.consumer.failed";
/// Counter: deliveries of types without a handler.
pub const IGNORED: &str = "outbox.consumer.ignored";
/// Histogram: how long the processing of a delivery took, by [`OUTCOME`].
pub const PROCESS_DURATION: &str = "outbox.consumer.process.duration";

/// Label: the subscription's name.
pub const SUBSCRIPTION: &str = "subscription";
/// Label: the consumer's name, as its inbox says it.
pub const CONSUMER: &str = "consumer";
/// Label: what became of an event or of a delivery; a short fixed list.
pub const OUTCOME: &str = "outcome";
/// Label: a state; a short fixed list.
pub const STATE: &str = "state";
