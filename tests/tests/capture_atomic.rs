//! The row and its events are stored both or neither: on a plain connection, in a transaction, in savepoints.

use outbox_seaorm::{Record as _, record_all, tables::event};
use outbox_tests::{
    Kind, TestDb, on_each_database,
    shop::{
        self,
        events::{OrderNoted, OrderPlaced},
        line, order, part,
    },
};
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ConnectionTrait as _, EntityTrait as _, IntoActiveModel as _,
    PaginatorTrait as _, TransactionTrait as _,
};
use uuid::Uuid;

fn noted(order_id: Uuid, note: &str) -> OrderNoted {
    OrderNoted { order_id, note: note.to_owned() }
}

on_each_database!(a_plain_save_stores_row_and_event, async |test| {
    shop::create_tables(&test.db).await?;
    let before = chrono::Utc::now();
    let order = order::ActiveModel::placed().insert(&test.db).await?;
    let log = shop::log(&test.db).await?;
    assert_eq!(log.len(), 1);
    let event = &log[0];
    assert_eq!(event.event_type, "order.placed");
    assert_eq!(event.event_version, 1);
    assert_eq!(event.topic, "orders");
    assert_eq!(event.aggregate_type.as_deref(), Some("order"));
    assert_eq!(event.aggregate_id, Some(order.id.to_string()));
    assert_eq!(
        serde_json::from_str::<OrderPlaced>(&event.payload)?,
        OrderPlaced { order_id: order.id, total_cents: 1_000 }
    );
    assert_eq!(event.headers, None);
    assert!((event.created_at - before).num_seconds().abs() < 60, "the database's clock, in UTC");

    let mut paid = order.into_active_model();
    paid.status = Set("paid".into());
    let order = paid.update(&test.db).await?;
    order.delete(&test.db).await?;
    assert_eq!(shop::types(&test.db).await?, ["order.placed", "order.paid", "order.removed"]);
    assert_eq!(order::Entity::find().count(&test.db).await?, 0);
    Ok(())
});

on_each_database!(a_rollback_leaves_neither_row_nor_event, async |test| {
    shop::create_tables(&test.db).await?;
    let txn = test.db.begin().await?;
    let order = order::ActiveModel::placed().insert(&txn).await?;
    order.into_active_model().raise(noted(Uuid::nil(), "gone")).update(&txn).await?;
    noted(Uuid::nil(), "gone too").record(&txn).await?;
    assert_eq!(shop::log(&txn).await?.len(), 3);
    txn.rollback().await?;
    assert!(shop::log(&test.db).await?.is_empty());
    assert_eq!(order::Entity::find().count(&test.db).await?, 0);
    Ok(())
});

on_each_database!(a_transaction_that_is_dropped_leaves_neither, async |test| {
    shop::create_tables(&test.db).await?;
    let txn = test.db.begin().await?;
    order::ActiveModel::placed().insert(&txn).await?;
    drop(txn);
    assert!(shop::log(&test.db).await?.is_empty());
    assert_eq!(order::Entity::find().count(&test.db).await?, 0);
    Ok(())
});

on_each_database!(a_savepoint_rolled_back_three_levels_deep_takes_its_event_with_it, async |test| {
    shop::create_tables(&test.db).await?;
    let first = test.db.begin().await?;
    let kept = order::ActiveModel::placed().insert(&first).await?;
    let second = first.begin().await?;
    kept.clone().into_active_model().raise(noted(kept.id, "second level")).update(&second).await?;
    let third = second.begin().await?;
    order::ActiveModel::placed().insert(&third).await?;
    noted(kept.id, "third level").record(&third).await?;
    third.rollback().await?;
    noted(kept.id, "after the third").record(&second).await?;
    second.commit().await?;
    first.commit().await?;
    assert_eq!(order::Entity::find().count(&test.db).await?, 1);
    let payloads: Vec<_> = shop::log(&test.db).await?.into_iter().map(|event| event.payload).collect();
    assert_eq!(payloads.len(), 3);
    assert!(payloads[1].contains("second level"));
    assert!(payloads[2].contains("after the third"));
    Ok(())
});

/// Makes every insert into the log fail.
async fn break_log(test: &TestDb) -> anyhow::Result<()> {
    test.db.execute_unprepared("ALTER TABLE outbox_event RENAME TO outbox_event_away").await?;
    Ok(())
}

async fn mend_log(test: &TestDb) -> anyhow::Result<()> {
    test.db.execute_unprepared("ALTER TABLE outbox_event_away RENAME TO outbox_event").await?;
    Ok(())
}

on_each_database!(a_failed_insert_into_the_log_takes_the_row_with_it, async |test| {
    shop::create_tables(&test.db).await?;
    let stored = order::ActiveModel::placed().insert(&test.db).await?;
    break_log(&test).await?;
    assert!(order::ActiveModel::placed().insert(&test.db).await.is_err());
    assert!(order::ActiveModel::placed().raise(noted(Uuid::nil(), "x")).insert(&test.db).await.is_err());
    let mut paid = stored.clone().into_active_model();
    paid.status = Set("paid".into());
    assert!(paid.clone().update(&test.db).await.is_err());
    assert!(paid.update_without_returning(&test.db).await.is_err());
    assert!(stored.clone().delete(&test.db).await.is_err());
    mend_log(&test).await?;
    assert_eq!(order::Entity::find().all(&test.db).await?, [stored]);
    assert_eq!(shop::types(&test.db).await?, ["order.placed"]);
    Ok(())
});

on_each_database!(a_failed_insert_into_the_log_takes_the_row_of_a_joined_transaction, async |test| {
    shop::create_tables(&test.db).await?;
    break_log(&test).await?;
    let txn = test.db.begin().await?;
    let other = part::ActiveModel { name: Set("bolt".into()), stock: Set(1), ..Default::default() };
    part::Entity::insert(other).exec(&txn).await?;
    assert!(order::ActiveModel::placed().insert(&txn).await.is_err());
    // A caller who goes on regardless.
    txn.commit().await?;
    mend_log(&test).await?;
    assert_eq!(order::Entity::find().count(&test.db).await?, 0, "no order without its event");
    assert!(shop::log(&test.db).await?.is_empty());
    assert_eq!(part::Entity::find().count(&test.db).await?, 1, "the rest of the transaction stands");
    Ok(())
});

on_each_database!(a_hook_that_fails_after_the_write_takes_the_row_with_it, async |test| {
    shop::create_tables(&test.db).await?;
    let order = order::ActiveModel::placed().insert(&test.db).await?;
    let refused = || line::ActiveModel {
        order_id: Set(order.id),
        article: Set("refused after the write".into()),
        ..Default::default()
    };
    assert!(refused().insert(&test.db).await.is_err());
    let txn = test.db.begin().await?;
    assert!(refused().insert(&txn).await.is_err());
    let _ = txn.commit().await;
    assert_eq!(line::Entity::find().count(&test.db).await?, 0);
    assert_eq!(shop::types(&test.db).await?, ["order.placed"]);
    Ok(())
});

on_each_database!(a_failed_write_leaves_no_event, async |test| {
    shop::create_tables(&test.db).await?;
    let order = order::ActiveModel::placed().insert(&test.db).await?;
    let again = order.clone().into_active_model().reset_all();
    assert!(again.clone().insert(&test.db).await.is_err(), "the key is taken");
    assert!(again.clone().raise(noted(order.id, "again")).insert(&test.db).await.is_err());
    let txn = test.db.begin().await?;
    assert!(again.raise(noted(order.id, "again")).insert(&txn).await.is_err());
    let _ = txn.commit().await;
    let missing =
        order::ActiveModel { id: Set(Uuid::now_v7()), status: Set("paid".into()), ..Default::default() };
    assert!(missing.clone().raise(noted(order.id, "missing")).update(&test.db).await.is_err());
    assert!(missing.update_without_returning(&test.db).await.is_err());
    assert_eq!(shop::types(&test.db).await?, ["order.placed"]);
    Ok(())
});

on_each_database!(a_bulk_of_1200_events_keeps_its_order, async |test| {
    let txn = test.db.begin().await?;
    let order_id = Uuid::now_v7();
    record_all(&txn, (0..1_200).map(|number| noted(order_id, &number.to_string()))).await?;
    txn.commit().await?;
    let notes: Vec<OrderNoted> = shop::log(&test.db)
        .await?
        .iter()
        .map(|event| serde_json::from_str(&event.payload))
        .collect::<Result<_, _>>()?;
    assert_eq!(notes.len(), 1_200);
    assert!(notes.iter().enumerate().all(|(number, event)| event.note == number.to_string()));
    assert_eq!(event::Entity::find().count(&test.db).await?, 1_200);
    Ok(())
});

/// A deadlock ends the whole transaction on MySQL, its savepoints with it: there is none left to roll back to.
#[tokio::test]
async fn a_deadlock_in_a_joined_save_leaves_the_connection_usable() {
    TestDb::run(Kind::Mariadb, async |test| {
        shop::create_tables(&test.db).await?;
        let first = order::ActiveModel::placed().insert(&test.db).await?;
        let second = order::ActiveModel::placed().insert(&test.db).await?;
        let pay = |order: &order::Model| {
            let mut paid = order.clone().into_active_model();
            paid.status = Set("paid".into());
            paid
        };
        let (one, other) = (test.db.begin().await?, test.db.begin().await?);
        pay(&first).update(&one).await?;
        pay(&second).update(&other).await?;
        let (crossed, crossing) = tokio::join!(pay(&second).update(&one), pay(&first).update(&other));
        let (lost, won, kept) = if crossed.is_err() { (one, other, crossing) } else { (other, one, crossed) };
        kept?;
        // Whether the database still knows the transaction or not: after this it is gone.
        let _ = lost.rollback().await;
        won.commit().await?;
        assert_eq!(shop::types(&test.db).await?[2..], ["order.paid", "order.paid"]);

        let mut open = Vec::new();
        for _ in 0..10 {
            let txn = test.db.begin().await?;
            order::ActiveModel::placed().insert(&txn).await?;
            open.push(txn);
        }
        for txn in open {
            txn.rollback().await?;
        }
        assert_eq!(
            order::Entity::find().count(&test.db).await?,
            2,
            "every connection still has transactions"
        );
        assert_eq!(shop::log(&test.db).await?.len(), 4);
        Ok(())
    })
    .await;
}
