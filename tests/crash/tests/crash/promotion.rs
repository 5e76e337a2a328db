//! A replica that lacks the last commits is promoted: the numbers of what is gone are given out a second time, and a
//! relay that remembers them must notice.

use std::time::{Duration, Instant};

use anyhow::Result;
use outbox_core::log::EventLog as _;
use outbox_crash::{
    broker::Broker,
    process::Process,
    roles::relay::Pace,
    scene::{Scene, drained, subscription},
    server::{Kind, Server},
    shop,
    verdict::{Figures, Holdings, reused_numbers},
};
use outbox_seaorm::{SeaOrmLog, tables::event};
use outbox_tests::{database::until, gate::Gate};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, EntityTrait as _, QueryOrder as _, Statement};

const SOON: Duration = Duration::from_secs(60);

async fn promote() -> Result<()> {
    let mut primary = Server::start(Kind::Postgres, &[]).await?;
    let db = primary.admin("shop").await?;
    shop::create_tables(&db).await?;
    let broker = Broker::start(7).await?;
    let scene = Scene::new(env!("CARGO_BIN_EXE_outbox-crash"), broker.address(), primary.folder());
    // As behind a virtual address or a name: the relay is not told that the server is another one.
    let address = Gate::in_front_of(&primary.url("shop")).await?;
    let stable = format!("postgres://postgres@{}/shop", address.address());
    // The lease outlives the failover: nothing but the anchor can tell the leader that its memory is worth nothing.
    let pace = Pace { lease: SOON, page_size: 200, max_batch: 10 };
    let begun = Instant::now();
    let mut relay = scene.relay(&stable, "relay", pace)?;
    write_until(&scene, &primary, 300).await?;
    drained(&db, SOON).await?;

    let replica = primary.replica().await?;
    let replicated = replica.admin("shop").await?;
    caught_up(&db, &replicated).await;
    let refused =
        SeaOrmLog::new(replicated.clone()).check().await.expect_err("a replica is no place for a relay");
    assert!(refused.to_string().contains("replica"), "{refused}");
    stop_replication(&replicated).await;

    // The last commits: published and settled by the relay, and known to no other server.
    let kept = last(&replicated).await;
    write_until(&scene, &primary, 300).await?;
    drained(&db, SOON).await?;
    let remembered = subscription(&db).await?.position;
    assert!(remembered > kept + 200, "only {kept} to {remembered} will be missing");
    address.set_closed(true);
    drop(db);
    primary.kill()?;

    replicated.execute_unprepared("SELECT pg_promote()").await?;
    assert_eq!(last(&replicated).await, kept, "the replica has what it must not have");
    // The numbers that the leader remembers belong to other events by the time it sees the new primary.
    write_until(&scene, &replica, u64::try_from(remembered - kept)? + 100).await?;
    assert!(relay.is_running()?);
    address.lead_to(&replica.url("shop"))?;
    drained(&replicated, SOON).await?;

    let journal = broker.journal();
    let figures = Figures::of(&Holdings::of(&replicated).await?, &journal, begun);
    let reused = reused_numbers(&journal);
    println!("Postgres, promotion of a replica: {reused} numbers were given out twice\n  {figures:#?}");
    assert_eq!((figures.lost, figures.out_of_order, figures.uncaptured), (0, 0, 0));
    assert!(reused > 100, "the promoted server gave out too few numbers a second time");
    assert!(figures.never_committed > 200, "what is gone had been published");
    let told = relay.told()?;
    assert!(
        told.contains("the log is not the one that was read"),
        "the anchor was not seen to fire:\n{told}"
    );
    relay.stop(SOON)?;
    replica.remove()?;
    primary.remove()
}

/// Writes so many events and waits for the writers' end.
async fn write_until(scene: &Scene, server: &Server, events: u64) -> Result<()> {
    let db = server.admin("shop").await?;
    let goal = last(&db).await + i64::try_from(events)?;
    let writers: Vec<Process> =
        (0..2).map(|number| scene.writer(&server.url("shop"), number, 4, events)).collect::<Result<_>>()?;
    until("the writers' events", SOON, async || (last(&db).await >= goal).then_some(())).await;
    for writer in writers {
        writer.stop(SOON)?;
    }
    Ok(())
}

/// The highest number in the log.
async fn last(db: &DatabaseConnection) -> i64 {
    let last = event::Entity::find().order_by_desc(event::Column::Seq).one(db).await.expect("asking");
    last.map_or(0, |last: event::Model| last.seq)
}

async fn ask<T: sea_orm::TryGetable>(db: &DatabaseConnection, question: &str) -> T {
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), question)).await;
    row.expect("asking").expect("a row").try_get_by_index(0).expect("a value")
}

async fn caught_up(primary: &DatabaseConnection, replica: &DatabaseConnection) {
    let written: String = ask(primary, "SELECT pg_current_wal_lsn()::text").await;
    let replayed = format!("SELECT pg_last_wal_replay_lsn() >= '{written}'::pg_lsn");
    until("the replica to catch up", SOON, async || ask::<bool>(replica, &replayed).await.then_some(()))
        .await;
}

/// A promotion replays what was received: so nothing more may be received.
async fn stop_replication(replica: &DatabaseConnection) {
    replica.execute_unprepared("ALTER SYSTEM SET primary_conninfo = ''").await.expect("cut the replica off");
    replica.execute_unprepared("SELECT pg_reload_conf()").await.expect("reload");
    let receivers = "SELECT count(*) FROM pg_stat_wal_receiver";
    until("the end of replication", SOON, async || (ask::<i64>(replica, receivers).await == 0).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_promoted_without_the_last_commits_is_noticed_and_loses_nothing_on_postgres() {
    promote().await.expect("the run");
}
