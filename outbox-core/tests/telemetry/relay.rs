//! What the relay counts and measures.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use outbox_core::{
    publisher::Outcome,
    relay::{Relay, Subscription},
    retry::RetryPolicy,
    telemetry::METRICS,
    testing::{Answer, ScriptedPublisher, new_event},
};
use tokio::time::sleep;

use crate::{NAME, log, recorder::Told, spawn, until};

#[tokio::test(start_paused = true)]
async fn each_attempt_is_counted_by_what_became_of_it() {
    let told = Told::default();
    let _recorder = metrics::set_default_local_recorder(&told);
    let (log, publisher) = (log(), ScriptedPublisher::new());
    for number in 0..4 {
        log.append(new_event("orders", &format!("a{number}"), "1"));
    }
    publisher
        .then(Answer::Each(Outcome::unavailable("away")))
        .then(Answer::Each(Outcome::throttled(None, "slow down")))
        .then(Answer::Panic)
        .then(Answer::Hang)
        .then(Answer::Short(0));
    let is_first = AtomicBool::new(true);
    publisher.always(Answer::by(move |message| match message.seq {
        1 => Outcome::rejected("too large"),
        2 if is_first.swap(false, Ordering::SeqCst) => Outcome::failed("not this time"),
        _ => Outcome::published(),
    }));
    let retry = RetryPolicy::fixed(Duration::from_secs(1), 5);
    let subscription = Subscription::new(NAME, publisher.clone()).retry(retry);
    let relay = Relay::new(log.clone(), "/test").subscription(subscription).spawn();
    until("all but the dead one", || publisher.published().len() == 3).await;
    relay.stop().await.expect("stops");

    let failed =
        |outcome| told.counter(&format!("outbox.relay.failed{{subscription=test,outcome={outcome}}}"));
    assert_eq!(told.counter("outbox.relay.published{subscription=test}"), 3);
    assert_eq!(told.counter("outbox.relay.dead{subscription=test}"), 1);
    assert_eq!((failed("unavailable"), failed("rejected"), failed("failed")), (4, 1, 1));
    let silent = failed("throttled") + failed("panicked") + failed("timed_out") + failed("not_answered");
    assert!(silent >= 4, "each kind of silence met something: {:?}", told.keys());
    for outcome in ["throttled", "panicked", "timed_out", "not_answered"] {
        assert!(failed(outcome) >= 1, "{outcome}: {:?}", told.keys());
    }
    let durations = told.histogram("outbox.relay.publish.duration{subscription=test}");
    assert_eq!(durations.len(), publisher.calls(), "one for each call");
    assert!(durations.iter().any(|seconds| *seconds >= 10.0), "the one that hung: {durations:?}");
}

#[tokio::test(start_paused = true)]
async fn the_lag_is_from_the_storing_to_the_brokers_acceptance() {
    let told = Told::default();
    let _recorder = metrics::set_default_local_recorder(&told);
    let (log, publisher) = (log(), ScriptedPublisher::new());
    let relay = spawn(&log, publisher.clone());
    until("the first survey", || log.counts().surveys > 0).await;
    log.append(new_event("orders", "a", "1"));
    until("the first", || publisher.published().len() == 1).await;
    publisher.always(Answer::Each(Outcome::unavailable("away")));
    log.append(new_event("orders", "b", "2"));
    sleep(Duration::from_secs(100)).await;
    publisher.always(Answer::Publish);
    until("the second", || publisher.published().len() == 2).await;
    relay.stop().await.expect("stops");

    let lags = told.histogram("outbox.relay.lag{subscription=test}");
    assert_eq!(lags.len(), 2);
    assert!(lags[0] < 1.1, "at most one pause between two reads: {lags:?}");
    assert!((100.0..135.0).contains(&lags[1]), "the outage and a probe: {lags:?}");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_was_to_go_later_has_no_lag() {
    let told = Told::default();
    let _recorder = metrics::set_default_local_recorder(&told);
    let (log, publisher) = (log(), ScriptedPublisher::new());
    let relay = spawn(&log, publisher.clone());
    until("the first survey", || log.counts().surveys > 0).await;
    let mut event = new_event("orders", "a", "1");
    event.deliver_at = Some(chrono::Utc::now() + Duration::from_secs(60));
    log.append(event);
    until("its time", || publisher.published().len() == 1).await;
    relay.stop().await.expect("stops");
    assert_eq!(told.histogram("outbox.relay.lag{subscription=test}"), [] as [f64; 0]);
    assert_eq!(told.counter("outbox.relay.published{subscription=test}"), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_told_under_a_name_or_a_label_that_is_not_in_the_table() {
    let told = Told::default();
    let _recorder = metrics::set_default_local_recorder(&told);
    let (log, publisher) = (log(), ScriptedPublisher::new());
    log.append(new_event("orders", "a", "1"));
    publisher.then(Answer::Each(Outcome::failed("not this time")));
    let relay = spawn(&log, publisher.clone());
    until("the first survey", || log.counts().surveys > 0).await;
    log.append(new_event("orders", "b", "2"));
    until("both events", || publisher.published().len() == 2).await;
    relay.stop().await.expect("stops");

    for key in told.keys() {
        let (name, labels) = key.trim_end_matches('}').split_once('{').expect("a name with labels");
        let metric = METRICS.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("{key}"));
        let keys: Vec<_> = labels.split(',').map(|label| label.split_once('=').expect("a label").0).collect();
        assert_eq!(keys, metric.labels, "{name}");
    }
    let of_the_relay = METRICS.iter().filter(|metric| metric.name.starts_with("outbox.relay."));
    for metric in of_the_relay {
        let beginning = format!("{}{{", metric.name);
        assert!(told.keys().iter().any(|key| key.starts_with(&beginning)), "{} was never told", metric.name);
    }
}
