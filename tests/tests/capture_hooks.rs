//! Hooks tell what happened to the row, once, and nothing where nothing happened.

use outbox_seaorm::RaiseGraph as _;
use outbox_tests::{
    Kind, TestDb, on_each_database,
    shop::{
        self,
        events::{OrderNoted, PartSaved},
        line, order, part, seat,
    },
};
use sea_orm::{
    ActiveModelTrait as _,
    ActiveValue::{Set, Unchanged},
    ConnectionTrait as _, EntityTrait as _, IntoActiveModel as _, PaginatorTrait as _, TransactionTrait as _,
};
use uuid::Uuid;

on_each_database!(a_delete_of_a_missing_row_tells_nothing, async |test| {
    shop::create_tables(&test.db).await?;
    let order = order::ActiveModel::placed().insert(&test.db).await?;
    assert_eq!(order.clone().delete(&test.db).await?.rows_affected, 1);
    assert_eq!(order.clone().delete(&test.db).await?.rows_affected, 0, "the model is stale, the row is gone");
    let noted = OrderNoted { order_id: order.id, note: "never".into() };
    assert_eq!(order.clone().into_active_model().raise(noted).delete(&test.db).await?.rows_affected, 0);
    let by_key = order::ActiveModel { id: Set(order.id), ..Default::default() };
    assert_eq!(by_key.delete(&test.db).await?.rows_affected, 0);
    let txn = test.db.begin().await?;
    assert_eq!(order.delete(&txn).await?.rows_affected, 0);
    txn.commit().await?;
    assert_eq!(shop::types(&test.db).await?, ["order.placed", "order.removed"]);
    Ok(())
});

/// Only these two can skip a delete without an error.
#[tokio::test]
async fn a_delete_that_a_trigger_turned_away_tells_nothing() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        TestDb::run(kind, async |test| {
            shop::create_tables(&test.db).await?;
            let order = order::ActiveModel::placed().insert(&test.db).await?;
            let keep = match test.kind {
                Kind::Sqlite => "CREATE TRIGGER keep BEFORE DELETE ON orders BEGIN SELECT RAISE(IGNORE); END",
                _ => {
                    "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
                     CREATE TRIGGER keep BEFORE DELETE ON orders FOR EACH ROW EXECUTE FUNCTION keep()"
                }
            };
            test.db.execute_unprepared(keep).await?;
            assert_eq!(order.clone().delete(&test.db).await?.rows_affected, 0);
            let noted = OrderNoted { order_id: order.id, note: "never".into() };
            let ex = order.clone().into_active_model().into_ex();
            assert_eq!(ex.raise(noted).delete(&test.db).await?.rows_affected, 0);
            assert_eq!(order::Entity::find().all(&test.db).await?, [order]);
            assert_eq!(shop::types(&test.db).await?, ["order.placed"]);
            Ok(())
        })
        .await;
    }
}

on_each_database!(a_delete_tells_of_the_stored_row_not_of_the_model_in_hand, async |test| {
    shop::create_tables(&test.db).await?;
    let stale = order::ActiveModel::placed().insert(&test.db).await?;
    let mut paid = stale.clone().into_active_model();
    paid.status = Set("paid".into());
    paid.update(&test.db).await?;
    stale.delete(&test.db).await?;
    let removed = shop::log(&test.db).await?.pop().expect("three events");
    assert!(removed.payload.contains("\"paid\""), "found {}", removed.payload);

    let other = order::ActiveModel::placed().insert(&test.db).await?;
    order::ActiveModel { id: Set(other.id), ..Default::default() }.delete(&test.db).await?;
    let removed = shop::log(&test.db).await?.pop().expect("five events");
    assert!(
        removed.payload.contains("\"placed\""),
        "a bare key tells of the whole row, found {}",
        removed.payload
    );
    Ok(())
});

on_each_database!(paid_is_told_once_and_not_again_when_the_address_changes, async |test| {
    shop::create_tables(&test.db).await?;
    let order = order::ActiveModel::placed().insert(&test.db).await?;
    let mut paid = order.into_active_model();
    paid.status = Set("paid".into());
    let mut moved = paid.update(&test.db).await?.into_active_model();
    moved.address = Set("Harbour Street 2".into());
    let moved = moved.update(&test.db).await?;
    assert_eq!(moved.status, "paid");
    let mut again = moved.into_active_model();
    again.address = Set("Harbour Street 3".into());
    again.save(&test.db).await?;
    assert_eq!(shop::types(&test.db).await?, ["order.placed", "order.paid"]);
    Ok(())
});

on_each_database!(a_save_that_writes_no_row_tells_nothing, async |test| {
    shop::create_tables(&test.db).await?;
    let seat = seat::ActiveModel { row_no: Set(1), place: Set(2), guest: Set("Ada".into()) };
    let seat = seat.insert(&test.db).await?;
    assert_eq!(seat.clone().into_active_model().update(&test.db).await?, seat);
    let key_set_again = seat::ActiveModel { row_no: Set(1), place: Set(2), ..Default::default() };
    assert_eq!(key_set_again.clone().update(&test.db).await?, seat);
    assert_eq!(key_set_again.clone().update_without_returning(&test.db).await?.rows_affected, 0);
    let txn = test.db.begin().await?;
    assert_eq!(key_set_again.update(&txn).await?, seat);
    txn.commit().await?;
    assert_eq!(shop::log(&test.db).await?.len(), 2, "the two events of the insert");

    let mut changed = seat.into_active_model();
    changed.guest = Set("Ada".into());
    changed.update(&test.db).await?;
    assert_eq!(shop::log(&test.db).await?.len(), 3, "set to the same value is a write");
    Ok(())
});

on_each_database!(an_update_without_returning_tells_as_an_update_does, async |test| {
    shop::create_tables(&test.db).await?;
    let order = order::ActiveModel::placed().insert(&test.db).await?;
    let mut paid = order.clone().into_active_model();
    paid.status = Set("paid".into());
    assert_eq!(paid.clone().update_without_returning(&test.db).await?.rows_affected, 1);
    let txn = test.db.begin().await?;
    paid.raise_with(|order| OrderNoted { order_id: order.id, note: order.status.clone() })
        .update_without_returning(&txn)
        .await?;
    txn.commit().await?;
    assert_eq!(shop::types(&test.db).await?, ["order.placed", "order.paid", "order.paid", "order.noted"]);
    let noted = shop::log(&test.db).await?.pop().expect("four events");
    assert!(noted.payload.contains("\"paid\""), "the row as it is stored, found {}", noted.payload);
    Ok(())
});

on_each_database!(a_hook_sees_the_row_before_and_a_key_from_the_database, async |test| {
    shop::create_tables(&test.db).await?;
    let bolt = part::ActiveModel { name: Set("bolt".into()), stock: Set(7), ..Default::default() };
    let saved = bolt.save(&test.db).await?;
    let id = *saved.id.as_ref();
    let mut fewer = saved;
    fewer.stock = Set(5);
    let mut renamed = fewer.save(&test.db).await?;
    renamed.name = Set("hex bolt".into());
    let mut same = renamed.save(&test.db).await?;
    same.stock = Set(5);
    same.save(&test.db).await?;
    let told: Vec<PartSaved> = shop::log(&test.db)
        .await?
        .iter()
        .map(|event| serde_json::from_str(&event.payload))
        .collect::<Result<_, _>>()?;
    assert_eq!(
        told,
        [
            PartSaved { part_id: id, stock: 7, stock_before: None },
            PartSaved { part_id: id, stock: 5, stock_before: Some(7) },
        ]
    );
    Ok(())
});

on_each_database!(a_key_of_two_columns_has_all_hooks, async |test| {
    shop::create_tables(&test.db).await?;
    for place in [1, 2] {
        let seat = seat::ActiveModel { row_no: Set(3), place: Set(place), guest: Set("Ada".into()) };
        seat.insert(&test.db).await?;
    }
    let changed = seat::ActiveModel { row_no: Unchanged(3), place: Unchanged(2), guest: Set("Grace".into()) };
    let changed = changed.update(&test.db).await?;
    changed.delete(&test.db).await?;
    let told: Vec<_> = shop::log(&test.db)
        .await?
        .into_iter()
        .map(|event| (event.aggregate_id.expect("a seat"), event.payload.contains("freed")))
        .collect();
    let expected =
        [("3-1", false), ("3-1", false), ("3-2", false), ("3-2", false), ("3-2", false), ("3-2", true)];
    assert_eq!(told, expected.map(|(seat, freed)| (seat.to_owned(), freed)));
    Ok(())
});

on_each_database!(the_users_own_hooks_run_and_cannot_pass_ours_by, async |test| {
    shop::create_tables(&test.db).await?;
    let order = order::ActiveModel::placed().insert(&test.db).await?;
    let line = |quantity| line::ActiveModel {
        order_id: Set(order.id),
        article: Set("bolt".into()),
        quantity,
        ..Default::default()
    };
    // Their `before_save` returns early here.
    let defaulted = line(sea_orm::NotSet).insert(&test.db).await?;
    assert_eq!(defaulted.quantity, 1);
    let refused = line(Set(-1)).insert(&test.db).await.expect_err("a quantity below zero");
    assert!(refused.to_string().contains("below zero"), "the user's own error, found {refused}");
    assert_eq!(shop::types(&test.db).await?, ["order.placed", "line.added"]);
    Ok(())
});

on_each_database!(a_refusal_before_the_write_leaves_a_joined_transaction_usable, async |test| {
    shop::create_tables(&test.db).await?;
    let txn = test.db.begin().await?;
    let order = order::ActiveModel::placed().insert(&txn).await?;
    let refused = line::ActiveModel {
        order_id: Set(order.id),
        article: Set("bolt".into()),
        quantity: Set(-1),
        ..Default::default()
    };
    assert!(refused.insert(&txn).await.is_err());
    let missing =
        order::ActiveModel { id: Set(Uuid::now_v7()), status: Set("paid".into()), ..Default::default() };
    assert!(missing.update(&txn).await.is_err());
    txn.commit().await?;
    assert_eq!(shop::types(&test.db).await?, ["order.placed"]);
    assert_eq!(order::Entity::find().count(&test.db).await?, 1);
    Ok(())
});

on_each_database!(a_graph_is_captured_as_a_whole, async |test| {
    shop::create_tables(&test.db).await?;
    let order_id = Uuid::now_v7();
    let graph = || {
        order::ActiveModel::builder()
            .set_id(order_id)
            .set_status("placed")
            .set_address("Harbour Street 1")
            .set_total_cents(2_000)
            .add_line(line::ActiveModel::builder().set_article("bolt"))
            .add_line(line::ActiveModel::builder().set_article("nut"))
    };
    graph().insert(&test.db).await?;
    assert_eq!(shop::types(&test.db).await?, ["order.placed", "line.added", "line.added"]);

    // Nothing of the parent is set: it tells nothing, the new line does.
    let parent = order::Entity::find_by_id(order_id).one(&test.db).await?.expect("the order");
    let unchanged = parent.into_active_model().into_ex();
    unchanged.add_line(line::ActiveModel::builder().set_article("washer")).save(&test.db).await?;
    assert_eq!(shop::types(&test.db).await?.len(), 4);

    // In a transaction that is rolled back nothing of it stays.
    let parent = order::Entity::find_by_id(order_id).one(&test.db).await?.expect("the order");
    let txn = test.db.begin().await?;
    parent.cascade_delete(&txn).await?;
    assert_eq!(shop::types(&txn).await?.last().map(String::as_str), Some("order.removed"));
    txn.rollback().await?;
    assert_eq!(shop::types(&test.db).await?.len(), 4);
    assert_eq!(line::Entity::find().count(&test.db).await?, 3);
    Ok(())
});

on_each_database!(events_raised_on_a_builder_come_after_those_of_its_rows, async |test| {
    shop::create_tables(&test.db).await?;
    let order_id = Uuid::now_v7();
    let noted = |note: &str| OrderNoted { order_id, note: note.into() };
    let graph = order::ActiveModel::builder()
        .set_id(order_id)
        .set_status("placed")
        .set_address("Harbour Street 1")
        .set_total_cents(2_000)
        .add_line(line::ActiveModel::builder().set_article("bolt"))
        .raise(noted("placed by graph"))
        .raise_with(|order| OrderNoted { order_id: order.id, note: order.lines.len().to_string() });
    graph.insert(&test.db).await?;
    assert_eq!(shop::types(&test.db).await?, ["order.placed", "line.added", "order.noted", "order.noted"]);

    let stored = order::Entity::find_by_id(order_id).one(&test.db).await?.expect("the order");
    let ex = stored.clone().into_active_model().into_ex();
    ex.clone().raise(noted("unchanged")).update(&test.db).await?;
    let washer = line::ActiveModel::builder().set_article("washer");
    let saved = ex
        .clone()
        .add_line(washer)
        .raise_with(|order| OrderNoted { order_id: order.id, note: order.lines.len().to_string() });
    saved.save(&test.db).await?;
    ex.clone()
        .raise_with(|order| OrderNoted { order_id: order.id, note: "deleted".into() })
        .delete(&test.db)
        .await?;
    assert_eq!(ex.raise(noted("never")).delete(&test.db).await?.rows_affected, 0);
    assert_eq!(
        shop::types(&test.db).await?[4..],
        ["order.noted", "line.added", "order.noted", "order.removed", "order.noted"]
    );

    // An entity without a builder has its verbs on the active model.
    let bolt = part::ActiveModel { name: Set("bolt".into()), stock: Set(1), ..Default::default() };
    let bolt =
        bolt.raise_with(|part| PartSaved { stock: -1, ..PartSaved::from(part) }).insert(&test.db).await?;
    let told = shop::log(&test.db).await?.pop().expect("events");
    assert_eq!(told.aggregate_id, Some(bolt.id.to_string()), "the key that the database gave");
    assert!(told.payload.contains("-1"));
    assert!(!bolt.into_active_model().is_changed());
    Ok(())
});
