//! The writers' side of wake-ups between processes: what it says, where, and how often.

use std::time::{Duration, Instant};

use anyhow::Result;
use outbox_seaorm::{create_tables, prelude::*, wake::Notifier};
use outbox_tests::{Kind, TestDb, database::until};
use sea_orm::{
    ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, DatabaseTransaction, Statement,
    TransactionTrait as _,
};
use sqlx::postgres::{PgListener, PgNotification};

const SOON: Duration = Duration::from_secs(30);
const CHANNEL: &str = "outbox:public.outbox_event";
/// The word that ends a count.
const END: &str = "probe: the end of a test";

#[derive(Clone, Debug, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.placed", aggregate = "order")]
struct OrderPlaced {
    #[outbox(aggregate_id)]
    id: u32,
}

async fn listen(test: &TestDb, channels: &[&str]) -> Result<PgListener> {
    let mut listener = PgListener::connect(&test.url).await?;
    listener.listen_all(channels.iter().copied()).await?;
    Ok(listener)
}

async fn heard(listener: &mut PgListener) -> Result<PgNotification> {
    Ok(tokio::time::timeout(SOON, listener.recv()).await??)
}

/// All words up to now.
async fn heard_so_far(test: &TestDb, listener: &mut PgListener) -> Result<Vec<PgNotification>> {
    let end = Statement::from_sql_and_values(
        test.db.get_database_backend(),
        "SELECT pg_notify($1, $2)",
        [CHANNEL.into(), END.into()],
    );
    test.db.execute_raw(end).await?;
    let mut words = Vec::new();
    loop {
        let word = heard(listener).await?;
        if word.payload() == END {
            return Ok(words);
        }
        words.push(word);
    }
}

async fn one_connection(url: &str, search_path: Option<&str>) -> Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    if let Some(path) = search_path {
        options.set_schema_search_path(path);
    }
    Ok(Database::connect(options).await?)
}

async fn backend_of(txn: &DatabaseTransaction) -> Result<u32> {
    let question = Statement::from_string(txn.get_database_backend(), "SELECT pg_backend_pid()");
    let row = txn.query_one_raw(question).await?.expect("a row");
    Ok(u32::try_from(row.try_get_by_index::<i32>(0)?)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_capture_is_told_of_and_never_on_the_connection_that_captures_on_postgres() {
    TestDb::run(Kind::Postgres, async |test| {
        let mut listener = listen(&test, &[CHANNEL]).await?;
        let db = one_connection(&test.url, None).await?;
        let notifier = Notifier::spawn(&db);
        let txn = db.begin().await?;
        let writer = backend_of(&txn).await?;
        OrderPlaced { id: 1 }.record(&txn).await?;
        txn.commit().await?;
        assert_ne!(heard(&mut listener).await?.process_id(), writer, "at once, and not by the writer");
        notifier.stop().await;
        let rest = heard_so_far(&test, &mut listener).await?;
        assert!(rest.iter().all(|word| word.process_id() != writer && word.payload().is_empty()));
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_captures_in_a_burst_make_few_words_on_postgres() {
    TestDb::run(Kind::Postgres, async |test| {
        let mut listener = listen(&test, &[CHANNEL]).await?;
        let notifier = Notifier::spawn(&test.db);
        let began = Instant::now();
        for chunk in 0..10 {
            let txn = test.db.begin().await?;
            for id in 0..100 {
                OrderPlaced { id: chunk * 100 + id }.record(&txn).await?;
            }
            txn.commit().await?;
        }
        notifier.stop().await;
        let took = began.elapsed();
        let words = heard_so_far(&test, &mut listener).await?.len();
        // At most one in 20 ms, and the first and the last.
        let most = usize::try_from(took.as_millis() / 20)? + 2;
        assert!((1..=most).contains(&words) && words < 500, "{words} words in {took:?}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_with_schemas_of_their_own_do_not_wake_each_other_on_postgres() {
    TestDb::run(Kind::Postgres, async |test| {
        let long = "s".repeat(60);
        test.db.execute_unprepared(r#"CREATE SCHEMA "Shop""#).await?;
        test.db.execute_unprepared(&format!("CREATE SCHEMA {long}")).await?;
        let question = format!("SELECT 'outbox:' || md5('outbox:{long}.outbox_event')");
        let question = Statement::from_string(test.db.get_database_backend(), question);
        let hashed: String = test.db.query_one_raw(question).await?.expect("a row").try_get_by_index(0)?;
        let shop = r#"outbox:"Shop".outbox_event"#;
        let mut listener = listen(&test, &[CHANNEL, shop, &hashed]).await?;
        for (schema, channel) in
            [(Some("Shop"), shop), (Some(long.as_str()), hashed.as_str()), (None, CHANNEL)]
        {
            let db = one_connection(&test.url, schema).await?;
            if schema.is_some() {
                create_tables(&db).await?;
            }
            let notifier = Notifier::spawn(&db);
            notifier.notify();
            notifier.stop().await;
            assert_eq!(heard(&mut listener).await?.channel(), channel);
            for echo in heard_so_far(&test, &mut listener).await? {
                assert_eq!(echo.channel(), channel);
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_does_not_notice_that_no_word_gets_through_on_postgres() {
    TestDb::run(Kind::Postgres, async |test| {
        let mut listener = listen(&test, &[CHANNEL]).await?;
        // The table is not there: the notifier cannot know whom to tell.
        test.db.execute_unprepared("ALTER TABLE outbox_event RENAME TO away").await?;
        let notifier = Notifier::spawn(&test.db);
        notifier.notify();
        let (other, asked) =
            (test.another_pool().await?, "state = 'idle' AND query ~ 'octet_length.*to_regclass'");
        let asked = format!("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND {asked}");
        until("the notifier to look for it in vain", SOON, async || {
            let asked = Statement::from_string(other.get_database_backend(), &asked);
            other.query_one_raw(asked).await.expect("asking")
        })
        .await;
        test.db.execute_unprepared("ALTER TABLE away RENAME TO outbox_event").await?;
        let txn = test.db.begin().await?;
        OrderPlaced { id: 1 }.record(&txn).await?;
        txn.commit().await?;
        assert_eq!(heard(&mut listener).await?.payload(), "", "said when the line is mended");
        notifier.stop().await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn on_another_database_a_notifier_does_nothing() -> Result<()> {
    let db = Database::connect("sqlite::memory:").await?;
    let notifier = Notifier::spawn(&db);
    notifier.notify();
    notifier.stop().await;
    Ok(())
}
