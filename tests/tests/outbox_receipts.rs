//! What consumers acknowledge, and what they do not.

use std::time::Duration;

use chrono::TimeDelta;
use outbox_core::{
    log::{EventLog as _, Flush, Flushed, Owner, Receipt, SubscriptionName},
    message::Seq,
};
use outbox_seaorm::{
    Outbox, SeaOrmLog,
    outbox::{Acknowledged, Awaited, OutboxError, Resent},
    tables::{audit, event, hold, receipt},
};
use outbox_tests::{
    events::{lead, order_event, run, subscription},
    on_each_database,
};
use sea_orm::{
    ActiveModelTrait as _, DatabaseConnection, EntityTrait as _, QueryOrder as _,
    prelude::{DateTimeUtc, Uuid},
};

const HOUR: Duration = Duration::from_secs(3_600);

async fn store(db: &DatabaseConnection, count: usize) -> anyhow::Result<Vec<event::Model>> {
    let mut events = Vec::new();
    for number in 0..count {
        events.push(order_event(&number.to_string(), "{}").insert(db).await?);
    }
    Ok(events)
}

/// Stores receipts as a leader's flush does.
async fn dispatched(
    log: &SeaOrmLog,
    name: &SubscriptionName,
    leader: Owner,
    flush_no: i64,
    seqs: &[Seq],
) -> anyhow::Result<()> {
    let receipts = seqs
        .iter()
        .map(|seq| Receipt { seq: *seq, broker_id: Some(format!("m-{seq}")), ack_within: Some(HOUR) })
        .collect();
    let position = seqs.iter().copied().max().unwrap_or_default();
    let flush = Flush { position, previous_flush_no: flush_no, receipts, ..Flush::default() };
    assert_eq!(log.flush(name, leader, &flush).await?, Flushed::Stored);
    Ok(())
}

async fn receipts(db: &DatabaseConnection) -> anyhow::Result<Vec<receipt::Model>> {
    Ok(receipt::Entity::find().order_by_asc(receipt::Column::Seq).all(db).await?)
}

on_each_database!(an_acknowledgement_is_recorded_once_and_only_for_the_event_that_was_meant, async |test| {
    let (db, log, name) = (&test.db, SeaOrmLog::new(test.db.clone()), subscription("sqs"));
    let events = store(db, 2).await?;
    let (leader, _) = lead(&log, &name).await?;
    dispatched(&log, &name, leader, 0, &[1, 2]).await?;
    let (outbox, id) = (Outbox::new(db.clone()), events[0].id);
    assert_eq!(
        outbox.acknowledge("sqs", 1, Uuid::now_v7()).await?,
        Acknowledged::Unknown,
        "another event's id"
    );
    assert_eq!(outbox.acknowledge("sqs", 9, id).await?, Acknowledged::Unknown);
    assert_eq!(outbox.acknowledge("mail", 1, id).await?, Acknowledged::Unknown, "no such subscription");
    assert_eq!(receipts(db).await?.iter().filter(|row| row.acknowledged_at.is_some()).count(), 0);

    assert_eq!(outbox.acknowledge("sqs", 1, id).await?, Acknowledged::Recorded);
    let first = receipts(db).await?.remove(0);
    assert_eq!((first.ack_due_at, first.broker_id.as_deref()), (None, Some("m-1")));
    assert_eq!(outbox.acknowledge("sqs", 1, id).await?, Acknowledged::Before);
    assert_eq!(receipts(db).await?.remove(0), first, "the first one stays");

    let known = outbox.receipts(1).await?;
    assert_eq!(known.len(), 1);
    assert_eq!((known[0].subscription.as_str(), known[0].acknowledged_at), ("sqs", first.acknowledged_at));
    Ok(())
});

on_each_database!(an_acknowledgement_that_comes_before_the_flush_is_not_lost, async |test| {
    let (db, log, name) = (&test.db, SeaOrmLog::new(test.db.clone()), subscription("sqs"));
    let events = store(db, 2).await?;
    let (leader, _) = lead(&log, &name).await?;
    let outbox = Outbox::new(db.clone());
    assert_eq!(outbox.acknowledge("sqs", 1, events[0].id).await?, Acknowledged::Recorded);
    assert_eq!(outbox.acknowledge("sqs", 1, events[0].id).await?, Acknowledged::Before);
    dispatched(&log, &name, leader, 0, &[1, 2]).await?;
    let stored = receipts(db).await?;
    assert!(stored[0].acknowledged_at.is_some() && stored[0].ack_due_at.is_none(), "{:?}", stored[0]);
    assert_eq!(stored[0].broker_id.as_deref(), Some("m-1"));
    let awaited: Vec<_> = outbox.unacknowledged(&Awaited::all()).await?.iter().map(|row| row.seq).collect();
    assert_eq!(awaited, [2]);
    Ok(())
});

on_each_database!(what_nobody_has_acknowledged_is_listed_with_what_is_overdue, async |test| {
    let (db, log) = (&test.db, SeaOrmLog::new(test.db.clone()));
    let events = store(db, 3).await?;
    for name in ["mail", "sqs"] {
        let name = subscription(name);
        let (leader, _) = lead(&log, &name).await?;
        dispatched(&log, &name, leader, 0, &[1, 2, 3]).await?;
    }
    let past: DateTimeUtc = events[0].created_at - TimeDelta::hours(1);
    run(
        db,
        "UPDATE outbox_receipt SET ack_due_at = ? WHERE subscription = 'sqs' AND seq <> 1",
        [past.into()],
    )
    .await?;
    let outbox = Outbox::new(db.clone());
    assert_eq!(outbox.unacknowledged(&Awaited::all()).await?.len(), 6);
    assert_eq!(outbox.unacknowledged(&Awaited::all().of("mail").at_most(2)).await?.len(), 2);
    let overdue = outbox.unacknowledged(&Awaited::overdue()).await?;
    assert_eq!(overdue.iter().map(|row| row.seq).collect::<Vec<_>>(), [2, 3]);
    let row = &overdue[0];
    assert_eq!((row.subscription.as_str(), row.id, row.overdue), ("sqs", Some(events[1].id), true));
    assert_eq!((row.broker_id.as_deref(), row.event_type.as_deref()), (Some("m-2"), Some("order.placed")));
    let listed = outbox.unacknowledged(&Awaited::all().of("sqs")).await?;
    assert_eq!(
        listed.iter().map(|row| (row.seq, row.overdue)).collect::<Vec<_>>(),
        [(2, true), (3, true), (1, false)],
        "the longest overdue first"
    );
    Ok(())
});

on_each_database!(an_operator_resends_what_is_overdue_and_not_on_hold, async |test| {
    let (db, log, name) = (&test.db, SeaOrmLog::new(test.db.clone()), subscription("sqs"));
    let events = store(db, 3).await?;
    let (leader, _) = lead(&log, &name).await?;
    dispatched(&log, &name, leader, 0, &[1, 2, 3]).await?;
    let past: DateTimeUtc = events[0].created_at - TimeDelta::hours(1);
    run(db, "UPDATE outbox_receipt SET ack_due_at = ? WHERE seq > 1", [past.into()]).await?;
    run(db, "INSERT INTO outbox_hold (subscription, seq, state) VALUES ('sqs', 2, 'dead')", []).await?;
    let operator = Outbox::new(db.clone()).acting_as("ada", "the consumer was away")?;
    let nobody = operator.resend(&Awaited::overdue()).await;
    assert!(matches!(nobody, Err(OutboxError::WithoutSubscription)), "{nobody:?}");
    let many = Awaited::overdue().of("sqs").seqs(1..=10_001);
    let refused = operator.resend(&many).await.expect_err("more than a statement takes");
    assert!(matches!(refused, OutboxError::TooManySeqs { at_most: 10_000, found: 10_001 }), "{refused:?}");
    assert_eq!(Outbox::new(db.clone()).unacknowledged(&many.seqs(1..=10_000)).await?.len(), 2);

    let overdue = Awaited::overdue().of("sqs");
    let resent = tokio::spawn({
        let (operator, overdue) = (operator.clone(), overdue.clone());
        async move { operator.resend(&overdue).await }
    });
    assert_eq!(resent.await??, Resent { seqs: vec![3], on_hold: 1 });
    let due = log.due(&name, &"/orders".into(), 10).await?;
    assert_eq!(
        due.iter().map(|(hold, message)| (hold.seq, message.id)).collect::<Vec<_>>(),
        [(3, events[2].id)]
    );
    assert_eq!((&due[0].0.aggregate, due[0].0.replay), (&None, None), "the same message, beside every order");
    let dead = hold::Entity::find_by_id(("sqs".to_owned(), 2)).one(db).await?.expect("it is there");
    assert_eq!(dead.state, "dead");
    assert_eq!(operator.resend(&overdue).await?, Resent { seqs: vec![], on_hold: 2 });
    let audited = audit::Entity::find().all(db).await?;
    assert_eq!(
        audited.iter().map(|row| (row.action.as_str(), row.target.as_str())).collect::<Vec<_>>(),
        [("resend", "sqs/3-3 (1 events)")]
    );
    Ok(())
});

on_each_database!(what_is_not_settled_is_not_sent_again_beside_its_order, async |test| {
    let (db, log, name) = (&test.db, SeaOrmLog::new(test.db.clone()), subscription("sqs"));
    store(db, 3).await?;
    let (leader, _) = lead(&log, &name).await?;
    dispatched(&log, &name, leader, 0, &[1, 2, 3]).await?;
    run(db, "UPDATE outbox_subscription SET position = 2, holes = '1'", []).await?;
    let operator = Outbox::new(db.clone()).acting_as("ada", "the consumer was away")?;
    assert_eq!(operator.resend(&Awaited::all().of("sqs")).await?, Resent { seqs: vec![2], on_hold: 0 });
    Ok(())
});
