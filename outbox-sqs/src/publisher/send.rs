//! One request after the other, and what to do when one is too much for SQS.

use std::{collections::HashSet, time::Duration};

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
    /// Bounds the requests to this queue that are under way, over all batches of the publisher.
    pub(super) permits: &'a Semaphore,
    /// What has no answer by then counts as not sent.
    pub(super) deadline: Instant,
}

/// Why a request has no answer of SQS, or none that helps.
enum Trouble {
    /// SQS failed, or the way to it.
    Fault(Fault),
    /// The time for the batch is up: no fault of a message, and no reason to divide a request.
    OutOfTime(&'static str),
}

impl Sender<'_> {
    /// Sends round by round. What is behind an entry that was not sent is held back, and so is what there is no time left
    /// for: it goes again at once, since the rounds before it were progress. So no round begins that would most likely be
    /// cut, by the slowest of those before it.
    pub(super) async fn send_rounds(self, mut rounds: Rounds<Entry>) -> Vec<(usize, Outcome)> {
        let mut settled = Vec::new();
        let mut slowest = Duration::ZERO;
        while let Some(round) = rounds.next_round() {
            let places: Vec<usize> = round.iter().map(|entry| entry.index).collect();
            let is_first = settled.is_empty();
            let began = Instant::now();
            if !is_first && self.deadline.saturating_duration_since(began) <= slowest {
                let rest = rounds.settle(places.iter().map(|_| false));
                settled.extend(held_back(round.iter().chain(&rest), TOOK_THE_TIME));
                break;
            }
            let outcomes = self.send(round, is_first).await;
            slowest = slowest.max(began.elapsed());
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
    ///
    /// A first round without an answer in time says that SQS is not there. Behind rounds that were answered it says that
    /// these took the time: what was under way may be stored, and its queue drops the copy.
    async fn send(self, entries: Vec<Entry>, is_first: bool) -> Vec<(usize, Outcome)> {
        let mut settled = Vec::with_capacity(entries.len());
        let mut waiting = vec![entries];
        while let Some(mut entries) = waiting.pop() {
            let outcome = match self.request(&entries).await {
                Ok(answer) => {
                    settled.extend(answer::settle(&entries, answer.successful(), answer.failed()));
                    continue;
                }
                Err(Trouble::Fault(fault)) if fault.kind.divides() && entries.len() > 1 => {
                    let second = entries.split_off(entries.len() / 2);
                    waiting.extend([second, entries]);
                    continue;
                }
                Err(Trouble::Fault(fault)) => answer::of_request(&fault),
                Err(Trouble::OutOfTime(reason)) if is_first => Outcome::unavailable(reason),
                Err(Trouble::OutOfTime(_)) => Outcome::held_back(TOOK_THE_TIME),
            };
            settled.extend(entries.iter().map(|entry| (entry.index, outcome.clone())));
        }
        settled
    }

    /// Waits for its turn and asks SQS once.
    async fn request(self, entries: &[Entry]) -> Result<SendMessageBatchOutput, Trouble> {
        let Ok(permit) = timeout_at(self.deadline, self.permits.acquire()).await else {
            return Err(Trouble::OutOfTime("other requests to this queue took the time that there was"));
        };
        let _permit = permit.expect("the semaphore is never closed");
        // What nobody would wait for is not begun: it would only be stored twice.
        if Instant::now() >= self.deadline {
            return Err(Trouble::OutOfTime("there was no time left to ask SQS"));
        }
        match timeout_at(self.deadline, self.ask(entries)).await {
            Ok(answer) => answer.map_err(Trouble::Fault),
            Err(_) => Err(Trouble::OutOfTime("SQS did not answer in the time that there was")),
        }
    }

    async fn ask(self, entries: &[Entry]) -> Result<SendMessageBatchOutput, Fault> {
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
