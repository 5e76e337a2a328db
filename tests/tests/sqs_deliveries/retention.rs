//! An inbox must not forget a message while SQS may still bring it.

use aws_sdk_sqs::types::QueueAttributeName;
use outbox_core::{
    consumer::{Consumer, ConsumerError, Delivery, HandlerError},
    source::Source as _,
};
use outbox_seaorm::{Inbox, Tx};
use outbox_sqs::SqsSource;
use outbox_tests::{Kind, TestDb, sqs::TestQueue};

use crate::world::{DAY, OrderPlaced, redrive, source};

const FOUR_DAYS: [(QueueAttributeName, &str); 1] = [(QueueAttributeName::MessageRetentionPeriod, "345600")];

const TEN_DAYS: [(QueueAttributeName, &str); 1] = [(QueueAttributeName::MessageRetentionPeriod, "864000")];

#[tokio::test]
async fn the_dead_letter_queue_of_sqs_counts_into_the_retention() {
    TestQueue::run_with(&TEN_DAYS, async |dead| {
        TestQueue::run_with(&FOUR_DAYS, async |queue| {
            assert_eq!(source(&queue).retention().await?, Some(4 * DAY));
            redrive(&queue, &dead, 5).await?;
            assert_eq!(source(&queue).retention().await?, Some(14 * DAY));
            assert_eq!(source(&queue).message_retention(30 * DAY).retention().await?, Some(30 * DAY));
            Ok(())
        })
        .await;
        Ok(())
    })
    .await;
    TestQueue::run_fifo(async |dead| {
        TestQueue::run_fifo(async |queue| {
            assert_eq!(source(&queue).retention().await?, Some(4 * DAY), "the default of SQS");
            redrive(&queue, &dead, 5).await?;
            assert_eq!(source(&queue).retention().await?, Some(12 * DAY), "each move begins anew");
            Ok(())
        })
        .await;
        Ok(())
    })
    .await;
}

async fn reserve(_: Delivery<OrderPlaced>, _: Tx) -> Result<(), HandlerError> {
    Ok(())
}

async fn starts(source: SqsSource, inbox: Inbox) -> Result<(), ConsumerError> {
    // A shutdown that is there from the beginning would leave the check out.
    let shutdown = tokio::time::sleep(std::time::Duration::from_secs(5));
    Consumer::new(source, inbox).on(reserve).run_until(shutdown).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inbox_that_forgets_before_sqs_does_is_refused_with_both_figures() {
    TestQueue::run_with(&TEN_DAYS, async |dead| {
        TestQueue::run_with(&FOUR_DAYS, async |queue| {
            redrive(&queue, &dead, 5).await?;
            TestDb::run(Kind::Sqlite, async |db| {
                let inbox = Inbox::new(db.db.clone(), "inventory")?;
                let short = inbox.clone().remember_for(13 * DAY);
                let error = starts(source(&queue), short).await.expect_err("too short").to_string();
                assert!(error.contains("(14d,") && error.contains("for 13d"), "{error}");
                let stated = source(&queue).message_retention(29 * DAY);
                let error = starts(stated, inbox.clone()).await.expect_err("28 days are too short");
                assert!(matches!(error, ConsumerError::WindowTooShort { .. }), "{error}");
                starts(source(&queue), inbox.remember_for(14 * DAY)).await?;
                Ok(())
            })
            .await;
            Ok(())
        })
        .await;
        Ok(())
    })
    .await;
}
