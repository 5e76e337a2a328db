//! A command that is run once, however often its caller sends it.

mod answer;
mod claim;
mod error;
mod request_hash;
mod running;

use sea_orm::{ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, sea_query::Expr};
use serde::{Serialize, de::DeserializeOwned};

pub use answer::Answer;
pub use error::OnceError;
pub use request_hash::RequestHash;
pub(super) use running::Running;

use claim::Claim;

use super::{Inbox, failure::Failure, name, process::roll_back};
use crate::{
    clock,
    tables::inbox_command::{Column, Entity, Model},
    tx::{Loan, Tx},
};

/// The largest answer that is stored, in bytes of JSON.
const MAX_ANSWER: usize = 1024 * 1024;

impl Inbox {
    /// Runs `command` in a transaction unless it was run before under this key, and commits what it wrote, the events
    /// it raised and its answer together. A repeat gets the stored answer, and nothing runs.
    ///
    /// For what a client may send again because it got no answer: an HTTP request with an `Idempotency-Key`, a job, a
    /// call from another service. The key is the caller's, of 1 to 255 characters, compared byte by byte, and unique
    /// within this inbox's name. The hash, of 1 to 64 bytes, tells one request from another: see [`RequestHash`].
    ///
    /// | the key | answer |
    /// |---|---|
    /// | is new | the command runs: [`Answer::First`] |
    /// | was used for the same request | the stored answer: [`Answer::Repeated`] |
    /// | was used for another request | [`OnceError::DifferentRequest`] |
    /// | is being used by a call that has not ended | [`OnceError::InFlight`], at once |
    /// | was used by a command that returned an error, panicked or was given up | nothing is stored of it: the command runs |
    ///
    /// An error of the command is no answer: what is to be repeated, a refusal too, is returned as `Ok`. The answer is
    /// stored as JSON of at most 1 MiB, and remembered for [the inbox's window](Self::remember_for); after that the same
    /// key is a new one. Give commands that are to be forgotten earlier an inbox with a name of its own.
    ///
    /// ```
    /// # use outbox_seaorm::{Inbox, inbox::{OnceError, RequestHash}};
    /// # use sea_orm::{DatabaseConnection, DbErr};
    /// # use serde::{Deserialize, Serialize};
    /// #[derive(Serialize, Deserialize)]
    /// struct Receipt { order_id: i64 }
    ///
    /// /// The status of an HTTP response, and its body.
    /// async fn place_order(inbox: &Inbox, idempotency_key: &str, body: &[u8]) -> (u16, Option<Receipt>) {
    ///     let request = RequestHash::of_bytes(body);
    ///     let answer = inbox
    ///         .once(idempotency_key, request, async |txn| {
    ///             // writes in `txn`, and raises events in it
    /// #           let _ = &txn;
    ///             Ok::<_, DbErr>(Receipt { order_id: 7 })
    ///         })
    ///         .await;
    ///     match answer {
    ///         Ok(answer) => (201, Some(answer.into_inner())),
    ///         Err(OnceError::InFlight) => (409, None),
    ///         Err(OnceError::DifferentRequest) => (422, None),
    ///         Err(_) => (500, None), // nothing is stored: it may be sent again
    ///     }
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # #[cfg(feature = "sqlx-sqlite")] {
    /// # let mut options = sea_orm::ConnectOptions::new("sqlite::memory:");
    /// # options.max_connections(1);
    /// # let db = sea_orm::Database::connect(options).await?;
    /// # outbox_seaorm::create_tables(&db).await?;
    /// # let inbox = Inbox::new(db, "shop")?;
    /// # assert_eq!(place_order(&inbox, "k", b"{}").await.0, 201);
    /// # assert_eq!(place_order(&inbox, "k", b"{}").await.0, 201);
    /// # assert_eq!(place_order(&inbox, "k", b"[]").await.0, 422);
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The command gets the transaction by value and gives it up by returning: see [`Tx`].
    ///
    /// # Errors
    /// The command's own; what the table says; an answer that could not be repeated; a stored answer that cannot be read
    /// as a `T` any more; a clone of the transaction that was kept; what the database says.
    ///
    /// On SQLite, a call through another `Inbox` than this and its clones cannot see that the first is under way: it waits
    /// for the one writer, and is told of a [`Conflict`](OnceError::Conflict) where that takes too long. Where a process
    /// dies, its key is in flight until the database has noticed: give connections TCP keepalives.
    ///
    /// # Cancel safety
    /// Dropping the future rolls back, unless the commit is under way: then either may be, and the inbox knows when the
    /// key is used again.
    pub async fn once<T, E, F>(
        &self,
        key: &str,
        request_hash: impl AsRef<[u8]>,
        command: F,
    ) -> Result<Answer<T>, OnceError<E>>
    where
        T: Serialize + DeserializeOwned,
        F: AsyncFnOnce(Tx) -> Result<T, E>,
    {
        let request_hash = request_hash.as_ref();
        name::check_command(key, request_hash).map_err(OnceError::Key)?;
        // Declared before the transaction, so that the key is free only after that has ended.
        let Some(_run) = self.running.begin(key) else { return Err(OnceError::InFlight) };
        let loan = match self.claim_command(key, request_hash).await.map_err(Failure::from)? {
            Claim::Ours(loan) => loan,
            Claim::Stored(row) => return repeated(&row, request_hash),
            Claim::InFlight => return Err(OnceError::InFlight),
        };
        let stored = match command(loan.tx()).await {
            Ok(answer) => match storable(&answer) {
                Ok(json) => Ok((answer, json)),
                Err(reason) => Err(OnceError::Unstorable(reason)),
            },
            Err(error) => Err(OnceError::Command(error)),
        };
        match stored {
            Ok((answer, json)) => {
                self.keep(key, &loan, json).await?;
                loan.commit().await.map_err(Failure::from)?;
                Ok(Answer::First(answer))
            }
            Err(error) => {
                roll_back(loan).await;
                Err(error)
            }
        }
    }

    /// Stores the answer in the command's row. That also tells whether the transaction is still alive: a command may go
    /// on after a statement that failed, and where the database has aborted its transaction, a commit stores nothing and
    /// may say that all is well.
    async fn keep(&self, key: &str, loan: &Loan, json: String) -> Result<(), Failure> {
        if loan.is_kept() {
            return Err(Failure::Kept);
        }
        let is_doubtful = loan.is_doubtful();
        let txn = loan.tx();
        let stored = Entity::update_many()
            .col_expr(Column::Result, Expr::value(json))
            .col_expr(Column::DoneAt, clock::now(txn.get_database_backend()))
            .filter(Column::Consumer.eq(self.consumer()))
            .filter(Column::CommandKey.eq(key))
            .exec(&txn)
            .await;
        match stored {
            Ok(stored) if stored.rows_affected == 1 => Ok(()),
            Err(error) if !is_doubtful => Err(error.into()),
            Ok(_) | Err(_) => Err(Failure::Aborted),
        }
    }
}

/// The answer as it is stored, which a repeat can read.
fn storable<T: Serialize + DeserializeOwned>(answer: &T) -> Result<String, String> {
    let json = serde_json::to_string(answer)
        .map_err(|error| format!("expected an answer that can be written as JSON: {error}"))?;
    if json.len() > MAX_ANSWER {
        return Err(format!(
            "expected an answer of at most {MAX_ANSWER} bytes of JSON, found {}: answer with an id, and store the \
             rest in a table of your own",
            json.len()
        ));
    }
    // A number that JSON does not have, or a serializer without its other half, would make every repeat an error.
    serde_json::from_str::<T>(&json)
        .map_err(|error| format!("expected an answer that can be read back from its JSON: {error}"))?;
    Ok(json)
}

fn repeated<T: DeserializeOwned, E>(row: &Model, request_hash: &[u8]) -> Result<Answer<T>, OnceError<E>> {
    if row.request_hash != request_hash {
        return Err(OnceError::DifferentRequest);
    }
    // It is empty only where the command itself ended the transaction, by DDL on MySQL: then it cannot be read.
    let json = row.result.as_deref().unwrap_or_default();
    serde_json::from_str(json).map(Answer::Repeated).map_err(OnceError::Unreadable)
}
