//! What other processes see of a subscription.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    event::NewEvent,
    log::{Description, Due, EventLog, Flush, HoldCounts, HoldState, Ordering, Owner, SubscriptionState},
    publisher::Topics,
    testing::log_conformance::{
        LogFixture, Operation,
        leader::{Leader, TOPIC, event, hold, hold_of, inserts, ranges, store},
    },
};

pub(crate) async fn a_state_is_shown_with_its_error(fixture: &impl LogFixture) {
    let leader = Leader::of(fixture, "conformance").await;
    let shown = async || {
        let stored = fixture.stored(&leader.name).await;
        (stored.state, stored.last_error)
    };
    let report = async |state, error: Option<&str>| {
        leader.log.report(&leader.name, leader.owner, state, error).await.expect("to report");
    };
    assert_eq!(shown().await, (SubscriptionState::Running, None));
    let error = "połączenie \"odrzucone\" 🛑";
    report(SubscriptionState::BrokerDown, Some(error)).await;
    assert_eq!(shown().await, (SubscriptionState::BrokerDown, Some(error.to_owned())));
    report(SubscriptionState::Running, None).await;
    assert_eq!(shown().await, (SubscriptionState::Running, None));
}

pub(crate) async fn a_replaced_leader_reports_nothing(fixture: &impl LogFixture) {
    let leader = Leader::of(fixture, "conformance").await;
    let log = fixture.log().await;
    log.report(&leader.name, Owner::random(), SubscriptionState::BrokerDown, Some("not ours"))
        .await
        .expect("a report by another is no error");
    let stored = fixture.stored(&leader.name).await;
    assert_eq!((stored.state, stored.last_error), (SubscriptionState::Running, None));
}

pub(crate) async fn a_report_does_not_end_a_pause(fixture: &impl LogFixture) {
    let leader = Leader::of(fixture, "conformance").await;
    fixture.operate(&leader.name, Operation::Pause).await;
    leader
        .log
        .report(&leader.name, leader.owner, SubscriptionState::Running, None)
        .await
        .expect("a report while it is paused is no error");
    assert_eq!(fixture.stored(&leader.name).await.state, SubscriptionState::Paused);
}

fn description(leader: &str, topics: Topics, skipped: &[&str], ordering: Ordering) -> Description {
    let skipped_topics = skipped.iter().map(|topic| (*topic).to_owned()).collect();
    Description { leader: leader.to_owned(), topics, skipped_topics, ordering }
}

pub(crate) async fn a_description_is_shown(fixture: &impl LogFixture) {
    let leader = Leader::of(fixture, "conformance").await;
    assert_eq!(fixture.stored(&leader.name).await.description, None);
    let only = Topics::Only(BTreeSet::from(["orders".to_owned(), "ż \"x\"".to_owned()]));
    for told in [
        description("host-1 4711", only, &["invoices", "stock"], Ordering::Total),
        description("host-2 12", Topics::All, &[], Ordering::Aggregate),
        description("host-2 12", Topics::Only(BTreeSet::new()), &["orders"], Ordering::None),
    ] {
        leader.log.describe(&leader.name, leader.owner, &told).await.expect("to describe");
        assert_eq!(fixture.stored(&leader.name).await.description, Some(told));
    }
}

pub(crate) async fn a_replaced_leader_describes_nothing(fixture: &impl LogFixture) {
    let leader = Leader::of(fixture, "conformance").await;
    let told = description("host-1", Topics::All, &[], Ordering::Aggregate);
    leader.log.describe(&leader.name, leader.owner, &told).await.expect("to describe");
    let stale = description("host-2", Topics::All, &["orders"], Ordering::Total);
    let log = fixture.log().await;
    log.describe(&leader.name, Owner::random(), &stale).await.expect("one by another is no error");
    assert_eq!(fixture.stored(&leader.name).await.description, Some(told));
}

pub(crate) async fn the_survey_says_where_the_subscription_stands(fixture: &impl LogFixture) {
    let (seqs, last) = store(fixture, 9).await;
    let mut leader = Leader::of(fixture, "conformance").await;
    let flush = Flush {
        position: seqs[8],
        anchor: Some(last),
        holes: ranges([seqs[6], seqs[7]]),
        holds: inserts([
            hold(seqs[0], HoldState::Scheduled, Due::After(Duration::from_secs(60))),
            hold_of("a1", seqs[1], HoldState::Retry, Due::After(Duration::from_secs(60))),
            hold_of("a2", seqs[2], HoldState::Blocked, Due::Never),
            hold_of("a3", seqs[3], HoldState::Blocked, Due::Never),
            hold(seqs[4], HoldState::Dead, Due::Never),
        ]),
        ..leader.flush()
    };
    leader.stores(flush).await;
    let (more, _) = store(fixture, 2).await;
    let survey = leader.log.survey(&leader.name, &Topics::All).await.expect("a survey");
    assert_eq!((survey.last, survey.position, survey.holes), (more[1], seqs[8], 2));
    assert_eq!(survey.backlog(), 4);
    assert_eq!(survey.holds, HoldCounts { scheduled: 1, retry: 1, blocked: 2, dead: 1 });
    assert!(survey.oldest_pending.is_some());
}

async fn pending(leader: &Leader<impl EventLog>, topics: &Topics) -> bool {
    leader.log.survey(&leader.name, topics).await.expect("a survey").oldest_pending.is_some()
}

pub(crate) async fn nothing_is_pending_that_is_settled_or_held(fixture: &impl LogFixture) {
    let (seqs, last) = store(fixture, 3).await;
    let mut leader = Leader::of(fixture, "conformance").await;
    let topics = Topics::Only(BTreeSet::from([TOPIC.to_owned()]));
    assert!(pending(&leader, &topics).await, "nothing is published yet");
    let flush = Flush {
        position: seqs[2],
        anchor: Some(last),
        holds: inserts([hold(seqs[1], HoldState::Dead, Due::Never)]),
        ..leader.flush()
    };
    leader.stores(flush).await;
    assert!(!pending(&leader, &topics).await);
    fixture.append(NewEvent { topic: "invoices".to_owned(), ..event("theirs") }).await;
    assert!(!pending(&leader, &topics).await, "of another topic");
    leader.stands_at(seqs[2], last, [seqs[0]]).await;
    assert!(pending(&leader, &topics).await, "read, and not published");
}

pub(crate) async fn the_oldest_pending_event_has_its_age(fixture: &impl LogFixture) {
    const HOUR: Duration = Duration::from_secs(3_600);
    store(fixture, 1).await;
    fixture.pass(2 * HOUR).await;
    store(fixture, 1).await;
    let leader = Leader::of(fixture, "conformance").await;
    let survey = leader.log.survey(&leader.name, &Topics::All).await.expect("a survey");
    let age = survey.oldest_pending.expect("two are pending");
    assert!(age >= 2 * HOUR && age < 3 * HOUR, "found {age:?}");
}
