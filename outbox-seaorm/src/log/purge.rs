//! Removing a prefix of the log that every subscription is done with.

use outbox_core::{
    log::{AfterRetention, LogError, PurgeRequest, Purged},
    message::Seq,
};
use sea_orm::{ConnectionTrait as _, DatabaseTransaction};

use super::{Inner, column, micros, start::lock_floor};

/// One chunk. Only the floor is locked, so that a long chunk holds up no leader's flush and no renewal. It is enough:
/// whoever makes a subscription or moves a position back takes the floor first too, and so either sees the new floor
/// or keeps purge waiting; a leader only moves forward, so that what it needed when it was asked is the lowest of what
/// it needs until the chunk is gone.
pub(super) async fn purge(log: &Inner, request: PurgeRequest) -> Result<Purged, LogError> {
    let transaction = log.sessions.begin_long(log.sessions.limits().patience.long()).await?;
    let floor = lock_floor(log, &transaction).await?;
    let Some(Wanted { before, names }) = wanted_from(log, &transaction).await? else {
        transaction.rollback().await.map_err(LogError::database)?;
        return Ok(Purged { removed: 0, floor, more: false });
    };
    let chunk = log.sql.purgeable.with(&[
        ("floor", floor.into()),
        ("before", before.into()),
        ("limit", i64::from(request.chunk.max(1)).into()),
        ("keep", micros(request.keep).into()),
    ]);
    let row = transaction.query_one_raw(chunk).await.map_err(LogError::database)?;
    let row = row.ok_or_else(|| LogError::database("an aggregate gave no row"))?;
    let (last, too_young, found): (Option<Seq>, Option<Seq>, i64) =
        (column(&row, 0)?, column(&row, 1)?, column(&row, 2)?);
    let upto = too_young.map(|young| young - 1).or(last).unwrap_or(floor);
    let more = too_young.is_none() && found >= i64::from(request.chunk.max(1));

    let upto = [("floor", floor.into()), ("upto", upto.into())];
    if request.then == AfterRetention::Archive {
        transaction.execute_raw(log.sql.archive.with(&upto)).await.map_err(LogError::database)?;
    }
    let removed = transaction.execute_raw(log.sql.purge.with(&upto)).await.map_err(LogError::database)?;
    let removed = removed.rows_affected();
    if removed > 0 {
        for name in names {
            let [floor, upto] = upto.clone();
            let receipts = log.sql.purge_receipts.with(&[("name", name.into()), floor, upto]);
            transaction.execute_raw(receipts).await.map_err(LogError::database)?;
        }
        transaction.execute_raw(log.sql.store_floor.with(&upto)).await.map_err(LogError::database)?;
    }
    let floor = lock_floor(log, &transaction).await?;
    transaction.commit().await.map_err(LogError::database)?;
    Ok(Purged { removed, floor, more })
}

/// What the subscriptions still need.
struct Wanted {
    /// The lowest of it: a position (the anchor is there), a hole, a held event, one whose acknowledgement is awaited.
    before: Seq,
    /// Their names.
    names: Vec<String>,
}

/// `None` without subscriptions: nobody has read anything yet.
async fn wanted_from(log: &Inner, transaction: &DatabaseTransaction) -> Result<Option<Wanted>, LogError> {
    let mut wanted: Option<Seq> = None;
    let mut names: Vec<String> = Vec::new();
    let rows =
        transaction.query_all_raw(log.sql.subscriptions.with(&[])).await.map_err(LogError::database)?;
    for row in rows {
        let (position, holes): (Seq, String) = (column(&row, 0)?, column(&row, 1)?);
        let lowest = lowest_hole(&holes).map_or(position, |hole| hole.min(position));
        wanted = Some(wanted.map_or(lowest, |seq| seq.min(lowest)));
        names.push(column(&row, 2)?);
    }
    let Some(mut before) = wanted else { return Ok(None) };
    // After the holes, never before: a flush in between turns a hole into a hold or a receipt, and so one of them is seen.
    for name in &names {
        let needed = log.sql.lowest_needed.with(&[("name", name.as_str().into())]);
        if let Some(row) = transaction.query_one_raw(needed).await.map_err(LogError::database)? {
            let (held, awaited): (Option<Seq>, Option<Seq>) = (column(&row, 0)?, column(&row, 1)?);
            before = held.into_iter().chain(awaited).fold(before, Seq::min);
        }
    }
    Ok(Some(Wanted { before, names }))
}

/// The first number of a text such as `3,7-9`, of which only the beginning was read.
fn lowest_hole(holes: &str) -> Option<Seq> {
    let end = holes.find(|c: char| !c.is_ascii_digit()).unwrap_or(holes.len());
    holes[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::lowest_hole;

    #[test]
    fn the_lowest_hole_is_the_first_number_of_the_text() {
        assert_eq!(lowest_hole(""), None);
        assert_eq!(lowest_hole("3,7-9"), Some(3));
        assert_eq!(lowest_hole("1234567890123456789-"), Some(1_234_567_890_123_456_789));
    }
}
