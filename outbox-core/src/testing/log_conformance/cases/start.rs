//! Where a subscription begins.

use std::time::Duration;

use chrono::{TimeDelta, Utc};

use crate::{
    log::{EventLog as _, Flush, Flushed, LogError, Owner, StartPoint, StoredProgress},
    publisher::Topics,
    testing::log_conformance::{
        LogFixture, LogWriter as _, Operation,
        leader::{LEASE, Leader, NONE, event, message_of, name, numbers, ranges, store},
    },
};

pub(crate) async fn an_empty_log_begins_at_its_floor_wherever_asked(fixture: &impl LogFixture) {
    let log = fixture.log().await;
    log.check().await.expect("a database that is fit");
    assert_eq!(log.hole_proof(), fixture.capabilities().proof, "the fixture says by which proof");
    for (subscription, start) in
        [("a", StartPoint::Beginning), ("b", StartPoint::Now), ("c", StartPoint::At(Utc::now()))]
    {
        let leader = Leader::from(fixture, subscription, start).await;
        assert_eq!(leader.progress, StoredProgress::default(), "{start:?}");
    }
}

pub(crate) async fn the_beginning_skips_no_event(fixture: &impl LogFixture) {
    let (seqs, _) = store(fixture, 3).await;
    let leader = Leader::of(fixture, "conformance").await;
    assert_eq!(numbers(&leader.read(10).await.rows), seqs);
}

pub(crate) async fn a_start_from_now_on_brings_nothing_older(fixture: &impl LogFixture) {
    let (seqs, last) = store(fixture, 3).await;
    let leader = Leader::from(fixture, "conformance", StartPoint::Now).await;
    assert_eq!((leader.progress.position, leader.progress.anchor), (seqs[2], Some(last)));
    assert_eq!(numbers(&leader.read(10).await.rows), NONE);
    let next = fixture.append(event("next")).await;
    assert_eq!(numbers(&leader.read(10).await.rows), [next]);
}

pub(crate) async fn an_event_in_the_air_at_the_start_is_not_skipped(fixture: &impl LogFixture) {
    store(fixture, 1).await;
    let mut open = fixture.begin().await;
    let late = open.append(event("late")).await;
    store(fixture, 1).await;
    let leader = Leader::from(fixture, "conformance", StartPoint::Now).await;
    assert_eq!(leader.progress.holes, ranges([late]), "somebody is writing there");
    open.commit().await;
    assert_eq!(numbers(&leader.read(10).await.rows), [late]);
}

pub(crate) async fn a_gap_below_the_start_is_a_hole(fixture: &impl LogFixture) {
    store(fixture, 1).await;
    let mut given_up = fixture.begin().await;
    let gap = given_up.append(event("given up")).await;
    store(fixture, 1).await;
    given_up.rollback().await;
    let now = Leader::from(fixture, "now", StartPoint::Now).await;
    assert_eq!(now.progress.holes, ranges([gap]), "nothing has proved yet that it stays empty");
    let beginning = Leader::of(fixture, "beginning").await;
    assert_eq!(beginning.progress.holes, ranges([]), "it has read nothing yet");
}

pub(crate) async fn a_start_at_a_time_skips_nothing_younger(fixture: &impl LogFixture) {
    let (old, last) = store(fixture, 2).await;
    fixture.pass(Duration::from_secs(7_200)).await;
    let (young, _) = store(fixture, 2).await;
    // A fixture may move its clock on, or the stored times back: the young ones say what time it is.
    let onlooker = Leader::of(fixture, "onlooker").await;
    let page = onlooker.read_from(old[1], &ranges([]), &Topics::All, 10).await;
    let hour_before = message_of(&page.rows[0]).created_at - TimeDelta::hours(1);

    let hour = Leader::from(fixture, "hour", StartPoint::At(hour_before)).await;
    assert_eq!((hour.progress.position, hour.progress.anchor), (old[1], Some(last)));
    assert_eq!(numbers(&hour.read(10).await.rows), young);
    let day = Leader::from(fixture, "day", StartPoint::At(hour_before - TimeDelta::days(1))).await;
    assert_eq!(numbers(&day.read(10).await.rows), [old, young.clone()].concat(), "all are younger");
    let ahead = Leader::from(fixture, "ahead", StartPoint::At(hour_before + TimeDelta::days(1))).await;
    assert_eq!(ahead.progress.position, young[1], "none is: as from now on");
}

pub(crate) async fn a_second_registration_moves_no_progress(fixture: &impl LogFixture) {
    let leader = Leader::of(fixture, "conformance").await;
    let before = leader.progress.clone();
    let (seqs, _) = store(fixture, 2).await;
    leader.log.register(&leader.name, StartPoint::Now).await.expect("to register again");
    let again = leader.replaced(fixture).await;
    assert_eq!(again.progress, before);
    assert_eq!(numbers(&again.read(10).await.rows), seqs);
}

pub(crate) async fn a_dropped_subscription_is_not_made_again_by_its_leader(fixture: &impl LogFixture) {
    let leader = Leader::of(fixture, "conformance").await;
    let (seqs, last) = store(fixture, 1).await;
    // It is frozen, its lease has ended, and an operator takes it for one that nobody leads any more.
    fixture.pass(LEASE * 2).await;
    fixture.operate(&leader.name, Operation::Drop).await;
    assert_eq!(leader.log.renew(&leader.name, leader.owner, LEASE).await.expect("an answer"), None);
    let flush = Flush { position: seqs[0], anchor: Some(last), ..leader.flush() };
    assert_eq!(leader.send(&flush).await, Flushed::Fenced);
    leader.log.release(&leader.name, leader.owner).await.expect("nothing to release is no error");
    is_gone(&leader.log.acquire(&leader.name, Owner::random(), LEASE).await);
}

pub(crate) async fn a_subscription_that_nobody_registered_is_led_by_nobody(fixture: &impl LogFixture) {
    let log = fixture.log().await;
    let stranger = name("stranger");
    is_gone(&log.acquire(&stranger, Owner::random(), LEASE).await);
    is_gone(&log.survey(&stranger, &Topics::All).await);
}

fn is_gone<T: std::fmt::Debug>(answer: &Result<T, LogError>) {
    assert!(
        matches!(answer, Err(LogError::SubscriptionGone(_))),
        "expected that it is gone, found {answer:?}"
    );
}
