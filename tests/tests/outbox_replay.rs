//! Operators replay settled events: in their order, none twice, none that purge has taken.

use std::time::Duration;

use chrono::TimeDelta;
use outbox_core::{
    log::{Due, EventLog as _, Flush, Flushed, Hold, HoldChange, HoldState, PurgeRequest, SubscriptionName},
    message::Seq,
    relay::{Relay, Subscription},
    testing::RecordingPublisher,
};
use outbox_seaorm::{
    Outbox, SeaOrmLog,
    outbox::{OutboxError, Replay, Selection, Skipped},
    tables::{audit, event, hold, receipt, subscription as subscriptions},
};
use outbox_tests::{
    Kind, TestDb,
    database::until,
    events::{lead, order_event, run, seqs, subscription},
    on_each_database,
};
use sea_orm::{
    ActiveModelTrait as _, ConnectionTrait as _, DatabaseConnection, EntityTrait as _, QueryOrder as _, Set,
    TransactionTrait as _,
};

/// Events of orders `a` and `b` in turn; every fifth belongs to no order.
async fn store(db: &DatabaseConnection, count: i64) -> anyhow::Result<Vec<event::Model>> {
    let mut rows = Vec::new();
    for number in 1..=count {
        let mut row = order_event(if number % 2 == 0 { "a" } else { "b" }, "{}");
        if number % 5 == 0 {
            row.aggregate_id = Set(None);
        }
        rows.push(row);
    }
    for chunk in rows.chunks(500) {
        event::Entity::insert_many(chunk.to_vec()).exec_without_returning(db).await?;
    }
    let stored = event::Entity::find().order_by_asc(event::Column::Seq).all(db).await?;
    assert_eq!(stored.last().map(|row| row.seq), Some(count), "the numbers are 1 to {count}");
    Ok(stored)
}

/// A subscription that a relay has led up to an event, with holes and holds below.
async fn led_up_to(
    log: &SeaOrmLog,
    db: &DatabaseConnection,
    name: &SubscriptionName,
    last: &event::Model,
    holes: &str,
    held: &[Seq],
) -> anyhow::Result<()> {
    let (leader, _) = lead(log, name).await?;
    let hold = |seq: &Seq| {
        HoldChange::Insert(Hold {
            seq: *seq,
            aggregate: None,
            state: HoldState::Dead,
            attempts: 5,
            due: Due::Never,
            last_error: Some("refused".into()),
            replay: None,
        })
    };
    let flush = Flush {
        position: last.seq,
        anchor: Some(last.id),
        holes: seqs(holes),
        holds: held.iter().map(hold).collect(),
        ..Flush::default()
    };
    assert_eq!(log.flush(name, leader, &flush).await?, Flushed::Stored);
    run(db, "UPDATE outbox_subscription SET leader = 'host 1' WHERE name = ?", [name.as_str().into()])
        .await?;
    Ok(())
}

async fn holds(db: &DatabaseConnection) -> anyhow::Result<Vec<hold::Model>> {
    Ok(hold::Entity::find().order_by_asc(hold::Column::Seq).all(db).await?)
}

fn numbers(holds: &[hold::Model]) -> Vec<Seq> {
    holds.iter().map(|hold| hold.seq).collect()
}

async fn row(db: &DatabaseConnection, name: &str) -> anyhow::Result<subscriptions::Model> {
    Ok(subscriptions::Entity::find_by_id(name).one(db).await?.expect("it is registered"))
}

on_each_database!(what_is_settled_waits_in_its_order_and_the_rest_is_left_alone_and_told, async |test| {
    let (db, log, name) = (&test.db, SeaOrmLog::new(test.db.clone()), subscription("sqs"));
    let events = store(db, 10).await?;
    run(db, "UPDATE outbox_event SET topic = 'mail' WHERE seq = 6", []).await?;
    run(db, "UPDATE outbox_event SET topic = '' WHERE seq = 7", []).await?;
    led_up_to(&log, db, &name, &events[8], "3", &[2]).await?;
    run(db, "UPDATE outbox_subscription SET topics = '[\"orders\"]'", []).await?;
    let before = row(db, "sqs").await?;

    let replay = Replay::reprocess();
    let operator = Outbox::new(db.clone()).acting_as("ada", "a handler was wrong")?;
    let replayed = operator.replay(replay, &Selection::all(), "sqs").await?;
    assert_eq!((replayed.id, replayed.events, replayed.upto), (replay.id(), 5, 10));
    assert_eq!(replayed.skipped, Skipped { on_hold: 1, not_settled: 2, other_topics: 1, purged: 0 });
    assert_eq!((replayed.purged_upto, replayed.went_on_after), (None, None));

    let holds = holds(db).await?;
    assert_eq!(numbers(&holds), [1, 2, 4, 5, 8, 9]);
    assert_eq!((holds[1].state.as_str(), holds[1].attempts, holds[1].replay), ("dead", 5, None), "as it was");
    for hold in holds.iter().filter(|hold| hold.seq != 2) {
        assert_eq!((hold.replay, hold.attempts), (Some(replay.id()), 0), "{hold:?}");
        let order = hold.aggregate_type.as_deref().zip(hold.aggregate_id.as_deref());
        let (state, key) = match hold.seq {
            5 => ("scheduled", None),
            seq => ("blocked", Some(("order", if seq % 2 == 0 { "a" } else { "b" }))),
        };
        assert_eq!((hold.state.as_str(), order, hold.due_at.is_some()), (state, key, key.is_none()));
    }
    let due: Vec<_> =
        log.due(&name, &"/orders".into(), 10).await?.into_iter().map(|(hold, _)| hold.seq).collect();
    assert_eq!(due, [5], "what has no order goes at once, by the database's clock");

    let after = row(db, "sqs").await?;
    assert_eq!(after.interventions, before.interventions + 1, "its leader is told");
    assert_eq!((after.position, after.flush_no), (before.position, before.flush_no));
    let audited = audit::Entity::find().all(db).await?;
    assert_eq!(audited.len(), 1);
    assert_eq!((audited[0].actor.as_str(), audited[0].action.as_str()), ("ada", "replay"));
    assert!(audited[0].target.starts_with("sqs/ ") && audited[0].target.contains(&replay.id().to_string()));

    // The same once more, and a new one: all is on hold now.
    let again = operator.replay(replay, &Selection::all(), "sqs").await?;
    assert_eq!((again.events, again.went_on_after), (0, Some(10)));
    let new = operator.replay(Replay::redeliver(), &Selection::all(), "sqs").await?;
    assert_eq!((new.events, new.skipped.on_hold), (0, 6));
    assert_eq!(audit::Entity::find().all(db).await?.len(), 1, "what changes nothing leaves no row");
    assert_eq!(row(db, "sqs").await?.interventions, after.interventions);
    Ok(())
});

on_each_database!(the_ordering_of_the_subscription_decides_what_a_replay_stops, async |test| {
    let (db, log) = (&test.db, SeaOrmLog::new(test.db.clone()));
    let events = store(db, 5).await?;
    let operator = Outbox::new(db.clone()).acting_as("ada", "a new reader")?;
    for (name, state, kind) in [("total", "blocked", Some("")), ("none", "scheduled", None)] {
        led_up_to(&log, db, &subscription(name), &events[4], "", &[]).await?;
        run(db, "UPDATE outbox_subscription SET ordering = ? WHERE name = ?", [name.into(), name.into()])
            .await?;
        let replayed = operator.replay(Replay::redeliver(), &Selection::all(), name).await?;
        assert_eq!(replayed.events, 5);
        for hold in holds(db).await?.iter().filter(|hold| hold.subscription == name) {
            assert_eq!((hold.state.as_str(), hold.aggregate_type.as_deref()), (state, kind));
            assert_eq!((hold.aggregate_id.as_deref(), hold.replay), (kind, None));
        }
    }
    Ok(())
});

on_each_database!(a_selection_means_what_it_says, async |test| {
    let (db, log, name) = (&test.db, SeaOrmLog::new(test.db.clone()), subscription("sqs"));
    let events = store(db, 12).await?;
    run(db, "UPDATE outbox_event SET event_type = 'order.paid' WHERE seq IN (2, 3)", []).await?;
    run(db, "UPDATE outbox_event SET event_type = 'order.refunded' WHERE seq = 4", []).await?;
    run(db, "UPDATE outbox_event SET topic = 'mail' WHERE seq = 8", []).await?;
    let first = events[0].created_at;
    for seq in 1..=12_i64 {
        let at = first + TimeDelta::minutes(seq);
        run(db, "UPDATE outbox_event SET created_at = ? WHERE seq = ?", [at.into(), seq.into()]).await?;
    }
    led_up_to(&log, db, &name, &events[11], "", &[]).await?;
    let operator = Outbox::new(db.clone()).acting_as("ada", "a test")?;
    let (six, nine) = (first + TimeDelta::minutes(6), first + TimeDelta::minutes(9));
    for (selection, expected) in [
        (Selection::all().seqs(3..=5), vec![3, 4, 5]),
        (Selection::all().since(six).until(nine), vec![6, 7, 8]),
        (Selection::all().event_type("order.paid").event_type("order.refunded"), vec![2, 3, 4]),
        (Selection::all().event_type("order.paid").aggregate("order", "a"), vec![2]),
        (Selection::all().topic("mail"), vec![8]),
        (Selection::all().aggregate("order", "A"), vec![]),
    ] {
        let replayed = operator.replay(Replay::redeliver(), &selection, "sqs").await?;
        assert_eq!(replayed.events, u64::try_from(expected.len())?, "{selection:?}");
        assert_eq!(numbers(&holds(db).await?), expected, "{selection:?}");
        hold::Entity::delete_many().exec(db).await?;
    }
    Ok(())
});

/// Lets the test give events other numbers than the database did.
async fn number_by_hand(test: &TestDb) -> anyhow::Result<()> {
    if test.kind == Kind::Postgres {
        let by_hand = "ALTER TABLE outbox_event ALTER COLUMN seq SET GENERATED BY DEFAULT";
        test.db.execute_unprepared(by_hand).await?;
    }
    Ok(())
}

/// Holds of this event cannot be stored while the trap is there.
async fn set_trap(test: &TestDb, seq: Seq) -> anyhow::Result<()> {
    let trap = match test.kind {
        Kind::Sqlite => format!(
            "CREATE TRIGGER trap BEFORE INSERT ON outbox_hold WHEN NEW.seq = {seq}
             BEGIN SELECT RAISE(ABORT, 'a trap'); END"
        ),
        Kind::Postgres => format!("ALTER TABLE outbox_hold ADD CONSTRAINT trap CHECK (seq <> {seq})"),
        Kind::Mariadb => format!(
            "CREATE TRIGGER trap BEFORE INSERT ON outbox_hold FOR EACH ROW
             IF NEW.seq = {seq} THEN SIGNAL SQLSTATE '45000'; END IF"
        ),
    };
    test.db.execute_unprepared(&trap).await?;
    Ok(())
}

async fn end_trap(test: &TestDb) -> anyhow::Result<()> {
    let end = match test.kind {
        Kind::Postgres => "ALTER TABLE outbox_hold DROP CONSTRAINT trap",
        Kind::Sqlite | Kind::Mariadb => "DROP TRIGGER trap",
    };
    test.db.execute_unprepared(end).await?;
    Ok(())
}

on_each_database!(a_replay_that_was_interrupted_goes_on_and_does_nothing_twice, async |test| {
    let (db, log, name) = (&test.db, SeaOrmLog::new(test.db.clone()), subscription("sqs"));
    let events = store(db, 4_500).await?;
    led_up_to(&log, db, &name, &events[4_499], "", &[]).await?;
    let operator = Outbox::new(db.clone()).acting_as("ada", "a lost queue")?;
    let (replay, selection) = (Replay::reprocess(), Selection::all().seqs(1_500..));
    set_trap(&test, 3_600).await?;
    operator.replay(replay, &selection, "sqs").await.expect_err("the second chunk runs into the trap");
    let stored = numbers(&holds(db).await?);
    assert_eq!((stored.first(), stored.last(), stored.len()), (Some(&1_500), Some(&3_499), 2_000));

    // All of that was published meanwhile, and one new event.
    end_trap(&test).await?;
    hold::Entity::delete_many().exec(db).await?;
    let new = order_event("a", "{}").insert(db).await?;
    run(db, "UPDATE outbox_subscription SET position = ?", [new.seq.into()]).await?;

    for other in [
        operator.replay(Replay::redeliver().with_id(replay.id()), &selection, "sqs").await,
        operator.replay(replay, &Selection::all(), "sqs").await,
    ] {
        assert!(matches!(other, Err(OutboxError::OtherReplay { .. })), "{other:?}");
    }
    let replayed = operator.replay(Replay::reprocess().with_id(replay.id()), &selection, "sqs").await?;
    assert_eq!((replayed.events, replayed.went_on_after, replayed.upto), (1_001, Some(3_499), 4_500));
    let stored = numbers(&holds(db).await?);
    assert_eq!((stored.first(), stored.last(), stored.len()), (Some(&3_500), Some(&4_500), 1_001));
    assert_eq!(audit::Entity::find().all(db).await?.len(), 2, "one for each chunk");
    Ok(())
});

on_each_database!(a_leader_is_told_of_a_large_replay_twice_whatever_comes_of_it, async |test| {
    let (db, log, name) = (&test.db, SeaOrmLog::new(test.db.clone()), subscription("sqs"));
    let mut events = store(db, 4).await?;
    number_by_hand(&test).await?;
    // One in each chunk.
    run(db, "UPDATE outbox_event SET seq = (seq - 1) * 2000 + 1", []).await?;
    events[3].seq = 6_001;
    led_up_to(&log, db, &name, &events[3], "", &[]).await?;
    let operator = Outbox::new(db.clone()).acting_as("ada", "a lost queue")?;
    let told = async || anyhow::Ok(row(db, "sqs").await?.interventions);
    let hold = async |seq: Seq| {
        run(
            db,
            "INSERT INTO outbox_hold (subscription, seq, state, attempts) VALUES ('sqs', ?, 'dead', 1)",
            [seq.into()],
        )
        .await
    };

    let replayed = operator.replay(Replay::redeliver(), &Selection::all(), "sqs").await?;
    assert_eq!((replayed.events, told().await?), (4, 2), "with the first chunk and with the last");
    hold::Entity::delete_many().exec(db).await?;

    hold(6_001).await?;
    let replayed = operator.replay(Replay::redeliver(), &Selection::all(), "sqs").await?;
    assert_eq!((replayed.events, told().await?), (3, 4), "also where the last chunk changes nothing");
    hold::Entity::delete_many().exec(db).await?;

    set_trap(&test, 4_001).await?;
    let replay = Replay::redeliver();
    operator.replay(replay, &Selection::all(), "sqs").await.expect_err("the third chunk runs into the trap");
    assert_eq!((numbers(&holds(db).await?), told().await?), (vec![1, 2_001], 6), "also after an error");

    // Interrupted there, with nothing left to do: nobody knows what was told.
    end_trap(&test).await?;
    for seq in [4_001, 6_001] {
        hold(seq).await?;
    }
    let replayed = operator.replay(replay, &Selection::all(), "sqs").await?;
    assert_eq!((replayed.events, replayed.went_on_after, told().await?), (0, Some(4_000), 7));
    Ok(())
});

on_each_database!(a_replay_of_a_time_looks_only_where_the_log_has_it, async |test| {
    let (db, log, name) = (&test.db, SeaOrmLog::new(test.db.clone()), subscription("sqs"));
    let mut events = store(db, 4).await?;
    number_by_hand(&test).await?;
    let (old, now) = (events[0].created_at - TimeDelta::hours(1), events[0].created_at);
    for (seq, moved, at) in [(4, 4_500, now), (3, 3_001, now), (2, 3_000, old), (1, 2_999, old)] {
        let values = [moved.into(), at.into(), seq.into()];
        run(db, "UPDATE outbox_event SET seq = ?, created_at = ? WHERE seq = ?", values).await?;
    }
    events[3].seq = 4_500;
    led_up_to(&log, db, &name, &events[3], "", &[]).await?;
    let operator = Outbox::new(db.clone()).acting_as("ada", "a bad hour")?;
    let since = operator.replay(Replay::redeliver(), &Selection::all().since(now), "sqs").await?;
    assert_eq!((since.events, since.upto, numbers(&holds(db).await?)), (2, 4_500, vec![3_001, 4_500]));
    let rows = audit::Entity::find().all(db).await?.len();
    assert_eq!(rows, 1, "one chunk from 3,001 on, and no two that begin at 1");
    let until = operator
        .replay(Replay::redeliver(), &Selection::all().until(now - TimeDelta::minutes(30)), "sqs")
        .await?;
    assert_eq!((until.events, until.upto), (2, 3_000));
    let later = operator
        .replay(Replay::redeliver(), &Selection::all().since(now + TimeDelta::hours(1)), "sqs")
        .await?;
    assert_eq!((later.events, later.skipped.total()), (0, 0));
    Ok(())
});

on_each_database!(a_replay_says_that_it_reaches_below_the_log, async |test| {
    let (db, log, name) = (&test.db, SeaOrmLog::new(test.db.clone()), subscription("sqs"));
    let events = store(db, 8).await?;
    run(
        db,
        "UPDATE outbox_event SET created_at = ? WHERE seq <= 4",
        [(events[0].created_at - TimeDelta::days(9)).into()],
    )
    .await?;
    led_up_to(&log, db, &name, &events[7], "", &[]).await?;
    let day = PurgeRequest { keep: Duration::from_secs(86_400), then: Default::default(), chunk: 100 };
    assert_eq!(log.purge(day).await?.floor, 4);

    let operator = Outbox::new(db.clone()).acting_as("ada", "a test")?;
    let below = operator.replay(Replay::redeliver(), &Selection::all().seqs(3..=6), "sqs").await?;
    assert_eq!((below.events, below.purged_upto), (2, Some(4)));
    assert_eq!(numbers(&holds(db).await?), [5, 6]);
    let above = operator.replay(Replay::redeliver(), &Selection::all().seqs(5..), "sqs").await?;
    assert_eq!((above.events, above.purged_upto), (2, None));
    hold::Entity::delete_many().exec(db).await?;
    // What was purged was stored before the log's oldest event.
    let recent = Selection::all().since(events[5].created_at + TimeDelta::seconds(1));
    assert_eq!(operator.replay(Replay::redeliver(), &recent, "sqs").await?.purged_upto, None);
    Ok(())
});

/// Purge takes an event between the look at it and the hold.
async fn what_purge_takes_meanwhile_is_not_held(test: &TestDb) -> anyhow::Result<()> {
    let (db, log, name) = (&test.db, SeaOrmLog::new(test.db.clone()), subscription("sqs"));
    let events = store(db, 6).await?;
    led_up_to(&log, db, &name, &events[5], "", &[]).await?;
    let purge = test.another_pool().await?.begin().await?;
    purge.execute_unprepared("SELECT floor FROM outbox_meta WHERE id = 1 FOR UPDATE").await?;
    let operator = Outbox::new(db.clone()).acting_as("ada", "a test")?;
    let replaying =
        tokio::spawn(async move { operator.replay(Replay::redeliver(), &Selection::all(), "sqs").await });
    let waits = match test.kind {
        Kind::Postgres => {
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        }
        _ => {
            "SELECT count(*) FROM information_schema.PROCESSLIST
             WHERE db = DATABASE() AND id <> CONNECTION_ID() AND info LIKE '%outbox_meta%FOR UPDATE%'"
        }
    };
    until("the replay to wait for purge", Duration::from_secs(20), async || {
        let ask = sea_orm::Statement::from_string(db.get_database_backend(), waits);
        let row = db.query_one_raw(ask).await.expect("asking").expect("a count");
        let waiting: i64 = row.try_get_by_index(0).expect("a number");
        (waiting > 0 || replaying.is_finished()).then_some(())
    })
    .await;
    assert!(!replaying.is_finished(), "it waits for purge");
    purge.execute_unprepared("DELETE FROM outbox_event WHERE seq <= 3").await?;
    purge.execute_unprepared("UPDATE outbox_meta SET floor = 3 WHERE id = 1").await?;
    purge.commit().await?;
    let replayed = replaying.await??;
    assert_eq!((replayed.events, replayed.skipped.purged), (3, 3));
    assert_eq!(numbers(&holds(db).await?), [4, 5, 6]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_purge_takes_meanwhile_is_not_held_on_postgres() {
    TestDb::run(Kind::Postgres, async |test| what_purge_takes_meanwhile_is_not_held(&test).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_purge_takes_meanwhile_is_not_held_on_mariadb() {
    TestDb::run(Kind::Mariadb, async |test| what_purge_takes_meanwhile_is_not_held(&test).await).await;
}

on_each_database!(a_replay_to_nobody_is_refused, async |test| {
    let (db, log) = (&test.db, SeaOrmLog::new(test.db.clone()));
    store(db, 2).await?;
    lead(&log, &subscription("new")).await?;
    let operator = Outbox::new(db.clone()).acting_as("ada", "a test")?;
    let unknown = operator.replay(Replay::redeliver(), &Selection::all(), "old").await;
    assert!(matches!(unknown, Err(OutboxError::UnknownSubscription { .. })), "{unknown:?}");
    let unled = operator.replay(Replay::redeliver(), &Selection::all(), "new").await;
    assert!(matches!(unled, Err(OutboxError::NeverLed { .. })), "{unled:?}");
    assert_eq!(audit::Entity::find().all(db).await?, []);
    Ok(())
});

on_each_database!(what_was_acknowledged_is_awaited_anew_when_it_is_replayed, async |test| {
    let (db, log, name) = (&test.db, SeaOrmLog::new(test.db.clone()), subscription("sqs"));
    let events = store(db, 3).await?;
    led_up_to(&log, db, &name, &events[2], "", &[]).await?;
    let outbox = Outbox::new(db.clone());
    for event in &events[..2] {
        outbox.acknowledge("sqs", event.seq, event.id).await?;
    }
    let operator = outbox.acting_as("ada", "it was wrong")?;
    operator.replay(Replay::reprocess(), &Selection::all().seqs(2..), "sqs").await?;
    let receipts = receipt::Entity::find().order_by_asc(receipt::Column::Seq).all(db).await?;
    let acknowledged: Vec<_> =
        receipts.iter().map(|receipt| (receipt.seq, receipt.acknowledged_at.is_some())).collect();
    assert_eq!(acknowledged, [(1, true), (2, false)]);
    Ok(())
});

on_each_database!(a_running_relay_publishes_a_replay_in_order_and_with_its_id, async |test| {
    let (db, publisher) = (&test.db, RecordingPublisher::new());
    store(db, 9).await?;
    let relay = Relay::new(SeaOrmLog::new(test.db.clone()), "/orders")
        .subscription(Subscription::new("sqs", publisher.clone()))
        .spawn();
    let outbox = Outbox::new(db.clone());
    until("all to be published and settled", Duration::from_secs(30), async || {
        let status = outbox.status().await.ok()?;
        let sqs = status.subscriptions.first()?;
        (publisher.seqs().len() == 9 && sqs.position == 9 && sqs.holes == 0).then_some(())
    })
    .await;
    let (replay, operator) = (Replay::reprocess(), outbox.acting_as("ada", "a handler was wrong")?);
    let replayed = operator.replay(replay, &Selection::all().seqs(..=8), "sqs").await?;
    assert_eq!(replayed.events, 8);
    until("the replay to be published", Duration::from_secs(30), async || {
        let is_done = publisher.seqs().len() >= 17 && holds(db).await.ok()?.is_empty();
        is_done.then_some(())
    })
    .await;
    relay.stop().await?;
    let again: Vec<_> = publisher.messages().into_iter().skip(9).collect();
    assert_eq!(again.len(), 8, "nothing goes twice");
    assert!(again.iter().all(|message| message.replay == Some(replay.id())));
    for order in ["a", "b"] {
        let of_order = again.iter().filter(|message| message.aggregate_id.as_deref() == Some(order));
        let found: Vec<Seq> = of_order.map(|message| message.seq).collect();
        let expected: &[Seq] = if order == "a" { &[2, 4, 6, 8] } else { &[1, 3, 7] };
        assert_eq!(found, expected);
    }
    Ok(())
});
