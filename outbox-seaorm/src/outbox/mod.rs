//! What operators ask of the log and do to it, for a command line and for monitoring.
//!
//! Reads need nothing but the [`Outbox`]. Changes need a person and a reason, so they are methods of the [`Operator`]
//! that [`acting_as`](Outbox::acting_as) gives: each is stored together with its row of `outbox_audit` or not at all.
//! All of it goes through the user's own connection, with entity and sea-query statements; a running relay hears of a
//! change by the subscription's count of interventions and goes on from what is stored.

mod audit;
mod control;
mod error;
mod operator;

use sea_orm::{DatabaseConnection, DbBackend, IsolationLevel, SqliteTransactionMode, TransactionOptions};

pub use audit::Action;
pub use error::OutboxError;
pub use operator::Operator;

/// The outbox of a database, for operators. A clone is the same.
#[derive(Clone, Debug)]
pub struct Outbox {
    db: DatabaseConnection,
}

impl Outbox {
    /// The outbox in the database of this connection. Nothing is asked of the database yet.
    #[must_use]
    pub fn new(db: DatabaseConnection) -> Self {
        Self { db }
    }

    /// The changes that somebody may make, for a reason: both are kept in `outbox_audit` with each of them.
    ///
    /// # Errors
    /// [`OutboxError::NobodyInCharge`] where either is empty or too long.
    pub fn acting_as(&self, who: &str, why: &str) -> Result<Operator, OutboxError> {
        Operator::new(self.clone(), who, why)
    }

    /// How a transaction that changes something begins: it sees what was committed before each of its statements, so
    /// that what it reads after a lock is what the lock protects. On SQLite it takes the writer's place at once.
    fn changing(&self) -> TransactionOptions {
        TransactionOptions {
            isolation_level: self.isolation(IsolationLevel::ReadCommitted),
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        }
    }

    /// SQLite has one isolation level and warns of any wish.
    fn isolation(&self, level: IsolationLevel) -> Option<IsolationLevel> {
        (self.db.get_database_backend() != DbBackend::Sqlite).then_some(level)
    }
}
