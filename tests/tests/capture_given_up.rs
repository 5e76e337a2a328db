//! Saves whose future is dropped half way, at every point where one can be: never a row without its event.

use std::{collections::BTreeSet, future::poll_fn, pin::pin, task::Poll, time::Duration};

use anyhow::Result;
use outbox_core::consumer::{MessageKey, Processed};
use outbox_seaorm::{Inbox, Tx};
use outbox_tests::{
    Kind, TestDb, on_each_database,
    shop::{self, events::OrderNoted, order},
};
use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DbBackend, DbErr, EntityTrait as _, IntoActiveModel as _,
    IsolationLevel, Statement, TransactionSession as _, TransactionTrait as _,
};
use uuid::Uuid;

/// After how many polls a save is given up: at every step that waits for the database, and never.
const POLLS: [u32; 13] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 1_000];

/// Polls the save so many times, each when it is woken, and drops it; its outcome where it was done by then.
async fn given_up_after<F: Future>(polls: u32, save: F) -> Option<F::Output> {
    let mut save = pin!(save);
    let mut left = polls;
    poll_fn(|context| match save.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => {
            left -= 1;
            if left == 0 { Poll::Ready(None) } else { Poll::Pending }
        }
    })
    .await
}

/// The orders that are there, having checked that each has its event and each event its order.
async fn orders(test: &TestDb) -> Result<BTreeSet<String>> {
    // One snapshot: a commit that was given up may land at any time.
    let txn = test.db.begin_with_config(Some(IsolationLevel::RepeatableRead), None).await?;
    let orders: BTreeSet<_> =
        order::Entity::find().all(&txn).await?.iter().map(|order| order.id.to_string()).collect();
    let told: BTreeSet<_> =
        shop::log(&txn).await?.into_iter().map(|event| event.aggregate_id.expect("an order")).collect();
    txn.commit().await?;
    assert_eq!(orders, told, "each row has its event and each event its row");
    Ok(orders)
}

fn placed() -> (String, order::ActiveModel) {
    let order = order::ActiveModel::placed();
    (order.id.as_ref().to_string(), order)
}

on_each_database!(a_save_on_a_pool_that_is_given_up_stores_both_or_neither, async |test| {
    shop::create_tables(&test.db).await?;
    for polls in POLLS {
        let done = given_up_after(polls, placed().1.insert(&test.db)).await.transpose()?.is_some();
        assert!(done || polls < 1_000);
        orders(&test).await?;
    }
    Ok(())
});

/// A driver may have lost its place in a conversation that was given up, and wait for good (MariaDB's, at times). What
/// was not committed then must be nothing at all.
async fn bounded<T>(statement: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
    let elapsed = |_| DbErr::Custom("no answer".into());
    tokio::time::timeout(Duration::from_secs(3), statement).await.map_err(elapsed)?
}

/// Ends sessions that are stuck like that: their locks would keep the test's database from being dropped.
async fn end_sessions(test: &TestDb) -> Result<()> {
    if test.kind == Kind::Mariadb {
        let others =
            "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()";
        let others = Statement::from_string(DbBackend::MySql, others);
        for session in test.db.query_all_raw(others).await? {
            let _ = test.db.execute_unprepared(&format!("KILL {}", session.try_get::<i64>("", "id")?)).await;
        }
    }
    Ok(())
}

/// Saves one order, gives the save of another one up, saves a third and commits, whatever they answer.
async fn one_given_up(db: &DatabaseConnection, polls: u32) -> Result<(bool, [String; 3]), DbErr> {
    let txn = db.begin().await?;
    let ((before, first), (given_up, second), (after, third)) = (placed(), placed(), placed());
    first.insert(&txn).await?;
    let done = given_up_after(polls, second.insert(&txn)).await.is_some();
    let _ = bounded(third.insert(&txn)).await;
    let _ = bounded(txn.commit()).await;
    Ok((done, [before, given_up, after]))
}

on_each_database!(a_joined_save_that_is_given_up_leaves_no_row_without_its_event, async |test| {
    shop::create_tables(&test.db).await?;
    for polls in POLLS {
        let (done, [before, given_up, after]) = one_given_up(&test.db, polls).await?;
        let there = orders(&test).await?;
        if done {
            assert!([before, given_up, after].iter().all(|order| there.contains(order)));
        }
    }
    end_sessions(&test).await?;
    Ok(())
});

on_each_database!(an_update_that_is_given_up_leaves_no_row_without_its_event, async |test| {
    shop::create_tables(&test.db).await?;
    for polls in POLLS {
        let (_, order) = placed();
        let order = order.insert(&test.db).await?;
        let txn = test.db.begin().await?;
        let mut paid = order.clone().into_active_model();
        paid.status = sea_orm::Set("paid".into());
        let noted = OrderNoted { order_id: order.id, note: "paid".into() };
        let done = given_up_after(polls, paid.raise(noted).update(&txn)).await.is_some();
        let _ = bounded(txn.commit()).await;
        let now = test.db.begin_with_config(Some(IsolationLevel::RepeatableRead), None).await?;
        let stored = order::Entity::find_by_id(order.id).one(&now).await?.expect("the order");
        let told: Vec<_> = shop::log(&now)
            .await?
            .into_iter()
            .filter(|event| event.aggregate_id == Some(order.id.to_string()))
            .map(|event| event.event_type)
            .collect();
        now.commit().await?;
        match stored.status.as_str() {
            "paid" => assert_eq!(told, ["order.placed", "order.paid", "order.noted"]),
            _ => assert_eq!(told, ["order.placed"]),
        }
        assert!(!done || stored.status == "paid");
    }
    end_sessions(&test).await?;
    Ok(())
});

on_each_database!(a_save_that_is_given_up_in_a_tx_ends_it_or_leaves_the_rest, async |test| {
    shop::create_tables(&test.db).await?;
    for polls in POLLS {
        let txn = Tx::from(test.db.begin().await?);
        let ((before, first), (given_up, second), (after, third)) = (placed(), placed(), placed());
        first.insert(&txn).await?;
        let done = given_up_after(polls, second.insert(&txn)).await.is_some();
        let went_on = bounded(third.insert(&txn)).await.is_ok();
        let committed = bounded(txn.commit()).await.is_ok();
        let there = orders(&test).await?;
        if went_on && committed {
            assert!(there.contains(&before) && there.contains(&after), "what said Ok is there");
        } else {
            assert!(!there.contains(&after), "what did not say Ok is not there");
        }
        assert_eq!(committed, there.contains(&before), "all of it or nothing");
        assert!(!done || there.contains(&given_up));
    }
    end_sessions(&test).await?;
    Ok(())
});

on_each_database!(a_save_that_a_handler_gives_up_leaves_no_row_without_its_event, async |test| {
    shop::create_tables(&test.db).await?;
    let inbox = Inbox::new(test.db.clone(), "shop")?;
    for polls in POLLS {
        let id = Uuid::now_v7().to_string();
        let ((before, first), (after, third)) = (placed(), placed());
        let outcome = inbox
            .process(MessageKey::new("/orders", &id), async move |txn| {
                first.insert(&txn).await?;
                let done = given_up_after(polls, placed().1.insert(&txn)).await.is_some();
                bounded(third.insert(&txn)).await?;
                Ok::<_, DbErr>(done)
            })
            .await;
        let there = orders(&test).await?;
        assert_eq!(there.contains(&before), outcome.is_ok());
        assert_eq!(there.contains(&after), outcome.is_ok());
        assert!(polls < 1_000 || matches!(outcome, Ok(Processed::Processed(true))));
    }
    end_sessions(&test).await?;
    Ok(())
});
