//! Many writers that commit out of order, two relays' worth of pages, and three figures at the end: lost, duplicated,
//! out of order. All of them are computed from the tables, never from what a writer says of itself.
//!
//! `OUTBOX_STRESS=2000` is the number of transactions of each writer; `OUTBOX_STRESS_SEED` repeats a run.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::Result;
use outbox_core::{
    message::Message,
    publisher::{Outcome, Publisher},
    relay::{Relay, RelayConfig, Subscription},
};
use outbox_seaorm::{SeaOrmLog, prelude::*, tables::event};
use outbox_tests::{Kind, TestDb, database::until, events::run};
use sea_orm::{
    ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, DatabaseTransaction, DbErr,
    EntityTrait as _, QueryOrder as _, Statement, TransactionTrait as _,
};

const WRITERS: u64 = 16;
const ORDERS: u64 = 24;

/// How the order stood after a transaction. The row's lock makes these steps ascend in the order of commits.
#[derive(Debug, Clone, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.changed", topic = "orders", aggregate = "order")]
struct OrderChanged {
    #[outbox(aggregate_id)]
    order: u64,
    step: i64,
}

/// Belongs to nothing, so it may be the first statement of its transaction.
#[derive(Debug, Clone, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "shop.seen", topic = "visits")]
struct Seen {
    by: u64,
}

/// A small generator, so that a seed repeats a run's choices.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    /// Mostly short; some are longer than the writers around them, so that others commit first.
    async fn nap(&mut self) {
        let millis = match self.roll(40) {
            0 => 60 + self.roll(60),
            1..=8 => 5 + self.roll(10),
            9..=20 => self.roll(3),
            _ => return,
        };
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

/// Remembers what was sent, in the order in which the broker took it.
#[derive(Clone, Default)]
struct Broker(Arc<Mutex<Vec<Message>>>);

#[async_trait::async_trait]
impl Publisher for Broker {
    async fn publish(&self, batch: &[Message]) -> Vec<Outcome> {
        let hash = batch.first().map_or(0, |message| message.seq.unsigned_abs());
        tokio::time::sleep(Duration::from_micros(Dice(hash).roll(2_500))).await;
        self.0.lock().expect("no panic inside").extend_from_slice(batch);
        vec![Outcome::published(); batch.len()]
    }

    fn max_batch(&self) -> usize {
        10
    }
}

async fn step(transaction: &DatabaseTransaction, order: u64) -> Result<i64, DbErr> {
    transaction.execute_unprepared(&format!("UPDATE orders SET step = step + 1 WHERE id = {order}")).await?;
    let backend = transaction.get_database_backend();
    let read = Statement::from_string(backend, format!("SELECT step FROM orders WHERE id = {order}"));
    let row =
        transaction.query_one_raw(read).await?.ok_or(DbErr::RecordNotFound(format!("order {order}")))?;
    row.try_get_by_index(0)
}

/// One transaction of a writer; `Ok(false)` where it was rolled back on purpose.
async fn write(db: &DatabaseConnection, writer: u64, dice: &mut Dice) -> Result<bool, DbErr> {
    let transaction = db.begin().await?;
    let order = dice.roll(ORDERS);
    match dice.roll(10) {
        0..=1 => {
            Seen { by: writer }.record(&transaction).await?;
            dice.nap().await;
            transaction
                .execute_unprepared(&format!("UPDATE visits SET n = n + 1 WHERE id = {writer}"))
                .await?;
        }
        2..=3 => {
            let step = step(&transaction, order).await?;
            let savepoint = transaction.begin().await?;
            OrderChanged { order, step: -1 }.record(&savepoint).await?;
            dice.nap().await;
            savepoint.rollback().await?;
            OrderChanged { order, step }.record(&transaction).await?;
        }
        4 => {
            for _ in 0..2 {
                let step = step(&transaction, order).await?;
                OrderChanged { order, step }.record(&transaction).await?;
                dice.nap().await;
            }
        }
        _ => {
            let step = step(&transaction, order).await?;
            dice.nap().await;
            OrderChanged { order, step }.record(&transaction).await?;
        }
    }
    dice.nap().await;
    let commits = dice.roll(10) != 0;
    if commits {
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    Ok(commits)
}

async fn writer(db: DatabaseConnection, number: u64, transactions: u64, seed: u64) -> Result<(u64, u64)> {
    let mut dice = Dice(seed.wrapping_mul(1_000).wrapping_add(number));
    let (mut committed, mut rolled_back) = (0, 0);
    for _ in 0..transactions {
        match write(&db, number, &mut dice).await {
            Ok(true) => committed += 1,
            Ok(false) => rolled_back += 1,
            // A deadlock or a lock wait: the database rolled the transaction back.
            Err(DbErr::Exec(_) | DbErr::Query(_)) => rolled_back += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok((committed, rolled_back))
}

/// Holds an unrelated transaction open for a third of the run. Not for all of it: a wrong proof that waits for the
/// oldest transaction of the server would look right.
async fn long_writer(db: DatabaseConnection, stop: tokio::sync::watch::Receiver<bool>) -> Result<()> {
    while !*stop.borrow() {
        let transaction = db.begin().await?;
        transaction.execute_unprepared("INSERT INTO elsewhere (n) VALUES (1)").await?;
        tokio::time::sleep(Duration::from_millis(400)).await;
        transaction.commit().await?;
        tokio::time::sleep(Duration::from_millis(800)).await;
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
struct Figures {
    lost: usize,
    duplicated: usize,
    out_of_order: usize,
}

/// What the log holds against what was sent.
fn figures(log: &[event::Model], sent: &[Message]) -> Figures {
    let mut times: HashMap<uuid::Uuid, usize> = HashMap::new();
    let mut last: BTreeMap<&str, i64> = BTreeMap::new();
    let mut out_of_order = 0;
    for message in sent {
        *times.entry(message.id).or_default() += 1;
        if message.event_type == "order.changed" {
            let changed: OrderChanged = serde_json::from_str(&message.payload).expect("our own payload");
            let before = last.entry(message.aggregate_id.as_deref().expect("an order")).or_insert(0);
            if changed.step <= *before {
                out_of_order += 1;
            }
            *before = changed.step.max(*before);
        }
    }
    Figures {
        lost: log.iter().filter(|row| !times.contains_key(&row.id)).count(),
        duplicated: times.values().map(|times| times - 1).sum(),
        out_of_order,
    }
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn relay(log: SeaOrmLog, page_size: usize, broker: &Broker) -> Relay {
    let config = RelayConfig {
        page_size,
        read_ahead: page_size * 4,
        poll_max: Duration::from_millis(20),
        flush_interval: Duration::from_millis(10),
        ..RelayConfig::default()
    };
    Relay::new(log, "/stress")
        .config(config)
        .subscription(Subscription::new(format!("pages-of-{page_size}"), broker.clone()))
}

async fn stress(test: &TestDb, transactions: u64) -> Result<()> {
    let seed = from_environment("OUTBOX_STRESS_SEED", u64::from(std::process::id()));
    let mut options = ConnectOptions::new(&test.url);
    options.max_connections(20).acquire_timeout(Duration::from_secs(60)).sqlx_logging(false);
    let db = Database::connect(options).await?;
    for table in [
        "orders (id bigint PRIMARY KEY, step bigint)",
        "visits (id bigint PRIMARY KEY, n bigint)",
        "elsewhere (n bigint)",
    ] {
        db.execute_unprepared(&format!("CREATE TABLE {table}")).await?;
    }
    for id in 0..ORDERS.max(WRITERS) {
        db.execute_unprepared(&format!("INSERT INTO orders VALUES ({id}, 0)")).await?;
        db.execute_unprepared(&format!("INSERT INTO visits VALUES ({id}, 0)")).await?;
    }

    let log = SeaOrmLog::new(test.another_pool().await?).tombstone_grace(Duration::from_millis(80));
    let brokers = [(7, Broker::default()), (500, Broker::default())];
    let relays: Vec<_> =
        brokers.iter().map(|(page, broker)| relay(log.clone(), *page, broker).spawn()).collect();

    let begun = Instant::now();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let long: Vec<_> = (0..2).map(|_| tokio::spawn(long_writer(db.clone(), stopped.clone()))).collect();
    let writers: Vec<_> =
        (0..WRITERS).map(|number| tokio::spawn(writer(db.clone(), number, transactions, seed))).collect();
    let (mut committed, mut rolled_back) = (0, 0);
    for writer in writers {
        let (commits, rollbacks) = writer.await??;
        committed += commits;
        rolled_back += rollbacks;
    }
    stop.send(true)?;
    for writer in long {
        writer.await??;
    }
    let wrote = begun.elapsed();

    // All of the log is read and each number below is settled or proved to be empty.
    until("the relays to come to the end of the log", Duration::from_secs(120), async || {
        assert!(relays.iter().all(|relay| !relay.is_finished()), "a relay has stopped");
        let behind = "UPDATE outbox_subscription SET epoch = epoch WHERE holes <> ''
                      OR position < (SELECT COALESCE(MAX(seq), 0) FROM outbox_event)";
        (run(&db, behind, []).await.expect("asking") == 0).then_some(())
    })
    .await;
    for relay in relays {
        relay.stop().await?;
    }

    let log: Vec<event::Model> = event::Entity::find().order_by_asc(event::Column::Seq).all(&db).await?;
    let events: Vec<event::Model> = log.into_iter().filter(|row| !row.topic.is_empty()).collect();
    assert!(committed > rolled_back * 4, "a tenth is rolled back on purpose, found {rolled_back}");
    assert!(events.len() as u64 >= committed, "{} events of {committed} commits", events.len());
    let mut all_found = Vec::new();
    for (page, broker) in &brokers {
        let sent = broker.0.lock().expect("no panic inside").clone();
        let found = figures(&events, &sent);
        println!(
            "{:?}, pages of {page}: {committed} commits, {rolled_back} rollbacks in {wrote:.1?} (seed {seed}), \
             {} events, {} sent: lost {}, duplicated {}, out of order {}",
            test.kind,
            events.len(),
            sent.len(),
            found.lost,
            found.duplicated,
            found.out_of_order
        );
        all_found.push(found);
    }
    for found in all_found {
        assert_eq!(found, Figures { lost: 0, duplicated: 0, out_of_order: 0 });
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_doubled_or_misordered_on_postgres() {
    let transactions = from_environment("OUTBOX_STRESS", 150);
    TestDb::run(Kind::Postgres, async |test| stress(&test, transactions).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_doubled_or_misordered_on_mariadb() {
    let transactions = from_environment("OUTBOX_STRESS", 100);
    TestDb::run(Kind::Mariadb, async |test| stress(&test, transactions).await).await;
}
