//! Taking a message: the insert that decides which of two copies runs.

use std::{sync::Arc, time::Duration};

use outbox_core::consumer::MessageKey;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait as _,
    QueryFilter as _, QuerySelect as _, Set, SqlErr, SqliteTransactionMode, TransactionOptions,
    TransactionTrait as _, sea_query::OnConflict,
};
use tokio::sync::OwnedSemaphorePermit;

use super::Inbox;
use crate::{
    tables::inbox_message::{ActiveModel, Column, Entity},
    tx::{Conflict, Loan},
};

/// How often the insert is tried where another transaction is in the way. Of three copies whose first rolls back, MySQL
/// lets the second in and ends the third as a deadlock.
const ATTEMPTS: u32 = 5;

impl Inbox {
    /// Begins a transaction with the message's row in it; `None` where the message was processed before.
    pub(super) async fn claim(&self, key: MessageKey<'_>) -> Result<Option<Loan>, DbErr> {
        let mut turn = match &self.turns {
            // Fails only where the semaphore is closed, and nobody closes it.
            Some(turns) => Arc::clone(turns).acquire_owned().await.ok(),
            None => None,
        };
        let mut attempt = 1;
        loop {
            match self.try_claim(key, &mut turn).await {
                Err(error) if attempt < ATTEMPTS && Conflict::of(&error).is_some() => {
                    tokio::time::sleep(Duration::from_millis(5) * attempt).await;
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn try_claim(
        &self,
        key: MessageKey<'_>,
        turn: &mut Option<OwnedSemaphorePermit>,
    ) -> Result<Option<Loan>, DbErr> {
        let options = TransactionOptions {
            // A transaction that reads first and writes later would fail as busy, without waiting.
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let txn = self.db.begin_with_options(options).await?;
        match self.insert(&txn, key).await {
            Ok(true) => Ok(Some(Loan::new(txn, turn.take()))),
            Ok(false) => {
                txn.rollback().await?;
                Ok(None)
            }
            Err(error) => {
                // The insert's error is the one to report.
                let _ = txn.rollback().await;
                Err(error)
            }
        }
    }

    /// Inserts the row; `false` where it is there. Waits for a transaction that is inserting the same.
    async fn insert(&self, txn: &DatabaseTransaction, key: MessageKey<'_>) -> Result<bool, DbErr> {
        let row = ActiveModel {
            consumer: Set(self.consumer().to_owned()),
            source: Set(key.source.to_owned()),
            message_id: Set(key.id.to_owned()),
            replay: Set(key.replay.unwrap_or_default().to_owned()),
            ..ActiveModel::default()
        };
        let insert = Entity::insert(row);
        if txn.get_database_backend() == DbBackend::MySql {
            // `INSERT IGNORE` would also swallow a value that is cut short.
            return match insert.exec_without_returning(txn).await {
                Ok(_) => Ok(true),
                Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => {
                    Ok(false)
                }
                Err(error) => Err(error),
            };
        }
        // A duplicate key as an error would abort a transaction of PostgreSQL.
        let inserted =
            insert.on_conflict(OnConflict::new().do_nothing().to_owned()).exec_without_returning(txn).await?;
        Ok(inserted == 1)
    }

    /// Whether the message's row is in this transaction.
    pub(super) async fn holds<C: ConnectionTrait>(
        &self,
        txn: &C,
        key: MessageKey<'_>,
    ) -> Result<bool, DbErr> {
        let found = Entity::find()
            .select_only()
            .column(Column::MessageId)
            .filter(Column::Consumer.eq(self.consumer()))
            .filter(Column::Source.eq(key.source))
            .filter(Column::MessageId.eq(key.id))
            .filter(Column::Replay.eq(key.replay.unwrap_or_default()))
            .into_tuple::<String>()
            .one(txn)
            .await?;
        Ok(found.is_some())
    }
}
