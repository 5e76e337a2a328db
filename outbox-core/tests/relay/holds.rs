//! Events that were not published: retries, deaths, what waits behind them, and what operators do.

use std::time::Duration;

use outbox_core::{
    log::{Hold, HoldState, OrderKey},
    message::names,
    publisher::Outcome,
    relay::{OnDead, Ordering, RelayConfig, RelayHandle},
    retry::RetryPolicy,
    testing::{Answer, ScriptedPublisher},
};
use tokio::time::{Instant, sleep};

use crate::*;

/// Three attempts, a second apart.
fn three() -> RetryPolicy {
    RetryPolicy::fixed(Duration::from_secs(1), 3)
}

fn subscription(publisher: &ScriptedPublisher) -> Subscription {
    Subscription::new(NAME, publisher.clone()).retry(three())
}

fn run(log: &MemoryLog, subscription: Subscription) -> RelayHandle {
    Relay::new(log.clone(), "/test").subscription(subscription).spawn()
}

/// Fails one event, always.
fn poisoned(poison: Seq, outcome: Outcome) -> ScriptedPublisher {
    let publisher = ScriptedPublisher::new().max_batch(10);
    publisher.always(Answer::by(
        move |message| {
            if message.seq == poison { outcome.clone() } else { Outcome::published() }
        },
    ));
    publisher
}

fn states(log: &MemoryLog) -> Vec<(Seq, HoldState)> {
    log.holds(NAME).iter().map(|hold| (hold.seq, hold.state)).collect()
}

async fn held(log: &MemoryLog, expected: &[(Seq, HoldState)]) {
    until("the holds", || states(log) == expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_event_neither_spins_nor_holds_up_the_others() {
    let log = log();
    append(&log, 10_000, 500);
    let publisher = poisoned(3, Outcome::failed("no"));
    let began = Instant::now();
    let relay = run(&log, subscription(&publisher).on_dead(OnDead::Block));
    until("the other aggregates", || publisher.published().len() == 9_980).await;
    assert!(began.elapsed() < Duration::from_millis(900), "before its first retry: {:?}", began.elapsed());
    let calls = publisher.calls();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(publisher.calls() - calls, 2, "two attempts more, and no others");
    let blocked = log.holds(NAME).iter().filter(|hold| hold.state == HoldState::Blocked).count();
    assert_eq!(blocked, 19, "the later ones of its aggregate wait");
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn what_waits_behind_a_failure_follows_in_order() {
    let log = log();
    let publisher = ScriptedPublisher::new();
    append(&log, 5, 1);
    publisher.then(Answer::Each(Outcome::failed("not yet"))).then(Answer::Each(Outcome::failed("not yet")));
    let relay = run(&log, subscription(&publisher));
    held(
        &log,
        &[
            (1, HoldState::Retry),
            (2, HoldState::Blocked),
            (3, HoldState::Blocked),
            (4, HoldState::Blocked),
            (5, HoldState::Blocked),
        ],
    )
    .await;
    append(&log, 3, 1);
    until("the new ones to wait too", || log.holds(NAME).len() == 8).await;
    let hold = log.holds(NAME).remove(0);
    assert_eq!((hold.attempts, hold.last_error.as_deref()), (1, Some("not yet")));
    drained(&log).await;
    assert_eq!(publisher.published_seqs(), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_complete_and_ordered(&publisher.published(), &log.committed());
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn an_aggregate_moves_past_a_death_once_it_is_stored() {
    let log = log();
    append(&log, 6, 2);
    let publisher = poisoned(1, Outcome::failed("no"));
    let relay = run(&log, subscription(&publisher));
    held(&log, &[(1, HoldState::Dead)]).await;
    until("the rest", || publisher.published().len() == 5).await;
    let Hold { attempts, aggregate, last_error, .. } = log.holds(NAME).remove(0);
    assert_eq!((attempts, last_error.as_deref()), (3, Some("no")));
    assert_eq!(aggregate, None, "it stops nothing any more");
    assert_eq!(log.subscription(NAME).expect("registered").progress.holes.count(), 0);
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_death_that_was_not_stored_is_not_passed() {
    let log = log();
    append(&log, 2, 1);
    let publisher = poisoned(1, Outcome::rejected("too large"));
    log.be_busy_for_flushes(20);
    let relay = run(&log, subscription(&publisher));
    until("the flushes that are in the way", || log.counts().flushes >= 19).await;
    assert_eq!(publisher.published_seqs(), [0_i64; 0], "its aggregate waits");
    until("the rest", || publisher.published_seqs() == [2]).await;
    assert_eq!(states(&log), [(1, HoldState::Dead)]);
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_rejected_event_is_dead_after_one_attempt() {
    let log = log();
    append(&log, 3, 3);
    let publisher = poisoned(2, Outcome::rejected("too large"));
    let relay = run(&log, subscription(&publisher));
    held(&log, &[(2, HoldState::Dead)]).await;
    assert_eq!(log.holds(NAME)[0].attempts, 1);
    assert_eq!(
        log.subscription(NAME).expect("registered").state,
        outbox_core::log::SubscriptionState::Running
    );
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn an_outage_spends_no_attempt_of_anybody() {
    let log = log();
    append(&log, 20, 4);
    let publisher = poisoned(1, Outcome::failed("no"));
    let relay = run(&log, subscription(&publisher).retry(RetryPolicy::fixed(Duration::from_secs(60), 3)));
    until("the first attempt", || log.holds(NAME).len() == 5).await;
    publisher.always(Answer::Each(Outcome::unavailable("away")));
    append(&log, 20, 4);
    sleep(Duration::from_secs(24 * 3600)).await;
    assert_eq!(log.holds(NAME)[0].attempts, 1, "a day of outage");
    publisher.always(Answer::Publish);
    drained(&log).await;
    assert_complete_and_ordered(&publisher.published(), &log.committed());
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_type_can_have_a_policy_of_its_own() {
    let log = log();
    log.append(outbox_core::event::NewEvent { event_type: "mail".into(), ..new_event("orders", "a", "x") });
    log.append(new_event("orders", "b", "x"));
    let publisher = ScriptedPublisher::new();
    publisher.always(Answer::Each(Outcome::failed("no")));
    let relay = run(&log, subscription(&publisher).retry_for("mail", RetryPolicy::none()));
    held(&log, &[(1, HoldState::Dead), (2, HoldState::Retry)]).await;
    held(&log, &[(1, HoldState::Dead), (2, HoldState::Dead)]).await;
    let attempts: Vec<_> = log.holds(NAME).iter().map(|hold| hold.attempts).collect();
    assert_eq!(attempts, [1, 3]);
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_quarantined_aggregate_goes_on_when_its_dead_event_is_requeued() {
    let log = log();
    append(&log, 3, 1);
    let publisher = poisoned(1, Outcome::rejected("too large"));
    let relay = run(&log, subscription(&publisher).on_dead(OnDead::Block));
    held(&log, &[(1, HoldState::Dead), (2, HoldState::Blocked), (3, HoldState::Blocked)]).await;
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(publisher.published_seqs(), [0_i64; 0]);
    publisher.always(Answer::Publish);
    assert!(log.requeue(NAME, 1));
    drained(&log).await;
    assert_eq!(publisher.published_seqs(), [1, 2, 3], "in order, each once");
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_quarantined_aggregate_goes_on_when_its_dead_event_is_discarded() {
    let log = log();
    append(&log, 3, 1);
    let publisher = poisoned(1, Outcome::rejected("too large"));
    let relay = run(&log, subscription(&publisher).on_dead(OnDead::Block));
    until("the holds", || log.holds(NAME).len() == 3).await;
    assert!(log.discard(NAME, 1));
    drained(&log).await;
    assert_eq!(publisher.published_seqs(), [2, 3]);
    sleep(Duration::from_secs(3600)).await;
    assert!(log.holds(NAME).is_empty(), "what was discarded stays so");
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_skipped_dead_event_that_is_requeued_stops_nobody() {
    let log = log();
    append(&log, 2, 1);
    let publisher = poisoned(1, Outcome::failed("no"));
    let relay = run(&log, subscription(&publisher));
    held(&log, &[(1, HoldState::Dead)]).await;
    assert!(log.requeue(NAME, 1));
    until("the next attempt", || log.holds(NAME).first().is_some_and(|hold| hold.attempts == 1)).await;
    append(&log, 1, 1);
    until("the later one", || publisher.published_seqs() == [2, 3]).await;
    publisher.always(Answer::Publish);
    drained(&log).await;
    assert_eq!(publisher.published_seqs(), [2, 3, 1]);
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn an_operator_causes_no_duplicates() {
    let log = log();
    append(&log, 400, 40);
    let publisher = poisoned(3, Outcome::rejected("too large"));
    let relay = run(&log, subscription(&publisher));
    for _ in 0..20 {
        append(&log, 50, 40);
        sleep(Duration::from_millis(7)).await;
        if log.requeue(NAME, 3) {
            sleep(Duration::from_millis(3)).await;
        }
    }
    publisher.always(Answer::Publish);
    until("the last of them", || log.requeue(NAME, 3) || log.is_drained(NAME)).await;
    drained(&log).await;
    assert_eq!(publisher.published().len(), 1_400, "each once");
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_paused_subscription_stops_in_good_order_and_goes_on() {
    let log = log();
    append(&log, 100, 10);
    let publisher = ScriptedPublisher::new().max_batch(5);
    publisher.always(Answer::After(Duration::from_millis(20), Box::new(Answer::Publish)));
    let relay = run(&log, subscription(&publisher));
    until("some of it", || publisher.published().len() >= 20).await;
    log.pause(NAME);
    until("its leader to go", || log.subscription(NAME).is_some_and(|stored| stored.owner.is_none())).await;
    let published = publisher.published().len();
    append(&log, 10, 10);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(publisher.published().len(), published);
    log.resume(NAME);
    drained(&log).await;
    assert_eq!(publisher.published().len(), 110, "each once");
    assert_complete_and_ordered(&publisher.published(), &log.committed());
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn one_aggregate_with_a_hundred_thousand_events_does_not_hold_up_the_others() {
    let log = log();
    let publisher = ScriptedPublisher::new();
    for _ in 0..100_000 {
        log.append(new_event("orders", "hot", "x"));
    }
    let others: Vec<Seq> = (0..1_000).map(|n| log.append(new_event("orders", &n.to_string(), "x"))).collect();
    publisher.always(Answer::After(Duration::from_millis(5), Box::new(Answer::Publish)));
    let relay = run(&log, subscription(&publisher));
    let began = Instant::now();
    let is_other = |seq: &&Seq| **seq > 100_000;
    until("the others", || publisher.published_seqs().iter().filter(is_other).count() == 1_000).await;
    assert!(began.elapsed() < Duration::from_secs(60), "one by one it takes 500 s: {:?}", began.elapsed());
    assert_eq!(others.len(), 1_000);
    let hot = publisher.published_seqs().into_iter().filter(|seq| *seq <= 100_000);
    assert!(hot.enumerate().all(|(index, seq)| seq == i64::try_from(index).unwrap_or(0) + 1), "in order");
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_hot_aggregate_that_was_put_on_hold_is_published_to_its_end() {
    let log = log();
    let publisher = ScriptedPublisher::new();
    publisher.always(Answer::After(Duration::from_millis(5), Box::new(Answer::Publish)));
    let config = RelayConfig { page_size: 100, read_ahead: 300, ..RelayConfig::default() };
    for n in 0..3_000 {
        log.append(new_event("orders", "hot", &n.to_string()));
    }
    append(&log, 100, 100);
    let relay =
        Relay::new(log.clone(), "/test").config(config).subscription(subscription(&publisher)).spawn();
    until("the others", || publisher.published_seqs().iter().filter(|seq| **seq > 3_000).count() == 100)
        .await;
    assert!(publisher.published().len() < 1_000, "long before the hot one is through");
    drained(&log).await;
    assert_eq!(publisher.published().len(), 3_100, "each once");
    assert_complete_and_ordered(&publisher.published(), &log.committed());
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_total_order_waits_for_each_event_and_copies_no_log_into_the_holds() {
    let log = log();
    append(&log, 50, 10);
    let publisher = ScriptedPublisher::new();
    publisher.then(Answer::Publish).then(Answer::Each(Outcome::failed("not yet")));
    let relay = run(&log, subscription(&publisher).ordering(Ordering::Total));
    held(&log, &[(2, HoldState::Retry)]).await;
    sleep(Duration::from_millis(900)).await;
    assert_eq!(publisher.published_seqs(), [1]);
    drained(&log).await;
    assert_eq!(publisher.published_seqs(), log.committed());
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn without_an_order_a_failure_stops_nobody() {
    let log = log();
    append(&log, 5, 1);
    let publisher = poisoned(1, Outcome::failed("no"));
    let relay = run(&log, subscription(&publisher).ordering(Ordering::None));
    until("the others", || publisher.published_seqs() == [2, 3, 4, 5]).await;
    held(&log, &[(1, HoldState::Retry)]).await;
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_scheduled_event_that_fails_stops_nobody() {
    let log = log();
    let in_a_minute = chrono::Utc::now() + Duration::from_secs(60);
    let scheduled =
        outbox_core::event::NewEvent { deliver_at: Some(in_a_minute), ..new_event("orders", "a", "x") };
    log.append(scheduled);
    let publisher = poisoned(1, Outcome::failed("no"));
    let relay = run(&log, subscription(&publisher));
    held(&log, &[(1, HoldState::Scheduled)]).await;
    held(&log, &[(1, HoldState::Retry)]).await;
    log.append(new_event("orders", "a", "x"));
    until("the later one", || publisher.published_seqs() == [2]).await;
    held(&log, &[(1, HoldState::Dead)]).await;
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_dead_event_is_stored_with_its_death() {
    let log = log();
    append(&log, 2, 2);
    let publisher = ScriptedPublisher::new();
    publisher.always(Answer::by(|message| match message.topic.as_str() {
        "orders" if message.seq == 1 => Outcome::rejected("too\nlarge"),
        _ => Outcome::published(),
    }));
    let relay = run(&log, subscription(&publisher).dead_letter_topic("orders.dead"));
    until("the copy", || publisher.published().iter().any(|message| message.topic == "orders.dead")).await;
    let copy =
        publisher.published().into_iter().find(|message| message.topic == "orders.dead").expect("there");
    assert_eq!(copy.seq, 3);
    assert_eq!(copy.payload, "\"0\"");
    assert_eq!(copy.headers.get(names::DEAD_LETTER_SUBSCRIPTION), Some(NAME));
    assert_eq!(copy.headers.get(names::DEAD_LETTER_REASON), Some("toolarge"));
    assert_eq!(copy.headers.get(names::DEAD_LETTER_ATTEMPTS), Some("1"));
    assert!(copy.headers.get(names::DEAD_LETTER_ID).is_some_and(|id| *id != copy.id.to_string()));
    assert_eq!(states(&log), [(1, HoldState::Dead)]);

    publisher.always(Answer::Each(Outcome::rejected("nothing goes")));
    append(&log, 1, 1);
    until("both to be dead", || states(&log).len() == 3).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(log.committed().len(), 5, "no copy of a copy");
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_acknowledged_is_sent_again_until_it_is() {
    let log = log();
    append(&log, 2, 2);
    let publisher = ScriptedPublisher::new();
    let relay =
        run(&log, subscription(&publisher).await_ack(Duration::from_secs(60)).resend_unacknowledged());
    until("both", || publisher.published().len() == 2).await;
    drained(&log).await;
    assert!(log.acknowledge(NAME, 1));
    until("two more deliveries", || publisher.published().len() == 4).await;
    assert_eq!(publisher.published_seqs()[2..], [2, 2]);
    assert!(log.acknowledge(NAME, 2));
    drained(&log).await;
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(publisher.published().len(), 4);
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_held_event_that_was_deleted_by_hand_does_not_stop_its_aggregate_for_ever() {
    let log = log();
    append(&log, 4, 1);
    let publisher = poisoned(1, Outcome::failed("no"));
    let relay = run(&log, subscription(&publisher));
    held(
        &log,
        &[(1, HoldState::Retry), (2, HoldState::Blocked), (3, HoldState::Blocked), (4, HoldState::Blocked)],
    )
    .await;
    assert!(log.remove(1) && log.remove(2));
    until("those behind it", || publisher.published_seqs() == [3, 4]).await;
    drained(&log).await;
    assert_eq!(states(&log), []);
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_replay_comes_in_order_and_before_what_is_new() {
    let log = log();
    append(&log, 6, 2);
    let publisher = ScriptedPublisher::new().max_batch(1);
    let relay = run(&log, subscription(&publisher));
    drained(&log).await;
    publisher.always(Answer::After(Duration::from_millis(50), Box::new(Answer::Publish)));
    // An operator's change is heeded at once where the term is not a new one.
    sleep(Duration::from_secs(1)).await;
    let replay = uuid::Uuid::new_v4();
    assert_eq!(log.replay(NAME, &[1, 3, 5, 6], Some(replay)), [1, 3, 5, 6]);
    log.append(new_event("orders", "a0", "new"));
    drained(&log).await;
    let of_a0: Vec<_> = publisher
        .published()
        .into_iter()
        .skip(6)
        .filter(|m| m.aggregate_id.as_deref() == Some("a0"))
        .collect();
    assert_eq!(of_a0.iter().map(|message| message.seq).collect::<Vec<_>>(), [1, 3, 5, 7]);
    assert!(of_a0[..3].iter().all(|message| message.replay == Some(replay)));
    assert_eq!(of_a0[3].replay, None);
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_replay_stands_in_the_order_of_its_subscription() {
    for (ordering, key) in [(Ordering::Total, Some(OrderKey::default())), (Ordering::None, None)] {
        let log = log();
        append(&log, 2, 2);
        let publisher = ScriptedPublisher::new();
        let relay = run(&log, subscription(&publisher).ordering(ordering));
        drained(&log).await;
        log.pause(NAME);
        relay.stop().await.expect("stops");
        assert_eq!(log.replay(NAME, &[1, 2], None), [1, 2]);
        let keys: Vec<_> = log.holds(NAME).into_iter().map(|hold| hold.aggregate).collect();
        assert_eq!(keys, [key.clone(), key]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_makes_the_publisher_panic_dies_alone() {
    let log = log();
    append(&log, 40, 20);
    let publisher = Panicking::default();
    let relay = run(&log, Subscription::new(NAME, publisher.clone()).retry(three()));
    until("its death", || {
        // That others get through tells the message from the broker.
        log.append(new_event("orders", "other", "x"));
        states(&log) == [(7, HoldState::Dead)]
    })
    .await;
    until("the others", || publisher.0.seqs().len() == log.committed().len() - 1).await;
    assert!(log.holds(NAME)[0].last_error.as_deref().is_some_and(|error| error.contains("panicked")));
    assert_complete_and_ordered(
        &publisher.0.messages(),
        &log.committed().into_iter().filter(|seq| *seq != 7).collect::<Vec<_>>(),
    );
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_does_nothing_but_panic_kills_no_event() {
    let log = log();
    append(&log, 40, 20);
    let publisher = ScriptedPublisher::new();
    publisher.always(Answer::Panic);
    let relay = run(&log, subscription(&publisher));
    sleep(Duration::from_secs(24 * 3600)).await;
    assert!(log.holds(NAME).is_empty());
    publisher.always(Answer::Publish);
    drained(&log).await;
    assert_complete_and_ordered(&publisher.published(), &log.committed());
    relay.stop().await.expect("stops");
}

#[derive(Clone, Default)]
struct Panicking(outbox_core::testing::RecordingPublisher);

#[async_trait::async_trait]
impl Publisher for Panicking {
    async fn publish(&self, batch: &[Message]) -> Vec<Outcome> {
        assert!(batch.iter().all(|message| message.seq != 7), "cannot be written");
        self.0.publish(batch).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_take_over_goes_on_where_the_retries_were() {
    let log = log();
    append(&log, 30, 3);
    let publisher = ScriptedPublisher::new().max_batch(4);
    publisher.always(Answer::by(|message| {
        if message.seq % 7 == 3 { Outcome::failed("no") } else { Outcome::published() }
    }));
    let policy = RetryPolicy::fixed(Duration::from_secs(30), 100);
    let first = run(&log, subscription(&publisher).retry(policy.clone()));
    until("the holds", || log.holds(NAME).iter().any(|hold| hold.attempts >= 2)).await;
    first.stop().await.expect("stops");
    publisher.always(Answer::Publish);
    let second = run(&log, subscription(&publisher).retry(policy));
    drained(&log).await;
    assert_complete_and_ordered(&publisher.published(), &log.committed());
    assert_eq!(publisher.published().len(), 30, "each once");
    second.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_blocked_event_of_a_topic_that_is_not_taken_any_more_is_shown_as_dead() {
    let log = log();
    log.append(new_event("orders", "a", "x"));
    log.append(new_event("mail", "a", "x"));
    let publisher = poisoned(1, Outcome::failed("no"));
    let first = run(&log, subscription(&publisher).retry(RetryPolicy::fixed(Duration::from_secs(30), 100)));
    held(&log, &[(1, HoldState::Retry), (2, HoldState::Blocked)]).await;
    first.stop().await.expect("stops");
    publisher.always(Answer::Publish);
    let second = run(&log, subscription(&publisher).topics(["orders"]));
    held(&log, &[(2, HoldState::Dead)]).await;
    assert!(log.holds(NAME)[0].last_error.as_deref().is_some_and(|error| error.contains("`mail`")));
    assert_eq!(publisher.published_seqs(), [1]);
    second.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn contradictory_choices_are_refused_at_start() {
    let publisher = ScriptedPublisher::new();
    let table = [
        (subscription(&publisher).resend_unacknowledged(), "await_ack"),
        (subscription(&publisher).await_ack(Duration::ZERO), "at least"),
        (subscription(&publisher).dead_letter_topic(""), "empty"),
    ];
    for (subscription, expected) in table {
        let refused = run(&log(), subscription).join().await.expect_err(expected).to_string();
        assert!(refused.contains(expected), "{refused}");
    }
}
