//! What an answer of the publisher means for each event: the choice, without its consequences.

use std::time::Duration;

use rand::Rng;

use super::{super::policy::Policy, batch::Batch};
use crate::{message::Message, publisher::Outcome};

/// What becomes of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::relay) enum Verdict {
    /// It is settled.
    Published { broker_id: Option<String> },
    /// Nothing: no attempt is counted.
    Unsent,
    /// It has failed and is tried again.
    Retry { after: Duration, reason: String },
    /// It has failed for the last time.
    Dead { reason: String },
}

/// What the publisher said of a batch.
#[derive(Debug)]
pub(in crate::relay) enum Answer {
    /// One outcome for each message; those missing at the end were not sent.
    Outcomes(Vec<Outcome>),
    /// Nothing that can be told apart by message: it panicked, or did not answer in time.
    Silence(String),
}

/// What an answer says of the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::relay) enum BrokerSays {
    /// It answers for each event.
    Works,
    /// It asks to slow down.
    Slower { reason: String, retry_after: Option<Duration> },
    /// It is away.
    Away { reason: String },
}

/// Judges a batch. `published` is how many events the subscription has published so far in this term.
pub(super) fn judge(
    batch: &Batch,
    answer: Answer,
    policy: &Policy,
    published: u64,
    rng: &mut (impl Rng + ?Sized),
) -> (Vec<Verdict>, BrokerSays) {
    let sent = batch.messages.len();
    match answer {
        Answer::Silence(reason) => match (&batch.messages[..], &batch.tags[..]) {
            // It was alone, and others got through since it was first met with silence: it is the message.
            ([message], [tag]) if published > tag.silent_since.unwrap_or(batch.published_before) => {
                (vec![failed(policy, message, tag.attempts, reason, rng)], BrokerSays::Works)
            }
            _ => (vec![Verdict::Unsent; sent], BrokerSays::Away { reason }),
        },
        Answer::Outcomes(outcomes) => {
            let answered = outcomes.len();
            let mut says = BrokerSays::Works;
            if answered < sent {
                let reason = format!("the publisher answered for {answered} of {sent} messages");
                says = BrokerSays::Away { reason };
            }
            if let Some(reason) = all_held_back(&outcomes) {
                says.worsen(BrokerSays::Away { reason });
            }
            let mut verdicts: Vec<Verdict> = outcomes
                .into_iter()
                .zip(batch.messages.iter().zip(&batch.tags))
                .map(|(outcome, (message, tag))| match outcome {
                    Outcome::Published { broker_id } => Verdict::Published { broker_id },
                    Outcome::Unavailable { reason } => {
                        says.worsen(BrokerSays::Away { reason });
                        Verdict::Unsent
                    }
                    Outcome::Throttled { retry_after, reason } => {
                        says.worsen(BrokerSays::Slower { reason, retry_after });
                        Verdict::Unsent
                    }
                    Outcome::HeldBack { .. } => Verdict::Unsent,
                    Outcome::Rejected { reason } => Verdict::Dead { reason },
                    Outcome::Failed { reason } => failed(policy, message, tag.attempts, reason, rng),
                })
                .collect();
            verdicts.resize(sent, Verdict::Unsent);
            (verdicts, says)
        }
    }
}

/// Why nothing of a batch was tried, where that is all that was said of it. Nothing has changed then: without a pause
/// the same batch would go again at once, for ever.
fn all_held_back(outcomes: &[Outcome]) -> Option<String> {
    let is_held_back = |outcome: &Outcome| matches!(outcome, Outcome::HeldBack { .. });
    match outcomes {
        [Outcome::HeldBack { reason }, others @ ..] if others.iter().all(is_held_back) => {
            Some(format!("nothing was tried: {reason}"))
        }
        _ => None,
    }
}

/// One attempt more has failed.
fn failed(
    policy: &Policy,
    message: &Message,
    attempts: u32,
    reason: String,
    rng: &mut (impl Rng + ?Sized),
) -> Verdict {
    match policy.retry(&message.event_type).delay_after(attempts.saturating_add(1), rng) {
        Some(after) => Verdict::Retry { after, reason },
        None => Verdict::Dead { reason },
    }
}

impl BrokerSays {
    /// Takes in what another message of the batch says: the worst counts, of the same kind the first with the
    /// longest pause.
    fn worsen(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::Works, other) => *self = other,
            (Self::Slower { .. }, other @ Self::Away { .. }) => *self = other,
            (Self::Slower { retry_after, .. }, Self::Slower { retry_after: longer, .. }) => {
                *retry_after = (*retry_after).max(longer);
            }
            (Self::Slower { .. } | Self::Away { .. }, _) => {}
        }
    }
}
