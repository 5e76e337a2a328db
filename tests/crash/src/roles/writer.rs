//! Saves orders, with rollbacks, savepoints, and naps between a number's draw and its commit.

use std::time::Duration;

use anyhow::Result;
use outbox_seaorm::prelude::*;
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait as _, IntoActiveModel as _, QuerySelect as _,
    Set, TransactionTrait as _,
};
use tokio::sync::watch;

use super::{connect, input_ended};
use crate::{
    dice::Dice,
    shop::{
        ORDERS,
        events::{OrderNoted, Seen},
        order,
    },
};

/// What a writer knows of its transactions. Of those that failed at their commit it does not know what became.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    pub committed: u64,
    pub rolled_back: u64,
    pub failed: u64,
}

/// Writes with so many tasks until the input ends, then prints what it knows.
///
/// # Errors
/// Where a task panicked.
pub async fn run(url: &str, number: u64, tasks: u64, seed: u64, ended: watch::Receiver<bool>) -> Result<()> {
    let Some(db) = connect(url, u32::try_from(tasks)?, &ended).await else { return Ok(()) };
    let tasks: Vec<_> = (0..tasks)
        .map(|task| {
            let dice = Dice::new(seed.wrapping_mul(1_000).wrapping_add(number * 100 + task));
            tokio::spawn(write_on(db.clone(), number, dice, ended.clone()))
        })
        .collect();
    let mut sum = Written::default();
    for task in tasks {
        let Written { committed, rolled_back, failed } = task.await?;
        sum.committed += committed;
        sum.rolled_back += rolled_back;
        sum.failed += failed;
    }
    println!("{} {} {}", sum.committed, sum.rolled_back, sum.failed);
    Ok(())
}

async fn write_on(
    db: DatabaseConnection,
    number: u64,
    mut dice: Dice,
    ended: watch::Receiver<bool>,
) -> Written {
    let mut written = Written::default();
    while !*ended.borrow() {
        match write(&db, number, &mut dice).await {
            Ok(true) => written.committed += 1,
            Ok(false) => written.rolled_back += 1,
            // A deadlock, a connection that was cut, a server that is away.
            Err(error) => {
                tracing::debug!(%error, "a transaction failed");
                written.failed += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        // So that a run is about what goes wrong and not about load.
        let pause = dice.between(Duration::from_millis(5), Duration::from_millis(50));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = input_ended(ended.clone()) => {}
        }
    }
    written
}

/// One transaction; `Ok(false)` where it was rolled back on purpose.
async fn write(db: &DatabaseConnection, number: u64, dice: &mut Dice) -> Result<bool, DbErr> {
    let txn = db.begin().await?;
    if dice.percent(10) {
        Seen { by: number }.record(&txn).await?;
        nap(dice).await;
    }
    // In one order, so that a deadlock is the exception.
    let mut orders: Vec<i64> = (0..=dice.roll(3))
        .map(|_| 1 + i64::try_from(dice.roll(ORDERS.unsigned_abs())).unwrap_or(0))
        .collect();
    orders.sort_unstable();
    for id in orders {
        if dice.percent(10) {
            // Its number is drawn and never used.
            let savepoint = txn.begin().await?;
            save(&savepoint, id).await?;
            nap(dice).await;
            savepoint.rollback().await?;
        }
        save(&txn, id).await?;
        nap(dice).await;
    }
    let commits = !dice.percent(10);
    if commits {
        txn.commit().await?;
    } else {
        txn.rollback().await?;
    }
    Ok(commits)
}

/// Raises an order's step by one; see [`parts`](crate::shop::parts) for what it tells.
async fn save(txn: &DatabaseTransaction, id: i64) -> Result<(), DbErr> {
    let order = order::Entity::find_by_id(id).lock_exclusive().one(txn).await?;
    let order = order.ok_or_else(|| DbErr::RecordNotFound(format!("order {id}")))?;
    let step = order.step + 1;
    let mut changed = order.into_active_model();
    changed.step = Set(step);
    if step % 5 == 0 {
        changed.raise(OrderNoted { order: id, step }).update(txn).await?;
    } else {
        changed.update(txn).await?;
    }
    Ok(())
}

/// Mostly short; some are longer than the transactions around, so that others commit first.
async fn nap(dice: &mut Dice) {
    let millis = match dice.roll(40) {
        0 => 60 + dice.roll(240),
        1..=8 => 2 + dice.roll(10),
        9..=20 => dice.roll(3),
        _ => return,
    };
    tokio::time::sleep(Duration::from_millis(millis)).await;
}
