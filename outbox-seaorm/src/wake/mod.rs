//! Wake-ups between processes, on PostgreSQL: [`Notifier`] in the processes that write,
//! [`SeaOrmLog::listen`](crate::SeaOrmLog::listen) in those that relay.
//!
//! A relay hears at once of what its own process captures. What another process captures it finds when it polls, in
//! the mean half of [`poll_max`](outbox_core::relay::RelayConfig::poll_max) later. With `LISTEN` and `NOTIFY` it is
//! told within milliseconds. **Polling stays the floor**: a word that is lost costs a poll interval and nothing else.
//!
//! There is no `NOTIFY` in the transaction that captures: a `NOTIFY` makes its transaction take a lock of the whole
//! database to commit, which halves write throughput at eight writers. The notifier has a connection of its own and
//! sends on it, debounced, what capture signals inside the process. Capture cannot see the commit of a transaction
//! that is the user's own, so the word comes as a rule just before it; the relay that is woken reads again after 2, 4, 8
//! and so on milliseconds, and the notifier repeats itself twice. So a transaction that commits *t* after its capture
//! waits about as long again at most, and never longer than a poll interval.
//!
//! Both sides need a connection to the server itself or through a pooler in session mode. Through one in transaction
//! mode `LISTEN` hears nothing: the listener finds that out by a word to itself, says so once, and tries again
//! from time to time while the relay polls.
//!
//! The channel is `outbox:<schema>.<table>` of the table of events, quoted as SQL quotes identifiers where that is
//! needed (`outbox:` and the MD5 of that where it is longer than a channel may be). Writers in other languages may send to it
//! with an empty payload.

#[cfg(feature = "sqlx-postgres")]
mod debounce;
#[cfg(feature = "sqlx-postgres")]
mod line;
#[cfg(feature = "sqlx-postgres")]
mod listen;
mod notifier;
#[cfg(feature = "sqlx-postgres")]
mod notify;
#[cfg(feature = "sqlx-postgres")]
mod outage;

#[cfg(feature = "sqlx-postgres")]
pub(crate) use listen::listen;
pub use notifier::Notifier;
