//! What operators ask of the log and do to it, for a command line and for monitoring.
//!
//! Reads need nothing but the [`Outbox`]. Changes need a person and a reason, so they are methods of the [`Operator`]
//! that [`acting_as`](Outbox::acting_as) gives: each is stored together with its row of `outbox_audit` or not at all. A
//! change of many events is several such transactions, each with its row.
//! All of it but [`rewind`](Operator::rewind) goes through the user's own connection, with entity and sea-query
//! statements. A running relay hears of a change by the subscription's count of interventions and goes on from what is
//! stored.

mod audit;
mod control;
mod dead_letters;
mod error;
mod event;
mod events;
mod filter;
mod floor;
mod health;
mod locate;
mod operator;
mod receipts;
mod replay;
mod rewind;
mod seconds;
mod standing;
mod status;

use sea_orm::{DatabaseConnection, DbBackend, IsolationLevel, SqliteTransactionMode, TransactionOptions};

use crate::SeaOrmLog;

pub use audit::{Action, AuditEntry, AuditFilter};
pub use control::Dropped;
pub use dead_letters::DeadLetter;
pub use error::OutboxError;
pub use event::{EventDetails, EventInfo, EventRef, EventRefError, EventStanding};
pub use filter::{DeadLetterFilter, EventFilter};
pub use health::{Amount, Code, Health, Level, Limit, Reason, Thresholds};
pub use operator::Operator;
pub use receipts::{Acknowledged, Awaited, DeliveryReceipt, Resent, Unacknowledged};
pub use replay::{Replay, Replayed, Selection, Skipped};
pub use rewind::{RewindTo, Rewound};
pub use standing::{EventState, HoldInfo, ReceiptInfo, Standing};
pub use status::{Leadership, Pin, PinnedBy, Status, SubscriptionStatus, TakenTopics};

/// The outbox of a database, for operators. A clone is the same.
///
/// ```no_run
/// # use outbox_seaorm::outbox::{DeadLetterFilter, EventFilter, Outbox, OutboxError, RewindTo};
/// # async fn operate(db: sea_orm::DatabaseConnection) -> Result<(), OutboxError> {
/// let outbox = Outbox::new(db);
/// for letter in outbox.dead_letters(DeadLetterFilter::of("sqs").error("timed out")).await? {
///     println!("{} died after {} attempts", letter.seq, letter.attempts);
/// }
/// let order = outbox.events(EventFilter::all().aggregate_type("order").aggregate_id("17")).await?;
///
/// let operator = outbox.acting_as("ada", "the broker is mended")?;
/// operator.requeue_all(DeadLetterFilter::of("sqs").error("timed out")).await?;
/// operator.rewind("mail", RewindTo::Beginning).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Outbox {
    db: DatabaseConnection,
    /// Opens no connection before it is asked something.
    log: SeaOrmLog,
}

impl Outbox {
    /// The outbox in the database of this connection. Nothing is asked of the database yet.
    #[must_use]
    pub fn new(db: DatabaseConnection) -> Self {
        Self { log: SeaOrmLog::new(db.clone()), db }
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
