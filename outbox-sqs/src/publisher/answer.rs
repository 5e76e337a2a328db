//! What became of each entry of a request, as pure code.

use std::collections::HashMap;

use aws_sdk_sqs::types::{BatchResultErrorEntry, SendMessageBatchResultEntry};
use outbox_core::publisher::Outcome;

use super::entry::Entry;
use crate::{
    classify::Kind,
    fault::{Fault, describe},
};

/// Matches an answer under HTTP 200 with the entries that were sent, by id: the lists promise no
/// order, and both may be incomplete.
///
/// An entry that the answer does not mention was not sent. Where it mentions others, that is this
/// entry's failure; where it mentions none at all, whoever answered is not SQS in good health.
/// An entry in both lists counts as not sent: sending twice is repaired by the consumer's inbox,
/// sending never is not.
pub(super) fn settle(
    entries: &[Entry],
    successful: &[SendMessageBatchResultEntry],
    failed: &[BatchResultErrorEntry],
) -> Vec<(usize, Outcome)> {
    // The SDK writes an empty id where the answer has none: SQS gives each message one.
    let sent: HashMap<&str, &str> = successful
        .iter()
        .map(|entry| (entry.id(), entry.message_id()))
        .filter(|(_, message_id)| !message_id.is_empty())
        .collect();
    let failed: HashMap<&str, &BatchResultErrorEntry> =
        failed.iter().map(|entry| (entry.id(), entry)).collect();

    let mentioned = entries.iter().any(|entry| {
        let id = entry.id();
        sent.contains_key(id.as_str()) || failed.contains_key(id.as_str())
    });
    entries
        .iter()
        .map(|entry| {
            let id = entry.id();
            let outcome = match (failed.get(id.as_str()), sent.get(id.as_str())) {
                (Some(failure), _) => of_entry(failure),
                (None, Some(message_id)) => Outcome::published_as(*message_id),
                (None, None) if mentioned => Outcome::failed("the answer does not mention this message"),
                (None, None) => Outcome::unavailable("the answer mentions none of the messages"),
            };
            (entry.index, outcome)
        })
        .collect()
}

/// What the failure of one entry means. Known faults of the message are final, whatever
/// `SenderFault` says.
fn of_entry(failure: &BatchResultErrorEntry) -> Outcome {
    let reason = describe(failure.code(), failure.message());
    match Kind::of_code(failure.code()) {
        Kind::Throttled => Outcome::throttled(None, reason),
        Kind::Away | Kind::Setup => Outcome::unavailable(reason),
        Kind::Content | Kind::TooLong | Kind::Parameter => Outcome::rejected(reason),
        Kind::Internal | Kind::Unknown => Outcome::failed(reason),
    }
}

/// What the failure of a whole request means for each of its entries, once it cannot be divided.
pub(super) fn of_request(fault: &Fault) -> Outcome {
    let reason = &fault.reason;
    match fault.kind {
        Kind::Throttled => Outcome::throttled(fault.retry_after, reason),
        Kind::Away | Kind::Setup | Kind::Internal => Outcome::unavailable(reason),
        // Only a request of a single entry gets here with these two.
        Kind::Content | Kind::TooLong => Outcome::rejected(reason),
        // It may be the queue's parameter as well: worth another try, no reason to stop.
        Kind::Parameter | Kind::Unknown => Outcome::failed(reason),
    }
}
