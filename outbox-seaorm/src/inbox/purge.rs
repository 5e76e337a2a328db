//! Forgetting messages that the broker cannot deliver any more.

use std::time::Duration;

use sea_orm::{
    ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    prelude::DateTimeUtc,
};

use super::{Inbox, PurgeError};
use crate::{
    clock,
    tables::inbox_message::{Column, Entity},
};

/// Rows removed with one statement: it holds their locks for milliseconds.
const CHUNK: u64 = 1_000;

impl Inbox {
    /// Removes this consumer's messages that were processed longer ago than `older_than`, by the database's clock, and
    /// says how many. It works in chunks, each a statement of its own, the oldest first.
    ///
    /// # Errors
    /// Where `older_than` is shorter than [what the inbox promises](Self::remember_for), and where the database is away.
    ///
    /// # Cancel safety
    /// Dropping the future ends it after a chunk.
    pub async fn purge(&self, older_than: Duration) -> Result<u64, PurgeError> {
        if older_than < self.window {
            return Err(PurgeError::WithinWindow { window: self.window, older_than });
        }
        let now = clock::read(&self.db).await?;
        let Some(cutoff) =
            chrono::Duration::from_std(older_than).ok().and_then(|age| now.checked_sub_signed(age))
        else {
            return Ok(0);
        };
        let mut removed = 0;
        while let Some(upto) = self.end_of_chunk(cutoff).await? {
            removed += self.remove_upto(upto).await?;
        }
        Ok(removed)
    }

    /// The age of the youngest row of the next chunk; rows of the same instant go with it.
    async fn end_of_chunk(&self, cutoff: DateTimeUtc) -> Result<Option<DateTimeUtc>, DbErr> {
        let oldest = Entity::find()
            .select_only()
            .column(Column::ProcessedAt)
            .filter(Column::Consumer.eq(self.consumer()))
            .filter(Column::ProcessedAt.lt(cutoff))
            .order_by_asc(Column::ProcessedAt)
            .limit(CHUNK)
            .into_tuple::<DateTimeUtc>()
            .all(&self.db)
            .await?;
        Ok(oldest.last().copied())
    }

    async fn remove_upto(&self, upto: DateTimeUtc) -> Result<u64, DbErr> {
        let removed = Entity::delete_many()
            .filter(Column::Consumer.eq(self.consumer()))
            .filter(Column::ProcessedAt.lte(upto))
            .exec(&self.db)
            .await?;
        Ok(removed.rows_affected)
    }
}
