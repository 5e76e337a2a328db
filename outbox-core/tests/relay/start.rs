//! What is checked at start, and where a subscription begins.

use std::time::Duration;

use outbox_core::{
    log::StartPoint,
    relay::RelayError,
    testing::{RecordingPublisher, ScriptedPublisher},
};
use tokio::time::sleep;

use crate::*;

fn relay(subscription: Subscription) -> Relay {
    Relay::new(log(), "/test").subscription(subscription)
}

async fn refused(relay: Relay) -> RelayError {
    relay.spawn().join().await.expect_err("refused")
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_named_at_start() {
    let publisher = || ScriptedPublisher::new().with_topics(["orders"]);
    let error = refused(relay(Subscription::new(NAME, publisher()).topics(["orders", "mail"]))).await;
    assert!(matches!(&error, RelayError::TopicWithoutRoute { topic, .. } if topic == "mail"), "{error}");
    let error =
        refused(Relay::new(log(), "not a uri").subscription(Subscription::new(NAME, publisher()))).await;
    assert!(matches!(&error, RelayError::Source(_)) && error.to_string().contains("`source`"), "{error}");
    let error = refused(Relay::new(log(), "/test")).await;
    assert!(matches!(error, RelayError::NoSubscription), "{error}");
    let twice =
        relay(Subscription::new(NAME, publisher())).subscription(Subscription::new(NAME, publisher()));
    let error = refused(twice).await;
    assert!(matches!(&error, RelayError::SameName(name) if name.as_str() == NAME), "{error}");
    let error = refused(relay(Subscription::new("no spaces", publisher()))).await;
    assert!(matches!(error, RelayError::Name(_)), "{error}");
    let config = RelayConfig { page_size: 0, ..RelayConfig::default() };
    let error = refused(relay(Subscription::new(NAME, publisher())).config(config)).await;
    assert!(error.to_string().contains("`page_size`"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_subscription_takes_the_topics_of_its_publisher_and_settles_the_rest() {
    let (log, publisher) = (log(), ScriptedPublisher::new().with_topics(["orders", "mail"]));
    let topics = ["orders", "mail", "other", "orders", "other"];
    let seqs: Vec<_> = topics.map(|topic| log.append(new_event(topic, "a", "x"))).into();
    let relay = spawn(&log, publisher.clone());
    drained(&log).await;
    assert_eq!(publisher.published_seqs(), [seqs[0], seqs[1], seqs[3]]);
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn subscriptions_have_outages_and_progress_of_their_own() {
    let (log, healthy, broken) = (log(), RecordingPublisher::new(), ScriptedPublisher::new());
    broken.always(outbox_core::testing::Answer::Panic);
    let handle = Relay::new(log.clone(), "/test")
        .subscription(Subscription::new("broken", broken.clone()).topics(["orders"]))
        .subscription(Subscription::new(NAME, healthy.clone()))
        .spawn();
    append(&log, 50, 5);
    drained(&log).await;
    assert_eq!(healthy.seqs().len(), 50);
    assert!(!log.is_drained("broken"));
    handle.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn each_topic_can_have_a_subscription_so_that_none_holds_up_another() {
    let (log, publisher) = (log(), ScriptedPublisher::new().with_topics(["orders", "mail"]));
    publisher.always(outbox_core::testing::Answer::by(|message| match message.topic.as_str() {
        "mail" => outbox_core::publisher::Outcome::unavailable("no mail today"),
        _ => outbox_core::publisher::Outcome::published(),
    }));
    let relay = Relay::new(log.clone(), "/test");
    let handle = relay.subscription_per_topic(NAME, publisher.clone(), |each| each).spawn();
    for _ in 0..20 {
        log.append(new_event("mail", "a", "x"));
        log.append(new_event("orders", "a", "x"));
    }
    until("the orders", || log.is_drained("test.orders")).await;
    assert_eq!(publisher.published().len(), 20);
    assert!(!log.is_drained("test.mail"));
    handle.stop().await.expect("stops");

    let every_topic = Relay::new(log.clone(), "/test");
    let every_topic = every_topic.subscription_per_topic(NAME, ScriptedPublisher::new(), |each| each);
    let error = refused(every_topic).await;
    assert!(error.to_string().contains("needs a publisher with routes"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_new_subscription_begins_where_it_is_told_to_and_an_old_one_where_it_was() {
    let (log, publisher) = (log(), RecordingPublisher::new());
    append(&log, 5, 1);
    let mut open = log.begin();
    let late = open.append(new_event("orders", "b", "late"));
    append(&log, 1, 1);
    let from_now = || {
        let subscription = Subscription::new(NAME, publisher.clone()).start_at(StartPoint::Now);
        Relay::new(log.clone(), "/test").subscription(subscription).spawn()
    };
    let relay = from_now();
    sleep(Duration::from_secs(1)).await;
    assert!(publisher.seqs().is_empty());
    open.commit();
    let next = append(&log, 1, 1);
    drained(&log).await;
    assert_eq!(
        publisher.seqs(),
        [late, next[0]],
        "what committed after the start, also with an older number"
    );
    relay.stop().await.expect("stops");

    let missed = append(&log, 2, 1);
    let relay = from_now();
    drained(&log).await;
    assert_eq!(publisher.seqs()[2..], missed, "only the first start looks at the start point");
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn the_source_is_in_every_message() {
    let (log, publisher) = (log(), RecordingPublisher::new());
    append(&log, 1, 1);
    let relay = spawn(&log, publisher.clone());
    drained(&log).await;
    assert_eq!(&*publisher.messages()[0].source, "/test");
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn run_until_ends_with_its_shutdown() {
    let (log, publisher) = (log(), RecordingPublisher::new());
    append(&log, 10, 1);
    let subscription = Subscription::new(NAME, publisher.clone());
    let shutdown = sleep(Duration::from_secs(60));
    Relay::new(log.clone(), "/test").subscription(subscription).run_until(shutdown).await.expect("stops");
    assert!(log.is_drained(NAME));
    assert_eq!(log.subscription(NAME).and_then(|stored| stored.owner), None);
}
