//! How many statements a relay sends for 1,000 events, counted by the server and not by the relay.

use std::time::Duration;

use anyhow::{Context as _, Result};
use outbox_crash::{
    broker::Broker,
    roles::relay::Pace,
    scene::{Scene, drained},
    server::{Kind, Server},
    shop::{self, events::OrderChanged},
};
use outbox_seaorm::prelude::*;
use outbox_tests::database::until;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement, TransactionTrait as _};

const SOON: Duration = Duration::from_secs(120);

/// The events of a run, of 500 aggregates.
const EVENTS: usize = 20_000;

/// What a thousand events may cost: two pages of 500, a flush for each, and as much again for what goes by time.
const MOST: f64 = 10.0;

async fn drain(server: &Server, url: &str) -> Result<()> {
    let db = server.admin("shop").await?;
    for _ in 0..EVENTS / 500 {
        let txn = db.begin().await?;
        record_all(&txn, (0..500).map(|order| OrderChanged { order, step: 1 })).await?;
        txn.commit().await?;
    }
    let broker = Broker::start(7).await?;
    let scene = Scene::new(env!("CARGO_BIN_EXE_outbox-crash"), broker.address(), server.folder());
    let relay =
        scene.relay(url, "relay", Pace { lease: Duration::from_secs(30), page_size: 500, max_batch: 100 })?;
    // Asked of the broker: a question to the database would be counted, too.
    until("the backlog to be published", SOON, async || (broker.taken() >= EVENTS).then_some(())).await;
    relay.stop(SOON)?;
    assert_eq!(broker.taken(), EVENTS);
    Ok(())
}

fn judge(kind: Kind, statements: i64) {
    let per_thousand =
        f64::from(i32::try_from(statements).expect("a small number")) / (EVENTS as f64 / 1_000.0);
    println!(
        "{kind:?}: {statements} statements for {EVENTS} events, its start and its stop included: {per_thousand:.2} per 1,000"
    );
    assert!(per_thousand <= MOST, "{per_thousand} statements per 1,000 events, expected at most {MOST}");
    assert!(per_thousand >= 2.0, "fewer statements than pages: something was not counted");
}

async fn number(db: &DatabaseConnection, question: &str) -> Result<i64> {
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), question)).await?;
    Ok(row.context("a row")?.try_get_by_index(0)?)
}

async fn on_postgres() -> Result<()> {
    let server = Server::start(Kind::Postgres, &["shared_preload_libraries=pg_stat_statements"]).await?;
    let db = server.admin("shop").await?;
    shop::create_tables(&db).await?;
    // A role of its own, so that nobody else's statements are counted.
    db.execute_unprepared(
        "CREATE EXTENSION pg_stat_statements;
         CREATE ROLE relay LOGIN;
         GRANT ALL ON ALL TABLES IN SCHEMA public TO relay;
         GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO relay",
    )
    .await?;
    drain(&server, &server.url("shop").replace("postgres@", "relay@")).await?;
    let counted = "SELECT sum(calls)::bigint FROM pg_stat_statements WHERE userid = 'relay'::regrole";
    judge(Kind::Postgres, number(&db, counted).await?);
    drained(&db, SOON).await?;
    server.remove()
}

async fn on_mariadb() -> Result<()> {
    let server = Server::start(Kind::Mariadb, &["--userstat=1"]).await?;
    let db = server.admin("shop").await?;
    shop::create_tables(&db).await?;
    db.execute_unprepared("CREATE USER relay@'127.0.0.1'").await?;
    db.execute_unprepared("GRANT ALL ON shop.* TO relay@'127.0.0.1'").await?;
    drain(&server, &server.url("shop").replace("root@", "relay@")).await?;
    let counted = "SELECT CAST(select_commands + update_commands + other_commands AS SIGNED)
                   FROM information_schema.user_statistics WHERE user = 'relay'";
    judge(Kind::Mariadb, number(&db, counted).await?);
    drained(&db, SOON).await?;
    server.remove()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_events_cost_no_more_statements_than_pages_do_on_postgres() {
    on_postgres().await.expect("the run");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_events_cost_no_more_statements_than_pages_do_on_mariadb() {
    on_mariadb().await.expect("the run");
}
