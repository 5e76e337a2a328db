//! Who leads: take-over, hand-over, fencing, shutdown.

use std::time::Duration;

use outbox_core::{
    log::{
        Acquired, EventLog, Flush, Flushed, LogError, Owner, StartPoint, SubscriptionName, SubscriptionState,
    },
    relay::{RelayConfig, RelayError},
    testing::{Answer, RecordingPublisher, ScriptedPublisher},
};
use tokio::time::{Instant, sleep};

use crate::*;

fn name() -> SubscriptionName {
    SubscriptionName::new(NAME).expect("a name")
}

#[tokio::test(start_paused = true)]
async fn another_relay_takes_over_when_the_lease_of_a_dead_one_runs_out() {
    let (log, publisher) = (log(), RecordingPublisher::new());
    log.register(&name(), StartPoint::Beginning).await.expect("registers");
    let dead = Owner::random();
    let lease = Duration::from_secs(30);
    assert!(matches!(log.acquire(&name(), dead, lease).await, Ok(Acquired::Leader(_))));
    append(&log, 10, 2);
    let relay = spawn(&log, publisher.clone());
    let began = Instant::now();
    sleep(lease - Duration::from_secs(1)).await;
    assert!(publisher.seqs().is_empty(), "the lease is still the dead one's");
    drained(&log).await;
    assert!(began.elapsed() < lease + Duration::from_secs(2));
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_graceful_stop_hands_over_at_once() {
    let (log, first, second) = (log(), RecordingPublisher::new(), RecordingPublisher::new());
    let leading = spawn(&log, first.clone());
    append(&log, 10, 2);
    drained(&log).await;
    let standing_by = spawn(&log, second.clone());
    sleep(Duration::from_secs(60)).await;
    append(&log, 10, 2);
    drained(&log).await;
    assert!(second.seqs().is_empty(), "one leader at a time");

    leading.stop().await.expect("stops");
    assert_eq!(log.subscription(NAME).and_then(|stored| stored.owner), None, "released");
    append(&log, 10, 2);
    let stopped = Instant::now();
    drained(&log).await;
    assert!(stopped.elapsed() <= Duration::from_millis(1100), "{:?}", stopped.elapsed());
    assert_eq!((first.seqs().len(), second.seqs().len()), (20, 10));
    standing_by.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_meets_a_lock_publishes_nothing_twice() {
    let (log, publisher) = (log(), RecordingPublisher::new());
    log.be_busy_for_flushes(20);
    let now = chrono::Utc::now();
    let relay = spawn(&log, publisher.clone());
    append(&log, 30, 3);
    let mut scheduled = new_event("orders", "later", "scheduled");
    scheduled.deliver_at = Some(now + Duration::from_secs(600));
    log.append(scheduled);
    until("all to be stored", || {
        log.subscription(NAME).is_some_and(|stored| stored.progress.flush_no > 0 && stored.holds.len() == 1)
    })
    .await;
    until("the rest to be settled", || log.subscription(NAME).is_some_and(|s| s.progress.holes.is_empty()))
        .await;
    assert_eq!(publisher.seqs().len(), 30, "each once");
    assert_eq!(log.counts().acquires, 1, "the term went on");

    // Also the last flush, before the lease is given up.
    append(&log, 10, 3);
    until("all to be published", || publisher.seqs().len() == 40).await;
    log.be_busy_for_flushes(3);
    relay.stop().await.expect("stops");
    let stored = log.subscription(NAME).expect("a row");
    assert!(stored.progress.holes.is_empty(), "stored in the end");
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_lease_was_taken_drops_its_memory_and_stores_nothing() {
    let (log, slow) = (log(), ScriptedPublisher::new());
    slow.always(Answer::After(Duration::from_secs(5), Box::new(Answer::Publish)));
    append(&log, 10, 10);
    let stale = spawn(&log, slow.clone());
    until("a batch in flight", || slow.calls() > 0).await;
    // The database says that the lease is over, as if this process had been frozen.
    log.expire_lease(NAME);
    let fresh = RecordingPublisher::new();
    let other = spawn(&log, fresh.clone());
    until("the other one to have published", || fresh.seqs().len() == 10).await;
    drained(&log).await;
    let stored = log.subscription(NAME).expect("registered");
    let owner = stored.owner;
    sleep(Duration::from_secs(60)).await;
    let after = log.subscription(NAME).expect("registered");
    assert_eq!(after.progress, stored.progress, "the stale one changed nothing");
    assert_eq!(after.owner, owner, "the other one leads on");
    assert_complete_and_ordered(&fresh.messages(), &log.committed());
    other.stop().await.expect("stops");
    stale.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_flush_of_a_stale_owner_or_flush_number_changes_nothing() {
    let log = log();
    log.register(&name(), StartPoint::Beginning).await.expect("registers");
    let (first, second) = (Owner::random(), Owner::random());
    let lease = Duration::from_secs(30);
    assert!(matches!(log.acquire(&name(), first, lease).await, Ok(Acquired::Leader(_))));
    log.expire_lease(NAME);
    assert!(matches!(log.acquire(&name(), second, lease).await, Ok(Acquired::Leader(_))));
    let flush = Flush::default();
    assert_eq!(log.flush(&name(), first, &flush).await.expect("answers"), Flushed::Fenced);
    assert_eq!(log.flush(&name(), second, &flush).await.expect("answers"), Flushed::Stored);
    assert_eq!(log.flush(&name(), second, &flush).await.expect("answers"), Flushed::Fenced);
}

#[tokio::test(start_paused = true)]
async fn a_publish_does_not_start_if_it_could_outlive_the_lease() {
    let (log, publisher) = (log(), ScriptedPublisher::new());
    let config = RelayConfig {
        lease: Duration::from_secs(30),
        publish_timeout: Duration::from_secs(15),
        backoff_max: Duration::from_millis(500),
        ..RelayConfig::default()
    };
    let relay = spawn_with(&log, publisher.clone(), config);
    until("a leader", || log.subscription(NAME).is_some_and(|stored| stored.owner.is_some())).await;
    // Renewals err from here on; reads do not matter, the events were read before.
    publisher.always(Answer::After(
        Duration::from_secs(1),
        Box::new(Answer::Each(outbox_core::publisher::Outcome::unavailable("not yet"))),
    ));
    append(&log, 3, 1);
    until("the first attempt", || publisher.calls() == 1).await;
    // A flush that errs would end the term.
    until("what was read to be flushed", || log.counts().flushes == 1).await;
    let renewed = log.counts().renewals;
    log.set_away(true);
    let calls = loop {
        let calls = publisher.calls();
        sleep(Duration::from_secs(2)).await;
        let left = log.subscription(NAME).expect("registered").lease_until;
        if left < Instant::now() + Duration::from_secs(14) {
            break calls.max(publisher.calls());
        }
    };
    assert_eq!(log.counts().renewals, renewed);
    assert!(calls > 3, "it went on while the lease was long enough");
    sleep(Duration::from_secs(120)).await;
    assert_eq!(publisher.calls(), calls, "nothing starts near or after the end of the lease");
    log.set_away(false);
    publisher.always(Answer::Publish);
    drained(&log).await;
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_what_is_in_flight_and_stores_it() {
    let (log, publisher) = (log(), ScriptedPublisher::new());
    publisher.always(Answer::After(Duration::from_secs(3), Box::new(Answer::Publish)));
    append(&log, 30, 30);
    let relay = spawn(&log, publisher.clone());
    until("a batch in flight", || publisher.calls() > 0).await;
    relay.stop().await.expect("stops");
    assert_eq!(publisher.published().len(), 30);
    assert!(log.is_drained(NAME), "what was published is stored");
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_at_its_deadline() {
    let (log, publisher) = (log(), ScriptedPublisher::new());
    publisher.always(Answer::Hang);
    append(&log, 3, 3);
    let config = RelayConfig { shutdown_deadline: Duration::from_secs(1), ..RelayConfig::default() };
    let relay = spawn_with(&log, publisher.clone(), config);
    until("a batch in flight", || publisher.calls() > 0).await;
    let began = Instant::now();
    relay.stop().await.expect("stops");
    assert!(began.elapsed() <= Duration::from_millis(1100), "{:?}", began.elapsed());
    assert_eq!(log.subscription(NAME).and_then(|stored| stored.owner), None, "released");
    let again = RecordingPublisher::new();
    let next = spawn(&log, again.clone());
    drained(&log).await;
    assert_eq!(again.seqs().len(), 3, "nothing was lost");
    next.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_went_back_in_time_is_noticed_and_nothing_is_skipped() {
    let (log, publisher) = (log(), RecordingPublisher::new());
    let relay = spawn(&log, publisher.clone());
    append(&log, 10, 3);
    drained(&log).await;
    let before = log.remember();
    append(&log, 5, 3);
    drained(&log).await;
    assert_eq!(publisher.seqs().len(), 15);
    log.go_back(&before);
    // Numbers 11 to 15 are given out again, and three more.
    let again = append(&log, 8, 3);
    assert_eq!(again.first(), Some(&11));
    let ids: Vec<_> = {
        drained(&log).await;
        publisher.messages().iter().map(|message| message.id).collect()
    };
    assert_eq!(ids.len(), 15 + 8, "every one of the new events went out");
    let unique: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len());
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_log_without_the_stored_anchor_ends_the_subscription_and_says_what_to_do() {
    let (log, publisher) = (log(), RecordingPublisher::new());
    let relay = spawn(&log, publisher.clone());
    append(&log, 5, 1);
    let before = log.remember();
    append(&log, 5, 1);
    drained(&log).await;
    log.go_back_with_events_only(&before);
    let error = relay.join().await.expect_err("cannot go on");
    assert!(matches!(&error, RelayError::Log(LogError::AnchorGone { position: 10, .. })), "{error}");
    assert!(
        std::error::Error::source(&error)
            .is_some_and(|source| source.to_string().contains("rewind the subscription"))
    );
    let owner = log.subscription(NAME).expect("registered").owner;
    assert_eq!(owner, None, "a relay that cannot go on keeps no lease");
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_renewed_while_idle_and_nothing_else_is_written() {
    let (log, publisher) = (log(), RecordingPublisher::new());
    let relay = spawn(&log, publisher);
    append(&log, 1, 1);
    drained(&log).await;
    sleep(Duration::from_secs(5)).await;
    let before = log.counts();
    sleep(Duration::from_secs(600)).await;
    let after = log.counts();
    assert!((590..=610).contains(&(after.reads - before.reads)), "one read a second");
    assert!((58..=62).contains(&(after.renewals - before.renewals)), "every ten seconds");
    assert_eq!((after.flushes, after.reports, after.proofs), (before.flushes, before.reports, before.proofs));
    assert_eq!((after.acquires, after.fills, after.due), (before.acquires, before.fills, before.due));
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_takes_back_what_the_old_one_said_of_the_broker() {
    let (log, broken, healthy) = (log(), ScriptedPublisher::new(), RecordingPublisher::new());
    broken.always(Answer::Each(outbox_core::publisher::Outcome::unavailable("gone")));
    append(&log, 1, 1);
    let first = spawn(&log, broken.clone());
    let says = |state| log.subscription(NAME).is_some_and(|stored| stored.state == state);
    until("the report", || says(SubscriptionState::BrokerDown)).await;
    first.stop().await.expect("stops");
    let second = spawn(&log, healthy);
    until("the other report", || says(SubscriptionState::Running)).await;
    assert_eq!(log.subscription(NAME).and_then(|stored| stored.last_error), None);
    second.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_fenced_leader_publishes_nothing_more() {
    let (log, publisher) = (log(), RecordingPublisher::new());
    let relay = spawn(&log, publisher.clone());
    append(&log, 1, 1);
    drained(&log).await;
    // Another one leads; this one has not tried to renew yet.
    log.expire_lease(NAME);
    let other = Owner::random();
    assert!(matches!(log.acquire(&name(), other, Duration::from_secs(600)).await, Ok(Acquired::Leader(_))));
    let flushes = log.counts().flushes;
    append(&log, 1, 1);
    until("the flush that is fenced", || log.counts().flushes > flushes).await;
    append(&log, 5, 5);
    sleep(Duration::from_secs(4)).await;
    assert_eq!(publisher.seqs(), [1, 2]);
    relay.stop().await.expect("stops");
}

/// Asked for its batch size, it panics once, while a batch is out.
struct Panicking(ScriptedPublisher, std::sync::atomic::AtomicBool);

#[async_trait::async_trait]
impl Publisher for Panicking {
    async fn publish(&self, batch: &[Message]) -> Vec<outbox_core::publisher::Outcome> {
        self.0.publish(batch).await
    }

    fn max_batch(&self) -> usize {
        assert!(
            self.0.calls() == 0 || self.1.swap(true, std::sync::atomic::Ordering::SeqCst),
            "a panic on purpose"
        );
        1
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_leader_cuts_no_publish_off() {
    let (log, publisher) = (log(), ScriptedPublisher::new());
    publisher.always(Answer::After(Duration::from_secs(3), Box::new(Answer::Publish)));
    append(&log, 1, 1);
    let relay = spawn(&log, Panicking(publisher.clone(), false.into()));
    until("a batch in flight", || publisher.calls() > 0).await;
    append(&log, 1, 1);
    log.append(new_event("orders", "other", "asks for a batch"));
    drained(&log).await;
    assert_eq!(log.counts().acquires, 2, "the panic ended a term");
    assert_eq!(publisher.calls(), publisher.published().len(), "every publish that began has ended");
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_hangs_leaves_time_for_another() {
    let (log, publisher) = (log(), RecordingPublisher::new());
    let relay = spawn(&log, publisher.clone());
    append(&log, 1, 1);
    drained(&log).await;
    log.hang_renewals(2);
    sleep(RelayConfig::default().lease * 3).await;
    assert!(log.counts().renewals > 0, "others came through");
    assert_eq!(log.counts().acquires, 1, "the term went on");
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_term_cuts_no_publish_off() {
    let (log, publisher) = (log(), ScriptedPublisher::new().max_batch(1));
    publisher.then(Answer::Publish);
    publisher.always(Answer::After(Duration::from_secs(3), Box::new(Answer::Publish)));
    append(&log, 10, 10);
    // The first flush, of the first event, ends the term while the others are out.
    log.lose_flush_answers(1);
    let relay = spawn(&log, publisher.clone());
    drained(&log).await;
    assert_eq!(publisher.calls(), publisher.published().len(), "every publish that began has ended");
    assert!(publisher.calls() > 10, "the term ended with batches out");
    assert_complete_and_ordered(&publisher.published(), &log.committed());
    relay.stop().await.expect("stops");
}
