//! The writers' side: a task that says a word when something was captured.

use futures_util::FutureExt as _;
use outbox_core::wake::{Captures, Listener};
use sea_orm::DatabaseConnection;
use sqlx::{ConnectOptions as _, PgConnection};
use tokio::{sync::oneshot, time::Instant};

use super::{
    debounce::Debounce,
    line::{Broken, answered, channel},
    outage::Outage,
};

/// What wakes the task.
pub(super) struct Ears {
    pub(super) captures: Captures,
    pub(super) asked: Listener,
    /// Ready when the handle stops the task or is dropped.
    pub(super) stop: oneshot::Receiver<()>,
}

impl Ears {
    /// Whether a signal came together with the stop.
    fn were_signalled(&mut self) -> bool {
        self.captures.next().now_or_never().is_some() || self.asked.next().now_or_never().is_some()
    }
}

/// Runs until it is stopped; then says what it has not said yet.
pub(super) async fn notify(users: DatabaseConnection, mut ears: Ears) {
    let mut debounce = Debounce::default();
    let mut outage = Outage::new("notifier");
    let mut voice = Voice { users, line: None };
    // Connecting takes longer than a word may: it is done before there is one.
    if let Err(error) = voice.connect().await {
        debounce.hold_off(outage.broke(&error), Instant::now());
    }
    loop {
        let next = debounce.next();
        let due = async {
            match next {
                Some(next) => tokio::time::sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        // Neither a signal nor a word is lost with an arm: both are kept where they come from.
        tokio::select! {
            _ = &mut ears.stop => break,
            () = ears.captures.next() => debounce.signal(Instant::now()),
            () = ears.asked.next() => debounce.signal(Instant::now()),
            () = due => {
                debounce.said(Instant::now());
                match voice.say().await {
                    Ok(()) => outage.holds(),
                    Err(error) => debounce.hold_off(outage.broke(&error), Instant::now()),
                }
            }
        }
    }
    if (debounce.next().is_some() || ears.were_signalled())
        && let Err(error) = voice.say().await
    {
        tracing::debug!(%error, "the last wake-up of this process was not sent");
    }
    voice.hang_up().await;
}

/// A connection of its own, and the channel that it speaks to.
struct Voice {
    users: DatabaseConnection,
    line: Option<(PgConnection, String)>,
}

impl Voice {
    async fn connect(&mut self) -> Result<&mut (PgConnection, String), Broken> {
        if self.line.is_none() {
            let channel = channel(&self.users).await?;
            let options = self.users.get_postgres_connection_pool().connect_options();
            self.line = Some((answered(options.connect()).await?, channel));
        }
        self.line.as_mut().ok_or(Broken::Closed)
    }

    async fn say(&mut self) -> Result<(), Broken> {
        let (connection, channel) = self.connect().await?;
        let word = sqlx::query("SELECT pg_notify($1, '')").bind(channel.as_str()).execute(connection);
        let said = answered(word).await;
        if said.is_err() {
            // Half a word may still be on it.
            self.line = None;
        }
        said.map(|_| ())
    }

    async fn hang_up(self) {
        if let Some((connection, _)) = self.line {
            // The server notices one that just goes away too.
            let _ = answered(sqlx::Connection::close(connection)).await;
        }
    }
}
