//! What an operator sees of the log and its subscriptions, and when it is worth a look.

use std::{collections::BTreeSet, time::Duration};

use chrono::TimeDelta;
use outbox_core::{
    log::{
        Description, Due, EventLog as _, Flush, Flushed, Hold, HoldChange, HoldState, Ordering, Receipt,
        SubscriptionState,
    },
    publisher::{PublisherHealth, PublisherReport, Topics},
};
use outbox_seaorm::{
    Outbox, SeaOrmLog,
    outbox::{Code, Leadership, Level, PinnedBy, TakenTopics, Thresholds},
    tables::event,
};
use outbox_tests::{
    events::{lead, order_event, run, seqs, subscription},
    on_each_database,
};
use sea_orm::{ActiveModelTrait as _, DatabaseConnection, Set};

async fn store(db: &DatabaseConnection, count: usize) -> anyhow::Result<Vec<event::Model>> {
    let mut events = Vec::new();
    for number in 0..count {
        events.push(order_event(&number.to_string(), "{}").insert(db).await?);
    }
    Ok(events)
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

on_each_database!(a_status_tells_where_each_subscription_stands, async |test| {
    let (db, log) = (&test.db, SeaOrmLog::new(test.db.clone()));
    let mut events = store(db, 9).await?;
    events.push(event::ActiveModel { topic: Set("lost".into()), ..order_event("x", "{}") }.insert(db).await?);
    let minute_ago = events[0].created_at - TimeDelta::seconds(90);
    run(db, "UPDATE outbox_event SET created_at = ? WHERE seq = 5", [minute_ago.into()]).await?;

    let sqs = subscription("sqs");
    let (leader, _) = lead(&log, &sqs).await?;
    let held = |seq, state| {
        HoldChange::Insert(Hold {
            seq,
            aggregate: None,
            state,
            attempts: 1,
            due: Due::Never,
            last_error: None,
            replay: None,
        })
    };
    let flush = Flush {
        position: 8,
        anchor: Some(events[7].id),
        holes: seqs("5,7"),
        holds: vec![held(3, HoldState::Dead), held(4, HoldState::Dead), held(6, HoldState::Retry)],
        receipts: vec![Receipt { seq: 2, broker_id: None, ack_within: Some(Duration::ZERO) }],
        ..Flush::default()
    };
    assert_eq!(log.flush(&sqs, leader, &flush).await?, Flushed::Stored);
    let description = Description {
        leader: "host 7".into(),
        topics: Topics::Only(names(&["orders"])),
        skipped_topics: names(&["lost", "mail"]),
        ordering: Ordering::Total,
    };
    log.describe(&sqs, leader, &description).await?;
    log.report(&sqs, leader, SubscriptionState::BrokerDown, Some("refused")).await?;
    let mail = subscription("mail");
    let (mailer, _) = lead(&log, &mail).await?;
    let description = Description { topics: Topics::Only(names(&["mail"])), ..description };
    log.describe(&mail, mailer, &description).await?;
    log.release(&mail, mailer).await?;
    log.register(&subscription("new"), outbox_core::log::StartPoint::Now).await?;

    let status = Outbox::new(db.clone()).status().await?;
    assert_eq!((status.floor, status.last, status.retained), (0, 10, 10));
    assert_eq!(status.unrouted_topics, names(&["lost"]), "somebody takes `mail`");
    let found: Vec<_> = status.subscriptions.iter().map(|found| found.name.as_str()).collect();
    assert_eq!(found, ["mail", "new", "sqs"]);
    let [mail, new, sqs] = status.subscriptions.as_slice() else { anyhow::bail!("three") };

    assert_eq!((sqs.state, sqs.last_error.as_deref()), (SubscriptionState::BrokerDown, Some("refused")));
    let Leadership::Led { by, lease_ends_in } = &sqs.leadership else { anyhow::bail!("it is led: {sqs:?}") };
    assert_eq!(by.as_deref(), Some("host 7"));
    assert!((Duration::from_secs(1)..=Duration::from_secs(60)).contains(lease_ends_in), "{lease_ends_in:?}");
    assert_eq!((sqs.position, sqs.backlog, sqs.holes, sqs.hole_ranges), (8, 4, 2, 2));
    assert_eq!((sqs.holds.dead, sqs.holds.retry, sqs.holds.blocked, sqs.holds.scheduled), (2, 1, 0, 0));
    assert_eq!((sqs.overdue, sqs.needs_from), (1, 2), "it waits for the acknowledgement of 2");
    assert_eq!((sqs.ordering, &sqs.topics), (Ordering::Total, &TakenTopics::Only(names(&["orders"]))));
    let pending = sqs.oldest_pending.expect("5 is pending");
    assert!((Duration::from_secs(80)..Duration::from_secs(600)).contains(&pending), "{pending:?}");

    let Leadership::Unled { last, since } = &mail.leadership else { anyhow::bail!("it was released") };
    assert_eq!(last.as_deref(), Some("host 7"));
    assert!((status.at - *since).abs() < TimeDelta::minutes(5), "since it was released: {since}");
    assert_eq!(
        (mail.backlog, mail.oldest_pending, mail.overdue),
        (10, None, 0),
        "none of its topic is pending"
    );
    assert_eq!((&new.topics, new.backlog), (&TakenTopics::Unknown, 0));

    let pins: Vec<_> = status.pins.iter().map(|pin| (pin.subscription.as_str(), pin.by, pin.seqs)).collect();
    assert_eq!(pins, [("mail", PinnedBy::NoLeader, 10), ("sqs", PinnedBy::BrokerDown, 8)]);
    let written = serde_json::to_value(&status)?;
    assert_eq!(written["subscriptions"][2]["leadership"]["is"], "led");
    assert_eq!(written["subscriptions"][2]["state"], "broker_down");
    assert_eq!(written["subscriptions"][1]["topics"]["are"], "unknown");
    Ok(())
});

on_each_database!(an_outbox_without_trouble_is_healthy_and_trouble_is_named, async |test| {
    let (db, log) = (&test.db, SeaOrmLog::new(test.db.clone()));
    let (outbox, thresholds) = (Outbox::new(db.clone()), Thresholds::default());
    let empty = outbox.health(&thresholds, &[]).await?;
    assert_eq!((empty.level, empty.reasons.len()), (Level::Healthy, 0));
    lead(&log, &subscription("sqs")).await?;
    store(db, 2).await?;
    assert_eq!(outbox.health(&thresholds, &[]).await?.level, Level::Healthy);

    let long_ago = outbox.status().await?.at - TimeDelta::hours(2);
    run(db, "UPDATE outbox_event SET created_at = ?", [long_ago.into()]).await?;
    let times = [long_ago.into(), long_ago.into()];
    run(db, "UPDATE outbox_subscription SET lease_until = ?, state_since = ?", times).await?;
    run(db, "INSERT INTO outbox_hold (subscription, seq, state) VALUES ('sqs', 1, 'dead')", []).await?;
    let report =
        PublisherReport { subscription: "sqs".into(), health: PublisherHealth::unhealthy("no queue") };
    // It can be asked for in a task, as an endpoint does.
    let health = tokio::spawn(async move { outbox.health(&thresholds, &[report]).await }).await??;
    let found: Vec<_> = health.reasons.iter().map(|reason| (reason.level, reason.code)).collect();
    assert_eq!(
        found,
        [
            (Level::Unhealthy, Code::NoLeader),
            (Level::Unhealthy, Code::Lag),
            (Level::Unhealthy, Code::Publisher),
            (Level::Warning, Code::DeadLetters),
        ]
    );
    assert!(health.reasons.iter().all(|reason| reason.subscription.as_deref() == Some("sqs")));
    Ok(())
});

on_each_database!(the_time_without_a_leader_does_not_count_a_pause_that_has_ended, async |test| {
    let (db, log) = (&test.db, SeaOrmLog::new(test.db.clone()));
    let outbox = Outbox::new(db.clone());
    let name = subscription("sqs");
    let (leader, _) = lead(&log, &name).await?;
    log.release(&name, leader).await?;
    let operator = outbox.acting_as("ada", "the broker is being mended")?;
    assert!(operator.pause("sqs").await?);
    let at = outbox.status().await?.at;
    let long_ago = at - TimeDelta::days(2);
    run(db, "UPDATE outbox_subscription SET lease_until = ?", [long_ago.into()]).await?;
    assert!(operator.resume("sqs").await?);

    let health = outbox.health(&Thresholds::default(), &[]).await?;
    assert_eq!((health.level, health.reasons), (Level::Healthy, vec![]));
    let status = outbox.status().await?;
    let Leadership::Unled { since, .. } = &status.subscriptions[0].leadership else {
        anyhow::bail!("nobody leads it: {status:?}")
    };
    assert!((*since - at).abs() < TimeDelta::minutes(5), "since the resume: {since}");
    run(db, "UPDATE outbox_subscription SET state_since = ?", [long_ago.into()]).await?;
    let health = outbox.health(&Thresholds::default(), &[]).await?;
    assert_eq!(health.level, Level::Unhealthy, "nobody came after the resume: {health:?}");
    Ok(())
});
