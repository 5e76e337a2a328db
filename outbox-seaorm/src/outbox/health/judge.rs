//! A status seen through thresholds, as pure code.

use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use outbox_core::{
    log::SubscriptionState,
    publisher::{PublisherHealth, PublisherReport},
};

use super::{Amount, Code, Health, Level, Limit, Reason, Thresholds};
use crate::outbox::{Leadership, Status, SubscriptionStatus};

/// Looks at everything once; the worst comes first.
pub(super) fn judge(status: &Status, thresholds: &Thresholds, publishers: &[PublisherReport]) -> Health {
    let mut findings = Findings::default();
    for subscription in &status.subscriptions {
        findings.subscription(status.at, subscription, thresholds);
    }
    for pin in &status.pins {
        let (name, seqs, from) = (pin.subscription.as_str(), pin.seqs, pin.from);
        findings.measure(Code::PinnedLog, Some(name), seqs, &thresholds.pinned, || {
            format!(
                "subscription `{name}` needs the log from event {from} on, which keeps up to {seqs} events from being \
                 purged: let it go on, or drop it if nobody needs it"
            )
        });
    }
    for topic in &status.unrouted_topics {
        let text = format!(
            "no subscription takes events of topic `{topic}`, they go nowhere: give the topic a route, or stop raising them"
        );
        findings.state(
            Code::UnroutedTopic,
            None,
            Amount::Text(topic.clone()),
            thresholds.unrouted_topic,
            text,
        );
    }
    for report in publishers {
        if let PublisherHealth::Unhealthy { reason } = &report.health {
            let name = report.subscription.as_str();
            let text = format!("the publisher of subscription `{name}` could not publish now: {reason}");
            findings.state(
                Code::Publisher,
                Some(name),
                Amount::Text(reason.clone()),
                thresholds.publisher,
                text,
            );
        }
    }
    findings.health()
}

/// What a threshold can be of.
trait Measure: PartialOrd + Copy {
    fn amount(self) -> Amount;
}

impl Measure for u64 {
    fn amount(self) -> Amount {
        Amount::Count(self)
    }
}

impl Measure for Duration {
    fn amount(self) -> Amount {
        Amount::Time(self)
    }
}

#[derive(Default)]
struct Findings {
    reasons: Vec<Reason>,
}

impl Findings {
    fn subscription(&mut self, now: DateTime<Utc>, of: &SubscriptionStatus, thresholds: &Thresholds) {
        let name = of.name.as_str();
        let for_how_long = |since: DateTime<Utc>| (now - since).to_std().unwrap_or_default();
        let in_state = for_how_long(of.state_since);
        let error = of.last_error.as_deref().unwrap_or("no error was noted");
        match (of.state, &of.leadership) {
            (SubscriptionState::Paused, _) => {
                self.measure(Code::Paused, Some(name), in_state, &thresholds.paused, || {
                    format!("subscription `{name}` is paused for {} ({error}): resume it", Rounded(in_state))
                });
            }
            (_, Leadership::Unled { last, since }) => {
                let unled = for_how_long(*since);
                let last = last.as_deref().unwrap_or("nobody");
                self.measure(Code::NoLeader, Some(name), unled, &thresholds.no_leader, || {
                    format!(
                        "nobody leads subscription `{name}` for {}, the last one was {last}: start a relay that has it, or \
                         drop it if nobody needs it",
                        Rounded(unled)
                    )
                });
            }
            (SubscriptionState::BrokerDown, _) => {
                self.measure(Code::BrokerDown, Some(name), in_state, &thresholds.broker_down, || {
                    format!(
                        "the broker of subscription `{name}` is away for {}: {error}; nothing is lost, it goes on when the \
                         broker is back",
                        Rounded(in_state)
                    )
                });
            }
            (SubscriptionState::Running, Leadership::Led { .. }) => {}
        }
        // What waits while it is paused waits because somebody wanted it so.
        let lag = of.oldest_pending.filter(|_| of.state != SubscriptionState::Paused);
        if let Some(lag) = lag {
            self.measure(Code::Lag, Some(name), lag, &thresholds.lag, || {
                format!(
                    "the oldest event that subscription `{name}` has to publish waits for {}, with at most {} events behind \
                     the last one read: look at its leader, its broker and its rate limit",
                    Rounded(lag),
                    of.backlog
                )
            });
        }
        let dead = of.holds.dead;
        self.measure(Code::DeadLetters, Some(name), dead, &thresholds.dead_letters, || {
            format!("subscription `{name}` has {dead} dead letters: look at their errors, then requeue or discard them")
        });
        let ranges = u64::try_from(of.hole_ranges).unwrap_or(u64::MAX);
        self.measure(Code::Holes, Some(name), ranges, &thresholds.hole_ranges, || {
            format!(
                "subscription `{name}` has {ranges} ranges of numbers that are not settled, and reads no further at 100,000 \
                 without rows: is a transaction that captured events still open?"
            )
        });
        let overdue = of.overdue;
        self.measure(Code::Unacknowledged, Some(name), overdue, &thresholds.overdue_acknowledgements, || {
            format!(
                "{overdue} deliveries of subscription `{name}` were not acknowledged in time: look at their consumers, then \
                 resend them"
            )
        });
    }

    fn measure<T: Measure>(
        &mut self,
        code: Code,
        subscription: Option<&str>,
        found: T,
        limit: &Limit<T>,
        text: impl FnOnce() -> String,
    ) {
        let Some((level, threshold)) = limit.reached(found) else { return };
        self.reasons.push(Reason {
            level,
            code,
            subscription: subscription.map(str::to_owned),
            found: found.amount(),
            threshold: Some(threshold.amount()),
            text: text(),
        });
    }

    fn state(
        &mut self,
        code: Code,
        subscription: Option<&str>,
        found: Amount,
        level: Option<Level>,
        text: String,
    ) {
        let Some(level) = level.filter(|level| *level > Level::Healthy) else { return };
        let subscription = subscription.map(str::to_owned);
        self.reasons.push(Reason { level, code, subscription, found, threshold: None, text });
    }

    fn health(mut self) -> Health {
        self.reasons.sort_by_key(|reason| std::cmp::Reverse(reason.level));
        let level = self.reasons.first().map_or(Level::Healthy, |reason| reason.level);
        Health { level, reasons: self.reasons }
    }
}

/// A duration as people say it.
struct Rounded(Duration);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            seconds @ 0..120 => write!(f, "{seconds} s"),
            seconds @ 120..7_200 => write!(f, "{} min", seconds / 60),
            seconds @ 7_200..172_800 => write!(f, "{} h", seconds / 3_600),
            seconds => write!(f, "{} days", seconds / 86_400),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::TimeDelta;
    use outbox_core::log::{HoldCounts, Ordering};

    use super::*;
    use crate::outbox::{Pin, PinnedBy, TakenTopics};

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn led() -> SubscriptionStatus {
        SubscriptionStatus {
            name: "sqs".to_owned(),
            state: SubscriptionState::Running,
            state_since: NOW - TimeDelta::days(9),
            last_error: None,
            leadership: Leadership::Led { by: None, lease_ends_in: Duration::from_secs(9) },
            position: 9,
            backlog: 0,
            oldest_pending: Some(Duration::from_secs(59)),
            holds: HoldCounts { scheduled: 5_000, ..HoldCounts::default() },
            holes: 9_999,
            hole_ranges: 9_999,
            overdue: 0,
            topics: TakenTopics::All,
            skipped_topics: BTreeSet::new(),
            ordering: Ordering::Aggregate,
            needs_from: 9,
        }
    }

    fn status(subscription: SubscriptionStatus) -> Status {
        Status {
            at: NOW,
            floor: 0,
            last: 9,
            retained: 9,
            oldest_at: None,
            unrouted_topics: BTreeSet::new(),
            pins: Vec::new(),
            subscriptions: vec![subscription],
        }
    }

    fn found(status: &Status, publishers: &[PublisherReport]) -> Vec<(Level, Code)> {
        let health = judge(status, &Thresholds::default(), publishers);
        assert_eq!(health.level, health.reasons.iter().map(|reason| reason.level).max().unwrap_or_default());
        health.reasons.iter().map(|reason| (reason.level, reason.code)).collect()
    }

    #[test]
    fn each_threshold_is_reached_where_it_says_and_not_before() {
        use Level::{Unhealthy, Warning};
        let ago = |seconds| NOW - TimeDelta::seconds(seconds);
        let down =
            |since| SubscriptionStatus { state: SubscriptionState::BrokerDown, state_since: since, ..led() };
        let unled =
            |since| SubscriptionStatus { leadership: Leadership::Unled { last: None, since }, ..led() };
        let paused = |since| SubscriptionStatus {
            state: SubscriptionState::Paused,
            state_since: since,
            oldest_pending: Some(Duration::from_secs(2 * 86_400)),
            ..unled(ago(9_999))
        };
        let lag =
            |seconds| SubscriptionStatus { oldest_pending: Some(Duration::from_secs(seconds)), ..led() };
        let dead = |dead| SubscriptionStatus { holds: HoldCounts { dead, ..HoldCounts::default() }, ..led() };
        for (subscription, expected) in [
            (led(), vec![]),
            (lag(60), vec![(Warning, Code::Lag)]),
            (lag(900), vec![(Unhealthy, Code::Lag)]),
            (dead(1), vec![(Warning, Code::DeadLetters)]),
            (dead(1_000), vec![(Unhealthy, Code::DeadLetters)]),
            (down(ago(29)), vec![]),
            (down(ago(30)), vec![(Warning, Code::BrokerDown)]),
            (down(ago(600)), vec![(Unhealthy, Code::BrokerDown)]),
            (unled(ago(59)), vec![]),
            (unled(ago(60)), vec![(Warning, Code::NoLeader)]),
            (unled(ago(300)), vec![(Unhealthy, Code::NoLeader)]),
            (paused(ago(3_599)), vec![]),
            (paused(ago(999_999)), vec![(Warning, Code::Paused)]),
            (SubscriptionStatus { hole_ranges: 90_000, ..led() }, vec![(Unhealthy, Code::Holes)]),
            (SubscriptionStatus { overdue: 1, ..led() }, vec![(Warning, Code::Unacknowledged)]),
        ] {
            assert_eq!(found(&status(subscription.clone()), &[]), expected, "{subscription:?}");
        }
    }

    #[test]
    fn the_worst_comes_first_and_names_who_what_and_the_threshold() {
        let broken = SubscriptionStatus {
            holds: HoldCounts { dead: 3, ..HoldCounts::default() },
            oldest_pending: Some(Duration::from_secs(7_300)),
            ..led()
        };
        let mut status = status(broken);
        status.unrouted_topics.insert("lost".to_owned());
        let pin =
            |seqs| Pin { subscription: "old".to_owned(), by: PinnedBy::NoLeader, since: None, from: 4, seqs };
        status.pins = vec![pin(1_000_000), pin(999_999)];
        let reports = [
            PublisherReport {
                subscription: "sqs".to_owned(),
                health: PublisherHealth::unhealthy("no queue"),
            },
            PublisherReport { subscription: "mail".to_owned(), health: PublisherHealth::Unknown },
        ];
        let health = judge(&status, &Thresholds::default(), &reports);
        let codes: Vec<_> = health.reasons.iter().map(|reason| reason.code).collect();
        let expected = [Code::Lag, Code::Publisher, Code::DeadLetters, Code::PinnedLog, Code::UnroutedTopic];
        assert_eq!((health.level, codes.as_slice()), (Level::Unhealthy, expected.as_slice()));
        let lag = serde_json::to_value(&health.reasons[0]).expect("it can be written");
        assert_eq!(lag["found"], 7300.0);
        assert_eq!(
            (&lag["threshold"], &lag["code"], &lag["level"]),
            (&900.0.into(), &"lag".into(), &"unhealthy".into())
        );
        assert!(health.reasons[0].text.contains("`sqs`") && health.reasons[0].text.contains("2 h"));
        assert!(health.reasons[1].text.contains("no queue"));

        let tolerant = Thresholds {
            lag: Limit::never(),
            dead_letters: Limit::warning(4),
            pinned: Limit::never(),
            unrouted_topic: None,
            publisher: None,
            ..Thresholds::default()
        };
        assert_eq!(
            judge(&status, &tolerant, &reports),
            Health { level: Level::Healthy, reasons: Vec::new() }
        );
    }

    #[test]
    fn thresholds_are_read_from_a_configuration_with_the_defaults_for_the_rest() {
        let text = r#"{ "dead_letters": { "warning": 5, "unhealthy": null }, "publisher": "warning" }"#;
        let read: Thresholds = serde_json::from_str(text).expect("thresholds");
        let expected = Thresholds {
            dead_letters: Limit::warning(5),
            publisher: Some(Level::Warning),
            ..Thresholds::default()
        };
        assert_eq!(read, expected);
        assert!(serde_json::from_str::<Thresholds>(r#"{ "dead_leters": {} }"#).is_err());
    }
}
