//! Moving a subscription back: nothing is skipped, nothing that was not settled is forgotten, no leader writes over it.

use chrono::{DateTime, TimeDelta, Utc};
use outbox_core::{
    log::{Acquired, AfterRetention, EventLog as _, Flush, Flushed, LogError, Owner, PurgeRequest, Receipt},
    message::Seq,
};
use outbox_seaorm::{
    Outbox, SeaOrmLog,
    outbox::{Operator, OutboxError, RewindTo},
    tables::{audit, event, hold, receipt, subscription as row},
};
use outbox_tests::{
    Kind, TestDb,
    events::{LEASE, lead, order_event, run, seqs, store, subscription},
    on_each_database,
    reader::Reader,
};
use sea_orm::{
    ActiveModelTrait as _, ConnectionTrait as _, DbBackend, EntityTrait as _, QueryOrder as _, Statement,
    TransactionTrait as _,
};

fn ada(test: &TestDb) -> Operator {
    Outbox::new(test.db.clone()).acting_as("ada", "the broker lost its disk").expect("a name and a reason")
}

async fn stored(test: &TestDb) -> row::Model {
    row::Entity::find_by_id("sqs").one(&test.db).await.expect("asking").expect("the row")
}

async fn id_of(test: &TestDb, seq: Seq) -> uuid::Uuid {
    event::Entity::find_by_id(seq).one(&test.db).await.expect("asking").expect("the event").id
}

/// Six events, all read and settled but those in `holes`.
async fn read_up_to_six(test: &TestDb, holes: &str) -> anyhow::Result<(SeaOrmLog, Owner)> {
    let log = SeaOrmLog::new(test.db.clone());
    for order in 1..=6 {
        store(&test.db, &order.to_string()).await?;
    }
    let (owner, _) = lead(&log, &subscription("sqs")).await?;
    let flush =
        Flush { position: 6, anchor: Some(id_of(test, 6).await), holes: seqs(holes), ..Flush::default() };
    assert_eq!(log.flush(&subscription("sqs"), owner, &flush).await?, Flushed::Stored);
    Ok((log, owner))
}

on_each_database!(a_rewind_to_a_seq_keeps_what_was_not_settled_and_fences_the_leader, async |test| {
    let (log, owner) = read_up_to_six(&test, "2,5").await?;
    run(
        &test.db,
        "INSERT INTO outbox_hold (subscription, seq, state, attempts)
         VALUES ('sqs', 1, 'dead', 5), ('sqs', 3, 'blocked', 0), ('sqs', 4, 'dead', 5), ('sqs', 6, 'retry', 1)",
        [],
    )
    .await?;
    let rewound = ada(&test).rewind("sqs", RewindTo::After(3)).await?;
    assert_eq!((rewound.position, rewound.was, rewound.floor, rewound.holds_ended), (3, 6, 0, 2));
    let after = stored(&test).await;
    assert_eq!((after.position, after.anchor, after.holes.as_str()), (3, Some(id_of(&test, 3).await), "2"));
    assert_eq!((after.flush_no, after.interventions), (2, 1));
    let held = hold::Entity::find().order_by_asc(hold::Column::Seq).all(&test.db).await?;
    assert_eq!(
        held.iter().map(|hold| hold.seq).collect::<Vec<_>>(),
        [1, 3],
        "those behind it are read again"
    );

    let late =
        Flush { position: 6, anchor: Some(id_of(&test, 6).await), previous_flush_no: 1, ..Flush::default() };
    assert_eq!(log.flush(&subscription("sqs"), owner, &late).await?, Flushed::Fenced);
    assert_eq!(stored(&test).await.position, 3);
    let entry = audit::Entity::find().one(&test.db).await?.expect("the audit's row");
    assert_eq!((entry.action.as_str(), entry.target.as_str()), ("rewind", "sqs/3, from 6"));

    // What it goes on with: the hole, and all behind the place.
    log.release(&subscription("sqs"), owner).await?;
    let mut reader = Reader::lead(log, "sqs").await?;
    assert_eq!(reader.settle().await?, [2, 4, 5, 6]);
    Ok(())
});

on_each_database!(what_is_read_again_is_not_sent_again_beside_it, async |test| {
    let (log, owner) = read_up_to_six(&test, "").await?;
    let name = subscription("sqs");
    let ack_within = Some(std::time::Duration::from_secs(3_600));
    let receipt = |seq| Receipt { seq, broker_id: Some("m".into()), ack_within };
    let published = |previous_flush_no, seqs: &[Seq]| Flush {
        previous_flush_no,
        receipts: seqs.iter().map(|seq| receipt(*seq)).collect(),
        ..Flush::default()
    };
    let at_six = Flush { position: 6, anchor: Some(id_of(&test, 6).await), ..published(1, &[2, 3, 4, 5, 6]) };
    assert_eq!(log.flush(&name, owner, &at_six).await?, Flushed::Stored);
    let outbox = Outbox::new(test.db.clone());
    for seq in [3, 6] {
        outbox.acknowledge("sqs", seq, id_of(&test, seq).await).await?;
    }
    let past = Utc::now() - TimeDelta::minutes(1);
    run(&test.db, "UPDATE outbox_receipt SET ack_due_at = ? WHERE ack_due_at IS NOT NULL", [past.into()])
        .await?;

    ada(&test).rewind("sqs", RewindTo::After(3)).await?;
    let receipts = receipt::Entity::find().order_by_asc(receipt::Column::Seq).all(&test.db).await?;
    assert_eq!(
        receipts
            .iter()
            .map(|row| (row.seq, row.ack_due_at.is_some(), row.acknowledged_at.is_some()))
            .collect::<Vec<_>>(),
        [(2, true, false), (3, false, true), (4, false, false), (5, false, false), (6, false, false)],
        "those up to the place are as they were"
    );
    assert_eq!(log.resend_unacknowledged(&name, LEASE, 10).await?, 1, "the second only");
    assert_eq!(
        hold::Entity::find().all(&test.db).await?.iter().map(|hold| hold.seq).collect::<Vec<_>>(),
        [2]
    );

    // Published again, each is awaited for itself, also where the delivery before was acknowledged.
    let again = Flush { position: 6, anchor: Some(id_of(&test, 6).await), ..published(3, &[4, 5, 6]) };
    assert_eq!(log.flush(&name, owner, &again).await?, Flushed::Stored);
    let awaited = outbox.unacknowledged(&outbox_seaorm::outbox::Awaited::all()).await?;
    assert_eq!(awaited.len(), 4);
    Ok(())
});

on_each_database!(a_rewind_to_a_time_or_to_the_beginning_goes_as_far_as_the_log_reaches, async |test| {
    let (log, owner) = read_up_to_six(&test, "").await?;
    let begin: DateTime<Utc> = "2026-03-01T00:00:00Z".parse()?;
    for seq in 1..=6 {
        let at = begin + TimeDelta::minutes(seq);
        run(&test.db, "UPDATE outbox_event SET created_at = ? WHERE seq = ?", [at.into(), seq.into()])
            .await?;
    }
    let at = |seq| RewindTo::Time(begin + TimeDelta::minutes(seq) - TimeDelta::seconds(1));
    assert_eq!(ada(&test).rewind("sqs", at(5)).await?.position, 4);
    assert_eq!(stored(&test).await.anchor, Some(id_of(&test, 4).await));
    let error = ada(&test).rewind("sqs", at(6)).await.expect_err("it would skip event 5");
    assert!(matches!(error, OutboxError::NotBack { found: 5, position: 4, .. }), "found {error}");
    let error = ada(&test).rewind("sqs", RewindTo::After(5)).await.expect_err("it would skip event 5");
    assert!(matches!(error, OutboxError::NotBack { .. }), "found {error}");
    assert_eq!(stored(&test).await.position, 4);

    // Everything below 4 is purged.
    let purge = PurgeRequest { keep: std::time::Duration::ZERO, then: AfterRetention::Delete, chunk: 100 };
    assert_eq!(log.purge(purge).await?.floor, 3);
    let error = ada(&test).rewind("sqs", RewindTo::After(2)).await.expect_err("it is gone");
    assert!(matches!(error, OutboxError::Purged { found: 2, floor: 3 }), "found {error}");
    for to in [at(1), RewindTo::After(3), RewindTo::Beginning] {
        let rewound = ada(&test).rewind("sqs", to).await?;
        assert_eq!((rewound.position, rewound.floor), (3, 3), "to {to:?}");
        let after = stored(&test).await;
        assert_eq!((after.anchor, after.holes.as_str()), (None, ""));
    }
    log.release(&subscription("sqs"), owner).await?;
    assert_eq!(Reader::lead(log, "sqs").await?.settle().await?, [4, 5, 6]);
    let error = ada(&test).rewind("sqss", RewindTo::Beginning).await.expect_err("a slip");
    assert!(matches!(error, OutboxError::UnknownSubscription { .. }), "found {error}");
    Ok(())
});

on_each_database!(a_number_that_a_slow_writer_still_holds_comes_after_a_rewind, async |test| {
    if test.kind == Kind::Sqlite {
        return Ok(()); // one writer at a time: there are no such numbers
    }
    let log = SeaOrmLog::new(test.db.clone());
    store(&test.db, "1").await?;
    let slow = test.db.begin().await?;
    order_event("2", "{}").insert(&slow).await?;
    for order in ["3", "4"] {
        store(&test.db, order).await?;
    }
    let mut reader = Reader::lead(log.clone(), "sqs").await?;
    assert_eq!(reader.poll(100).await?, [1, 3, 4]);
    ada(&test).rewind("sqs", RewindTo::After(3)).await?;
    assert_eq!(stored(&test).await.holes, "2", "it was never proved to stay empty");

    // The same where nothing of what is stored can be trusted.
    run(&test.db, "UPDATE outbox_subscription SET anchor = ?, holes = ''", [uuid::Uuid::nil().into()])
        .await?;
    ada(&test).rewind("sqs", RewindTo::After(3)).await?;
    assert_eq!(stored(&test).await.holes, "2");
    slow.commit().await?;
    log.release(&subscription("sqs"), reader.owner).await?;
    assert_eq!(Reader::lead(log, "sqs").await?.settle().await?, [2, 4]);
    Ok(())
});

on_each_database!(a_subscription_whose_place_is_gone_from_the_log_goes_on_after_a_rewind, async |test| {
    let (log, owner) = read_up_to_six(&test, "2,5").await?;
    let name = subscription("sqs");
    log.release(&name, owner).await?;
    // A restore brought back a log that ends with event 3, and its counter with it.
    run(&test.db, "DELETE FROM outbox_event WHERE seq > 3", []).await?;
    match test.kind {
        Kind::Sqlite => {
            run(&test.db, "UPDATE sqlite_sequence SET seq = 3 WHERE name = 'outbox_event'", []).await?
        }
        Kind::Postgres => {
            run(&test.db, "ALTER TABLE outbox_event ALTER COLUMN seq RESTART WITH 4", []).await?
        }
        Kind::Mariadb => run(&test.db, "ALTER TABLE outbox_event AUTO_INCREMENT = 4", []).await?,
    };
    let error = log.acquire(&name, Owner::random(), LEASE).await.expect_err("its anchor is gone");
    assert!(matches!(error, LogError::AnchorGone { .. }), "found {error}");
    assert!(error.to_string().contains("rewind the subscription"), "found {error}");
    run(&test.db, "UPDATE outbox_subscription SET anchor = NULL", []).await?;
    let error =
        log.acquire(&name, Owner::random(), LEASE).await.expect_err("its position is beyond the counter");
    assert!(error.to_string().contains("rewind the subscription"), "found {error}");

    let rewound = ada(&test).rewind("sqs", RewindTo::After(6)).await?;
    assert_eq!((rewound.position, rewound.was), (3, 6));
    assert_eq!(stored(&test).await.holes, "2");
    assert_eq!(store(&test.db, "7").await?, 4, "a number that was given out before");
    assert!(matches!(log.acquire(&name, Owner::random(), LEASE).await?, Acquired::Leader(_)));
    run(&test.db, "UPDATE outbox_subscription SET owner = NULL", []).await?;
    assert_eq!(Reader::lead(log, "sqs").await?.settle().await?, [2, 4]);
    Ok(())
});

on_each_database!(a_rewind_waits_for_whoever_has_the_floor, async |test| {
    read_up_to_six(&test, "").await?;
    let purge = test.db.begin().await?;
    run(&purge, "UPDATE outbox_meta SET floor = 2 WHERE id = 1", []).await?;
    let operator = ada(&test);
    let mut rewind = std::pin::pin!(operator.rewind("sqs", RewindTo::After(1)));
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), &mut rewind).await;
    assert!(early.is_err(), "it has to know what was purged");
    purge.commit().await?;
    let error = rewind.await.expect_err("it is gone");
    assert!(matches!(error, OutboxError::Purged { found: 1, floor: 2 }), "found {error}");
    Ok(())
});

#[tokio::test]
async fn a_rewind_has_the_time_that_a_pass_over_the_log_takes() {
    TestDb::run(Kind::Postgres, async |test| {
        read_up_to_six(&test, "").await?;
        // Of the transaction in which the position is moved back, as the server sees it.
        test.db
            .execute_unprepared(
                "CREATE TABLE seen (statement text, lock text);
                 CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                     INSERT INTO seen
                     VALUES (current_setting('statement_timeout'), current_setting('lock_timeout'));
                     RETURN NEW;
                 END $$;
                 CREATE TRIGGER see AFTER UPDATE OF position ON outbox_subscription
                     FOR EACH ROW EXECUTE FUNCTION see();",
            )
            .await?;
        ada(&test).rewind("sqs", RewindTo::Time(Utc::now() - TimeDelta::hours(1))).await?;
        let ask = Statement::from_string(DbBackend::Postgres, "SELECT statement, lock FROM seen");
        let seen = test.db.query_one_raw(ask).await?.expect("it was moved");
        let seen: (String, String) = (seen.try_get_by(0)?, seen.try_get_by(1)?);
        assert_eq!(seen, ("10min".to_owned(), "30s".to_owned()));
        Ok(())
    })
    .await;
}
