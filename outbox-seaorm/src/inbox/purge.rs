//! Forgetting messages that the broker cannot deliver any more, and commands that nobody sends again.

use std::time::Duration;

use outbox_core::consumer::Forgotten;
use sea_orm::{
    ColumnTrait as _, DatabaseConnection, DbErr, EntityTrait, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, prelude::DateTimeUtc,
};

use super::{Inbox, PurgeError};
use crate::{
    clock,
    tables::{inbox_command, inbox_message},
};

/// Rows removed with one statement: it holds their locks for milliseconds.
const CHUNK: usize = 1_000;

const MESSAGES: Aging<inbox_message::Entity> =
    Aging { consumer: inbox_message::Column::Consumer, since: inbox_message::Column::ProcessedAt };

const COMMANDS: Aging<inbox_command::Entity> =
    Aging { consumer: inbox_command::Column::Consumer, since: inbox_command::Column::BegunAt };

impl Inbox {
    /// Removes this consumer's messages and commands that are older than `older_than`, by the database's clock, and says
    /// how many. It works in chunks, each a statement of its own, the oldest first.
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
        let Some(cutoff) = self.cutoff(older_than).await? else { return Ok(0) };
        let mut removed = 0;
        loop {
            let chunk = self.remove_chunk(cutoff).await?;
            removed += chunk.removed;
            if !chunk.more {
                return Ok(removed);
            }
        }
    }

    /// Removes the oldest rows past the window.
    pub(super) async fn purge_chunk(&self) -> Result<Forgotten, DbErr> {
        match self.cutoff(self.window).await? {
            Some(cutoff) => self.remove_chunk(cutoff).await,
            None => Ok(Forgotten::default()),
        }
    }

    /// The moment that is so long ago; `None` where there is none.
    async fn cutoff(&self, age: Duration) -> Result<Option<DateTimeUtc>, DbErr> {
        let Ok(age) = chrono::Duration::from_std(age) else { return Ok(None) };
        Ok(clock::read(&self.db).await?.checked_sub_signed(age))
    }

    async fn remove_chunk(&self, cutoff: DateTimeUtc) -> Result<Forgotten, DbErr> {
        let messages = MESSAGES.remove_chunk(&self.db, self.consumer(), cutoff).await?;
        let commands = COMMANDS.remove_chunk(&self.db, self.consumer(), cutoff).await?;
        Ok(Forgotten { removed: messages.removed + commands.removed, more: messages.more || commands.more })
    }
}

/// A table whose rows grow old. It has an index over these two.
struct Aging<E: EntityTrait> {
    consumer: E::Column,
    since: E::Column,
}

impl<E: EntityTrait> Aging<E> {
    /// Removes the oldest rows. Those of the same instant go together, so that each chunk ends between two.
    async fn remove_chunk(
        &self,
        db: &DatabaseConnection,
        consumer: &str,
        cutoff: DateTimeUtc,
    ) -> Result<Forgotten, DbErr> {
        let oldest = E::find()
            .select_only()
            .column(self.since)
            .filter(self.consumer.eq(consumer))
            .filter(self.since.lt(cutoff))
            .order_by_asc(self.since)
            .limit(CHUNK as u64)
            .into_tuple::<DateTimeUtc>()
            .all(db)
            .await?;
        let Some(youngest) = oldest.last() else { return Ok(Forgotten::default()) };
        let removed = E::delete_many()
            .filter(self.consumer.eq(consumer))
            .filter(self.since.lte(*youngest))
            .exec(db)
            .await?;
        Ok(Forgotten { removed: removed.rows_affected, more: oldest.len() >= CHUNK })
    }
}
