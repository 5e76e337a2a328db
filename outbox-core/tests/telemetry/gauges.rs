//! What shows how a subscription stands.

use std::time::Duration;

use outbox_core::{
    publisher::Outcome,
    testing::{Answer, ScriptedPublisher, new_event},
};
use tokio::time::sleep;

use crate::{NAME, log, recorder::Told, spawn, until};

fn key(gauge: &str) -> String {
    format!("outbox.relay.{gauge}{{subscription={NAME}}}")
}

fn held(state: &str) -> String {
    format!("outbox.relay.held{{subscription={NAME},state={state}}}")
}

#[tokio::test(start_paused = true)]
async fn the_breaker_shows_an_outage_its_probes_and_its_end() {
    let told = Told::default();
    let _recorder = metrics::set_default_local_recorder(&told);
    let (log, publisher) = (log(), ScriptedPublisher::new());
    let away = Answer::Each(Outcome::unavailable("away"));
    publisher.then(away.clone()).then(away);
    log.append(new_event("orders", "a", "1"));
    let relay = spawn(&log, publisher.clone());
    until("the event", || publisher.published().len() == 1).await;
    assert_eq!(told.changes(&key("breaker")), [0.0, 2.0, 1.0, 2.0, 1.0, 0.0]);
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn backlog_age_and_holds_follow_the_survey() {
    let told = Told::default();
    let _recorder = metrics::set_default_local_recorder(&told);
    let (log, publisher) = (log(), ScriptedPublisher::new());
    for number in 0..5 {
        log.append(new_event("orders", &format!("a{number}"), "1"));
    }
    publisher.then(Answer::by(|message| {
        if message.seq == 1 { Outcome::rejected("too large") } else { Outcome::unavailable("away") }
    }));
    publisher.always(Answer::Each(Outcome::unavailable("away")));
    let relay = spawn(&log, publisher.clone());
    sleep(Duration::from_secs(61)).await;
    assert_eq!(told.gauge(&key("leader")), Some(1.0));
    assert_eq!(told.gauge(&held("dead")), Some(1.0));
    assert_eq!(told.gauge(&held("retry")), Some(0.0));
    assert_eq!(told.gauge(&key("backlog")), Some(4.0));
    let age = told.gauge(&key("oldest_pending.age")).expect("surveyed");
    assert!((45.0..=61.0).contains(&age), "as old as the last survey saw it: {age}");
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_range_of_numbers_that_is_waited_for_shows_until_it_closes() {
    let told = Told::default();
    let _recorder = metrics::set_default_local_recorder(&told);
    let (log, publisher) = (log(), ScriptedPublisher::new());
    let mut slow = log.begin();
    slow.append(new_event("orders", "a", "1"));
    log.append(new_event("orders", "b", "2"));
    let relay = spawn(&log, publisher.clone());
    until("the hole", || told.gauge(&key("holes")) == Some(1.0)).await;
    slow.commit();
    until("its end", || told.gauge(&key("holes")) == Some(0.0)).await;
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn no_gauge_of_a_process_that_leads_no_more_stays_where_it_was() {
    let told = Told::default();
    let _recorder = metrics::set_default_local_recorder(&told);
    let changes =
        |state| told.counter(&format!("outbox.relay.lease.changes{{subscription={NAME},state={state}}}"));
    let (log, publisher) = (log(), ScriptedPublisher::new());
    publisher.always(Answer::Each(Outcome::unavailable("away")));
    log.append(new_event("orders", "a", "1"));
    let relay = spawn(&log, publisher.clone());
    let shown = ["leader", "breaker", "backlog", "oldest_pending.age"];
    let all_shown = || shown.iter().all(|gauge| told.gauge(&key(gauge)).is_some_and(|value| value > 0.0));
    until("all gauges", all_shown).await;

    // It crashes: nobody gives the lease up.
    drop(relay.stop());
    until("the end of the term", || changes("given_up") + changes("lost") == 1).await;
    for gauge in told.gauges() {
        assert_eq!(told.gauge(&gauge), Some(0.0), "{gauge}");
    }
    assert_eq!(changes("acquired"), 1);

    let relay = spawn(&log, publisher.clone());
    until("another term", all_shown).await;
    log.expire_lease(NAME);
    log.set_away(true);
    until("a lost lease", || changes("lost") >= 1).await;
    for gauge in told.gauges() {
        assert_eq!(told.gauge(&gauge), Some(0.0), "{gauge}");
    }
    log.set_away(false);
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn only_the_leader_asks_for_surveys_and_only_now_and_then() {
    let (log, publisher) = (log(), ScriptedPublisher::new());
    let relays = [spawn(&log, publisher.clone()), spawn(&log, publisher.clone())];
    sleep(Duration::from_secs(600)).await;
    let counts = log.counts();
    assert!((38..=42).contains(&counts.surveys), "one every 15 s by one of two: {}", counts.surveys);
    for relay in relays {
        relay.stop().await.expect("stops");
    }
}
