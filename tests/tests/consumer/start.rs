//! What keeps a consumer from starting.

use std::time::Duration;

use outbox_core::consumer::{Consumer, ConsumerError, Delivery, HandlerError};
use outbox_seaorm::Tx;
use outbox_tests::{Kind, ScriptedSource, TestDb};

use crate::world::{OrderPlaced, consumer, inbox};

async fn reserve(_: Delivery<OrderPlaced>, _: Tx) -> Result<(), HandlerError> {
    Ok(())
}

async fn on_sqlite(test: impl AsyncFnOnce(std::sync::Arc<TestDb>) -> anyhow::Result<()>) {
    TestDb::run(Kind::Sqlite, async |db| test(db).await).await;
}

#[tokio::test]
async fn two_handlers_for_one_event_are_named() {
    on_sqlite(async |test| {
        let source = ScriptedSource::new();
        let twice = consumer(&test, &source).on(reserve).on(reserve);
        let error = twice.run_until(std::future::pending()).await.expect_err("two handlers");
        assert_eq!(
            error.to_string(),
            "expected one handler for order.placed version 1, found two: do both things in one"
        );
        assert_eq!(source.receives(), 0);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_consumer_without_a_handler_or_with_a_setting_out_of_range_does_not_start() {
    on_sqlite(async |test| {
        let source = ScriptedSource::new();
        let idle = consumer(&test, &source).run_until(std::future::pending()).await;
        assert!(matches!(idle, Err(ConsumerError::NoHandler)), "found {idle:?}");
        for wrong in [0, 65_537, usize::MAX] {
            let consumer = consumer(&test, &source).on(reserve).concurrency(wrong);
            let refused = consumer.run_until(std::future::pending()).await;
            assert!(
                matches!(refused, Err(ConsumerError::Setting { setting: "concurrency", found, .. }) if found == wrong),
                "found {refused:?}"
            );
        }
        consumer(&test, &source).on(reserve).concurrency(65_536).run_until(async {}).await?;
        let hasty = consumer(&test, &source).on(reserve).handler_timeout(Duration::ZERO);
        let refused = hasty.run_until(std::future::pending()).await;
        assert!(matches!(refused, Err(ConsumerError::NoTimeToHandle)), "found {refused:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_event_that_is_handled_and_ignored_is_named() {
    on_sqlite(async |test| {
        let source = ScriptedSource::new();
        let both = consumer(&test, &source).ignore("order.placed").on(reserve);
        let error = both.run_until(std::future::pending()).await.expect_err("both");
        assert_eq!(error.to_string(), "expected order.placed to be handled or ignored, found both");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_inbox_that_forgets_before_the_broker_does_is_refused() {
    on_sqlite(async |test| {
        let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
        let source = ScriptedSource::new().with_retention(days(14));
        let short = Consumer::new(source.clone(), inbox(&test).remember_for(days(13))).on(reserve);
        let error = short.run_until(std::future::pending()).await.expect_err("too short");
        let words = error.to_string();
        assert!(
            words.contains("(14d, with what a redrive adds), found one that remembers them for 13d"),
            "{words}"
        );
        let ConsumerError::WindowTooShort { window, retention } = error else { panic!("found {error}") };
        assert_eq!((window, retention), (days(13), days(14)));

        let equal = Consumer::new(source.clone(), inbox(&test).remember_for(days(14))).on(reserve);
        equal.run_until(async {}).await?;
        Ok(())
    })
    .await;
}
