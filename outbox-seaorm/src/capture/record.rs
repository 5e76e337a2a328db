//! Events recorded by hand, for bulk writes and for services without entities.

use outbox_core::{
    event::{IntoEvents, NewEvent},
    wake,
};
use sea_orm::DbErr;

use super::{CaptureError, InTransaction, insert::insert, turn::Turn};

/// Stores events by hand, in a transaction.
///
/// Write or lock the row that the event tells of **first**: the row's lock is what makes the order of the
/// events of one aggregate the order of their commits.
///
/// ```
/// # use outbox_seaorm::prelude::*;
/// # use sea_orm::{DatabaseConnection, DbErr, TransactionTrait};
/// # async fn example<E: outbox_seaorm::event::IntoEvents + Send>(db: &DatabaseConnection, placed: E) -> Result<(), DbErr> {
/// let txn = db.begin().await?;
/// // .. the writes ..
/// placed.record(&txn).await?;
/// txn.commit().await
/// # }
/// ```
pub trait Record: IntoEvents + Sized {
    /// Stores the event, or all of them where it is several, in the transaction.
    ///
    /// # Errors
    /// Where an event is no JSON or has a text that is too long (nothing is written then), and what the database
    /// says. Roll the transaction back then: its other writes would stand without their event.
    fn record<T: InTransaction>(self, txn: &T) -> impl Future<Output = Result<(), DbErr>> + Send;
}

impl<E: IntoEvents> Record for E {
    fn record<T: InTransaction>(self, txn: &T) -> impl Future<Output = Result<(), DbErr>> + Send {
        // Erased before the future is made: it holds no value of the user's type across an await.
        let events = erased(self);
        async move { store(txn, events?).await }
    }
}

/// Stores many events in the transaction, in order: one statement for every 500.
///
/// # Errors
/// As [`Record::record`].
pub fn record_all<T, I>(txn: &T, events: I) -> impl Future<Output = Result<(), DbErr>> + Send
where
    T: InTransaction,
    I: IntoIterator<Item: IntoEvents>,
{
    let events = events.into_iter().try_fold(Vec::new(), |mut into, event| {
        event.append_to(&mut into)?;
        Ok::<_, CaptureError>(into)
    });
    async move { store(txn, events?).await }
}

/// The events without their type.
pub(super) fn erased(events: impl IntoEvents) -> Result<Vec<NewEvent>, CaptureError> {
    let mut into = Vec::new();
    events.append_to(&mut into)?;
    Ok(into)
}

async fn store<T: InTransaction>(txn: &T, events: Vec<NewEvent>) -> Result<(), DbErr> {
    if events.is_empty() {
        return Ok(());
    }
    // Inside the savepoint of a save beside it, it would be undone with that save.
    let _turn = Turn::wait(txn).await;
    insert(txn, events).await?;
    wake::captured();
    Ok(())
}
