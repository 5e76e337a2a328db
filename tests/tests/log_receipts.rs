//! What is remembered of deliveries, what is sent again when nobody acknowledges it, and what purge leaves because of it.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use outbox_core::{
    event::NewEvent,
    log::{
        AfterRetention, Due, EventLog as _, Flush, Flushed, Hold, HoldChange, HoldState, Owner, PurgeRequest,
        Receipt,
    },
    message::{Headers, Seq},
    testing::new_event,
};
use outbox_seaorm::{
    SeaOrmLog,
    tables::{event, hold, receipt},
};
use outbox_tests::{
    Kind, TestDb,
    database::until,
    events::{lead, order_event, run, seqs, store, subscription},
    on_each_database,
};
use sea_orm::{
    ActiveModelTrait as _, ConnectionTrait as _, DatabaseConnection, EntityTrait as _, QueryOrder as _, Set,
    Statement, TransactionTrait as _,
};

const HOUR: Duration = Duration::from_secs(3_600);

fn receipt(seq: Seq, broker_id: &str, ack_within: Option<Duration>) -> Receipt {
    Receipt { seq, broker_id: Some(broker_id.into()), ack_within }
}

fn flush(previous_flush_no: i64, receipts: Vec<Receipt>) -> Flush {
    Flush { previous_flush_no, receipts, ..Flush::default() }
}

async fn receipts(db: &DatabaseConnection) -> anyhow::Result<Vec<receipt::Model>> {
    Ok(receipt::Entity::find().order_by_asc(receipt::Column::Seq).all(db).await?)
}

async fn holds(db: &DatabaseConnection) -> anyhow::Result<Vec<hold::Model>> {
    Ok(hold::Entity::find().order_by_asc(hold::Column::Seq).all(db).await?)
}

async fn events(db: &DatabaseConnection) -> anyhow::Result<Vec<event::Model>> {
    Ok(event::Entity::find().order_by_asc(event::Column::Seq).all(db).await?)
}

/// The acknowledgements of these are overdue now.
async fn let_time_pass(db: &DatabaseConnection) -> anyhow::Result<()> {
    let past = Utc::now() - TimeDelta::minutes(1);
    run(db, "UPDATE outbox_receipt SET ack_due_at = ? WHERE ack_due_at IS NOT NULL", [past.into()]).await?;
    Ok(())
}

on_each_database!(a_receipt_is_stored_with_the_flush_and_replaced_when_the_event_goes_again, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let name = subscription("sqs");
    let (leader, _) = lead(&log, &name).await?;
    let long = format!("ż\0{}", "🧾".repeat(400));
    let first = vec![receipt(1, "one", Some(HOUR)), Receipt { broker_id: None, ..receipt(2, "", None) }];
    assert_eq!(log.flush(&name, Owner::random(), &flush(0, first.clone())).await?, Flushed::Fenced);
    assert_eq!(receipts(&test.db).await?, []);
    assert_eq!(log.flush(&name, leader, &flush(0, first)).await?, Flushed::Stored);
    let stored = receipts(&test.db).await?;
    assert_eq!(stored.iter().map(|row| row.broker_id.as_deref()).collect::<Vec<_>>(), [Some("one"), None]);
    let due = stored[0].ack_due_at.expect("it is awaited") - stored[0].dispatched_at;
    assert!((due - TimeDelta::hours(1)).abs() < TimeDelta::seconds(20), "found {due}");
    assert_eq!((stored[1].ack_due_at, stored[1].acknowledged_at), (None, None));

    let earlier = Utc::now() - TimeDelta::hours(5);
    run(
        &test.db,
        "UPDATE outbox_receipt SET dispatched_at = ?, acknowledged_at = ?, ack_due_at = NULL",
        [earlier.into(), earlier.into()],
    )
    .await?;
    let again =
        vec![receipt(1, &long, Some(HOUR)), receipt(2, "two", None), receipt(3, "", Some(Duration::MAX))];
    assert_eq!(log.flush(&name, leader, &flush(1, again)).await?, Flushed::Stored);
    let stored = receipts(&test.db).await?;
    assert_eq!(stored.len(), 3);
    assert!(stored.iter().all(|row| row.dispatched_at > earlier + TimeDelta::hours(4)));
    let id = stored[0].broker_id.as_deref().expect("an id");
    assert!(id.starts_with("ż🧾") && id.chars().count() == 255, "found {id}");
    for row in &stored[..2] {
        // It may have come before this flush. Only an operator's replay takes it away, and then it is awaited anew.
        assert!(
            row.ack_due_at.is_none() && row.acknowledged_at.is_some(),
            "an acknowledgement stays: {row:?}"
        );
    }
    assert!(stored[2].ack_due_at.is_some());
    Ok(())
});

on_each_database!(events_of_the_relays_own_are_stored_with_its_progress_or_not_at_all, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let name = subscription("sqs");
    let (leader, _) = lead(&log, &name).await?;
    let mut headers = Headers::new();
    headers.insert("why", "refused");
    let copy = NewEvent { headers, payload: "{\"a\":1}".into(), ..new_event("orders.dead", "7", "") };
    let copies = |flush_no| Flush {
        captured: vec![copy.clone(), new_event("orders.dead", "8", "{}")],
        ..flush(flush_no, vec![])
    };
    assert_eq!(log.flush(&name, leader, &copies(5)).await?, Flushed::Fenced);
    assert_eq!(events(&test.db).await?.len(), 0);
    assert_eq!(log.flush(&name, leader, &copies(0)).await?, Flushed::Stored);
    let stored = events(&test.db).await?;
    assert_eq!(stored.iter().map(|row| row.topic.as_str()).collect::<Vec<_>>(), ["orders.dead"; 2]);
    assert_eq!((stored[0].id, stored[0].payload.as_str()), (copy.id, "{\"a\":1}"));
    assert_eq!(stored[0].headers.as_deref(), Some("{\"why\":\"refused\"}"));
    assert_eq!(stored[1].aggregate_id.as_deref(), Some("8"));
    Ok(())
});

on_each_database!(an_event_that_no_column_takes_as_it_is_does_not_fail_the_flush_for_ever, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let name = subscription("sqs");
    let (leader, _) = lead(&log, &name).await?;
    let mut headers = Headers::new();
    headers.insert("why", "it said \0");
    headers.insert("long", "ż".repeat(40_000));
    let copy = NewEvent {
        event_type: "t\0ype".repeat(100),
        aggregate_id: Some("🧾".repeat(300)),
        headers,
        occurred_at: chrono::DateTime::<Utc>::MAX_UTC,
        payload: "{\"a\":\"\0\"}".into(),
        ..new_event(&"x".repeat(300), "7", "")
    };
    // Together more than MySQL takes at once.
    let large = (0..18).map(|n| new_event("large", &n.to_string(), &format!("\"{}\"", "ż".repeat(500_000))));
    let captured = [copy].into_iter().chain(large).collect();
    assert_eq!(log.flush(&name, leader, &Flush { captured, ..flush(0, vec![]) }).await?, Flushed::Stored);
    let stored = events(&test.db).await?;
    assert_eq!(stored.len(), 19);
    assert_eq!((stored[0].topic.len(), stored[0].event_type.len()), (255, 255));
    assert_eq!(stored[0].payload, "{\"a\":\"\"}");
    assert!(stored[0].headers.as_deref().is_some_and(|text| text.contains("why")));
    assert_eq!(stored[18].aggregate_id.as_deref(), Some("17"), "in their order");
    Ok(())
});

on_each_database!(what_nobody_acknowledged_in_time_is_sent_again_outside_of_every_order, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let (name, other) = (subscription("sqs"), subscription("other"));
    for order in 1..=5 {
        store(&test.db, &order.to_string()).await?;
    }
    let (leader, _) = lead(&log, &name).await?;
    let (others_leader, _) = lead(&log, &other).await?;
    log.flush(&other, others_leader, &flush(0, vec![receipt(5, "5", Some(HOUR))])).await?;
    let awaited = (1..=4).map(|seq| receipt(seq, "id", Some(HOUR))).collect();
    let kept = Hold {
        seq: 2,
        aggregate: Some(("order".into(), "2".into())),
        state: HoldState::Dead,
        attempts: 9,
        due: Due::Never,
        last_error: None,
        replay: None,
    };
    let first = Flush { holds: vec![HoldChange::Insert(kept)], ..flush(0, awaited) };
    assert_eq!(log.flush(&name, leader, &first).await?, Flushed::Stored);
    assert_eq!(log.resend_unacknowledged(&name, HOUR, 10).await?, 0, "there is time left");

    let_time_pass(&test.db).await?;
    run(&test.db, "UPDATE outbox_receipt SET ack_due_at = NULL WHERE seq = 3", []).await?;
    assert_eq!(log.resend_unacknowledged(&name, HOUR, 2).await?, 1, "1 goes again, 2 is on hold already");
    assert_eq!(log.resend_unacknowledged(&name, HOUR, 2).await?, 1, "4 goes again, 3 was acknowledged");
    assert_eq!(log.resend_unacknowledged(&name, HOUR, 2).await?, 0, "all have time again");
    let held = holds(&test.db).await?;
    assert_eq!(
        held.iter().map(|row| (row.seq, row.state.as_str(), row.attempts)).collect::<Vec<_>>(),
        [(1, "scheduled", 0), (2, "dead", 9), (4, "scheduled", 0)]
    );
    let due = log.due(&name, &"/orders".into(), 10).await?;
    assert_eq!(
        due.iter().map(|(hold, _)| (hold.seq, &hold.aggregate)).collect::<Vec<_>>(),
        [(1, &None), (4, &None)]
    );
    let now = Utc::now();
    let awaited: Vec<_> =
        receipts(&test.db).await?.iter().map(|row| row.ack_due_at.is_some_and(|due| due > now)).collect();
    assert_eq!(awaited, [true, true, false, true, false], "the other subscription's is overdue as it was");
    Ok(())
});

on_each_database!(a_receipt_of_an_event_that_was_deleted_by_hand_is_not_awaited_for_ever, async |test| {
    let (log, leader) = old_events(&test, 4).await?;
    let name = subscription("sqs");
    let anchor = events(&test.db).await?.last().map(|row| row.id);
    let awaited = vec![receipt(1, "gone", Some(HOUR)), receipt(2, "there", Some(HOUR))];
    let flush = Flush { position: 4, anchor, ..flush(1, awaited) };
    assert_eq!(log.flush(&name, leader, &flush).await?, Flushed::Stored);
    run(&test.db, "DELETE FROM outbox_event WHERE seq = 1", []).await?;
    let_time_pass(&test.db).await?;
    log.resend_unacknowledged(&name, HOUR, 10).await?;
    let due = log.due(&name, &"/orders".into(), 10).await?;
    assert_eq!(due.iter().map(|(hold, _)| hold.seq).collect::<Vec<_>>(), [2]);
    assert_eq!(receipts(&test.db).await?.iter().map(|row| row.seq).collect::<Vec<_>>(), [2]);
    Ok(())
});

const DAY: PurgeRequest =
    PurgeRequest { keep: Duration::from_secs(86_400), then: AfterRetention::Delete, chunk: 100 };

/// Events of two days ago; one subscription has read all of them.
async fn old_events(test: &TestDb, count: i64) -> anyhow::Result<(SeaOrmLog, Owner)> {
    let mut last = None;
    for seq in 1..=count {
        let created_at = Set(Utc::now() - TimeDelta::days(2));
        last = Some(
            event::ActiveModel { created_at, ..order_event(&seq.to_string(), "{}") }.insert(&test.db).await?,
        );
    }
    let log = SeaOrmLog::new(test.db.clone());
    let (leader, _) = lead(&log, &subscription("sqs")).await?;
    let anchor = last.map(|row| row.id);
    let all = Flush { position: count, anchor, ..flush(0, vec![]) };
    assert_eq!(log.flush(&subscription("sqs"), leader, &all).await?, Flushed::Stored);
    Ok((log, leader))
}

on_each_database!(purge_leaves_what_is_not_acknowledged_and_takes_receipts_along, async |test| {
    let (log, leader) = old_events(&test, 8).await?;
    let name = subscription("sqs");
    let anchor = events(&test.db).await?.last().map(|row| row.id);
    let at_end =
        |flush_no, receipts| Flush { position: 8, anchor, holes: seqs(""), ..flush(flush_no, receipts) };
    let some =
        vec![receipt(1, "", None), receipt(2, "", None), receipt(4, "", Some(HOUR)), receipt(6, "", None)];
    assert_eq!(log.flush(&name, leader, &at_end(1, some)).await?, Flushed::Stored);
    let (other, _) = lead(&log, &subscription("other")).await?;
    let others =
        Flush { position: 8, anchor, ..flush(0, vec![receipt(3, "", None), receipt(5, "", Some(HOUR))]) };
    assert_eq!(log.flush(&subscription("other"), other, &others).await?, Flushed::Stored);

    assert_eq!(log.purge(DAY).await?.floor, 3);
    let left = async || -> anyhow::Result<(Vec<Seq>, Vec<Seq>)> {
        let events = events(&test.db).await?.iter().map(|row| row.seq).collect();
        Ok((events, receipts(&test.db).await?.iter().map(|row| row.seq).collect()))
    };
    assert_eq!(left().await?, (vec![4, 5, 6, 7, 8], vec![4, 5, 6]));
    run(&test.db, "UPDATE outbox_receipt SET ack_due_at = NULL WHERE seq = 4", []).await?;
    assert_eq!(log.purge(DAY).await?.floor, 4, "the other subscription awaits 5");
    run(&test.db, "UPDATE outbox_receipt SET ack_due_at = NULL WHERE seq = 5", []).await?;
    assert_eq!(log.purge(DAY).await?.floor, 7, "up to the position");
    assert_eq!(left().await?, (vec![8], vec![]));
    Ok(())
});

/// Waits until a statement waits for the lock of another session. It waits for a second, so that the answer is still of use.
async fn until_one_waits(test: &TestDb) {
    let question = match test.kind {
        Kind::Postgres => {
            "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        }
        _ => {
            // The list of transactions is not told anew to whoever asks for it more often than every 100 ms.
            "SELECT COUNT(*) FROM information_schema.PROCESSLIST
             WHERE db = DATABASE() AND id <> CONNECTION_ID() AND command IN ('Query', 'Execute')
               AND info LIKE '%outbox_receipt%FOR UPDATE%'"
        }
    };
    let question = Statement::from_string(test.db.get_database_backend(), question);
    until("a statement that waits", Duration::from_secs(20), async || {
        let row = test.db.query_one_raw(question.clone()).await.ok()??;
        (row.try_get_by_index::<i64>(0).ok()? > 0).then_some(())
    })
    .await;
}

async fn what_is_acknowledged_this_moment_is_not_sent_again(test: &TestDb) -> anyhow::Result<()> {
    let log = SeaOrmLog::new(test.db.clone());
    let name = subscription("sqs");
    store(&test.db, "1").await?;
    let (leader, _) = lead(&log, &name).await?;
    log.flush(&name, leader, &flush(0, vec![receipt(1, "1", Some(HOUR))])).await?;
    let_time_pass(&test.db).await?;
    let acknowledgement = test.db.begin().await?;
    run(&acknowledgement, "UPDATE outbox_receipt SET ack_due_at = NULL", []).await?;
    let resend = tokio::spawn(async move { log.resend_unacknowledged(&name, HOUR, 10).await });
    until_one_waits(test).await;
    acknowledgement.commit().await?;
    assert_eq!(resend.await??, 0);
    assert_eq!(holds(&test.db).await?, []);
    assert_eq!(receipts(&test.db).await?[0].ack_due_at, None, "it stays acknowledged");
    Ok(())
}

mod an_acknowledgement_and_a_resend_at_once {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn postgres() {
        TestDb::run(Kind::Postgres, async |test| {
            what_is_acknowledged_this_moment_is_not_sent_again(&test).await
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn mariadb() {
        TestDb::run(Kind::Mariadb, async |test| {
            what_is_acknowledged_this_moment_is_not_sent_again(&test).await
        })
        .await;
    }
}

/// PostgreSQL's locks of tables stop a reader where the test wants it; the order of the reads is the same everywhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purge_reads_the_holes_before_the_receipts_that_they_may_become_on_postgres() {
    TestDb::run(Kind::Postgres, async |test| {
        let (log, leader) = old_events(&test, 4).await?;
        let name = subscription("sqs");
        let anchor = events(&test.db).await?.last().map(|row| row.id);
        let hole = Flush { position: 4, anchor, holes: seqs("2"), ..flush(1, vec![]) };
        assert_eq!(log.flush(&name, leader, &hole).await?, Flushed::Stored);

        let publishing = test.db.begin().await?;
        run(&publishing, "LOCK TABLE outbox_subscription IN ACCESS EXCLUSIVE MODE", []).await?;
        let purging = log.clone();
        let purge = tokio::spawn(async move { purging.purge(DAY).await });
        until_one_waits(&test).await;
        run(&publishing, "UPDATE outbox_subscription SET holes = ''", []).await?;
        run(
            &publishing,
            "INSERT INTO outbox_receipt (subscription, seq, ack_due_at) VALUES ('sqs', 2, now())",
            [],
        )
        .await?;
        publishing.commit().await?;
        // It may have given up on the lock: then it is asked again.
        let purged = match purge.await? {
            Ok(purged) => purged,
            Err(_) => log.purge(DAY).await?,
        };
        assert_eq!((purged.removed, purged.floor), (1, 1), "up to the receipt");
        Ok(())
    })
    .await;
}
