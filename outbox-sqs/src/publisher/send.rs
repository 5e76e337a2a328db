//! One request after the other, and what to do when one is too much for SQS.

use std::collections::HashSet;

use aws_sdk_sqs::{
    Client, config::retry::RetryConfig, operation::send_message_batch::SendMessageBatchOutput,
};
use outbox_core::publisher::Outcome;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::{answer, entry::Entry, rounds::Rounds};
use crate::{
    classify::Kind,
    fault::{Fault, chain},
    queue::Queue,
};

/// Sends to one queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sender<'a> {
    pub(super) client: &'a Client,
    pub(super) queue: &'a Queue,
    /// Bounds the requests under way, over all batches of the publisher.
    pub(super) permits: &'a Semaphore,
    /// What has no answer by then counts as not sent.
    pub(super) deadline: Instant,
}

impl Sender<'_> {
    /// Sends round by round. What is behind an entry that was not sent is held back, and so is what there is no time left
    /// for: it goes again at once, since the rounds before it were progress.
    pub(super) async fn send_rounds(self, mut rounds: Rounds<Entry>) -> Vec<(usize, Outcome)> {
        let mut settled = Vec::new();
        while let Some(round) = rounds.next_round() {
            let places: Vec<usize> = round.iter().map(|entry| entry.index).collect();
            let is_first = settled.is_empty();
            if !is_first && Instant::now() >= self.deadline {
                let rest = rounds.settle(places.iter().map(|_| false));
                settled.extend(held_back(round.iter().chain(&rest), TOOK_THE_TIME));
                break;
            }
            let outcomes = self.send(round).await;
            let published: HashSet<usize> = outcomes
                .iter()
                .filter(|(_, outcome)| outcome.is_published())
                .map(|(place, _)| *place)
                .collect();
            let rest = rounds.settle(places.iter().map(|place| published.contains(place)));
            settled.extend(outcomes);
            settled.extend(held_back(&rest, WAS_NOT_SENT));
        }
        settled
    }

    /// Sends a request's worth of entries. Where one of them may have spoilt the request, its halves
    /// are sent by themselves, so that the culprit ends up alone.
    async fn send(self, entries: Vec<Entry>) -> Vec<(usize, Outcome)> {
        let mut settled = Vec::with_capacity(entries.len());
        let mut waiting = vec![entries];
        while let Some(mut entries) = waiting.pop() {
            let answer = timeout_at(self.deadline, self.request(&entries)).await;
            match answer.unwrap_or_else(|_| Err(out_of_time())) {
                Ok(answer) => settled.extend(answer::settle(&entries, answer.successful(), answer.failed())),
                Err(fault) if fault.kind.divides() && entries.len() > 1 => {
                    let second = entries.split_off(entries.len() / 2);
                    waiting.extend([second, entries]);
                }
                Err(fault) => {
                    settled.extend(entries.iter().map(|entry| (entry.index, answer::of_request(&fault))));
                }
            }
        }
        settled
    }

    async fn request(self, entries: &[Entry]) -> Result<SendMessageBatchOutput, Fault> {
        let entries = entries.iter().map(Entry::to_request).collect::<Result<Vec<_>, _>>();
        let entries = entries.map_err(|error| Fault {
            kind: Kind::Unknown,
            reason: chain(&error),
            retry_after: None,
        })?;
        let url = self.queue.url_now(self.client).await?;
        let request = self.client.send_message_batch().queue_url(url.as_str()).set_entries(Some(entries));
        // One attempt: the relay decides when to try again, and the SDK's tries would multiply its own.
        let once = aws_sdk_sqs::Config::builder().retry_config(RetryConfig::disabled());

        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        // What nobody would wait for is not begun: it would only be stored twice.
        if Instant::now() >= self.deadline {
            return Err(out_of_time());
        }
        request.customize().config_override(once).send().await.map_err(|error| Fault::of(&error))
    }
}

/// Why a message stays behind another one of its group.
pub(super) const WAS_NOT_SENT: &str = "an earlier message of its group was not sent";

const TOOK_THE_TIME: &str = "the earlier messages of its group took the time that there was";

fn held_back<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
    reason: &'static str,
) -> impl Iterator<Item = (usize, Outcome)> {
    entries.into_iter().map(move |entry| (entry.index, Outcome::held_back(reason)))
}

/// No fault of SQS or of a message, and no reason to divide a request.
fn out_of_time() -> Fault {
    let reason = "SQS did not answer in the time that there was".to_owned();
    Fault { kind: Kind::Away, reason, retry_after: None }
}
