//! About a minute of kills, freezes, cuts and outages on each database; then calm, and the figures.
//!
//! `OUTBOX_CRASH_SECONDS=600` makes it longer, `OUTBOX_CRASH_SEED` repeats a run's choices (not its races).

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use outbox_crash::{
    broker::Broker,
    chaos::{Blow, Cast, Happened, name},
    dice::Dice,
    roles::relay::Pace,
    scene::{Scene, drained, subscription},
    server::{Kind, Server},
    shop,
    verdict::{Figures, Holdings},
};
use outbox_tests::database::until;

/// Long before the machine's patience ends, and many times what it takes.
const DRAIN: Duration = Duration::from_secs(120);

const WRITERS: u64 = 3;

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

async fn crash(kind: Kind) -> Result<()> {
    let length = Duration::from_secs(from_environment("OUTBOX_CRASH_SECONDS", 60));
    let seed = from_environment("OUTBOX_CRASH_SEED", u64::from(std::process::id()));
    let mut server = Server::start(kind, &[]).await?;
    shop::create_tables(&server.admin("shop").await?).await?;
    let url = server.url("shop");
    let broker = Broker::start(seed).await?;
    let scene = Scene::new(env!("CARGO_BIN_EXE_outbox-crash"), broker.address(), server.folder());
    // A lease so short that many end in a minute.
    let pace = Pace { lease: Duration::from_secs(2), page_size: 200, max_batch: 10 };

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
    let happened = cast.suffer(length, &mut Dice::new(seed)).await?;

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
    let epoch = subscription(&db).await?.epoch;
    let figures = Figures::of(&Holdings::of(&db).await?, &broker.journal(), begun);

    println!("{kind:?}, {length:?} of chaos, seed {seed}, drained in {draining:.1?}, {epoch} terms");
    println!("  writers (committed, rolled back, failed): {}", written.join("; "));
    println!("  {happened:?}\n  faults of the broker: {:?}\n  {figures:#?}", broker.faults().counts());
    is_drained?;
    ensure!(is_consumed.is_ok(), "{} messages are not consumed", broker.waiting());
    for process in relays.into_iter().chain([consumer]) {
        process.stop(Duration::from_secs(30))?;
    }
    for (what, count) in figures.must_be_zero() {
        assert_eq!(count, 0, "{what}, seed {seed}");
    }
    had_an_effect(&figures, &happened, &broker, epoch, length);
    server.remove()
}

/// A run in which little went wrong proves little.
fn had_an_effect(figures: &Figures, happened: &Happened, broker: &Broker, epoch: i64, length: Duration) {
    let minutes = length.as_secs().div_ceil(60);
    assert!(figures.events as u64 > 1_000 * minutes, "too few events: {}", figures.events);
    assert!(figures.duplicates > 0, "nobody was killed between the broker's answer and the flush");
    assert!(epoch > 5, "too few terms: {epoch}");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_misordered_or_done_twice_whatever_is_killed_on_postgres() {
    crash(Kind::Postgres).await.expect("the run");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_misordered_or_done_twice_whatever_is_killed_on_mariadb() {
    crash(Kind::Mariadb).await.expect("the run");
}
