//! A network that swallows everything: no error, no end of a connection, no answer.

use std::time::Duration;

use outbox_core::{
    log::{EventLog as _, Flush, LogError},
    relay::{Relay, RelayConfig, Subscription},
    testing::RecordingPublisher,
};
use outbox_seaorm::SeaOrmLog;
use outbox_tests::{
    Kind, TestDb,
    database::until,
    events::{lead, store, subscription},
    gate::{Door, Gate},
};
use sea_orm::{ConnectOptions, Database, DatabaseConnection};

const SOON: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_millis(500);

async fn through(gate: &Gate, test: &TestDb) -> anyhow::Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(gate.instead_of(&test.url)?);
    options.sqlx_logging(false);
    Ok(Database::connect(options).await?)
}

/// With a lease that outlives the test, so that nothing but the bound of its calls brings the relay back.
async fn a_relay_comes_back(kind: Kind) {
    TestDb::run(kind, async |test| {
        let (gate, publisher) = (Gate::in_front_of(&test.url).await?, RecordingPublisher::new());
        let log = SeaOrmLog::new(through(&gate, &test).await?).statement_timeout(PATIENCE);
        let config = RelayConfig {
            lease: Duration::from_secs(600),
            poll_max: Duration::from_millis(20),
            backoff_max: Duration::from_millis(200),
            ..RelayConfig::default()
        };
        let relay = Relay::new(log, "/orders")
            .config(config)
            .subscription(Subscription::new("sqs", publisher.clone()))
            .spawn();
        store(&test.db, "1").await?;
        until("the first event", SOON, async || publisher.seqs().contains(&1).then_some(())).await;

        gate.set(Door::Silent);
        let came = gate.came();
        store(&test.db, "2").await?;
        until("another connection to be tried", SOON, async || (gate.came() > came).then_some(())).await;
        assert!(!publisher.seqs().contains(&2), "nothing gets through");
        gate.set(Door::Open);
        until("the second event", SOON, async || publisher.seqs().contains(&2).then_some(())).await;
        relay.stop().await?;
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_comes_back_from_a_network_that_swallowed_everything_on_postgres() {
    a_relay_comes_back(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_comes_back_from_a_network_that_swallowed_everything_on_mariadb() {
    a_relay_comes_back(Kind::Mariadb).await;
}

/// How many of the log's connections wait for a call.
async fn idle(log: &SeaOrmLog, kind: Kind) -> usize {
    let pool = log.connection().await.expect("connects");
    match kind {
        Kind::Postgres => pool.get_postgres_connection_pool().num_idle(),
        _ => pool.get_mysql_connection_pool().num_idle(),
    }
}

/// One connection, so that there is no other to go on with.
async fn a_connection_gives_its_place_back(kind: Kind) {
    TestDb::run(kind, async |test| {
        let gate = Gate::in_front_of(&test.url).await?;
        let log = SeaOrmLog::new(through(&gate, &test).await?).statement_timeout(PATIENCE).max_connections(1);
        let name = subscription("sqs");
        let (owner, _) = lead(&log, &name).await?;
        // The driver tries what was released once more, for as long as that takes: a network that goes dark in that moment
        // is no matter of the log's bounds.
        until("the connection to be back in its place", SOON, async || {
            (idle(&log, kind).await == 1).then_some(())
        })
        .await;

        gate.set(Door::Silent);
        let flushed = log.flush(&name, owner, &Flush::default()).await;
        let error = flushed.expect_err("whether it was stored is not known, and that is an error");
        assert!(error.is_transient(), "{error}");
        gate.set(Door::Open);
        until("an answer on a connection in its place", SOON, async || log.next_due(&name).await.ok()).await;
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_leads_nowhere_gives_its_place_back_on_postgres() {
    a_connection_gives_its_place_back(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_leads_nowhere_gives_its_place_back_on_mariadb() {
    a_connection_gives_its_place_back(Kind::Mariadb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_ends_what_the_log_has_given_up_on_postgres() {
    use sea_orm::ConnectionTrait as _;
    TestDb::run(Kind::Postgres, async |test| {
        let log = SeaOrmLog::new(test.db.clone()).statement_timeout(PATIENCE);
        let slow = log.connection().await?.execute_unprepared("SELECT pg_sleep(60)").await;
        let error = LogError::database(slow.expect_err("ended by the server"));
        assert!(format!("{error:?}").contains("57014"), "{error:?}");
        Ok(())
    })
    .await;
}
