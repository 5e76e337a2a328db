//! Receipts, seconds and the answers to a batch of deletes, as pure code.

use std::{collections::HashSet, time::Duration};

use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, DeleteMessageBatchResultEntry};
use outbox_core::source::Receipt;

/// The longest that a message can be kept invisible. SQS counts twelve hours from the receive and
/// refuses what goes beyond, so a quarter of an hour is left for what went by since.
pub(super) const MAX_INVISIBLE: Duration = Duration::from_secs(12 * 3600 - 15 * 60);

/// Whole seconds, the unit of SQS, rounded up: a delay is never shorter than asked for.
pub(super) fn whole_seconds(duration: Duration) -> i32 {
    let seconds = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0));
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

/// The entries of a request that deletes these deliveries; the id of each is its place.
pub(super) fn entries(receipts: &[Receipt]) -> impl Iterator<Item = DeleteMessageBatchRequestEntry> {
    receipts.iter().enumerate().map(|(place, receipt)| {
        DeleteMessageBatchRequestEntry::builder()
            .id(place.to_string())
            .receipt_handle(&*receipt.0)
            .build()
            .expect("an id and a receipt handle are all that it needs")
    })
}

/// The deliveries that were not deleted: those that the answer does not name as successful, whether
/// it names them as failed or not at all.
pub(super) fn not_deleted(
    receipts: &[Receipt],
    successful: &[DeleteMessageBatchResultEntry],
) -> Vec<Receipt> {
    let deleted: HashSet<&str> = successful.iter().map(DeleteMessageBatchResultEntry::id).collect();
    let kept = receipts.iter().enumerate().filter(|(place, _)| !deleted.contains(place.to_string().as_str()));
    kept.map(|(_, receipt)| receipt.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipts(names: &[&str]) -> Vec<Receipt> {
        names.iter().map(|name| Receipt((*name).into())).collect()
    }

    fn successful(ids: &[&str]) -> Vec<DeleteMessageBatchResultEntry> {
        ids.iter()
            .map(|id| DeleteMessageBatchResultEntry::builder().id(*id).build().expect("an id"))
            .collect()
    }

    #[test]
    fn seconds_are_rounded_up_so_that_a_delay_is_never_shorter() {
        for (duration, seconds) in [
            (Duration::ZERO, 0),
            (Duration::from_millis(1), 1),
            (Duration::from_secs(1), 1),
            (Duration::from_millis(1500), 2),
            (MAX_INVISIBLE, 42_300),
            (Duration::MAX, i32::MAX),
        ] {
            assert_eq!(whole_seconds(duration), seconds, "{duration:?}");
        }
    }

    #[test]
    fn what_the_answer_does_not_name_as_deleted_is_given_back() {
        let all = receipts(&["a", "b", "c"]);
        assert_eq!(not_deleted(&all, &successful(&["2", "0"])), receipts(&["b"]));
        assert_eq!(not_deleted(&all, &[]), all);
        assert_eq!(not_deleted(&all, &successful(&["1", "2", "0"])), receipts(&[]));
        assert_eq!(not_deleted(&all, &successful(&["0", "1", "2", "7", "x"])), receipts(&[]));
    }

    #[test]
    fn the_same_receipt_twice_gets_two_ids() {
        let entries: Vec<_> = entries(&receipts(&["a", "a"])).collect();
        assert_eq!([entries[0].id(), entries[1].id()], ["0", "1"]);
    }
}
