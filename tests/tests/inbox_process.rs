//! The inbox as a function, for any loop: one transaction for the row, the writes and the events.

use outbox_core::{
    consumer::{InboxError, MessageKey, Processed},
    message::ReceivedMessage,
};
use outbox_seaorm::{
    Inbox, Tx,
    tables::{audit, event, inbox_message},
};
use outbox_tests::{TestDb, on_each_database};
use sea_orm::{
    ActiveModelTrait as _, ConnectionTrait, DbErr, EntityTrait as _, PaginatorTrait as _, Set,
    TransactionSession as _, TransactionTrait as _,
};

fn message(id: &str) -> ReceivedMessage {
    ReceivedMessage::new("/orders", id, "order.placed", "{}")
}

/// The effect of a handler: one row.
async fn effect<C: ConnectionTrait>(db: &C, what: &str) -> Result<(), DbErr> {
    audit::ActiveModel {
        at: Set(chrono::Utc::now()),
        actor: Set("handler".into()),
        action: Set("processed".into()),
        target: Set(what.into()),
        ..Default::default()
    }
    .insert(db)
    .await?;
    Ok(())
}

/// An event that a handler raises.
async fn raise<C: ConnectionTrait>(db: &C) -> Result<(), DbErr> {
    event::ActiveModel {
        id: Set(uuid::Uuid::now_v7()),
        event_type: Set("stock.reserved".into()),
        event_version: Set(1),
        topic: Set("inventory".into()),
        payload: Set("{}".into()),
        occurred_at: Set(chrono::Utc::now()),
        ..Default::default()
    }
    .insert(db)
    .await?;
    Ok(())
}

/// Effects, inbox rows and events.
async fn stored(test: &TestDb) -> Result<(u64, u64, u64), DbErr> {
    Ok((
        audit::Entity::find().count(&test.db).await?,
        inbox_message::Entity::find().count(&test.db).await?,
        event::Entity::find().count(&test.db).await?,
    ))
}

on_each_database!(writes_row_and_events_commit_together_and_a_copy_is_dropped, async |test| {
    let inbox = Inbox::new(test.db.clone(), "inventory")?;
    for expected in [Processed::Processed(7), Processed::Duplicate] {
        let outcome = inbox
            .process(&message("1"), async |txn| {
                effect(&txn, "1").await?;
                raise(&txn).await?;
                Ok::<_, DbErr>(7)
            })
            .await?;
        assert_eq!(outcome, expected);
        assert_eq!(stored(&test).await?, (1, 1, 1));
    }
    let row = inbox_message::Entity::find().one(&test.db).await?.expect("one row");
    assert_eq!(
        (&*row.consumer, &*row.source, &*row.message_id, &*row.replay),
        ("inventory", "/orders", "1", "")
    );
    let age = chrono::Utc::now() - row.processed_at;
    assert!(age.num_seconds().abs() < 60, "processed_at is the database's clock, found {age} ago");
    Ok(())
});

on_each_database!(an_error_of_the_handler_rolls_all_back_and_the_message_may_come_again, async |test| {
    let inbox = Inbox::new(test.db.clone(), "inventory")?;
    let failed = inbox
        .process(&message("1"), async |txn| {
            effect(&txn, "1").await.map_err(anyhow::Error::from)?;
            raise(&txn).await?;
            Err::<(), _>(anyhow::anyhow!("out of stock"))
        })
        .await;
    let Err(InboxError::Handler(error)) = failed else { panic!("found {failed:?}") };
    assert_eq!(error.to_string(), "out of stock");
    assert_eq!(stored(&test).await?, (0, 0, 0));

    let again = inbox.process(&message("1"), async |txn| effect(&txn, "1").await).await?;
    assert_eq!(again, Processed::Processed(()));
    assert_eq!(stored(&test).await?, (1, 1, 0));
    Ok(())
});

on_each_database!(two_consumers_in_one_database_each_process_their_copy, async |test| {
    for consumer in ["inventory", "Inventory", "mail"] {
        let inbox = Inbox::new(test.db.clone(), consumer)?;
        let outcome = inbox.process(&message("1"), async |txn| effect(&txn, consumer).await).await?;
        assert_eq!(outcome, Processed::Processed(()), "{consumer}");
    }
    assert_eq!(stored(&test).await?, (3, 3, 0));
    Ok(())
});

on_each_database!(an_id_is_the_same_message_only_within_its_source_and_replay, async |test| {
    let inbox = Inbox::new(test.db.clone(), "inventory")?;
    let keys = [
        MessageKey { source: "/orders", id: "a", replay: None },
        MessageKey { source: "/payments", id: "a", replay: None },
        // Ids are compared byte by byte.
        MessageKey { source: "/orders", id: "A", replay: None },
        MessageKey { source: "/orders", id: "ä", replay: None },
        MessageKey { source: "/orders", id: "a", replay: Some("2026-11-21") },
        MessageKey { source: "/orders", id: "a", replay: Some("2026-11-22") },
    ];
    for expected in [Processed::Processed(()), Processed::Duplicate] {
        for key in keys {
            let outcome = inbox.process(key, async |txn| effect(&txn, key.id).await).await?;
            assert_eq!(outcome, expected, "{key:?}");
        }
    }
    assert_eq!(stored(&test).await?, (6, 6, 0));
    Ok(())
});

on_each_database!(a_key_that_would_be_cut_short_is_refused_and_the_handler_does_not_run, async |test| {
    let inbox = Inbox::new(test.db.clone(), "inventory")?;
    for id in ["x".repeat(256), String::new(), "trailing ".to_owned()] {
        let refused = inbox.process(&message(&id), async |txn| effect(&txn, "never").await).await;
        let Err(InboxError::Key(reason)) = refused else { panic!("found {refused:?}") };
        assert!(reason.contains("a message's id"), "found {reason}");
    }
    let longest = "ü".repeat(255);
    let outcome = inbox.process(&message(&longest), async |txn| effect(&txn, "longest").await).await?;
    assert_eq!(outcome, Processed::Processed(()));
    assert_eq!(stored(&test).await?, (1, 1, 0));
    Ok(())
});

on_each_database!(a_clone_kept_past_the_handler_is_an_error_and_cannot_write_any_more, async |test| {
    let inbox = Inbox::new(test.db.clone(), "inventory")?;
    let mut kept: Option<Tx> = None;
    let failed = inbox
        .process(&message("1"), async |txn| {
            effect(&txn, "1").await?;
            kept = Some(txn.clone());
            Ok::<_, DbErr>(())
        })
        .await;
    assert!(matches!(failed, Err(InboxError::TransactionKept)), "found {failed:?}");
    let kept = kept.expect("kept by the handler");
    let late = effect(&kept, "late").await.expect_err("its transaction is over");
    assert!(late.to_string().contains("the transaction is over"), "found {late}");

    // The clone still lives, and it holds nothing up.
    let again = inbox.process(&message("1"), async |txn| effect(&txn, "again").await).await?;
    assert_eq!(again, Processed::Processed(()));
    assert_eq!(stored(&test).await?, (1, 1, 0));
    drop(kept);
    Ok(())
});

on_each_database!(
    a_savepoint_kept_past_the_handler_does_not_turn_the_commit_into_its_release,
    async |test| {
        let inbox = Inbox::new(test.db.clone(), "inventory")?;
        let mut kept: Option<Tx> = None;
        let failed = inbox
            .process(&message("1"), async |txn| {
                let savepoint = txn.begin().await?;
                effect(&savepoint, "1").await?;
                kept = Some(savepoint);
                Ok::<_, DbErr>(())
            })
            .await;
        assert!(matches!(failed, Err(InboxError::TransactionKept)), "found {failed:?}");
        assert_eq!(stored(&test).await?, (0, 0, 0));
        assert!(effect(&kept.expect("kept by the handler"), "late").await.is_err());
        let again = inbox.process(&message("1"), async |txn| effect(&txn, "again").await).await?;
        assert_eq!(again, Processed::Processed(()));
        Ok(())
    }
);

on_each_database!(a_clone_kept_by_a_handler_that_is_cancelled_does_not_hold_the_message, async |test| {
    let inbox = Inbox::new(test.db.clone(), "inventory")?;
    let (keep, mut kept) = tokio::sync::mpsc::unbounded_channel::<Tx>();
    let first = message("1");
    let mut cancelled = Box::pin(inbox.process(&first, async |txn| {
        effect(&txn, "cancelled").await?;
        let _ = keep.send(txn);
        std::future::pending::<Result<(), DbErr>>().await
    }));
    let kept = tokio::select! {
        _ = &mut cancelled => panic!("the handler never returns"),
        kept = kept.recv() => kept.expect("sent by the handler"),
    };
    drop(cancelled);
    let key = message("1");
    let again = inbox.process(&key, async |txn| effect(&txn, "again").await);
    let again = tokio::time::timeout(std::time::Duration::from_secs(30), again).await??;
    assert_eq!(again, Processed::Processed(()));
    assert!(effect(&kept, "late").await.is_err());
    assert_eq!(stored(&test).await?, (1, 1, 0));
    Ok(())
});

on_each_database!(the_handler_cannot_end_the_transaction_itself, async |test| {
    let inbox = Inbox::new(test.db.clone(), "inventory")?;
    let outcome = inbox
        .process(&message("1"), async |txn| {
            let refused = txn.clone().commit().await.expect_err("the inbox commits");
            assert!(refused.to_string().contains("the inbox ends it"), "found {refused}");
            assert!(txn.clone().rollback().await.is_err());
            let savepoint = txn.begin().await?;
            effect(&savepoint, "undone").await?;
            savepoint.rollback().await?;
            effect(&txn, "1").await
        })
        .await?;
    assert_eq!(outcome, Processed::Processed(()));
    assert_eq!(stored(&test).await?, (1, 1, 0));
    Ok(())
});

// PostgreSQL aborts a transaction at its first error and answers the commit with a silent rollback. Taken for a commit, the
// message would be acknowledged and its effects lost.
on_each_database!(a_swallowed_error_is_no_commit_that_stores_nothing, async |test| {
    let inbox = Inbox::new(test.db.clone(), "inventory")?;
    let outcome = inbox
        .process(&message("1"), async |txn| {
            effect(&txn, "1").await?;
            let twice = inbox_message::ActiveModel {
                consumer: Set("inventory".into()),
                source: Set("/orders".into()),
                message_id: Set("1".into()),
                replay: Set(String::new()),
                ..Default::default()
            };
            assert!(inbox_message::Entity::insert(twice).exec(&txn).await.is_err(), "the row is there");
            Ok::<_, DbErr>(())
        })
        .await;
    match outcome {
        Ok(Processed::Processed(())) => assert_eq!(stored(&test).await?, (1, 1, 0)),
        Err(InboxError::TransactionAborted) => assert_eq!(stored(&test).await?, (0, 0, 0)),
        other => panic!("found {other:?}"),
    }
    let aborts = test.kind == outbox_tests::Kind::Postgres;
    assert_eq!(stored(&test).await?.0 == 0, aborts, "only PostgreSQL aborts");
    Ok(())
});

// Taken for an outage, it would slow every other message down. MariaDB checks no constraint as late as that.
on_each_database!(a_constraint_that_fails_at_the_commit_is_no_outage, async |test| {
    if test.kind == outbox_tests::Kind::Mariadb {
        return Ok(());
    }
    test.db.execute_unprepared("CREATE TABLE parent (id INT PRIMARY KEY)").await?;
    let child = "CREATE TABLE child (parent INT REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)";
    test.db.execute_unprepared(child).await?;
    let inbox = Inbox::new(test.db.clone(), "inventory")?;
    let outcome = inbox
        .process(&message("1"), async |txn| {
            effect(&txn, "1").await?;
            txn.execute_unprepared("INSERT INTO child VALUES (7)").await?;
            Ok::<_, DbErr>(())
        })
        .await;
    assert!(matches!(outcome, Err(InboxError::Refused(_))), "found {outcome:?}");
    assert_eq!(stored(&test).await?, (0, 0, 0));
    Ok(())
});

on_each_database!(a_statement_that_may_fail_in_a_savepoint_keeps_the_rest, async |test| {
    let inbox = Inbox::new(test.db.clone(), "inventory")?;
    let outcome = inbox
        .process(&message("1"), async |txn| {
            effect(&txn, "1").await?;
            let savepoint = txn.begin().await?;
            assert!(
                audit::Entity::insert(audit::ActiveModel {
                    actor: Set("nobody".into()),
                    ..Default::default()
                })
                .exec(&savepoint)
                .await
                .is_err()
            );
            savepoint.rollback().await?;
            effect(&txn, "2").await
        })
        .await?;
    assert_eq!(outcome, Processed::Processed(()));
    assert_eq!(stored(&test).await?, (2, 1, 0));
    Ok(())
});

on_each_database!(a_closure_that_borrows_its_surroundings_runs_in_a_spawned_task, async |test| {
    let inbox = Inbox::new(test.db.clone(), "inventory")?;
    let total = tokio::spawn(async move {
        let mut total = 0;
        let prices = vec![3, 4];
        for price in &prices {
            let message = message(&price.to_string());
            inbox
                .process(&message, async |txn| {
                    effect(&txn, "borrowed").await?;
                    total += price;
                    Ok::<_, DbErr>(())
                })
                .await?;
        }
        anyhow::Ok(total)
    })
    .await??;
    assert_eq!(total, 7);
    assert_eq!(stored(&test).await?, (2, 2, 0));
    Ok(())
});
