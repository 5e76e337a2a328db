//! All metrics as a table: what the documents say of them is held to it by a test.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

use super::names::{
    BACKLOG, BREAKER, CONSUMER, CONSUMER_FAILED, DEAD, DUPLICATES, FAILED, HELD, HOLES, IGNORED, LAG, LEADER,
    LEASE_CHANGES, OLDEST_PENDING, OUTCOME, PROCESS_DURATION, PROCESSED, PUBLISH_DURATION, PUBLISHED, STATE,
    SUBSCRIPTION,
};

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

impl MetricKind {
    /// As the documents write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// What a metric counts or measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricUnit {
    /// Things.
    Count,
    /// Seconds, with a fraction.
    Seconds,
}

impl MetricUnit {
    /// As the documents write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Seconds => "seconds",
        }
    }

    fn unit(self) -> Unit {
        match self {
            Self::Count => Unit::Count,
            Self::Seconds => Unit::Seconds,
        }
    }
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// What it counts or measures.
    pub unit: MetricUnit,
    /// The keys of its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub description: &'static str,
}

/// All metrics.
pub const METRICS: &[Metric] = &[
    counter(PUBLISHED, &[SUBSCRIPTION], "Events that the broker took."),
    counter(FAILED, &[SUBSCRIPTION, OUTCOME], "Events that the broker did not take, one for each attempt."),
    counter(DEAD, &[SUBSCRIPTION], "Events that will not be tried again without an operator."),
    counter(LEASE_CHANGES, &[SUBSCRIPTION, STATE], "Terms of this process as leader that began and ended."),
    gauge(LEADER, MetricUnit::Count, &[SUBSCRIPTION], "1 while this process leads the subscription, else 0."),
    gauge(
        BREAKER,
        MetricUnit::Count,
        &[SUBSCRIPTION],
        "0 while events flow, 1 while one batch probes, 2 while the subscription pauses.",
    ),
    gauge(HELD, MetricUnit::Count, &[SUBSCRIPTION, STATE], "Events on hold."),
    gauge(
        BACKLOG,
        MetricUnit::Count,
        &[SUBSCRIPTION],
        "Events to publish, at most: rolled back numbers and other topics are among them, held events are not.",
    ),
    gauge(
        OLDEST_PENDING,
        MetricUnit::Seconds,
        &[SUBSCRIPTION],
        "Age of the oldest event that is neither published nor on hold; 0 where there is none.",
    ),
    gauge(
        HOLES,
        MetricUnit::Count,
        &[SUBSCRIPTION],
        "Ranges of numbers that were read past and may still be filled by a transaction that is open.",
    ),
    histogram(
        PUBLISH_DURATION,
        &[SUBSCRIPTION],
        "Time that a call of the publisher took, whatever came of it.",
    ),
    histogram(
        LAG,
        &[SUBSCRIPTION],
        "Time from the storing of an event to the broker's acceptance, by the database's clock.",
    ),
    counter(PROCESSED, &[CONSUMER], "Deliveries that were handled and committed."),
    counter(
        DUPLICATES,
        &[CONSUMER],
        "Deliveries that the inbox dropped, because they had been processed before.",
    ),
    counter(CONSUMER_FAILED, &[CONSUMER], "Deliveries that were given back to the broker."),
    counter(IGNORED, &[CONSUMER], "Deliveries of types that are ignored or have no handler."),
    histogram(
        PROCESS_DURATION,
        &[CONSUMER, OUTCOME],
        "Time that the processing of a delivery took, its transaction included.",
    ),
];

const fn counter(name: &'static str, labels: &'static [&'static str], description: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Counter, unit: MetricUnit::Count, labels, description }
}

const fn gauge(
    name: &'static str,
    unit: MetricUnit,
    labels: &'static [&'static str],
    description: &'static str,
) -> Metric {
    Metric { name, kind: MetricKind::Gauge, unit, labels, description }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], description: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Histogram, unit: MetricUnit::Seconds, labels, description }
}

/// Tells the metrics recorder of this process the unit and the meaning of each metric. Call it once, after the
/// recorder was installed; without it the metrics are the same and lack their descriptions.
pub fn describe_metrics() {
    for Metric { name, kind, unit, description, .. } in METRICS.iter().copied() {
        let unit = unit.unit();
        match kind {
            MetricKind::Counter => describe_counter!(name, unit, description),
            MetricKind::Gauge => describe_gauge!(name, unit, description),
            MetricKind::Histogram => describe_histogram!(name, unit, description),
        }
    }
}
