//! Relay and consumer over Amazon SQS, in one process, against an SQS server on this machine:
//!
//! ```sh
//! env "$(tests/servers/sqs start)" cargo run -p sqs                  # a FIFO queue
//! env "$(tests/servers/sqs start)" cargo run -p sqs -- --standard    # a standard queue
//! ```
//!
//! The script installs an SQS server below `target` the first time, starts it on loopback and says where it is;
//! `tests/servers/sqs stop` ends it. Any other server is named in `SQS_ENDPOINT`.
//!
//! Orders are saved with SeaORM; their events are stored in the same transactions ([`orders`]), the relay publishes
//! them, and a consumer acts on each once ([`shipping`]). One event is sent twice, and one can never be processed.
//! At the end it says what became of all of them, deletes the queues, and ends with code 1 if anything is not as it
//! should be.
#![allow(unreachable_pub, reason = "entities are written here as everywhere else in SeaORM code")]

mod orders;
mod queue;
mod report;
mod shipping;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, bail};
use outbox_seaorm::{
    Inbox, Outbox, SeaOrmLog,
    consumer::Consumer,
    relay::{Relay, Subscription},
    retry::RetryPolicy,
};
use outbox_sqs::{SqsPublisher, SqsSource};
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, Schema};
use tokio::sync::oneshot;

use crate::{queue::Queue, report::Report};

/// Names this service in every event that it publishes.
const SOURCE: &str = "/shop/orders";

/// Far more than it takes on a slow machine.
const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(report) => {
            print!("{report}");
            report.exit_code()
        }
        Err(error) => {
            eprintln!("sqs: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn run() -> Result<Report> {
    let is_fifo = match std::env::args().nth(1).as_deref() {
        None => true,
        Some("--standard") => false,
        Some(other) => bail!("expected nothing or --standard, found {other}"),
    };
    let queue = Queue::create(is_fifo).await?;
    let outcome = publish_and_consume(&queue).await;
    // Whatever came of it: the queues are this run's own.
    queue.delete().await?;
    outcome
}

async fn publish_and_consume(queue: &Queue) -> Result<Report> {
    let db = database().await?;
    orders::place_pay_and_ship(&db).await?;

    // The relay sends the events of a topic to the queue that its route names, by URL, ARN or name.
    let publisher = SqsPublisher::new(queue.client.clone()).route("orders", &queue.url);
    let relay =
        Relay::new(SeaOrmLog::new(db.clone()), SOURCE).subscription(Subscription::new("sqs", publisher));

    // What a handler writes is committed together with the note that the message was processed. Short times, so that
    // the message that nobody can process is soon put aside.
    let source = SqsSource::new(queue.client.clone(), &queue.url).visibility_timeout(Duration::from_secs(5));
    let consumer = Consumer::new(source, Inbox::new(db.clone(), "shipping")?)
        .retry(RetryPolicy::fixed(Duration::from_secs(1), u32::MAX))
        .on(shipping::prepare)
        .on(shipping::charge)
        .on(shipping::hand_over);

    // A service waits for a signal instead.
    let relay = relay.spawn();
    let (stop, stopped) = oneshot::channel();
    let consuming = tokio::spawn(consumer.run_until(async { drop(stopped.await) }));
    let ended = || relay.is_finished() || consuming.is_finished();
    let watched = tokio::time::timeout(DEADLINE, watch(queue, &db, ended)).await;

    relay.stop().await.context("the relay")?;
    let _ = stop.send(());
    let consumed = consuming.await?.context("the consumer")?;
    watched
        .with_context(|| format!("not everything was done within {DEADLINE:?}; consumed: {consumed:?}"))??;
    Report::of(queue, &db, consumed).await
}

/// Sends a copy of the first event, and waits until everything is processed or put aside.
async fn watch(queue: &Queue, db: &DatabaseConnection, ended: impl Fn() -> bool) -> Result<()> {
    let pause = || tokio::time::sleep(Duration::from_millis(200));
    while !ended() && shipping::steps(db).await?.is_empty() {
        pause().await;
    }
    queue.send_copy(&Outbox::new(db.clone())).await?;
    while !ended() && (shipping::steps(db).await?.len() < orders::PROCESSABLE || !queue.is_drained().await?) {
        pause().await;
    }
    Ok(())
}

/// In memory, for the events of this run alone. A service has a database and migrations: `outbox_seaorm::migrations()`.
async fn database() -> Result<DatabaseConnection> {
    let db = Database::connect("sqlite::memory:").await?;
    let schema = Schema::new(db.get_database_backend());
    db.execute(&schema.create_table_from_entity(orders::Entity)).await?;
    db.execute(&schema.create_table_from_entity(shipping::Entity)).await?;
    outbox_seaorm::create_tables(&db).await?;
    Ok(db)
}
