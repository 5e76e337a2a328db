//! Reading: one snapshot, one order, one limit.

use std::{collections::BTreeSet, time::Duration};

use chrono::{SubsecRound as _, TimeDelta, Utc};

use crate::{
    event::NewEvent,
    log::{EventLog as _, Row, RowKind},
    message::Seq,
    publisher::Topics,
    testing::log_conformance::{
        LogFixture, LogWriter as _,
        leader::{Leader, NONE, TOPIC, event, message_of, numbers, ranges, source, store},
    },
};

pub(crate) async fn the_anchor_comes_with_each_page_and_not_as_a_row(fixture: &impl LogFixture) {
    let (seqs, last) = store(fixture, 2).await;
    let (behind, _) = store(fixture, 1).await;
    let leader = Leader::of(fixture, "conformance").await;
    let page = leader.read_from(seqs[1], &ranges([]), &Topics::All, 1).await;
    assert_eq!(page.anchor, Some(last), "it does not count for the limit");
    assert_eq!(numbers(&page.rows), behind);
    // Of a topic that is not asked for, it is the anchor as well.
    let others = Topics::Only(BTreeSet::from(["others".to_owned()]));
    assert_eq!(leader.read_from(seqs[1], &ranges([]), &others, 1).await.anchor, Some(last));
    assert_eq!(leader.read_from(behind[0] + 1, &ranges([]), &Topics::All, 1).await.anchor, None);
}

pub(crate) async fn a_history_that_was_replaced_is_noticed(fixture: &impl LogFixture) {
    let (seqs, last) = store(fixture, 5).await;
    let mut leader = Leader::of(fixture, "conformance").await;
    leader.stands_at(seqs[4], last, []).await;
    fixture.lose_from(seqs[3]).await;
    let (again, _) = store(fixture, 3).await;
    assert_eq!(again[..2], seqs[3..], "the numbers were given out again");
    let found = leader.read(10).await.anchor;
    assert!(found.is_some_and(|found| found != last), "expected the id of another event, found {found:?}");
}

pub(crate) async fn a_late_commit_is_not_skipped(fixture: &impl LogFixture) {
    let (first, _) = store(fixture, 1).await;
    let mut slow = fixture.begin().await;
    let late = slow.append(event("late")).await;
    let (last, anchor) = store(fixture, 1).await;
    assert!(first[0] < late && late < last[0], "numbers are drawn in order: {first:?} {late} {last:?}");
    let mut leader = Leader::of(fixture, "conformance").await;
    assert_eq!(numbers(&leader.read(10).await.rows), [first[0], last[0]]);
    leader.stands_at(last[0], anchor, [late]).await;
    assert_eq!(numbers(&leader.read(10).await.rows), NONE);
    slow.commit().await;
    let (next, _) = store(fixture, 1).await;
    assert_eq!(numbers(&leader.read(10).await.rows), [late, next[0]]);
}

pub(crate) async fn an_uncommitted_event_is_not_read(fixture: &impl LogFixture) {
    let leader = Leader::of(fixture, "conformance").await;
    let mut open = fixture.begin().await;
    let seq = open.append(event("open")).await;
    assert_eq!(numbers(&leader.read(10).await.rows), NONE);
    open.commit().await;
    assert_eq!(numbers(&leader.read(10).await.rows), [seq]);
}

pub(crate) async fn a_rolled_back_event_is_not_read(fixture: &impl LogFixture) {
    let leader = Leader::of(fixture, "conformance").await;
    let mut given_up = fixture.begin().await;
    given_up.append(event("given up")).await;
    given_up.rollback().await;
    let kept = event("kept");
    fixture.append(kept.clone()).await;
    let page = leader.read(10).await;
    assert_eq!(page.rows.iter().map(|row| row.id).collect::<Vec<_>>(), [kept.id]);
}

pub(crate) async fn holes_and_tail_share_one_limit(fixture: &impl LogFixture) {
    let (seqs, _) = store(fixture, 8).await;
    let leader = Leader::of(fixture, "conformance").await;
    let holes = ranges([seqs[0], seqs[2], seqs[3]]);
    for (limit, expected) in [
        (2, vec![seqs[0], seqs[2]]),
        (4, vec![seqs[0], seqs[2], seqs[3], seqs[6]]),
        (9, vec![seqs[0], seqs[2], seqs[3], seqs[6], seqs[7]]),
    ] {
        let page = leader.read_from(seqs[5], &holes, &Topics::All, limit).await;
        assert_eq!(numbers(&page.rows), expected, "a page of {limit}");
    }
}

pub(crate) async fn no_event_between_two_full_pages_is_skipped(fixture: &impl LogFixture) {
    let (seqs, _) = store(fixture, 7).await;
    let leader = Leader::of(fixture, "conformance").await;
    for limit in 1..=8 {
        let (mut position, mut read): (Seq, Vec<Seq>) = (0, Vec::new());
        while read.len() < seqs.len() {
            let page = leader.read_from(position, &ranges([]), &Topics::All, limit).await;
            assert!(!page.rows.is_empty() && page.rows.len() <= limit, "a page of {limit} after {position}");
            read.extend(numbers(&page.rows));
            position = read.last().copied().unwrap_or_default();
        }
        assert_eq!(read, seqs, "pages of {limit}");
    }
}

pub(crate) async fn events_of_other_topics_do_not_look_like_holes(fixture: &impl LogFixture) {
    let ours = fixture.append(event("ours")).await;
    let theirs = fixture.append(NewEvent { topic: "invoices".to_owned(), ..event("theirs") }).await;
    let leader = Leader::of(fixture, "conformance").await;
    let topics = Topics::Only(BTreeSet::from([TOPIC.to_owned(), "empty".to_owned()]));
    let page = leader.read_from(0, &ranges([]), &topics, 10).await;
    assert_eq!(numbers(&page.rows), [ours, theirs]);
    message_of(&page.rows[0]);
    assert_eq!(page.rows[1].kind, RowKind::OtherTopic { topic: "invoices".to_owned() });
    // Also at a hole, and where no topic at all is asked for.
    let page = leader.read_from(theirs, &ranges([ours]), &Topics::Only(BTreeSet::new()), 10).await;
    assert_eq!(page.rows[0].kind, RowKind::OtherTopic { topic: TOPIC.to_owned() });
}

pub(crate) async fn topics_that_differ_in_case_are_two(fixture: &impl LogFixture) {
    for topic in ["Orders", "orders ", "órders"] {
        fixture.append(NewEvent { topic: topic.to_owned(), ..event("other") }).await;
    }
    let leader = Leader::of(fixture, "conformance").await;
    let topics = Topics::Only(BTreeSet::from(["orders".to_owned()]));
    let rows = leader.read_from(0, &ranges([]), &topics, 10).await.rows;
    let is_other = |row: &Row| matches!(row.kind, RowKind::OtherTopic { .. });
    assert!(rows.len() == 3 && rows.iter().all(is_other), "found {rows:?}");
}

pub(crate) async fn nothing_of_an_event_is_lost_in_the_log(fixture: &impl LogFixture) {
    let mut sent = event("zamówienie 🛒 'it''s' \\ \"x\" %_");
    sent.event_version = 7;
    sent.payload = r#"{"b":1.0,"a":12345678901234567890,"text":"\u00e9 é 😀 \\ \n '"}"#.to_owned();
    sent.headers.insert("tenant", "ż-1 🐢");
    sent.headers.insert("correlation-id", "c-1");
    sent.occurred_at = (Utc::now() - TimeDelta::days(400)).trunc_subsecs(3);
    let seq = fixture.append(sent.clone()).await;
    let plain = fixture.append(event("")).await;

    let leader = Leader::of(fixture, "conformance").await;
    let page = leader.read(10).await;
    assert_eq!(numbers(&page.rows), [seq, plain]);
    assert_eq!(page.rows[0].id, sent.id);
    let found = message_of(&page.rows[0]);
    assert_eq!((found.seq, found.id, &found.source), (seq, sent.id, &source()));
    assert_eq!((&found.event_type, found.event_version), (&sent.event_type, sent.event_version));
    assert_eq!((&found.topic, &found.payload), (&sent.topic, &sent.payload));
    assert_eq!((&found.aggregate_type, &found.aggregate_id), (&sent.aggregate_type, &sent.aggregate_id));
    assert_eq!(found.headers, sent.headers);
    assert_eq!(found.occurred_at, sent.occurred_at);
    assert_eq!(found.replay, None);
    let found = message_of(&page.rows[1]);
    assert_eq!((&found.aggregate_type, &found.aggregate_id), (&None, &None));
}

pub(crate) async fn a_scheduled_event_says_so_until_its_time(fixture: &impl LogFixture) {
    let now = fixture.append(event("now")).await;
    let leader = Leader::of(fixture, "conformance").await;
    let clock = message_of(&leader.read(10).await.rows[0]).created_at;
    let at = (clock + TimeDelta::hours(1)).trunc_subsecs(3);
    let later = fixture.append(NewEvent { deliver_at: Some(at), ..event("later") }).await;
    let past =
        fixture.append(NewEvent { deliver_at: Some(clock - TimeDelta::hours(1)), ..event("past") }).await;
    let scheduled = async || {
        let rows = leader.read(10).await.rows;
        assert_eq!(numbers(&rows), [now, later, past]);
        let is_scheduled = |row: &Row| match &row.kind {
            RowKind::Event { scheduled_for, .. } => scheduled_for.is_some(),
            other => panic!("expected an event, found {other:?}"),
        };
        rows.iter().map(is_scheduled).collect::<Vec<_>>()
    };
    assert_eq!(scheduled().await, [false, true, false]);
    fixture.pass(Duration::from_secs(7_200)).await;
    assert_eq!(scheduled().await, [false, false, false], "its time has come");
}

pub(crate) async fn an_empty_page_is_no_error(fixture: &impl LogFixture) {
    let leader = Leader::of(fixture, "conformance").await;
    let page = leader.read(10).await;
    assert_eq!((page.anchor, page.rows), (None, vec![]));
    let held = leader.log.due(&leader.name, &source(), 10).await.expect("none is due");
    assert_eq!(held, []);
}
