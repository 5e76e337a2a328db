//! Purge, wake-ups, and what a drain costs.

use std::time::Duration;

use outbox_core::{
    relay::{RelayConfig, Retention},
    testing::{RecordingPublisher, ScriptedPublisher},
    wake,
};
use tokio::time::{Instant, sleep};

use crate::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Days pass: seldom reads and renewals keep them short.
fn unhurried() -> RelayConfig {
    let hour = Duration::from_secs(3600);
    RelayConfig { lease: hour, poll_max: hour / 6, backoff_max: hour, ..RelayConfig::default() }
}

#[tokio::test(start_paused = true)]
async fn events_are_purged_after_their_retention_and_not_before() {
    let (log, publisher) = (log(), RecordingPublisher::new());
    append(&log, 5_000, 5);
    let relay = spawn_with(&log, publisher.clone(), unhurried());
    drained(&log).await;
    sleep(7 * DAY - Duration::from_secs(600)).await;
    assert_eq!(log.committed().len(), 5_000);
    append(&log, 3, 1);
    drained(&log).await;
    sleep(Duration::from_secs(1200)).await;
    assert_eq!(log.committed(), [5_001, 5_002, 5_003]);
    append(&log, 3, 1);
    drained(&log).await;
    assert_eq!(publisher.seqs().len(), 5_006);
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn nothing_that_a_subscription_still_needs_is_purged() {
    let (log, publisher) = (log(), ScriptedPublisher::new());
    append(&log, 10, 1);
    publisher.always(outbox_core::testing::Answer::by(|message| match message.seq {
        ..=4 => outbox_core::publisher::Outcome::published(),
        _ => outbox_core::publisher::Outcome::unavailable("not yet"),
    }));
    let relay = spawn_with(&log, publisher.clone(), unhurried());
    sleep(30 * DAY).await;
    assert_eq!(log.committed(), (5..=10).collect::<Vec<_>>());
    publisher.always(outbox_core::testing::Answer::Publish);
    drained(&log).await;
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn retention_can_archive_or_keep_for_ever() {
    for (retention, kept, archived) in
        [(Retention::archive(DAY), 1, 9), (Retention::delete(DAY), 1, 0), (Retention::forever(), 10, 0)]
    {
        let (log, publisher) = (log(), RecordingPublisher::new());
        append(&log, 10, 1);
        let subscription = Subscription::new(NAME, publisher);
        let relay = Relay::new(log.clone(), "/test").config(unhurried()).subscription(subscription);
        let relay = relay.retention(retention).spawn();
        sleep(2 * DAY).await;
        assert_eq!((log.committed().len(), log.archived().len()), (kept, archived), "{retention:?}");
        relay.stop().await.expect("stops");
    }
}

#[tokio::test(start_paused = true)]
async fn a_signal_from_capture_is_followed_by_several_reads() {
    let (log, publisher) = (log(), RecordingPublisher::new());
    let relay = spawn(&log, publisher.clone());
    sleep(Duration::from_secs(30)).await;
    // Capture signals while the transaction is still under way.
    let mut writer = log.begin();
    writer.append(new_event("orders", "a", "x"));
    wake::captured();
    sleep(Duration::from_millis(9)).await;
    writer.commit();
    let committed = Instant::now();
    until("the event", || publisher.seqs().len() == 1).await;
    assert!(committed.elapsed() <= Duration::from_millis(20), "{:?}", committed.elapsed());
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn news_of_another_process_end_a_long_pause() {
    let (log, publisher) = (log(), RecordingPublisher::new());
    let config = RelayConfig { poll_max: Duration::from_secs(3_600), ..RelayConfig::default() };
    let relay = spawn_with(&log, publisher.clone(), config);
    sleep(Duration::from_secs(300)).await;
    append(&log, 1, 1);
    log.tell_news();
    let told = Instant::now();
    until("the event", || publisher.seqs().len() == 1).await;
    assert!(told.elapsed() <= Duration::from_millis(20), "{:?}", told.elapsed());
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_drain_takes_few_statements() {
    let (log, publisher) = (log(), RecordingPublisher::new());
    append(&log, 50_000, 50_000);
    let relay = spawn(&log, publisher.clone());
    drained(&log).await;
    let counts = log.counts();
    assert!(counts.reads <= 60, "{} reads for 50 pages", counts.reads);
    assert!(counts.flushes <= 60, "{} flushes", counts.flushes);
    assert_eq!((counts.proofs, counts.due), (0, 1));
    relay.stop().await.expect("stops");
}
