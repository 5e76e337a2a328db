//! Beginning savepoints, and ending them and the transaction.

use std::{pin::Pin, sync::Arc};

use async_trait::async_trait;
use sea_orm::{
    AccessMode, ConnectionTrait as _, DbErr, IsolationLevel, TransactionError, TransactionOptions,
    TransactionSession, TransactionTrait,
    sea_query::{Expr, Query},
};

use super::{
    Tx,
    gate::{EndedBy, Level},
};

#[async_trait]
impl TransactionTrait for Tx {
    type Transaction = Self;

    async fn begin(&self) -> Result<Self, DbErr> {
        self.begin_with_options(TransactionOptions::default()).await
    }

    async fn begin_with_config(
        &self,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<Self, DbErr> {
        self.begin_with_options(TransactionOptions {
            isolation_level,
            access_mode,
            sqlite_transaction_mode: None,
        })
        .await
    }

    async fn begin_with_options(&self, options: TransactionOptions) -> Result<Self, DbErr> {
        let level = self.gate().enter().await.begin(options).await?;
        Ok(Self::at(Arc::clone(&self.handle.gate), level))
    }

    async fn transaction<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Self) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>> + Send,
        T: Send,
        E: std::fmt::Display + std::fmt::Debug + Send,
    {
        self.transaction_with_config(callback, None, None).await
    }

    async fn transaction_with_config<F, T, E>(
        &self,
        callback: F,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Self) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>> + Send,
        T: Send,
        E: std::fmt::Display + std::fmt::Debug + Send,
    {
        let savepoint = self
            .begin_with_config(isolation_level, access_mode)
            .await
            .map_err(TransactionError::Connection)?;
        match callback(&savepoint).await {
            Ok(value) => {
                TransactionSession::commit(savepoint).await.map_err(TransactionError::Connection)?;
                Ok(value)
            }
            Err(error) => {
                TransactionSession::rollback(savepoint).await.map_err(TransactionError::Connection)?;
                Err(TransactionError::Transaction(error))
            }
        }
    }
}

#[async_trait]
impl TransactionSession for Tx {
    async fn commit(self) -> Result<(), DbErr> {
        self.refuse_if_lent("commit")?;
        let mut entered = self.gate().enter().await;
        if self.handle.level == Level::ROOT && entered.has_savepoints() {
            entered.rollback_all().await?;
            return Err(DbErr::Custom(
                "a savepoint was still open at the commit, which would have released only that: all is rolled back"
                    .to_owned(),
            ));
        }
        if self.handle.level == Level::ROOT && self.gate().is_doubtful() {
            // Where PostgreSQL has aborted the transaction this fails, and the commit would not. On MySQL and MariaDB
            // it would run outside of any; there a statement that may have ended the transaction closes the gate.
            let outcome =
                entered.innermost()?.query_one(&Query::select().expr(Expr::val(1)).to_owned()).await;
            entered.checked(outcome)?;
        }
        entered.take(self.handle.level).await?.commit().await
    }

    async fn rollback(self) -> Result<(), DbErr> {
        self.refuse_if_lent("rollback")?;
        let mut entered = self.gate().enter().await;
        if self.handle.level == Level::ROOT {
            return entered.rollback_all().await;
        }
        entered.take(self.handle.level).await?.rollback().await
    }
}

impl Tx {
    fn refuse_if_lent(&self, what: &str) -> Result<(), DbErr> {
        if self.handle.level == Level::ROOT && self.gate().end == EndedBy::Inbox {
            return Err(DbErr::Custom(format!(
                "`{what}` on a handler's `Tx`: the inbox ends it, by a commit where the handler returns `Ok`, \
                 else by a rollback; for a part of its own use `txn.begin()`"
            )));
        }
        Ok(())
    }
}
