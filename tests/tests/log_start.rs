//! Where a new subscription begins.

use chrono::{TimeDelta, Utc};
use outbox_core::{
    log::{Acquired, EventLog, Owner, StartPoint, StoredProgress},
    progress::SeqRanges,
};
use outbox_seaorm::SeaOrmLog;
use outbox_tests::{
    Kind, TestDb,
    events::{LEASE, numbers, order_event, read, run, seqs, store, subscription},
    on_each_database,
};
use sea_orm::ActiveModelTrait as _;

async fn begun(log: &impl EventLog, name: &str, start: StartPoint) -> anyhow::Result<StoredProgress> {
    let name = subscription(name);
    log.register(&name, start).await?;
    match log.acquire(&name, Owner::random(), LEASE).await? {
        Acquired::Leader(progress) => Ok(progress),
        other => anyhow::bail!("expected to lead, found {other:?}"),
    }
}

/// Gaps are holes where numbers can appear below others.
fn gaps(test: &TestDb, ranges: &str) -> SeqRanges {
    if test.kind == Kind::Sqlite { seqs("") } else { seqs(ranges) }
}

on_each_database!(now_begins_behind_the_last_row_with_the_gaps_below_as_holes, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let mut last = None;
    for order in 1..=9 {
        last = Some(order_event(&order.to_string(), "{}").insert(&test.db).await?);
    }
    run(&test.db, "DELETE FROM outbox_event WHERE seq IN (1, 2, 5, 8)", []).await?;
    let now = begun(&log, "now", StartPoint::Now).await?;
    let anchor = last.map(|row| row.id);
    assert_eq!(
        now,
        StoredProgress { position: 9, anchor, holes: gaps(&test, "1-2,5,8"), ..StoredProgress::default() }
    );
    assert_eq!(numbers(&read(&log, now.position, &now.holes, 10).await?), Vec::<i64>::new());

    run(&test.db, "UPDATE outbox_meta SET floor = 2", []).await?;
    let above = begun(&log, "above-the-floor", StartPoint::Now).await?;
    assert_eq!((above.position, above.holes), (9, gaps(&test, "5,8")));
    let beginning = begun(&log, "beginning", StartPoint::Beginning).await?;
    assert_eq!((beginning.position, beginning.anchor), (2, None));
    Ok(())
});

on_each_database!(a_time_begins_behind_the_last_row_before_it, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    for order in 1..=6 {
        store(&test.db, &order.to_string()).await?;
    }
    run(&test.db, "DELETE FROM outbox_event WHERE seq = 2", []).await?;
    run(
        &test.db,
        "UPDATE outbox_event SET created_at = ? WHERE seq <= 4",
        [(Utc::now() - TimeDelta::hours(2)).into()],
    )
    .await?;
    let hour_ago = StartPoint::At(Utc::now() - TimeDelta::hours(1));
    let progress = begun(&log, "hour", hour_ago).await?;
    assert_eq!((progress.position, &progress.holes), (4, &gaps(&test, "2")));
    let page = read(&log, progress.position, &progress.holes, 10).await?;
    assert_eq!((page.anchor, numbers(&page)), (progress.anchor, vec![5, 6]));

    let all = begun(&log, "day", StartPoint::At(Utc::now() - TimeDelta::days(1))).await?;
    assert_eq!(all, StoredProgress::default(), "every event is younger");
    let none = begun(&log, "ahead", StartPoint::At(Utc::now() + TimeDelta::days(1))).await?;
    assert_eq!(none.position, 6, "no event is younger: as with now");
    Ok(())
});

on_each_database!(processes_that_start_together_make_one_row, async |test| {
    store(&test.db, "1").await?;
    let mut starting = Vec::new();
    for _ in 0..6 {
        let log = SeaOrmLog::new(test.another_pool().await?);
        starting.push(tokio::spawn(async move { log.register(&subscription("sqs"), StartPoint::Now).await }));
    }
    for process in starting {
        process.await??;
    }
    let log = SeaOrmLog::new(test.db.clone());
    assert_eq!(begun(&log, "sqs", StartPoint::Beginning).await?.position, 1);
    Ok(())
});
