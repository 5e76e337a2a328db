//! The transaction that handlers write in.

use outbox_seaorm::{Tx, tables::audit};
use outbox_tests::on_each_database;
use sea_orm::{
    ActiveModelTrait as _, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait as _, Set,
    TransactionError, TransactionSession as _, TransactionTrait as _,
};

async fn note<C: ConnectionTrait>(db: &C, action: &str) -> Result<(), DbErr> {
    audit::ActiveModel {
        at: Set(chrono::Utc::now()),
        actor: Set("test".into()),
        action: Set(action.into()),
        target: Set("tx".into()),
        ..Default::default()
    }
    .insert(db)
    .await?;
    Ok(())
}

async fn notes(db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    let mut notes: Vec<_> = audit::Entity::find().all(db).await?.into_iter().map(|row| row.action).collect();
    notes.sort();
    Ok(notes)
}

on_each_database!(a_savepoint_rolled_back_leaves_the_rest, async |test| {
    let txn = Tx::from(test.db.begin().await?);
    note(&txn, "outer").await?;
    let first = txn.begin().await?;
    note(&first, "first").await?;
    let second = first.begin().await?;
    note(&second, "second").await?;
    second.rollback().await?;
    first.commit().await?;
    let failed = txn
        .transaction::<_, (), DbErr>(|savepoint| {
            Box::pin(async move {
                note(savepoint, "failed").await?;
                Err(DbErr::Custom("on purpose".into()))
            })
        })
        .await;
    assert!(matches!(failed, Err(TransactionError::Transaction(_))));
    txn.commit().await?;
    assert_eq!(notes(&test.db).await?, ["first", "outer"]);
    Ok(())
});

on_each_database!(a_dropped_savepoint_is_rolled_back_before_the_commit, async |test| {
    let txn = Tx::from(test.db.begin().await?);
    note(&txn, "outer").await?;
    let savepoint = txn.begin().await?;
    note(&savepoint, "dropped").await?;
    drop(savepoint);
    note(&txn, "after").await?;
    txn.commit().await?;
    assert_eq!(notes(&test.db).await?, ["after", "outer"]);
    Ok(())
});

on_each_database!(clones_write_one_after_the_other_and_are_dead_after_the_commit, async |test| {
    let txn = Tx::from(test.db.begin().await?);
    let clone = txn.clone();
    let (first, second) = futures_util::future::join(note(&txn, "first"), note(&clone, "second")).await;
    first?;
    second?;
    txn.commit().await?;
    let late = note(&clone, "late").await.expect_err("the transaction is over");
    assert!(late.to_string().contains("the transaction is over"), "found {late}");
    assert_eq!(notes(&test.db).await?, ["first", "second"]);
    Ok(())
});

on_each_database!(dropping_the_last_clone_rolls_back, async |test| {
    let txn = Tx::from(test.db.begin().await?);
    note(&txn, "lost").await?;
    drop(txn);
    assert!(notes(&test.db).await?.is_empty());
    Ok(())
});

on_each_database!(a_commit_over_an_open_savepoint_is_refused_and_rolled_back, async |test| {
    let txn = Tx::from(test.db.begin().await?);
    let savepoint = txn.begin().await?;
    note(&savepoint, "open").await?;
    let refused = txn.commit().await.expect_err("a savepoint is open");
    assert!(refused.to_string().contains("a savepoint was still open"), "found {refused}");
    assert!(note(&savepoint, "late").await.is_err(), "the savepoint is over too");
    assert!(notes(&test.db).await?.is_empty());
    Ok(())
});

// SeaORM ends savepoints by depth: the first of two clones that save at once would end the savepoint of the other.
on_each_database!(savepoints_that_overlap_are_an_error_and_never_end_each_other, async |test| {
    let txn = Tx::from(test.db.begin().await?);
    let first = txn.begin().await?;
    note(&first, "first").await?;
    let second = txn.clone().begin().await?;
    note(&second, "second").await?;
    let refused = first.commit().await.expect_err("the second is inside of it");
    assert!(refused.to_string().contains("reverse order"), "found {refused}");
    assert!(second.rollback().await.is_err(), "all is over");
    assert!(txn.commit().await.is_err(), "nothing was committed");
    assert!(notes(&test.db).await?.is_empty());
    Ok(())
});

on_each_database!(a_savepoint_dropped_before_the_one_inside_of_it_takes_that_along, async |test| {
    let txn = Tx::from(test.db.begin().await?);
    note(&txn, "outer").await?;
    let first = txn.begin().await?;
    note(&first, "first").await?;
    let second = first.begin().await?;
    note(&second, "second").await?;
    drop(first);
    second.commit().await?;
    txn.commit().await?;
    assert_eq!(notes(&test.db).await?, ["outer"]);
    Ok(())
});
