//! Who leads a subscription, and whose flush counts. Time is moved in the row, not waited for.

use std::time::Duration;

use outbox_core::{
    log::{
        Acquired, Due, EventLog, Flush, Flushed, Hold, HoldChange, HoldState, LogError, Owner, StartPoint,
        StoredProgress, SubscriptionState,
    },
    message::Seq,
};
use outbox_seaorm::{
    SeaOrmLog,
    tables::{hold, subscription},
};
use outbox_tests::{
    Kind, TestDb,
    database::until,
    events::{LEASE, lead, order_event, run, seqs, store, subscription},
    on_each_database,
};
use sea_orm::{
    ActiveModelTrait as _, ConnectionTrait as _, DatabaseConnection, EntityTrait as _, TransactionTrait as _,
};
use uuid::Uuid;

async fn row(db: &DatabaseConnection) -> anyhow::Result<subscription::Model> {
    Ok(subscription::Entity::find_by_id("sqs").one(db).await?.expect("the row is there"))
}

/// The lease ends now, without anybody waiting for it.
async fn expire_lease(db: &DatabaseConnection) -> anyhow::Result<()> {
    run(
        db,
        "UPDATE outbox_subscription SET lease_until = ?",
        [(chrono::Utc::now() - Duration::from_secs(1)).into()],
    )
    .await?;
    Ok(())
}

fn flush_to(position: Seq, anchor: Option<Uuid>, previous_flush_no: i64) -> Flush {
    Flush { position, anchor, holes: seqs(""), previous_flush_no, ..Flush::default() }
}

on_each_database!(one_relay_leads_and_a_second_stands_by, async |test| {
    let (first, second) = (SeaOrmLog::new(test.db.clone()), SeaOrmLog::new(test.another_pool().await?));
    let name = subscription("sqs");
    let (leader, progress) = lead(&first, &name).await?;
    assert_eq!(progress, StoredProgress::default());
    match second.acquire(&name, Owner::random(), LEASE).await? {
        Acquired::Held { expires_in } => {
            assert!(expires_in <= LEASE && expires_in > LEASE / 2, "found {expires_in:?}");
        }
        other => panic!("expected the lease to be held, found {other:?}"),
    }
    assert!(first.renew(&name, leader, LEASE * 2).await?.is_some());
    assert!(second.renew(&name, Owner::random(), LEASE).await?.is_none());
    match second.acquire(&name, Owner::random(), LEASE).await? {
        Acquired::Held { expires_in } => assert!(expires_in > LEASE, "renewed, found {expires_in:?}"),
        other => panic!("expected the lease to be held, found {other:?}"),
    }
    assert_eq!(row(&test.db).await?.epoch, 1);
    Ok(())
});

on_each_database!(the_flush_of_a_leader_that_was_replaced_changes_nothing, async |test| {
    let (first, second) = (SeaOrmLog::new(test.db.clone()), SeaOrmLog::new(test.another_pool().await?));
    let name = subscription("sqs");
    let event = order_event("1", "{}").insert(&test.db).await?;
    let (stale, _) = lead(&first, &name).await?;
    expire_lease(&test.db).await?;
    let leader = Owner::random();
    assert!(matches!(second.acquire(&name, leader, LEASE).await?, Acquired::Leader(_)));

    assert!(first.renew(&name, stale, LEASE).await?.is_none());
    let flush = flush_to(event.seq, Some(event.id), 0);
    assert_eq!(first.flush(&name, stale, &flush).await?, Flushed::Fenced);
    first.report(&name, stale, SubscriptionState::BrokerDown, Some("stale")).await?;
    first.release(&name, stale).await?;
    let after = row(&test.db).await?;
    assert_eq!((after.position, after.flush_no, after.state.as_str()), (0, 0, "running"));
    assert_eq!(after.owner, Some(leader.as_uuid()));

    assert_eq!(second.flush(&name, leader, &flush).await?, Flushed::Stored);
    let after = row(&test.db).await?;
    assert_eq!((after.position, after.anchor, after.flush_no), (event.seq, Some(event.id), 1));
    Ok(())
});

on_each_database!(a_flush_that_meets_another_sessions_lock_is_not_stored_and_goes_again, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let name = subscription("sqs");
    let event = order_event("1", "{}").insert(&test.db).await?;
    let (leader, _) = lead(&log, &name).await?;
    let plain = flush_to(event.seq, Some(event.id), 0);
    let hold = Hold {
        seq: event.seq,
        aggregate: None,
        state: HoldState::Dead,
        attempts: 1,
        due: Due::Never,
        last_error: None,
        replay: None,
    };
    let with_hold = Flush { holds: vec![HoldChange::Insert(hold)], ..plain.clone() };
    let other = test.another_pool().await?.begin().await?;
    other.execute_unprepared("UPDATE outbox_subscription SET epoch = epoch + 1").await?;
    assert_eq!(log.flush(&name, leader, &plain).await?, Flushed::Busy);
    assert_eq!(log.flush(&name, leader, &with_hold).await?, Flushed::Busy);
    other.rollback().await?;
    assert_eq!(row(&test.db).await?.flush_no, 0);
    assert_eq!(log.flush(&name, leader, &with_hold).await?, Flushed::Stored);
    assert_eq!(hold::Entity::find().all(&test.db).await?.len(), 1);
    Ok(())
});

on_each_database!(a_paused_subscription_is_led_by_nobody, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let name = subscription("sqs");
    let (leader, _) = lead(&log, &name).await?;
    assert_eq!(log.renew(&name, leader, LEASE).await?, Some(0));
    run(&test.db, "UPDATE outbox_subscription SET state = 'paused', interventions = interventions + 1", [])
        .await?;
    assert_eq!(
        log.renew(&name, leader, LEASE).await?,
        Some(1),
        "it is told, and keeps the lease until it has ended"
    );
    assert_eq!(log.renew(&name, Owner::random(), LEASE).await?, None);
    log.report(&name, leader, SubscriptionState::Running, None).await?;
    assert_eq!(row(&test.db).await?.state, "paused", "a leader does not undo what an operator did");
    assert_eq!(log.acquire(&name, Owner::random(), LEASE).await?, Acquired::Paused);
    log.release(&name, leader).await?;
    assert_eq!(log.acquire(&name, Owner::random(), LEASE).await?, Acquired::Paused);
    run(&test.db, "UPDATE outbox_subscription SET state = 'running'", []).await?;
    let Acquired::Leader(progress) = log.acquire(&name, Owner::random(), LEASE).await? else {
        panic!("expected to lead");
    };
    assert_eq!(progress.interventions, 1, "the next term begins with the count that it finds");
    Ok(())
});

on_each_database!(a_state_is_reported_with_its_beginning, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let name = subscription("sqs");
    let (leader, _) = lead(&log, &name).await?;
    let long = "ą\0".repeat(50_000);
    log.report(&name, leader, SubscriptionState::BrokerDown, Some(&long)).await?;
    let down = row(&test.db).await?;
    assert_eq!(
        (down.state.as_str(), down.last_error.map(|e| e.chars().count())),
        ("broker_down", Some(2_000))
    );
    log.report(&name, leader, SubscriptionState::BrokerDown, Some("still")).await?;
    let still = row(&test.db).await?;
    assert_eq!((still.state_since, still.last_error.as_deref()), (down.state_since, Some("still")));
    log.report(&name, leader, SubscriptionState::Running, None).await?;
    let runs = row(&test.db).await?;
    assert_eq!((runs.state.as_str(), runs.last_error), ("running", None));
    assert!(runs.state_since >= down.state_since);
    Ok(())
});

on_each_database!(a_stored_anchor_that_is_missing_stops_the_subscription_with_the_way_out, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let name = subscription("sqs");
    let event = order_event("1", "{}").insert(&test.db).await?;
    let (leader, _) = lead(&log, &name).await?;
    log.flush(&name, leader, &flush_to(event.seq, Some(event.id), 0)).await?;
    log.release(&name, leader).await?;
    run(&test.db, "DELETE FROM outbox_event", []).await?;
    let error = log.acquire(&name, Owner::random(), LEASE).await.expect_err("the anchor is gone");
    assert!(matches!(error, LogError::AnchorGone { position: 1, .. }), "found {error:?}");
    assert!(error.to_string().contains("rewind the subscription"), "found {error}");
    assert_eq!(row(&test.db).await?.owner, None, "the lease was not taken");
    Ok(())
});

on_each_database!(a_position_beyond_the_counter_is_refused, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let name = subscription("sqs");
    log.register(&name, StartPoint::Beginning).await?;
    run(&test.db, "UPDATE outbox_subscription SET position = 5", []).await?;
    for order in 1..=4 {
        store(&test.db, &order.to_string()).await?;
    }
    let error = log.acquire(&name, Owner::random(), LEASE).await.expect_err("numbers up to 4 only");
    assert!(matches!(error, LogError::Refused(_)), "found {error:?}");
    assert!(
        error.to_string().contains("up to event 5") && error.to_string().contains("up to 4 only"),
        "found {error}"
    );
    store(&test.db, "5").await?;
    assert!(matches!(log.acquire(&name, Owner::random(), LEASE).await?, Acquired::Leader(_)));
    Ok(())
});

/// A leader froze inside its flush: its transaction is open and nobody will ever end it.
async fn a_frozen_flush_does_not_block_the_take_over(test: &TestDb) -> anyhow::Result<()> {
    let lease = Duration::from_secs(4);
    let (frozen, other) = (SeaOrmLog::new(test.db.clone()), SeaOrmLog::new(test.another_pool().await?));
    let name = subscription("sqs");
    let (leader, _) = lead(&frozen, &name).await?;
    assert!(frozen.renew(&name, leader, lease).await?.is_some(), "the sessions follow the shortest lease");

    let flush = frozen.connection().await?.begin().await?;
    flush.execute_unprepared("UPDATE outbox_subscription SET flush_no = flush_no + 1").await?;
    expire_lease_of_frozen(test).await?;

    until("the take-over", lease * 10, async || match other.acquire(&name, Owner::random(), lease).await {
        Ok(Acquired::Leader(progress)) => Some(progress),
        Ok(Acquired::Held { .. }) => None,
        other => panic!("expected to lead or to wait, found {other:?}"),
    })
    .await;
    assert!(flush.commit().await.is_err(), "its session was ended");
    assert_eq!(row(&test.db).await?.flush_no, 0, "and its flush with it");
    Ok(())
}

/// The row is locked, so its lease cannot be moved; it ends by itself, after a few seconds.
async fn expire_lease_of_frozen(test: &TestDb) -> anyhow::Result<()> {
    let name = subscription("sqs");
    let standby = SeaOrmLog::new(test.db.clone());
    until("the end of the lease", Duration::from_secs(40), async || {
        let held = standby.acquire(&name, Owner::random(), Duration::from_secs(4)).await;
        match held {
            Ok(Acquired::Held { expires_in }) if expires_in > Duration::from_millis(100) => None,
            _ => Some(()),
        }
    })
    .await;
    Ok(())
}

mod a_leader_frozen_inside_its_flush {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn postgres() {
        TestDb::run(Kind::Postgres, async |test| a_frozen_flush_does_not_block_the_take_over(&test).await)
            .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn mariadb() {
        TestDb::run(Kind::Mariadb, async |test| a_frozen_flush_does_not_block_the_take_over(&test).await)
            .await;
    }
}
