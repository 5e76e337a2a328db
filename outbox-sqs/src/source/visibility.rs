//! Keeps deliveries invisible, and makes them visible again.

use std::{collections::HashMap, time::Duration};

use aws_sdk_sqs::{
    error::{ProvideErrorMetadata as _, SdkError},
    types::{
        BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry,
        ChangeMessageVisibilityBatchResultEntry,
    },
};
use futures_util::future::join_all;
use outbox_core::source::Receipt;

use super::{
    SqsSource,
    receipt::{MAX_INVISIBLE, whole_seconds},
};
use crate::{
    classify::Kind,
    fault::{Fault, describe},
    limits::MAX_ENTRIES,
};

impl SqsSource {
    /// Makes a delivery visible to others after `delay`. `false` where it is no longer ours, because
    /// its visibility has ended or somebody deleted it.
    pub(super) async fn change_visibility(&self, receipt: &Receipt, delay: Duration) -> Result<bool, Fault> {
        let url = self.queue.url_now(&self.client).await?;
        let request = self
            .client
            .change_message_visibility()
            .queue_url(url.as_str())
            .receipt_handle(&*receipt.0)
            .visibility_timeout(seconds(delay));
        match request.customize().config_override(self.prompt()).send().await {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(answer)) if answer.err().code().is_some_and(is_no_longer_ours) => {
                tracing::debug!(queue = %self.queue, code = answer.err().code(), reason = answer.err().message(), "a delivery is no longer ours");
                Ok(false)
            }
            Err(error) => Err(Fault::of(&error)),
        }
    }

    /// The same for many, ten a request, all requests side by side. Gives back those that are no longer ours.
    pub(super) async fn change_visibilities(
        &self,
        receipts: &[Receipt],
        delay: Duration,
    ) -> Result<Vec<Receipt>, Fault> {
        let chunks = receipts.chunks(MAX_ENTRIES).map(|chunk| self.change_chunk(chunk, delay));
        let mut lost = Vec::new();
        // All of them are waited for: a request that is dropped might still be on its way.
        for answer in join_all(chunks).await {
            lost.extend(answer?);
        }
        Ok(lost)
    }

    async fn change_chunk(&self, receipts: &[Receipt], delay: Duration) -> Result<Vec<Receipt>, Fault> {
        let url = self.queue.url_now(&self.client).await?;
        let request = self
            .client
            .change_message_visibility_batch()
            .queue_url(url.as_str())
            .set_entries(Some(entries(receipts, delay)));
        let answer = request
            .customize()
            .config_override(self.prompt())
            .send()
            .await
            .map_err(|error| Fault::of(&error))?;
        for failure in answer.failed() {
            tracing::debug!(queue = %self.queue, code = failure.code(), reason = failure.message(), "a delivery's visibility was not changed");
        }
        no_longer_ours(receipts, answer.successful(), answer.failed())
    }
}

/// The entries of a request that changes the visibility of these deliveries; the id of each is its place.
fn entries(receipts: &[Receipt], delay: Duration) -> Vec<ChangeMessageVisibilityBatchRequestEntry> {
    let entry = |(place, receipt): (usize, &Receipt)| {
        ChangeMessageVisibilityBatchRequestEntry::builder()
            .id(place.to_string())
            .receipt_handle(&*receipt.0)
            .visibility_timeout(seconds(delay))
            .build()
            .expect("an id and a receipt handle are all that it needs")
    };
    receipts.iter().enumerate().map(entry).collect()
}

/// The deliveries that are lost, where the answer says of each what became of it. One that it does not say so of, or
/// that failed for another reason, may still be ours.
fn no_longer_ours(
    receipts: &[Receipt],
    successful: &[ChangeMessageVisibilityBatchResultEntry],
    failed: &[BatchResultErrorEntry],
) -> Result<Vec<Receipt>, Fault> {
    let mut told: HashMap<&str, Option<&BatchResultErrorEntry>> =
        failed.iter().map(|failure| (failure.id(), Some(failure))).collect();
    told.extend(successful.iter().map(|done| (done.id(), None)));
    let mut lost = Vec::new();
    for (place, receipt) in receipts.iter().enumerate() {
        match told.get(place.to_string().as_str()) {
            Some(None) => {}
            Some(Some(failure)) if is_no_longer_ours(failure.code()) => lost.push(receipt.clone()),
            Some(Some(failure)) => {
                return Err(Fault {
                    kind: Kind::of_code(failure.code()),
                    reason: describe(failure.code(), failure.message()),
                    retry_after: None,
                });
            }
            None => {
                let reason = "an answer that does not mention every entry".to_owned();
                return Err(Fault { kind: Kind::Away, reason, retry_after: None });
            }
        }
    }
    Ok(lost)
}

/// Whether a change was refused because the delivery is gone, or will be: its visibility has ended, somebody deleted
/// it, or its twelve hours are over. The service has two codes for that, and also says that a parameter is wrong; ours
/// are right.
fn is_no_longer_ours(code: &str) -> bool {
    code.ends_with("MessageNotInflight")
        || code.ends_with("ReceiptHandleIsInvalid")
        || Kind::of_code(code) == Kind::Parameter
}

fn seconds(delay: Duration) -> i32 {
    whole_seconds(delay.min(MAX_INVISIBLE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipts(names: &[&str]) -> Vec<Receipt> {
        names.iter().map(|name| Receipt((*name).into())).collect()
    }

    fn done(ids: &[&str]) -> Vec<ChangeMessageVisibilityBatchResultEntry> {
        let entry =
            |id: &&str| ChangeMessageVisibilityBatchResultEntry::builder().id(*id).build().expect("an id");
        ids.iter().map(entry).collect()
    }

    fn failed(id: &str, code: &str) -> BatchResultErrorEntry {
        let entry = BatchResultErrorEntry::builder().id(id).code(code).sender_fault(true);
        entry.build().expect("all that it needs")
    }

    #[test]
    fn deliveries_are_lost_by_code_and_by_no_other_failure() {
        let all = receipts(&["a", "b", "c", "d", "e"]);
        let lost = no_longer_ours(
            &all,
            &done(&["0"]),
            &[
                failed("1", "ReceiptHandleIsInvalid"),
                failed("2", "AWS.SimpleQueueService.MessageNotInflight"),
                failed("3", "InvalidParameterValue"),
                failed("4", "MessageNotInflight"),
            ],
        );
        assert_eq!(lost.expect("each is answered for"), receipts(&["b", "c", "d", "e"]));

        for code in ["InternalError", "RequestThrottled", "SomethingNew"] {
            let answer = no_longer_ours(&all[..2], &done(&["0"]), &[failed("1", code)]);
            assert!(answer.expect_err(code).reason.contains(code));
        }
    }

    #[test]
    fn what_is_not_mentioned_may_still_be_ours() {
        let all = receipts(&["a", "b"]);
        assert!(no_longer_ours(&all, &done(&["1"]), &[]).is_err());
        assert!(no_longer_ours(&all, &done(&["7"]), &[failed("1", "MessageNotInflight")]).is_err());
        assert_eq!(no_longer_ours(&all, &done(&["1", "0"]), &[]).expect("both"), []);
    }
}
