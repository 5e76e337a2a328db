//! Saving the input, line by line.

use anyhow::{Context as _, Result, bail};
use outbox_seaorm::tables::event;
use sea_orm::{
    ColumnTrait as _, DatabaseConnection, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    SqliteTransactionMode, TransactionOptions, TransactionTrait as _,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::Sabotage,
    input::{Change, Line},
    orders::{self, Applied},
};

/// What became of the input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Saved {
    /// Changes saved by this run.
    pub saved: u64,
    /// Changes that an earlier run had saved.
    pub already: u64,
    /// Lines that were reported and skipped.
    pub skipped: u64,
    /// The line that an interruption came before.
    pub stopped_before: Option<u64>,
}

/// Saves every line, each in a transaction of its own, until the input ends or the job is interrupted.
pub async fn all(
    db: &DatabaseConnection,
    mut lines: mpsc::Receiver<Result<Line>>,
    sabotage: Option<Sabotage>,
    interrupted: &CancellationToken,
) -> Result<Saved> {
    let mut done = Saved::default();
    let mut to_drop = sabotage.map_or(0, |sabotage| sabotage.drop.get());
    let mut next_line = 1;
    loop {
        // A save that has begun is finished: only the wait for a line is given up.
        let line = tokio::select! {
            biased;
            () = interrupted.cancelled() => {
                done.stopped_before = Some(next_line);
                return Ok(done);
            }
            line = lines.recv() => line,
        };
        let Some(Line { number, content }) = line.transpose()? else { break };
        next_line = number + 1;
        let change = match content {
            Ok(change) => change,
            Err(reason) => {
                done.skip(number, &reason);
                continue;
            }
        };
        let applied = if to_drop > 0 {
            and_throw_its_event_away(db, change).await
        } else {
            orders::apply(db, change).await
        };
        match applied.with_context(|| format!("cannot save line {number}"))? {
            Applied::Saved => {
                done.saved += 1;
                to_drop = to_drop.saturating_sub(1);
            }
            Applied::Already => done.already += 1,
            Applied::Refused(reason) => done.skip(number, &reason),
        }
    }
    if to_drop > 0 {
        bail!(
            "{to_drop} events fewer than asked for could be thrown away: the rest of the input was saved before"
        );
    }
    Ok(done)
}

impl Saved {
    /// Whether there were lines and none of them could be used: most likely it was the wrong input.
    pub fn nothing_was_usable(&self) -> bool {
        self.skipped > 0 && self.saved + self.already == 0 && self.stopped_before.is_none()
    }

    fn skip(&mut self, line: u64, reason: &impl std::fmt::Display) {
        self.skipped += 1;
        eprintln!("line {line} skipped: {reason}");
    }
}

/// Saves a change and removes its event from the log before anybody can see it. No part of the outbox does this:
/// it is what the report at the end has to find.
async fn and_throw_its_event_away(db: &DatabaseConnection, change: Change) -> Result<Applied> {
    let immediate = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    let order_id = change.order_id.clone();
    let txn = db.begin_with_options(immediate).await?;
    let applied = orders::apply(&txn, change).await?;
    if applied == Applied::Saved {
        // Of this order alone: on a server others may save at the same time.
        let written = event::Entity::find()
            .filter(event::Column::AggregateId.eq(order_id))
            .order_by_desc(event::Column::Seq)
            .one(&txn)
            .await?;
        let written = written.context("expected the event of the save in the log")?;
        event::Entity::delete_by_id(written.seq).exec(&txn).await?;
    }
    txn.commit().await?;
    Ok(applied)
}
