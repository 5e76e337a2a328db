//! Operators at work while a relay leads: nobody waits for ever, nothing is lost, and what was given up stays so.

use std::time::Duration;

use outbox_core::{
    log::{Due, EventLog as _, Flush, Flushed, Hold, HoldChange, HoldState},
    relay::{Relay, RelayConfig, Subscription},
    testing::RecordingPublisher,
};
use outbox_seaorm::{
    Outbox, SeaOrmLog,
    outbox::{DeadLetterFilter, OutboxError, RewindTo},
    tables::{audit, hold, subscription as row},
};
use outbox_tests::{
    TestDb,
    database::until,
    events::{lead, run, seqs, store, subscription},
    on_each_database,
};
use sea_orm::EntityTrait as _;

const SOON: Duration = Duration::from_secs(30);

fn relay(log: SeaOrmLog, publisher: &RecordingPublisher) -> Relay {
    let config = RelayConfig { poll_max: Duration::from_millis(50), ..RelayConfig::default() };
    Relay::new(log, "/orders").config(config).subscription(Subscription::new("sqs", publisher.clone()))
}

async fn stored(test: &TestDb) -> row::Model {
    row::Entity::find_by_id("sqs").one(&test.db).await.expect("asking").expect("the row")
}

on_each_database!(an_operator_and_a_leader_never_wait_for_each_other_for_ever, async |test| {
    let publisher = RecordingPublisher::new();
    let handle = relay(SeaOrmLog::new(test.another_pool().await?), &publisher).spawn();
    store(&test.db, "1").await?;
    until("the first event", SOON, async || (!publisher.seqs().is_empty()).then_some(())).await;
    let outbox = Outbox::new(test.db.clone());
    let operator = outbox.acting_as("ada", "a rehearsal")?;
    let writes = {
        let db = test.db.clone();
        tokio::spawn(async move {
            for order in 0..60 {
                store(&db, &order.to_string()).await?;
            }
            anyhow::Ok(())
        })
    };
    for round in 0..10 {
        operator.rewind("sqs", RewindTo::Beginning).await?;
        operator.discard_all(DeadLetterFilter::all()).await?;
        if round % 2 == 0 {
            operator.pause("sqs").await?;
            operator.resume("sqs").await?;
        }
    }
    writes.await??;
    until("all to be settled", SOON, async || {
        let row = stored(&test).await;
        (row.position == 61 && row.holes.is_empty()).then_some(())
    })
    .await;
    let mut published = publisher.seqs();
    published.sort_unstable();
    published.dedup();
    assert_eq!(published, (1..=61).collect::<Vec<_>>(), "nothing is lost");
    assert_eq!(audit::Entity::find().all(&test.db).await?.len(), 20);
    handle.stop().await?;
    Ok(())
});

on_each_database!(an_event_that_was_discarded_while_its_leader_had_it_is_not_put_back, async |test| {
    let log = SeaOrmLog::new(test.another_pool().await?);
    let name = subscription("sqs");
    for order in ["1", "2"] {
        store(&test.db, order).await?;
    }
    let (owner, _) = lead(&log, &name).await?;
    let hold = |seq, state, due| Hold {
        seq,
        aggregate: None,
        state,
        attempts: 1,
        due,
        last_error: Some("refused".into()),
        replay: None,
    };
    let flush =
        |previous_flush_no, holds| Flush { holes: seqs(""), previous_flush_no, holds, ..Flush::default() };
    let retry = |seq| HoldChange::Insert(hold(seq, HoldState::Retry, Due::After(Duration::ZERO)));
    assert_eq!(log.flush(&name, owner, &flush(0, vec![retry(1), retry(2)])).await?, Flushed::Stored);
    let operator = Outbox::new(test.db.clone()).acting_as("ada", "a bad order")?;
    operator.discard(1, "sqs").await?;
    // The leader does not know of it yet, and both attempts fail for good.
    let dead = |seq| HoldChange::Update(hold(seq, HoldState::Dead, Due::Never));
    assert_eq!(log.flush(&name, owner, &flush(1, vec![dead(1), dead(2)])).await?, Flushed::Stored);
    let held = hold::Entity::find().all(&test.db).await?;
    assert_eq!(held.iter().map(|row| (row.seq, row.state.as_str())).collect::<Vec<_>>(), [(2, "dead")]);
    // And the other way round: what the leader has ended is not there to be given up.
    assert_eq!(log.flush(&name, owner, &flush(2, vec![HoldChange::Delete(2)])).await?, Flushed::Stored);
    let error = operator.discard(2, "sqs").await.expect_err("it is settled");
    assert!(matches!(error, OutboxError::NotHeld { .. }), "found {error}");
    assert_eq!(audit::Entity::find().all(&test.db).await?.len(), 1);
    Ok(())
});

on_each_database!(a_subscription_that_is_led_is_not_dropped, async |test| {
    let publisher = RecordingPublisher::new();
    let handle = relay(SeaOrmLog::new(test.another_pool().await?), &publisher).spawn();
    store(&test.db, "1").await?;
    until("its progress", SOON, async || {
        row::Entity::find_by_id("sqs").one(&test.db).await.expect("asking").filter(|row| row.position == 1)
    })
    .await;
    let operator = Outbox::new(test.db.clone()).acting_as("ada", "not needed any more")?;
    run(&test.db, "UPDATE outbox_subscription SET leader = 'shop-7 4711'", []).await?;
    let error = operator.drop_subscription("sqs").await.expect_err("it is led");
    assert!(matches!(&error, OutboxError::Led { leader, .. } if !leader.is_empty()), "found {error}");
    assert!(error.to_string().contains("stop its relays"), "found {error}");
    handle.stop().await?;

    run(
        &test.db,
        "INSERT INTO outbox_hold (subscription, seq, state, attempts)
         VALUES ('sqs', 1, 'dead', 5), ('other', 1, 'dead', 5)",
        [],
    )
    .await?;
    run(
        &test.db,
        "INSERT INTO outbox_receipt (subscription, seq) VALUES ('sqs', 1), ('sqs', 2), ('other', 1)",
        [],
    )
    .await?;
    let dropped = operator.drop_subscription("sqs").await?;
    assert_eq!((dropped.holds, dropped.receipts), (1, 2));
    assert!(row::Entity::find_by_id("sqs").one(&test.db).await?.is_none());
    assert_eq!(hold::Entity::find().all(&test.db).await?.len(), 1, "those of others stay");
    assert_eq!(audit::Entity::find().all(&test.db).await?.len(), 1);
    let error = operator.drop_subscription("sqs").await.expect_err("it is gone");
    assert!(matches!(error, OutboxError::UnknownSubscription { .. }), "found {error}");
    Ok(())
});

on_each_database!(a_lease_that_has_ended_does_not_keep_a_subscription, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    lead(&log, &subscription("sqs")).await?;
    let operator = Outbox::new(test.db.clone()).acting_as("ada", "its relay died")?;
    let error = operator.drop_subscription("sqs").await.expect_err("its lease runs");
    assert!(error.to_string().contains("has not given its name yet"), "found {error}");
    let past = chrono::Utc::now() - Duration::from_secs(1);
    run(&test.db, "UPDATE outbox_subscription SET lease_until = ?", [past.into()]).await?;
    operator.drop_subscription("sqs").await?;
    Ok(())
});
