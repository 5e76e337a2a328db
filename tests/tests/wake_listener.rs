//! The relay's side of wake-ups between processes. No event here is captured, so that the only words are those of
//! `NOTIFY`, and the relays read for nothing else: their polls are an hour apart.

use std::time::Duration;

use anyhow::Result;
use outbox_core::{
    relay::{Relay, RelayConfig, RelayHandle, Subscription},
    testing::RecordingPublisher,
};
use outbox_seaorm::{SeaOrmLog, wake::Notifier};
use outbox_tests::{
    Kind, TestDb,
    database::until,
    events::{run, store},
    gate::{Door, Gate},
};
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, Statement};

const SOON: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3_600);

fn spawn(db: DatabaseConnection, poll: Duration) -> (RelayHandle, RecordingPublisher) {
    let publisher = RecordingPublisher::new();
    let config = RelayConfig { poll_min: poll, poll_max: poll, lease: HOUR, ..RelayConfig::default() };
    let relay = Relay::new(SeaOrmLog::new(db).listen(), "/orders")
        .config(config)
        .subscription(Subscription::new("sqs", publisher.clone()))
        .spawn();
    (relay, publisher)
}

async fn published(what: &str, publisher: &RecordingPublisher, count: usize) {
    until(what, SOON, async || (publisher.seqs().len() >= count).then_some(())).await;
}

/// The process id of the server's that listens for a relay of this database, once its line was tried.
async fn listener(test: &TestDb, before: Option<i32>) -> i32 {
    const PROBED: &str = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()
         AND state = 'idle' AND query = 'SELECT pg_notify($1, $2)'";
    until("a listener", SOON, async || {
        let question = Statement::from_string(test.db.get_database_backend(), PROBED);
        let rows = test.db.query_all_raw(question).await.expect("asking");
        rows.iter().map(|row| row.try_get_by_index(0).expect("a pid")).find(|pid| Some(*pid) != before)
    })
    .await
}

/// A relay that has read and settled a first event, and reads no more unless it is woken.
async fn at_rest(test: &TestDb, notifier: &Notifier) -> Result<(RelayHandle, RecordingPublisher)> {
    let (relay, publisher) = spawn(test.another_pool().await?, HOUR);
    listener(test, None).await;
    store(&test.db, "1").await?;
    notifier.notify();
    published("the first event", &publisher, 1).await;
    Ok((relay, publisher))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_of_another_process_ends_a_pause_of_an_hour_on_postgres() {
    TestDb::run(Kind::Postgres, async |test| {
        let notifier = Notifier::spawn(&test.another_pool().await?);
        let (relay, publisher) = at_rest(&test, &notifier).await?;
        for number in 2..=5 {
            store(&test.db, &number.to_string()).await?;
            notifier.notify();
            published("the next event", &publisher, number).await;
        }
        notifier.stop().await;
        relay.stop().await?;
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_whose_connection_ends_comes_back_and_misses_nothing_on_postgres() {
    TestDb::run(Kind::Postgres, async |test| {
        let notifier = Notifier::spawn(&test.another_pool().await?);
        let (relay, publisher) = at_rest(&test, &notifier).await?;
        notifier.stop().await;
        let pid = listener(&test, None).await;
        run(&test.db, "SELECT pg_terminate_backend(?)", [pid.into()]).await?;
        // Nobody says a word of this one: that the listener is back is word enough.
        store(&test.db, "2").await?;
        published("what was stored while nobody listened", &publisher, 2).await;
        assert_ne!(listener(&test, Some(pid)).await, pid);

        let notifier = Notifier::spawn(&test.db);
        store(&test.db, "3").await?;
        notifier.notify();
        published("an event after that", &publisher, 3).await;
        notifier.stop().await;
        relay.stop().await?;
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_cannot_listen_polls_on_postgres() {
    TestDb::run(Kind::Postgres, async |test| {
        let gate = Gate::in_front_of(&test.url).await?;
        let db = Database::connect(gate.instead_of(&test.url)?).await?;
        let (relay, publisher) = spawn(db, Duration::from_millis(20));
        let pid = listener(&test, None).await;
        store(&test.db, "1").await?;
        published("the first event", &publisher, 1).await;

        gate.set(Door::Full);
        let came = gate.came();
        run(&test.db, "SELECT pg_terminate_backend(?)", [pid.into()]).await?;
        until("the listener to be turned away", SOON, async || (gate.came() > came).then_some(())).await;
        for number in 2..=4 {
            store(&test.db, &number.to_string()).await?;
            published("an event found by polling", &publisher, number).await;
        }
        gate.set(Door::Open);
        listener(&test, Some(pid)).await;
        relay.stop().await?;
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_connection_of_a_listener_is_left_behind_on_postgres() {
    TestDb::run(Kind::Postgres, async |test| {
        let (relay, _) = spawn(test.another_pool().await?, HOUR);
        let pid = listener(&test, None).await;
        relay.stop().await?;
        until("the listener's connection to end", SOON, async || {
            let question = "SELECT pid FROM pg_stat_activity WHERE pid = $1";
            let question =
                Statement::from_sql_and_values(test.db.get_database_backend(), question, [pid.into()]);
            test.db.query_one_raw(question).await.expect("asking").is_none().then_some(())
        })
        .await;
        Ok(())
    })
    .await;
}
