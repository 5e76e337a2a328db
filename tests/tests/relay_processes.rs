//! Two relays for one subscription, with pools of their own as two processes have them.

use std::time::{Duration, Instant};

use outbox_core::{
    relay::{Relay, RelayConfig, RelayHandle, Subscription},
    testing::RecordingPublisher,
};
use outbox_seaorm::{SeaOrmLog, tables::subscription};
use outbox_tests::{
    TestDb,
    database::until,
    events::{run, store},
    on_each_database,
};
use sea_orm::EntityTrait as _;
use uuid::Uuid;

const SOON: Duration = Duration::from_secs(30);

/// A lease that no test outlives: only what hands it over or moves it lets the second relay in.
fn relay(log: SeaOrmLog, publisher: &RecordingPublisher) -> Relay {
    let config = RelayConfig {
        lease: Duration::from_secs(600),
        poll_max: Duration::from_millis(50),
        ..RelayConfig::default()
    };
    Relay::new(log, "/orders").config(config).subscription(Subscription::new("sqs", publisher.clone()))
}

async fn spawn(test: &TestDb) -> anyhow::Result<(RelayHandle, RecordingPublisher)> {
    let publisher = RecordingPublisher::new();
    Ok((relay(SeaOrmLog::new(test.another_pool().await?), &publisher).spawn(), publisher))
}

async fn row(test: &TestDb) -> subscription::Model {
    subscription::Entity::find_by_id("sqs").one(&test.db).await.expect("asking").expect("the row")
}

async fn published(what: &str, publisher: &RecordingPublisher, count: usize) {
    until(what, SOON, async || (publisher.seqs().len() >= count).then_some(())).await;
}

/// The leader, once there is one that is not `before`.
async fn leader(test: &TestDb, before: Option<Uuid>) -> Uuid {
    until("a leader", SOON, async || {
        let found = subscription::Entity::find_by_id("sqs").one(&test.db).await.expect("asking");
        found.and_then(|row| row.owner).filter(|owner| Some(*owner) != before)
    })
    .await
}

on_each_database!(a_relay_that_stops_hands_its_lease_over_at_once, async |test| {
    let (first, by_first) = spawn(&test).await?;
    store(&test.db, "1").await?;
    published("the first event", &by_first, 1).await;
    let (second, by_second) = spawn(&test).await?;
    store(&test.db, "2").await?;
    published("the second event", &by_first, 2).await;

    let stopped = Instant::now();
    first.stop().await?;
    store(&test.db, "3").await?;
    published("the third event", &by_second, 1).await;
    assert!(stopped.elapsed() < SOON, "long before the lease of ten minutes ends");
    assert_eq!((by_first.seqs(), by_second.seqs()), (vec![1, 2], vec![3]));
    second.stop().await?;
    let after = row(&test).await;
    assert_eq!((after.owner, after.position, after.holes.as_str()), (None, 3, ""));
    Ok(())
});

on_each_database!(a_relay_that_is_killed_is_followed_when_its_lease_has_ended, async |test| {
    let publisher = RecordingPublisher::new();
    let killed = {
        let relay = relay(SeaOrmLog::new(test.another_pool().await?), &publisher);
        tokio::spawn(relay.run_until(std::future::pending()))
    };
    store(&test.db, "1").await?;
    published("the first event", &publisher, 1).await;
    until("its progress to be stored", SOON, async || (row(&test).await.position == 1).then_some(())).await;
    let owner = leader(&test, None).await;
    killed.abort();
    assert!(killed.await.is_err_and(|ended| ended.is_cancelled()));

    let (second, by_second) = spawn(&test).await?;
    store(&test.db, "2").await?;
    assert_eq!(row(&test).await.owner, Some(owner), "the lease of the dead still runs");
    assert_eq!(by_second.seqs(), [0_i64; 0]);
    // Time is moved, not waited for: what is stored is that the lease has ended.
    run(
        &test.db,
        "UPDATE outbox_subscription SET lease_until = ?",
        [(chrono::Utc::now() - Duration::from_secs(1)).into()],
    )
    .await?;
    published("the second event", &by_second, 1).await;
    assert_eq!(by_second.seqs(), [2], "the first was settled by the one before");
    assert_ne!(leader(&test, Some(owner)).await, owner);
    second.stop().await?;
    Ok(())
});

on_each_database!(a_leader_that_lost_its_lease_stores_nothing_more, async |test| {
    let (first, by_first) = spawn(&test).await?;
    store(&test.db, "1").await?;
    published("the first event", &by_first, 1).await;
    let owner = leader(&test, None).await;
    // Another took over behind its back and leads for the rest of the test.
    let other = Uuid::new_v4();
    run(&test.db, "UPDATE outbox_subscription SET owner = ?", [other.into()]).await?;
    store(&test.db, "2").await?;
    published("the second event, which it cannot know to be another's", &by_first, 2).await;
    let stopped = tokio::time::timeout(SOON, first.stop()).await?;
    stopped?;
    let after = row(&test).await;
    assert_ne!(owner, other);
    assert_eq!(after.owner, Some(other), "it neither renewed nor gave up what is not its own");
    assert!(after.position <= 1, "its flush changed nothing, found {}", after.position);
    Ok(())
});
