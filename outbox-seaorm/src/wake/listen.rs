//! The relay's side: a connection that listens.

use std::{convert::Infallible, time::Duration};

use outbox_core::wake::Signal;
use sea_orm::DatabaseConnection;
use sqlx::{
    PgPool,
    pool::PoolOptions,
    postgres::{PgListener, PgNotification},
};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::{
    line::{Broken, answered, channel},
    outage::Outage,
};

/// How long nothing may be heard before the line is tried: a connection that leads nowhere looks like silence.
const SILENCE: Duration = Duration::from_secs(30);

/// The beginning of what a listener says to itself, which is no news.
const PROBE: &str = "probe ";

/// Sends `news` for each word of another process, and each time the line is mended, for what was missed. It never ends.
///
/// # Cancel safety
/// Dropped, it closes its connection in the background.
pub(crate) async fn listen(users: &DatabaseConnection, news: &Signal) {
    let mut outage = Outage::new("listener");
    loop {
        let Err(error) = hear(users, news, &mut outage).await;
        sleep(outage.broke(&error)).await;
    }
}

/// Listens until the line breaks.
async fn hear(users: &DatabaseConnection, news: &Signal, outage: &mut Outage) -> Result<Infallible, Broken> {
    let channel = channel(users).await?;
    let mut listener = answered(PgListener::connect_with(&pool_of_one(users))).await?;
    listener.eager_reconnect(false);
    answered(listener.listen(&channel)).await?;
    probe(&mut listener, &channel, news).await?;
    outage.holds();
    tracing::debug!(channel, "listening for events of other processes");
    news.send();
    loop {
        match timeout(SILENCE, listener.try_recv()).await {
            Ok(heard) => pass_on(&heard?.ok_or(Broken::Closed)?, news),
            Err(_) => probe(&mut listener, &channel, news).await?,
        }
    }
}

/// Says a word and waits until it is heard. A query would not do: behind a pooler in transaction mode it is answered,
/// and nothing is ever heard.
async fn probe(listener: &mut PgListener, channel: &str, news: &Signal) -> Result<(), Broken> {
    let word = format!("{PROBE}{}", Uuid::new_v4());
    let say = sqlx::query("SELECT pg_notify($1, $2)").bind(channel).bind(&word);
    answered(say.execute(&mut *listener)).await?;
    let own_word = async {
        loop {
            let heard = listener.try_recv().await?.ok_or(Broken::Closed)?;
            if heard.payload() == word {
                return Ok::<(), Broken>(());
            }
            pass_on(&heard, news);
        }
    };
    answered(own_word).await.map_err(|error| match error {
        Broken::NoAnswer(_) => Broken::Deaf,
        error => error,
    })
}

fn pass_on(heard: &PgNotification, news: &Signal) {
    if !heard.payload().starts_with(PROBE) {
        news.send();
    }
}

/// What the driver takes a listener's connection from.
fn pool_of_one(users: &DatabaseConnection) -> PgPool {
    let options = users.get_postgres_connection_pool().connect_options();
    PoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with((*options).clone())
}
