//! About a minute of kills, freezes, cuts and outages on each database; then calm, and the figures. And half a minute
//! of crashes of a database that forgets what it showed as committed.
//!
//! `OUTBOX_CRASH_SECONDS=600` makes them longer, `OUTBOX_CRASH_SEED` repeats a run's choices (not its races).

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use outbox_crash::{
    broker::Broker,
    chaos::{Blow, Cast, Happened, Minute, OF_CRASHES, OF_EVERYTHING, name},
    dice::Dice,
    roles::relay::Pace,
    scene::{Scene, drained, subscription},
    server::{Kind, Server},
    shop,
    verdict::{Figures, Holdings, reused_numbers},
};
use outbox_tests::database::until;

/// Many times what it takes.
const DRAIN: Duration = Duration::from_secs(120);

const WRITERS: u64 = 3;

/// What the relay says where the database went back in time.
const ANCHOR_LOST: &str = "the log is not the one that was read";

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn length(seconds: u64) -> Duration {
    Duration::from_secs(from_environment("OUTBOX_CRASH_SECONDS", seconds))
}

/// What a run came to.
struct Outcome {
    server: Server,
    figures: Figures,
    happened: Happened,
    broker: Broker,
    /// How often the lease was acquired.
    terms: i64,
    /// How often a relay noticed that the database had gone back in time.
    anchors_lost: usize,
    seed: u64,
}

async fn crash(
    kind: Kind,
    settings: &[&str],
    lease: Duration,
    minute: &Minute,
    length: Duration,
) -> Result<Outcome> {
    let seed = from_environment("OUTBOX_CRASH_SEED", u64::from(std::process::id()));
    let mut server = Server::start(kind, settings).await?;
    shop::create_tables(&server.admin("shop").await?).await?;
    // What was made is kept, whatever the server forgets later.
    server.flush().await?;
    let url = server.url("shop");
    let broker = Broker::start(seed).await?;
    let scene = Scene::new(env!("CARGO_BIN_EXE_outbox-crash"), broker.address(), server.folder());
    let pace = Pace { lease, page_size: 200, max_batch: 10 };

    let begun = Instant::now();
    let mut cast = Cast {
        relays: (0..2).map(|relay| scene.relay(&url, &name(relay), pace)).collect::<Result<_>>()?,
        consumer: scene.consumer(&url)?,
        writers: (0..WRITERS).map(|number| scene.writer(&url, number, 4, seed)).collect::<Result<_>>()?,
        scene: &scene,
        broker: &broker,
        server: &mut server,
        url: &url,
        pace,
    };
    until("the first delivery", Duration::from_secs(60), async || (broker.taken() > 0).then_some(())).await;
    broker.faults().set_chance(12);
    let happened = cast.suffer(minute, length, &mut Dice::new(seed)).await?;

    // Calm: nothing more is written, nothing more goes wrong, and what is there has to come through.
    broker.faults().set_chance(0);
    let Cast { relays, consumer, writers, .. } = cast;
    let mut written = Vec::new();
    for writer in writers {
        written.push(writer.stop(Duration::from_secs(30))?.trim().to_owned());
    }
    let db = server.admin("shop").await?;
    let calm = Instant::now();
    let is_drained = drained(&db, DRAIN).await;
    let is_consumed = tokio::time::timeout(DRAIN, async {
        while broker.waiting() > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let is_consumed = is_consumed.await;
    let draining = calm.elapsed();
    let terms = subscription(&db).await?.epoch;
    let journal = broker.journal();
    let figures = Figures::of(&Holdings::of(&db).await?, &journal, begun);
    let mut anchors_lost = 0;
    for relay in &relays {
        anchors_lost += relay.told()?.matches(ANCHOR_LOST).count();
    }

    println!("{kind:?}, {length:?} of chaos, seed {seed}, drained in {draining:.1?}");
    println!("  writers (committed, rolled back, failed): {}", written.join("; "));
    println!("  {happened:?}\n  faults of the broker: {:?}", broker.faults().counts());
    println!(
        "  {terms} terms, {anchors_lost} anchors lost, {} numbers given out twice",
        reused_numbers(&journal)
    );
    println!("  {figures:#?}");
    is_drained?;
    ensure!(is_consumed.is_ok(), "{} messages are not consumed", broker.waiting());
    for process in relays.into_iter().chain([consumer]) {
        process.stop(Duration::from_secs(30))?;
    }
    Ok(Outcome { server, figures, happened, broker, terms, anchors_lost, seed })
}

async fn whatever_is_killed(kind: Kind) -> Result<()> {
    let length = length(60);
    // A lease so short that many end in a minute.
    let outcome = crash(kind, &[], Duration::from_secs(2), &OF_EVERYTHING, length).await?;
    for (what, count) in outcome.figures.must_be_zero() {
        assert_eq!(count, 0, "{what}, seed {}", outcome.seed);
    }
    assert_eq!(outcome.anchors_lost, 0, "a database that forgets nothing was taken for one that does");
    had_an_effect(&outcome, length);
    outcome.server.remove()
}

/// A run in which little went wrong proves little.
fn had_an_effect(outcome: &Outcome, length: Duration) {
    let Outcome { figures, happened, broker, terms, .. } = outcome;
    let minutes = length.as_secs().div_ceil(60);
    assert!(figures.events as u64 > 300 * minutes, "too few events: {}", figures.events);
    assert!(figures.duplicates > 0, "nobody was killed between the broker's answer and the flush");
    assert!(*terms > 5, "too few terms: {terms}");
    assert!(happened.connections_cut > 10, "too few connections were cut: {happened:?}");
    for (blow, least) in
        [(Blow::KillRelay, 2), (Blow::FreezeRelay, 2), (Blow::KillServer, 1), (Blow::BrokerOutage, 1)]
    {
        assert!(happened.blows.get(&blow).is_some_and(|times| *times >= least), "{blow:?} in {happened:?}");
    }
    let counts = broker.faults().counts();
    for fault in ["unavailable", "throttled", "dropped before", "answer lost", "some failed"] {
        assert!(counts.get(fault).is_some_and(|times| *times > 0), "`{fault}` in {counts:?}");
    }
}

/// A commit that was shown may be gone after a crash, and its number is given out again. A leader that is busy notices by
/// the flush that erred, one that is idle by the anchor; see the promotion of a replica for the latter alone.
async fn forgetful(kind: Kind, settings: &[&str]) -> Result<()> {
    // A lease that outlives a crash: the leader goes on with a memory that the database has lost.
    let outcome = crash(kind, settings, Duration::from_secs(8), &OF_CRASHES, length(30)).await?;
    for (what, count) in outcome.figures.must_be_zero_of_what_is_left() {
        assert_eq!(count, 0, "{what}, seed {}", outcome.seed);
    }
    let Figures { never_committed, without_effect, .. } = outcome.figures;
    assert!(never_committed + without_effect > 0, "the database forgot nothing");
    outcome.server.remove()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_misordered_or_done_twice_whatever_is_killed_on_postgres() {
    whatever_is_killed(Kind::Postgres).await.expect("the run");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_misordered_or_done_twice_whatever_is_killed_on_mariadb() {
    whatever_is_killed(Kind::Mariadb).await.expect("the run");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_forgets_commits_when_it_crashes_loses_nothing_else_on_postgres() {
    let settings = ["synchronous_commit=off", "wal_writer_delay=10s", "wal_buffers=16MB"];
    forgetful(Kind::Postgres, &settings).await.expect("the run");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_forgets_commits_when_it_crashes_loses_nothing_else_on_mariadb() {
    let settings = ["--innodb-flush-log-at-trx-commit=0", "--innodb-flush-log-at-timeout=3"];
    forgetful(Kind::Mariadb, &settings).await.expect("the run");
}
