//! One message, one transaction.

use std::{error::Error, time::Duration};

use outbox_core::consumer::{Forgotten, HandlerError, InboxError, InboxStore, MessageKey, Processed};

use super::{Inbox, failure::Failure, name};
use crate::tx::{Loan, Tx};

impl Inbox {
    /// Runs `handler` in a transaction unless this consumer has processed the message before, and commits what it
    /// wrote, the events it raised and the message's row together. Its error rolls all of it back.
    ///
    /// Of two copies at the same moment one runs; the other waits for it and is then a duplicate, or runs where the
    /// first rolled back. Acknowledge the message after `Ok`, whichever it is.
    ///
    /// The closure may borrow its surroundings, also where the future is spawned. It gets the transaction by
    /// value and gives it up by returning: see [`Tx`].
    ///
    /// # Errors
    /// The handler's own; a clone of the transaction that was kept; a key that the columns cannot hold; what the
    /// database says.
    ///
    /// # Cancel safety
    /// Dropping the future rolls back, unless the commit is under way: then either may be, and the inbox knows
    /// when the message comes again.
    pub async fn process<'m, T, E, F>(
        &self,
        message: impl Into<MessageKey<'m>>,
        handler: F,
    ) -> Result<Processed<T>, InboxError<E>>
    where
        F: AsyncFnOnce(Tx) -> Result<T, E>,
    {
        let key = message.into();
        let Some(loan) = self.open(key).await? else { return Ok(Processed::Duplicate) };
        let outcome = handler(loan.tx()).await;
        self.close(key, loan, outcome).await.map(Processed::Processed)
    }

    async fn open<E>(&self, key: MessageKey<'_>) -> Result<Option<Loan>, InboxError<E>> {
        name::check(key).map_err(InboxError::Key)?;
        Ok(self.claim(key).await.map_err(Failure::from)?)
    }

    async fn close<T, E>(
        &self,
        key: MessageKey<'_>,
        loan: Loan,
        outcome: Result<T, E>,
    ) -> Result<T, InboxError<E>> {
        match outcome {
            Ok(value) => {
                if loan.is_doubtful() {
                    self.check_alive(key, &loan).await?;
                }
                loan.commit().await.map_err(Failure::from)?;
                Ok(value)
            }
            Err(error) => {
                roll_back(loan).await;
                Err(InboxError::Handler(error))
            }
        }
    }

    /// A handler may go on after a statement that failed. Where the database has aborted the transaction for it, a
    /// commit stores nothing and may say that all is well (PostgreSQL); the row that was inserted first tells.
    async fn check_alive(&self, key: MessageKey<'_>, loan: &Loan) -> Result<(), Failure> {
        match self.holds(&loan.tx(), key).await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Failure::Aborted),
        }
    }
}

/// Gives a transaction up; there is another error to report.
pub(super) async fn roll_back(loan: Loan) {
    if let Err(rollback) = loan.rollback().await {
        // The connection is lost, and the transaction with it.
        tracing::debug!(error = %rollback, "a rollback was not confirmed");
    }
}

impl InboxStore for Inbox {
    type Tx = Tx;

    async fn process<F, Fut>(
        &self,
        message: MessageKey<'_>,
        handler: F,
    ) -> Result<Processed<()>, InboxError<HandlerError>>
    where
        F: FnOnce(Tx) -> Fut + Send,
        Fut: Future<Output = Result<(), HandlerError>> + Send,
    {
        let Some(loan) = self.open(message).await? else { return Ok(Processed::Duplicate) };
        let outcome = handler(loan.tx()).await;
        self.close(message, loan, outcome).await.map(Processed::Processed)
    }

    fn name(&self) -> &str {
        self.consumer()
    }

    fn window(&self) -> Option<Duration> {
        Some(self.window)
    }

    async fn forget_some(&self) -> Result<Forgotten, Box<dyn Error + Send + Sync>> {
        Ok(self.purge_chunk().await?)
    }
}
