//! From a normal SeaORM save to a processed message: a service with orders, the relay, and a consumer that keeps
//! the inventory, in one process and on one database.
//!
//! ```text
//! cargo run -p quickstart                            # SQLite and a broker in memory: no server needed
//! cargo run -p quickstart -- --sabotage drop=1       # an event thrown away on purpose is found
//! cargo run -p quickstart -- --help
//! cargo run -p quickstart --features servers -- \
//!     --database-url postgres://postgres@127.0.0.1/postgres --sqs-endpoint http://127.0.0.1:4566 --queue orders
//! ```
//!
//! Read [`orders::order`] first: that is what a user writes. Then [`inventory`], and [`run`] below, which puts
//! the parts together.
#![allow(unreachable_pub, reason = "entities are written here as everywhere else in SeaORM code")]

mod background;
mod broker;
mod cli;
mod database;
mod input;
mod inventory;
mod orders;
mod progress;
mod reconcile;
mod report;
mod save;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use outbox_seaorm::{
    Inbox, SeaOrmLog,
    consumer::Consumer,
    relay::{Relay, Subscription},
};
use tokio_util::sync::CancellationToken;

use crate::{
    background::Background,
    broker::{Broker, Repeat},
    cli::Cli,
    database::Store,
    progress::{Drained, Progress},
    report::Report,
};

/// Names this service in every event that it publishes.
const SOURCE: &str = "/quickstart/orders";

/// The relay's reader of the log, with progress of its own.
const SUBSCRIPTION: &str = "inventory-feed";

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    match run(Cli::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("quickstart: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn run(cli: Cli) -> Result<ExitCode> {
    let input = input::open(cli.file.as_deref())?;
    let store = Store::open(&cli).await?;
    let broker = Broker::open(&cli).await?;
    let db = store.db.clone();
    let interrupted = interruption();

    // The relay reads the log and publishes; the publisher repeats some messages on purpose.
    let publisher = Repeat::new(broker.publisher());
    let tally = publisher.tally();
    let relay = Relay::new(SeaOrmLog::new(db.clone()), SOURCE)
        .subscription(Subscription::new(SUBSCRIPTION, publisher));

    // The consumer writes each effect in the transaction of its inbox row.
    let consumer = Consumer::new(broker.source(), Inbox::new(db.clone(), inventory::CONSUMER)?)
        .on(inventory::reserve)
        .on(inventory::confirm)
        .on(inventory::redirect)
        .on(inventory::release);

    let before = report::Totals::of(&db).await?;
    let relay = Background::start(|stop| relay.run_until(stop));
    let consumer = Background::start(|stop| consumer.run_until(stop));

    let progress = Progress::new(db.clone());
    let saving = save::all(&db, input::lines(input), cli.sabotage, &interrupted);
    let saved = progress.show_while(saving).await?;
    let drained = progress.until_drained(&broker, &interrupted, || relay.ended() || consumer.ended()).await?;

    // The relay first: what it has in flight still wants a consumer.
    relay.stop().await?.context("the relay stopped")?;
    let consumed = consumer.stop().await?.context("the consumer stopped")?;

    let report = Report {
        saved,
        tally: &tally,
        consumed,
        before,
        after: report::Totals::of(&db).await?,
        found: reconcile::Reconciliation::of(&db).await?,
        drained: drained == Drained::Everything,
        order_is_kept: broker.keeps_order(),
    };
    db.close().await?;
    print!("{report}\n{}", report::where_to_look_next(&store));
    Ok(report.exit_code())
}

/// Raised by Ctrl-C. A second one does not wait.
fn interruption() -> CancellationToken {
    let raised = CancellationToken::new();
    let token = raised.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_err() {
            return; // signals cannot be listened for here: Ctrl-C is a kill then, which loses nothing either
        }
        eprintln!("interrupted: finishing what is under way; once more to leave at once");
        token.cancel();
        let _ = tokio::signal::ctrl_c().await;
        std::process::exit(130);
    });
    raised
}
