//! Proofs that a hole stays empty for ever.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryFutureExt as _;
use outbox_core::{
    log::{Barrier, LogError},
    message::Seq,
    progress::SeqRanges,
};
use sea_orm::{AccessMode, ConnectionTrait as _, IsolationLevel, TransactionTrait as _, Value};
use uuid::Uuid;

use super::{
    Inner, column,
    read::bind_ranges,
    sql::{ProofSql, Query},
    trouble::LockTrouble,
};

/// The most tombstones in one statement.
const FILL_AT_ONCE: usize = 1_000;

/// The most holes that one call fills; the rest is for the next.
const FILL_AT_MOST: usize = 10_000;

/// How many lock waits, of a second each, one call bears.
const FILL_WAITS: u32 = 2;

pub(super) async fn barrier(log: &Inner) -> Result<Barrier, LogError> {
    let ProofSql::WriterList { last_number, writers } = &log.sql.proof else { return Err(wrong_proof()) };
    let event = || [("event", Value::from(log.event_table.clone()))];
    // The order is the proof: who drew a number up to this one and is not in the later list has ended.
    let row = log.sessions.one(last_number.with(&event())).await?;
    let row = row.ok_or_else(|| LogError::database("the counter of the log gave no row"))?;
    let upto = column(&row, 0)?;
    let writers = log.sessions.all(writers.with(&event())).await?;
    Ok(Barrier { upto, writers: writers.iter().map(|row| column(row, 0)).collect::<Result<_, _>>()? })
}

pub(super) async fn writers(log: &Inner) -> Result<BTreeSet<String>, LogError> {
    let ProofSql::WriterList { writers, .. } = &log.sql.proof else { return Err(wrong_proof()) };
    let rows = log.sessions.all(writers.with(&[("event", log.event_table.clone().into())])).await?;
    rows.iter().map(|row| column(row, 0)).collect()
}

/// Fills holes. Whether a number was taken is read before each statement without locks, uncommitted rows included,
/// so that as a rule no statement waits for a writer; that reading is a hint only. The proof is the tombstone that
/// is in.
pub(super) async fn fill(log: &Inner, holes: &SeqRanges) -> Result<SeqRanges, LogError> {
    let ProofSql::Tombstones { taken, fill, filled, .. } = &log.sql.proof else { return Err(wrong_proof()) };
    let wanted: Vec<Seq> = holes.iter().flatten().take(FILL_AT_MOST).collect();

    let mut gone = SeqRanges::new();
    let mut waits = 0;
    let mut chunks: Vec<&[Seq]> = wanted.chunks(FILL_AT_ONCE).rev().collect();
    while let Some(chunk) = chunks.pop() {
        let taken = uncommitted(log, taken, &ranges(chunk)).await?;
        let free: Vec<Seq> = chunk.iter().copied().filter(|seq| !taken.contains(*seq)).collect();
        if free.is_empty() {
            continue;
        }
        match put_tombstones(log, fill, filled, &free).await? {
            Filled::WentIn(seqs) => gone.insert_all(&seqs),
            Filled::Not(LockTrouble::Deadlock) => {}
            Filled::Not(LockTrouble::Waited) => {
                waits += 1;
                if waits >= FILL_WAITS {
                    break;
                }
                // A single hole with a writer in it is kept. Which half is tried first is left to chance: else one
                // lock would hide the same holes on every call.
                if chunk.len() > 1 {
                    let (low, high) = chunk.split_at(chunk.len() / 2);
                    let low_first = Uuid::new_v4().as_bytes()[0] < 128;
                    chunks.extend(if low_first { [high, low] } else { [low, high] });
                }
            }
        }
    }
    Ok(gone)
}

/// The numbers that have a row, committed or not.
///
/// In a task of its own, which goes on where the caller is dropped: the isolation level is sent before the
/// transaction begins, and a connection that went back to the pool in between would read uncommitted rows as
/// committed ones.
async fn uncommitted(log: &Inner, taken: &Query, ranges: &SeqRanges) -> Result<SeqRanges, LogError> {
    let mut values = Vec::new();
    bind_ranges(ranges, &mut values);
    let statement = taken.with(&values);
    let pool = log.sessions.pool().await?.clone();
    let (doubt, bound) = (log.sessions.doubt(), log.sessions.limits().patience.short());
    let reading = async move {
        let transaction =
            pool.begin_with_config(Some(IsolationLevel::ReadUncommitted), Some(AccessMode::ReadOnly)).await?;
        let rows = transaction.query_all_raw(statement).await?;
        transaction.commit().await?;
        Ok::<_, sea_orm::DbErr>(rows)
    };
    let reading = async move { doubt.within(bound, reading.map_err(LogError::database)).await };
    let rows = tokio::spawn(reading).await.map_err(LogError::database)??;
    let mut seqs = SeqRanges::new();
    for row in &rows {
        seqs.insert(column(row, 0)?);
    }
    Ok(seqs)
}

enum Filled {
    /// These tombstones are in and committed.
    WentIn(SeqRanges),
    /// Nothing is known.
    Not(LockTrouble),
}

async fn put_tombstones(log: &Inner, fill: &Query, filled: &Query, seqs: &[Seq]) -> Result<Filled, LogError> {
    let ids: BTreeMap<Seq, Uuid> = seqs.iter().map(|seq| (*seq, Uuid::now_v7())).collect();
    // As text, since all of it is ours: prepared, each number of rows would be a statement of its own.
    let rows: Vec<String> = ids
        .iter()
        .map(|(seq, id)| format!("({seq}, X'{}', '', 0, '', '', UTC_TIMESTAMP(6))", id.simple()))
        .collect();
    // One statement and a transaction of its own: what is in when it returns is committed.
    let fill = fill.followed_by(&rows.join(", "));
    let done = match log.sessions.pool().await?.execute_unprepared(&fill).await {
        Ok(done) => done,
        Err(error) => {
            return LockTrouble::of(&error).map(Filled::Not).ok_or_else(|| LogError::database(error));
        }
    };
    let all = ranges(seqs);
    if done.rows_affected() == all.count() {
        return Ok(Filled::WentIn(all));
    }
    // Which of them went in is told by their ids: nobody else could have drawn these.
    let mut values = Vec::new();
    bind_ranges(&all, &mut values);
    let mut ours = SeqRanges::new();
    for row in log.sessions.all(filled.with(&values)).await? {
        let (seq, id): (Seq, Uuid) = (column(&row, 0)?, column(&row, 1)?);
        if ids.get(&seq) == Some(&id) {
            ours.insert(seq);
        }
    }
    Ok(Filled::WentIn(ours))
}

fn ranges(seqs: &[Seq]) -> SeqRanges {
    let mut ranges = SeqRanges::new();
    for seq in seqs {
        ranges.insert(*seq);
    }
    ranges
}

fn wrong_proof() -> LogError {
    LogError::Refused("this database proves its holes in another way: ask `hole_proof` first".into())
}
