//! How far a subscription is behind, and what its leader tells of it.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use outbox_core::{
    log::{
        Description, Due, EventLog as _, Flush, Flushed, Hold, HoldChange, HoldCounts, HoldState, LogError,
        Ordering, Owner,
    },
    message::Seq,
    publisher::Topics,
};
use outbox_seaorm::{
    SeaOrmLog,
    tables::{event, subscription},
};
use outbox_tests::{
    events::{lead, order_event, run, seqs, subscription},
    on_each_database,
};
use sea_orm::{ActiveModelTrait as _, EntityTrait as _, Set};

fn held(seq: Seq, state: HoldState) -> HoldChange {
    let due = if state == HoldState::Blocked { Due::Never } else { Due::After(Duration::ZERO) };
    HoldChange::Insert(Hold { seq, aggregate: None, state, attempts: 0, due, last_error: None, replay: None })
}

fn about(found: Option<Duration>, minutes: u64) -> bool {
    found.is_some_and(|found| found.abs_diff(Duration::from_secs(minutes * 60)) < Duration::from_secs(20))
}

on_each_database!(a_survey_tells_what_waits_and_for_how_long, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let name = subscription("sqs");
    assert!(matches!(log.survey(&name, &Topics::All).await, Err(LogError::SubscriptionGone(_))));
    let (leader, _) = lead(&log, &name).await?;
    let empty = log.survey(&name, &Topics::All).await?;
    assert_eq!((empty.last, empty.position, empty.holes, empty.oldest_pending), (0, 0, 0, None));
    assert!((empty.now - Utc::now()).abs() < TimeDelta::seconds(20), "found {}", empty.now);

    // Stored 60, 50, .. minutes ago.
    let mut anchor = None;
    for seq in 1..=6 {
        let topic = if seq == 6 { "rare" } else { "orders" };
        let created_at = Set(Utc::now() - TimeDelta::minutes(70 - 10 * seq));
        let row = event::ActiveModel { created_at, topic: Set(topic.into()), ..order_event("1", "{}") };
        let row = row.insert(&test.db).await?;
        anchor = if seq == 4 { Some(row.id) } else { anchor };
    }
    assert!(about(log.survey(&name, &Topics::All).await?.oldest_pending, 60));
    let flush = Flush {
        position: 4,
        anchor,
        holes: seqs("2-3"),
        holds: vec![held(1, HoldState::Retry), held(4, HoldState::Blocked), held(9, HoldState::Blocked)],
        ..Flush::default()
    };
    assert_eq!(log.flush(&name, leader, &flush).await?, Flushed::Stored);
    let survey = log.survey(&name, &Topics::All).await?;
    assert_eq!((survey.last, survey.position, survey.holes, survey.backlog()), (6, 4, 2, 4));
    assert!(about(survey.oldest_pending, 50), "the hole: found {:?}", survey.oldest_pending);
    assert_eq!(survey.holds, HoldCounts { retry: 1, blocked: 2, ..HoldCounts::default() });
    let of = async |topics: &[&str]| -> anyhow::Result<Option<Duration>> {
        let topics = Topics::Only(topics.iter().map(|topic| (*topic).to_owned()).collect());
        Ok(log.survey(&name, &topics).await?.oldest_pending)
    };
    assert!(about(of(&["rare", "nobody's"]).await?, 10));
    assert_eq!(of(&["nobody's"]).await?, None);

    run(&test.db, "UPDATE outbox_event SET topic = '' WHERE seq < 5", []).await?;
    assert!(about(log.survey(&name, &Topics::All).await?.oldest_pending, 20), "tombstones wait for nothing");
    Ok(())
});

on_each_database!(a_survey_does_not_read_on_and_on_through_other_topics, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let name = subscription("sqs");
    lead(&log, &name).await?;
    for chunk in 0..10 {
        let rows = (1..=1_000).map(|n| event::ActiveModel {
            topic: Set("other".into()),
            created_at: Set(Utc::now() - TimeDelta::minutes(if chunk == 9 && n == 1_000 { 30 } else { 50 })),
            ..order_event("1", "{}")
        });
        event::Entity::insert_many(rows).exec_without_returning(&test.db).await?;
    }
    order_event("1", "{}").insert(&test.db).await?;
    let topics = Topics::Only(["orders".to_owned()].into());
    let oldest = log.survey(&name, &topics).await?.oldest_pending;
    assert!(about(oldest, 30), "the last one that was looked at: found {oldest:?}");
    run(&test.db, "DELETE FROM outbox_event WHERE seq = 1", []).await?;
    let oldest = log.survey(&name, &topics).await?.oldest_pending;
    assert!(about(oldest, 0), "the wanted one is within reach: found {oldest:?}");
    Ok(())
});

on_each_database!(what_a_leader_tells_is_stored_while_it_leads, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let name = subscription("sqs");
    let (leader, _) = lead(&log, &name).await?;
    let description = Description {
        leader: format!("host\0 {}", "ż".repeat(300)),
        topics: Topics::Only(["a\"b".to_owned(), "zamówienia".to_owned()].into()),
        skipped_topics: ["other".to_owned()].into(),
        ordering: Ordering::Total,
    };
    let row = async || -> anyhow::Result<subscription::Model> {
        Ok(subscription::Entity::find_by_id("sqs").one(&test.db).await?.expect("the row"))
    };
    log.describe(&name, Owner::random(), &description).await?;
    let before = row().await?;
    assert_eq!(
        (before.leader, before.topics, before.skipped_topics, before.ordering.as_str()),
        (None, None, None, "aggregate")
    );
    log.describe(&name, leader, &description).await?;
    let after = row().await?;
    assert!(
        after.leader.as_deref().is_some_and(|text| text.starts_with("host ż") && text.chars().count() == 255)
    );
    let list = |text: Option<String>| serde_json::from_str::<Vec<String>>(&text.unwrap_or_default());
    assert_eq!(list(after.topics)?, ["a\"b", "zamówienia"]);
    assert_eq!(list(after.skipped_topics)?, ["other"]);
    assert_eq!(after.ordering, "total");
    log.describe(&name, leader, &Description { topics: Topics::All, ..description }).await?;
    assert_eq!(row().await?.topics, None, "all");
    Ok(())
});
