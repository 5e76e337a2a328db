//! A transaction that the inbox lends to a handler and takes back.

use std::sync::Arc;

use sea_orm::{DatabaseTransaction, DbErr};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Tx,
    gate::{EndedBy, Gate, Level},
};

/// The inbox's side of a handler's [`Tx`]. Dropping it rolls back, also where the handler kept a clone.
#[derive(Debug)]
pub(crate) struct Loan {
    tx: Tx,
    /// Where transactions take turns, this one's.
    _turn: Option<OwnedSemaphorePermit>,
}

/// Why a loan could not be committed. It is rolled back then.
#[derive(Debug)]
pub(crate) enum LoanError {
    /// A clone or a savepoint is still there.
    Kept,
    /// What the database says.
    Database(DbErr),
}

impl Loan {
    pub(crate) fn new(txn: DatabaseTransaction, turn: Option<OwnedSemaphorePermit>) -> Self {
        Self { tx: Tx::at(Gate::new(txn, EndedBy::Inbox), Level::ROOT), _turn: turn }
    }

    /// The handler's.
    pub(crate) fn tx(&self) -> Tx {
        self.tx.clone()
    }

    /// Whether a statement failed or was not waited for: the database may have aborted the transaction.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.tx.gate().is_doubtful()
    }

    /// Commits, unless the handler kept something.
    pub(crate) async fn commit(self) -> Result<(), LoanError> {
        if self.is_kept() {
            // The kept handle is the error to report; a rollback that fails is one all the same.
            let _ = self.rollback().await;
            return Err(LoanError::Kept);
        }
        let mut entered = self.tx.gate().enter().await;
        let txn = entered.take(Level::ROOT).await.map_err(LoanError::Database)?;
        txn.commit().await.map_err(LoanError::Database)
    }

    /// Rolls back. Where a kept clone has a statement under way, that happens when the statement ends.
    pub(crate) async fn rollback(self) -> Result<(), DbErr> {
        match self.tx.gate().try_enter() {
            Some(mut entered) => entered.rollback_all().await,
            None => Ok(()),
        }
    }

    /// Whether the handler kept a clone or a savepoint.
    pub(crate) fn is_kept(&self) -> bool {
        Arc::strong_count(&self.tx.handle) > 1 || Arc::strong_count(&self.tx.handle.gate) > 1
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.tx.gate().revoke();
    }
}
