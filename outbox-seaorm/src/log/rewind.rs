//! Where a subscription goes on that is moved back: what a rewind has to know of the log.

use std::time::Duration;

use outbox_core::{
    log::{LogError, StoredProgress, SubscriptionName},
    message::Seq,
};
use sea_orm::{
    ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};
use uuid::Uuid;

use super::{
    SeaOrmLog,
    lease::{last_number, look},
    start,
};
use crate::{outbox::RewindTo, tables::event};

/// How long a rewind waits for a lock: a chunk of purge may have the floor.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);

/// A subscription's stored progress, and what it is worth.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) progress: StoredProgress,
    /// Whether the log is the one that was read: then a number that is no hole was settled or proved empty. Where it is
    /// not, any gap may be filled.
    trusted: bool,
}

impl SeaOrmLog {
    /// The purge floor, locked to the end of the transaction, which from here on may take as long as a pass over the log.
    pub(crate) async fn lock_floor(&self, txn: &DatabaseTransaction) -> Result<Seq, LogError> {
        let log = self.inner()?;
        let sessions = &log.sessions;
        sessions.be_patient(txn, sessions.limits().patience.longest(), LOCK_PATIENCE).await?;
        start::lock_floor(log, txn).await
    }

    /// What is stored of a subscription, and whether its position is in the log.
    pub(crate) async fn trusted_progress(
        &self,
        txn: &DatabaseTransaction,
        subscription: &str,
    ) -> Result<Known, LogError> {
        let log = self.inner()?;
        let name =
            SubscriptionName::new(subscription).map_err(|error| LogError::Refused(error.to_string()))?;
        let standing = look(log, txn, &name).await?;
        let trusted = standing.anchored && standing.progress.position <= last_number(log, txn).await?;
        Ok(Known { progress: standing.progress, trusted })
    }

    /// The place behind which a subscription goes on, with its anchor and the holes below.
    pub(crate) async fn place(
        &self,
        txn: &DatabaseTransaction,
        floor: Seq,
        to: RewindTo,
        stored: &Known,
    ) -> Result<StoredProgress, LogError> {
        let log = self.inner()?;
        let at_floor = StoredProgress { position: floor, ..StoredProgress::default() };
        let mut place = match to {
            RewindTo::Beginning => at_floor,
            RewindTo::Time(moment) => start::at_end(log, txn, floor, Some(log.sql.moment(moment))).await?,
            RewindTo::After(seq) => {
                let mut place = match last_row(txn, floor, seq).await? {
                    Some((position, id)) => StoredProgress { position, anchor: Some(id), ..at_floor },
                    None => at_floor,
                };
                if !stored.trusted {
                    place.holes = start::at_end(log, txn, floor, None).await?.holes;
                }
                place
            }
        };
        if stored.trusted {
            // Gaps that were proved empty need no proof again; what was not settled is still to be published.
            place.holes = stored.progress.holes.clone();
        } else {
            place.holes.insert_all(&stored.progress.holes);
        }
        place.holes.remove_range(Seq::MIN..=floor);
        place.holes.remove_range(place.position + 1..=Seq::MAX);
        Ok(place)
    }
}

/// The last row above the floor and up to a seq.
async fn last_row(txn: &DatabaseTransaction, floor: Seq, seq: Seq) -> Result<Option<(Seq, Uuid)>, LogError> {
    event::Entity::find()
        .select_only()
        .column(event::Column::Seq)
        .column(event::Column::Id)
        .filter(event::Column::Seq.gt(floor))
        .filter(event::Column::Seq.lte(seq))
        .order_by_desc(event::Column::Seq)
        .limit(1)
        .into_tuple()
        .one(txn)
        .await
        .map_err(LogError::database)
}
