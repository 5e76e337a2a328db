//! Dump and restore in the middle of a backlog: the relay goes on on the restored database, whose numbers are given
//! out a second time.

use std::{
    fs::File,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use outbox_crash::{
    broker::Broker,
    process::Process,
    roles::relay::Pace,
    scene::{Scene, drained, is_drained, subscription},
    server::{Kind, Server, run},
    shop,
    verdict::{Figures, Holdings},
};
use outbox_seaorm::tables::event;
use outbox_tests::database::until;
use sea_orm::{ConnectionTrait as _, EntityTrait as _, PaginatorTrait as _};

const SOON: Duration = Duration::from_secs(60);

async fn dump_and_restore(kind: Kind) -> Result<()> {
    let server = Server::start(kind, &[]).await?;
    let before = server.admin("shop").await?;
    shop::create_tables(&before).await?;
    let broker = Broker::start(7).await?;
    let scene = Scene::new(env!("CARGO_BIN_EXE_outbox-crash"), broker.address(), server.folder());
    let pace = Pace { lease: Duration::from_secs(2), page_size: 200, max_batch: 10 };
    let begun = Instant::now();
    let mut writers = write(&scene, &server.url("shop"))?;
    let mut relay = scene.relay(&server.url("shop"), "relay-before", pace)?;

    // The broker goes away when some of the log is published: the dump then holds what was read and not sent, and
    // the numbers of transactions that were under way and never come.
    until("some deliveries", SOON, async || (broker.taken() >= 300).then_some(())).await;
    broker.faults().go_away(Duration::from_secs(3_600));
    let events = async || event::Entity::find().count(&before).await.expect("a count");
    let sent = broker.taken() as u64;
    until("a backlog", SOON, async || (events().await >= sent + 400).then_some(())).await;
    dump(&server)?;

    // The old world goes on and publishes what the dump does not know.
    broker.faults().go_away(Duration::ZERO);
    let dumped = events().await;
    until("deliveries after the dump", SOON, async || (broker.taken() as u64 >= dumped + 200).then_some(()))
        .await;
    relay.kill()?;
    for writer in &mut writers {
        writer.kill()?;
    }

    restore(&server).await?;
    let after = server.admin("restored").await?;
    let loaded = subscription(&after).await?;
    assert!(loaded.position > 0 && !is_drained(&after).await?, "not in the middle of a backlog: {loaded:?}");
    let writers = write(&scene, &server.url("restored"))?;
    let relay = scene.relay(&server.url("restored"), "relay-after", pace)?;
    let known = event::Entity::find().count(&after).await?;
    until("events in the restored database", SOON, async || {
        (event::Entity::find().count(&after).await.expect("a count") >= known + 400).then_some(())
    })
    .await;
    for writer in writers {
        writer.stop(SOON)?;
    }
    drained(&after, SOON).await?;
    relay.stop(SOON)?;

    let journal = broker.journal();
    let figures = Figures::of(&Holdings::of(&after).await?, &journal, begun);
    let reused = outbox_crash::verdict::reused_numbers(&journal);
    println!("{kind:?}, dump and restore: {reused} numbers were given out twice\n  {figures:#?}");
    assert_eq!((figures.lost, figures.out_of_order, figures.uncaptured), (0, 0, 0));
    assert!(reused > 0, "the restored database gave out no number a second time");
    assert!(figures.never_committed > 0, "nothing was published after the dump");
    server.remove()
}

fn write(scene: &Scene, url: &str) -> Result<Vec<Process>> {
    (0..2).map(|number| scene.writer(url, number, 4, 7)).collect()
}

fn dump(server: &Server) -> Result<()> {
    let file = server.folder().join("shop.dump");
    let mut command = match server.kind() {
        Kind::Postgres => server.program("pg_dump"),
        Kind::Mariadb => server.program("mariadb-dump"),
    };
    match server.kind() {
        Kind::Postgres => command.args(["-Fc", "-f"]).arg(file).arg("shop"),
        Kind::Mariadb => {
            command.arg("--single-transaction").arg(format!("--result-file={}", file.display())).arg("shop")
        }
    };
    run(&mut command)
}

async fn restore(server: &Server) -> Result<()> {
    let file = server.folder().join("shop.dump");
    server.admin("").await?.execute_unprepared("CREATE DATABASE restored").await?;
    match server.kind() {
        Kind::Postgres => run(server.program("pg_restore").args(["-d", "restored"]).arg(file)),
        Kind::Mariadb => {
            let status = server.program("mariadb").arg("restored").stdin(File::open(file)?).status()?;
            status.success().then_some(()).context("the dump could not be restored")
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_restored_in_the_middle_of_a_backlog_loses_nothing_on_postgres() {
    dump_and_restore(Kind::Postgres).await.expect("the run");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_restored_in_the_middle_of_a_backlog_loses_nothing_on_mariadb() {
    dump_and_restore(Kind::Mariadb).await.expect("the run");
}
