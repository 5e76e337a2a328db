//! Taking a command: which of two calls with the same key runs, and what the other is told.
//!
//! The row that is inserted first decides, as for messages: there is one row for a key. But a caller of a command waits
//! for its answer, so a second call must not wait for the first to end. How it is seen that a row is there which is not
//! committed yet:
//!
//! | database | by |
//! |---|---|
//! | PostgreSQL | a lock of the transaction's own (`pg_try_advisory_xact_lock`) for the key, taken before the insert |
//! | MySQL, MariaDB | a locking read that does not wait (`FOR UPDATE NOWAIT`), before the transaction: in it, it would lock the gap that other keys are to go into |
//! | SQLite | not at all: it has one writer |

use std::{sync::Arc, time::Duration};

use sea_orm::{
    ConnectionTrait as _, DatabaseTransaction, DbBackend, DbErr, EntityName as _, EntityTrait as _,
    QuerySelect as _, Set, SqlErr, SqliteTransactionMode, TransactionOptions, TransactionTrait as _,
    sea_query::{Func, LockBehavior, LockType, OnConflict, Query},
};
use sha2::{Digest as _, Sha256};
use tokio::time::{sleep, timeout};

use super::super::Inbox;
use crate::{
    error_code::ErrorCode,
    tables::inbox_command::{ActiveModel, Entity, Model},
    tx::{Conflict, Loan},
};

/// How often it is tried where another transaction is in the way.
const ATTEMPTS: u32 = 5;

/// For how long an insert waits for another call on MySQL and MariaDB, where both began at the same moment in
/// different processes. They have no insert that does not wait.
const INSERT_PATIENCE: Duration = Duration::from_secs(2);

/// What is found.
pub(super) enum Claim {
    /// It is ours to run: a transaction with its row in it.
    Ours(Loan),
    /// It was run before.
    Stored(Model),
    /// Another call is at it.
    InFlight,
}

/// What one attempt comes to.
enum Attempt {
    Ours(DatabaseTransaction),
    /// There is a row that was committed a moment ago.
    There,
    InFlight,
}

impl Inbox {
    /// Begins a transaction with the command's row in it, unless the command was run before or is being run.
    pub(super) async fn claim_command(&self, key: &str, request_hash: &[u8]) -> Result<Claim, DbErr> {
        if let Some(row) = self.stored_command(key).await? {
            return Ok(Claim::Stored(row));
        }
        let mut turn = match &self.turns {
            // Fails only where the semaphore is closed, and nobody closes it.
            Some(turns) => Arc::clone(turns).acquire_owned().await.ok(),
            None => None,
        };
        let mut attempt = 1;
        loop {
            match self.try_claim_command(key, request_hash).await {
                Ok(Attempt::Ours(txn)) => return Ok(Claim::Ours(Loan::new(txn, turn.take()))),
                Ok(found @ (Attempt::There | Attempt::InFlight)) => {
                    // The first may have ended since.
                    if let Some(row) = self.stored_command(key).await? {
                        return Ok(Claim::Stored(row));
                    }
                    if matches!(found, Attempt::InFlight) || attempt >= ATTEMPTS {
                        return Ok(Claim::InFlight);
                    }
                }
                Err(error) if attempt >= ATTEMPTS || !self.may_pass(&error) => return Err(error),
                Err(_) => sleep(Duration::from_millis(5) * attempt).await,
            }
            attempt += 1;
        }
    }

    /// What is stored of a command that has ended.
    async fn stored_command(&self, key: &str) -> Result<Option<Model>, DbErr> {
        let key = (self.consumer().to_owned(), key.to_owned());
        Entity::find_by_id(key).one(&self.db).await
    }

    /// Whether the same may pass a moment later. On SQLite it has waited for the writer already.
    fn may_pass(&self, error: &DbErr) -> bool {
        Conflict::of(error).is_some() && self.db.get_database_backend() != DbBackend::Sqlite
    }

    async fn try_claim_command(&self, key: &str, request_hash: &[u8]) -> Result<Attempt, DbErr> {
        let backend = self.db.get_database_backend();
        if backend == DbBackend::MySql && self.is_locked(key).await? {
            return Ok(Attempt::InFlight);
        }
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let txn = self.db.begin_with_options(options).await?;
        let found = match backend {
            DbBackend::Postgres if !self.lock(&txn, key).await? => Found::InFlight,
            DbBackend::MySql => {
                match timeout(INSERT_PATIENCE, self.insert_command(&txn, key, request_hash)).await {
                    Ok(Err(error)) if is_lock_wait(&error) => Found::InFlight,
                    Ok(found) => found?,
                    // Dropping the transaction ends it.
                    Err(_) => return Ok(Attempt::InFlight),
                }
            }
            _ => self.insert_command(&txn, key, request_hash).await?,
        };
        match found {
            Found::Nothing => Ok(Attempt::Ours(txn)),
            Found::Row => txn.rollback().await.map(|()| Attempt::There),
            Found::InFlight => txn.rollback().await.map(|()| Attempt::InFlight),
        }
    }

    /// Locks the key on PostgreSQL until the transaction ends; `false` where another transaction has it.
    async fn lock(&self, txn: &DatabaseTransaction, key: &str) -> Result<bool, DbErr> {
        let lock = Func::cust("pg_try_advisory_xact_lock").arg(self.lock_number(key));
        let row = txn.query_one(&Query::select().expr_as(lock, "locked").to_owned()).await?;
        row.ok_or_else(|| DbErr::RecordNotFound("the answer about a lock".to_owned()))?.try_get("", "locked")
    }

    /// The number of a key's lock. These locks are one space for a whole database, so table and consumer are part of it.
    fn lock_number(&self, key: &str) -> i64 {
        let mut hash = Sha256::new();
        for part in [Entity.schema_name().unwrap_or_default(), Entity.table_name(), self.consumer(), key] {
            hash.update(part);
            hash.update([0]);
        }
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hash.finalize());
        i64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// Whether a transaction of MySQL or MariaDB has a row of this key.
    async fn is_locked(&self, key: &str) -> Result<bool, DbErr> {
        let key = (self.consumer().to_owned(), key.to_owned());
        let row = Entity::find_by_id(key).lock_with_behavior(LockType::Update, LockBehavior::Nowait);
        match row.one(&self.db).await {
            Ok(_) => Ok(false),
            Err(error) if is_lock_wait(&error) => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn insert_command(
        &self,
        txn: &DatabaseTransaction,
        key: &str,
        request_hash: &[u8],
    ) -> Result<Found, DbErr> {
        let row = ActiveModel {
            consumer: Set(self.consumer().to_owned()),
            command_key: Set(key.to_owned()),
            request_hash: Set(request_hash.to_owned()),
            ..ActiveModel::default()
        };
        let insert = Entity::insert(row);
        if txn.get_database_backend() == DbBackend::MySql {
            // `INSERT IGNORE` would also swallow a value that is cut short.
            return match insert.exec_without_returning(txn).await {
                Ok(_) => Ok(Found::Nothing),
                Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => {
                    Ok(Found::Row)
                }
                Err(error) => Err(error),
            };
        }
        let inserted =
            insert.on_conflict(OnConflict::new().do_nothing().to_owned()).exec_without_returning(txn).await?;
        Ok(if inserted == 1 { Found::Nothing } else { Found::Row })
    }
}

/// What was in the way of an insert.
enum Found {
    Nothing,
    Row,
    InFlight,
}

/// Whether a lock was waited for in vain, or would have had to be: MariaDB and MySQL.
fn is_lock_wait(error: &DbErr) -> bool {
    matches!(ErrorCode::of(error), Some(ErrorCode::Number(1205 | 3572)))
}
