//! Finding places in the log by time: it has no index but the seq, and rows are stored nearly in order of time.

use chrono::{DateTime, TimeDelta, Utc};
use outbox_core::message::Seq;
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, Select, prelude::DateTimeUtc,
};
use uuid::Uuid;

use super::EventRef;
use crate::tables::event::{Column, Entity, Model};

/// How far out of order the times of rows are taken to be: a number is drawn when its row is stored, so that a clock
/// that was set back is what puts them out of order.
const DISORDER: TimeDelta = TimeDelta::minutes(10);

/// Around the moment at which an id was made: how far application and database may differ, from likely to rare.
const NEAR: [TimeDelta; 2] = [TimeDelta::minutes(1), TimeDelta::hours(1)];

/// The seqs between which all rows of a window of time are: the first that may be one, and the one after the last.
/// `None` where the log has nothing as late as that.
pub(super) async fn window(
    db: &impl ConnectionTrait,
    since: Option<DateTimeUtc>,
    until: Option<DateTimeUtc>,
) -> Result<Option<(Option<Seq>, Option<Seq>)>, DbErr> {
    let first = match since.and_then(|moment| moment.checked_sub_signed(DISORDER)) {
        None => None,
        Some(moment) => match first_stored_at(db, moment).await? {
            None => return Ok(None),
            first => first,
        },
    };
    let after = match until.and_then(|moment| moment.checked_add_signed(DISORDER)) {
        None => None,
        Some(moment) => first_stored_at(db, moment).await?,
    };
    Ok(Some((first, after)))
}

/// The first row that was stored at a moment or later, as far as rows are in order of time: halving by key, some thirty
/// reads of one row.
async fn first_stored_at(db: &impl ConnectionTrait, moment: DateTimeUtc) -> Result<Option<Seq>, DbErr> {
    let (Some((mut low, _)), Some((last, youngest))) = (first_from(db, 0).await?, last(db).await?) else {
        return Ok(None);
    };
    if youngest < moment {
        return Ok(None);
    }
    // Whatever is at or after `high` was stored at the moment or later; what is before `low` was stored before it.
    let mut high = last;
    while low < high {
        let middle = low + (high - low) / 2;
        match first_from(db, middle).await? {
            Some((seq, stored)) if stored < moment => low = seq + 1,
            _ => high = middle,
        }
    }
    Ok(Some(low))
}

/// The first row from a seq on, and when it was stored.
async fn first_from(db: &impl ConnectionTrait, seq: Seq) -> Result<Option<(Seq, DateTimeUtc)>, DbErr> {
    places().filter(Column::Seq.gte(seq)).order_by_asc(Column::Seq).limit(1).into_tuple().one(db).await
}

/// The last row of the log, and when it was stored.
async fn last(db: &impl ConnectionTrait) -> Result<Option<(Seq, DateTimeUtc)>, DbErr> {
    places().order_by_desc(Column::Seq).limit(1).into_tuple().one(db).await
}

fn places() -> Select<Entity> {
    Entity::find().select_only().column(Column::Seq).column(Column::CreatedAt)
}

/// The row of an event, tombstones left out.
pub(super) async fn find(db: &impl ConnectionTrait, event: EventRef) -> Result<Option<Model>, DbErr> {
    let id = match event {
        EventRef::Seq(seq) => return Entity::find_by_id(seq).filter(Column::Topic.ne("")).one(db).await,
        EventRef::Id(id) => id,
    };
    if let Some(made) = made_at(id) {
        for near in NEAR {
            let (since, until) = (made.checked_sub_signed(near), made.checked_add_signed(near));
            let (Some(since), Some(until)) = (since, until) else { break };
            let Some(first) = first_stored_at(db, since).await? else { continue };
            let after = first_stored_at(db, until).await?;
            let range =
                Condition::all().add(Column::Seq.gte(first)).add_option(after.map(|seq| Column::Seq.lt(seq)));
            if let Some(row) = by_id(db, id, range).await? {
                return Ok(Some(row));
            }
        }
    }
    by_id(db, id, Condition::all()).await
}

async fn by_id(db: &impl ConnectionTrait, id: Uuid, range: Condition) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(Column::Id.eq(id)).filter(Column::Topic.ne("")).filter(range).one(db).await
}

/// When an id of version 7 was made, by the clock of who made it.
fn made_at(id: Uuid) -> Option<DateTime<Utc>> {
    if id.get_version_num() != 7 {
        return None;
    }
    let (seconds, nanoseconds) = id.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_of_version_7_tell_when_they_were_made() {
        let at = "2026-02-03T04:05:06.789Z".parse::<DateTime<Utc>>().expect("a moment");
        let timestamp = uuid::Timestamp::from_unix(
            uuid::NoContext,
            at.timestamp().unsigned_abs(),
            at.timestamp_subsec_nanos(),
        );
        assert_eq!(made_at(Uuid::new_v7(timestamp)), Some(at));
        assert_eq!(made_at(Uuid::new_v4()), None);
        assert_eq!(made_at(Uuid::nil()), None);
    }
}
