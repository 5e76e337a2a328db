//! Events on hold: stored with the progress that goes with them, found when their time has come.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use outbox_core::{
    log::{Due, EventLog as _, Flush, Flushed, Hold, HoldChange, HoldState},
    message::Seq,
};
use outbox_seaorm::{SeaOrmLog, tables::hold};
use outbox_tests::{
    events::{LEASE, lead, order_event, run, seqs, store, subscription},
    on_each_database,
};
use sea_orm::{ActiveModelTrait as _, DatabaseConnection, EntityTrait as _, QueryOrder as _};
use uuid::Uuid;

fn held(seq: Seq, state: HoldState, due: Due) -> Hold {
    Hold {
        seq,
        aggregate: Some(("order".into(), format!("zamówienie 🛒 \"{seq}\""))),
        state,
        attempts: 0,
        due,
        last_error: None,
        replay: None,
    }
}

fn flush(previous_flush_no: i64, holds: Vec<HoldChange>) -> Flush {
    Flush { position: 0, anchor: None, holes: seqs(""), previous_flush_no, holds, ..Flush::default() }
}

async fn stored(db: &DatabaseConnection) -> anyhow::Result<Vec<hold::Model>> {
    Ok(hold::Entity::find().order_by_asc(hold::Column::Seq).all(db).await?)
}

fn near(found: Option<DateTime<Utc>>, expected: DateTime<Utc>) -> bool {
    found.is_some_and(|found| (found - expected).abs() < TimeDelta::seconds(20))
}

on_each_database!(holds_are_inserted_changed_and_ended_with_the_progress, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let name = subscription("sqs");
    let (leader, _) = lead(&log, &name).await?;
    let at: DateTime<Utc> = "2031-02-03T04:05:06.123456Z".parse()?;
    let retry = Hold {
        attempts: 1,
        last_error: Some("it said \"nie\"\0 🛑".into()),
        ..held(2, HoldState::Retry, Due::After(Duration::from_secs(3600)))
    };
    let inserts = vec![
        HoldChange::Insert(held(1, HoldState::Scheduled, Due::At(at))),
        HoldChange::Insert(retry.clone()),
        HoldChange::Insert(Hold { aggregate: None, ..held(3, HoldState::Blocked, Due::Never) }),
    ];
    assert_eq!(log.flush(&name, leader, &flush(0, inserts)).await?, Flushed::Stored);
    let rows = stored(&test.db).await?;
    assert_eq!(
        rows.iter().map(|row| row.state.as_str()).collect::<Vec<_>>(),
        ["scheduled", "retry", "blocked"]
    );
    assert_eq!((rows[0].due_at, rows[0].first_failed_at), (Some(at), None));
    assert_eq!(rows[0].aggregate_id.as_deref(), Some("zamówienie 🛒 \"1\""));
    assert_eq!((rows[1].attempts, rows[1].last_error.as_deref()), (1, Some("it said \"nie\" 🛑")));
    assert!(near(rows[1].due_at, Utc::now() + TimeDelta::hours(1)), "found {:?}", rows[1].due_at);
    assert!(near(rows[1].first_failed_at, Utc::now()));
    assert_eq!((rows[2].due_at, rows[2].aggregate_type.as_deref()), (None, None));

    let changes = vec![
        HoldChange::Update(Hold { attempts: 2, state: HoldState::Dead, due: Due::Never, ..retry.clone() }),
        HoldChange::Delete(1),
        // An operator has discarded this one: it is not put there again.
        HoldChange::Update(held(9, HoldState::Retry, Due::After(Duration::ZERO))),
        HoldChange::Delete(10),
    ];
    assert_eq!(log.flush(&name, leader, &flush(1, changes)).await?, Flushed::Stored);
    let after = stored(&test.db).await?;
    assert_eq!(after.iter().map(|row| row.seq).collect::<Vec<_>>(), [2, 3]);
    assert_eq!((after[0].state.as_str(), after[0].attempts, after[0].due_at), ("dead", 2, None));
    assert_eq!(after[0].first_failed_at, rows[1].first_failed_at, "the first failure stays the first");

    // Read again after a rewind, it is held again.
    let again = vec![HoldChange::Insert(Hold { attempts: 0, ..retry })];
    assert_eq!(log.flush(&name, leader, &flush(2, again)).await?, Flushed::Stored);
    let again = stored(&test.db).await?;
    assert_eq!((again.len(), again[0].state.as_str(), again[0].attempts), (2, "retry", 0));
    Ok(())
});

on_each_database!(held_events_come_when_they_are_due_in_order, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let (name, other, source) = (subscription("sqs"), subscription("other"), Arc::<str>::from("/orders"));
    for order in 1..=6 {
        order_event(&order.to_string(), &format!("{{\"n\":{order}}}")).insert(&test.db).await?;
    }
    let (leader, _) = lead(&log, &name).await?;
    assert_eq!(log.next_due(&name).await?, None);
    let past = Utc::now() - TimeDelta::minutes(5);
    let failed = Hold {
        attempts: 3,
        last_error: Some("refused".into()),
        ..held(4, HoldState::Retry, Due::After(Duration::ZERO))
    };
    let holds = vec![
        HoldChange::Insert(held(5, HoldState::Scheduled, Due::At(past))),
        HoldChange::Insert(failed),
        HoldChange::Insert(held(1, HoldState::Dead, Due::Never)),
        HoldChange::Insert(held(2, HoldState::Retry, Due::After(Duration::from_secs(600)))),
    ];
    log.flush(&name, leader, &flush(0, holds)).await?;

    let due = log.due(&name, &source, 10).await?;
    assert_eq!(due.iter().map(|(hold, _)| hold.seq).collect::<Vec<_>>(), [4, 5]);
    let (hold, message) = &due[0];
    assert_eq!(
        (hold.state, hold.attempts, hold.last_error.as_deref()),
        (HoldState::Retry, 3, Some("refused"))
    );
    assert_eq!(
        hold.aggregate,
        held(4, HoldState::Retry, Due::Never).aggregate,
        "the order it stands in, as stored"
    );
    assert_eq!((message.seq, message.payload.as_str(), &*message.source), (4, "{\"n\":4}", "/orders"));
    assert_eq!(log.due(&name, &source, 1).await?.len(), 1);
    assert_eq!(log.next_due(&name).await?, Some(Duration::ZERO));
    assert_eq!(log.due(&other, &source, 10).await?.len(), 0, "of another subscription");

    log.flush(&name, leader, &flush(1, vec![HoldChange::Delete(4), HoldChange::Delete(5)])).await?;
    assert_eq!(log.due(&name, &source, 10).await?.len(), 0);
    let wait = log.next_due(&name).await?.expect("one is scheduled");
    assert!(wait > Duration::from_secs(500) && wait <= Duration::from_secs(600), "found {wait:?}");
    Ok(())
});

on_each_database!(hundreds_of_holds_change_in_one_flush, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let name = subscription("sqs");
    store(&test.db, "1").await?;
    let (leader, _) = lead(&log, &name).await?;
    let holds = |state| (1..=1_500).map(move |seq| held(seq, state, Due::Never));
    let inserts = holds(HoldState::Blocked).map(HoldChange::Insert).collect();
    assert_eq!(log.flush(&name, leader, &flush(0, inserts)).await?, Flushed::Stored);
    let changes = holds(HoldState::Dead)
        .map(|hold| if hold.seq <= 500 { HoldChange::Delete(hold.seq) } else { HoldChange::Update(hold) })
        .collect();
    assert_eq!(log.flush(&name, leader, &flush(1, changes)).await?, Flushed::Stored);
    let rows = stored(&test.db).await?;
    assert_eq!(rows.len(), 1_000);
    assert!(rows.iter().all(|row| row.seq > 500 && row.state == "dead"));
    Ok(())
});

on_each_database!(a_hold_whose_state_is_unknown_is_named, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let name = subscription("sqs");
    store(&test.db, "1").await?;
    let (leader, _) = lead(&log, &name).await?;
    let insert = vec![HoldChange::Insert(held(1, HoldState::Retry, Due::After(Duration::ZERO)))];
    log.flush(&name, leader, &flush(0, insert)).await?;
    run(&test.db, "UPDATE outbox_hold SET state = 'lost'", []).await?;
    let error = log.due(&name, &"/orders".into(), 10).await.expect_err("an unknown state");
    assert!(error.to_string().contains("event 1 is on hold as `lost`"), "found {error}");
    Ok(())
});

on_each_database!(a_hold_whose_event_was_deleted_by_hand_is_not_due_for_ever, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let name = subscription("sqs");
    let (leader, _) = lead(&log, &name).await?;
    let (kept, gone) = (store(&test.db, "kept").await?, store(&test.db, "gone").await?);
    let past = Utc::now() - TimeDelta::seconds(60);
    let holds = [kept, gone].map(|seq| HoldChange::Insert(held(seq, HoldState::Scheduled, Due::At(past))));
    assert_eq!(log.flush(&name, leader, &flush(0, holds.into())).await?, Flushed::Stored);
    run(&test.db, "DELETE FROM outbox_event WHERE seq = ?", [gone.into()]).await?;
    let source: Arc<str> = "/orders".into();
    let due: Vec<Seq> = log.due(&name, &source, 10).await?.iter().map(|(hold, _)| hold.seq).collect();
    assert_eq!(due, [kept]);
    assert_eq!(stored(&test.db).await?.iter().map(|row| row.seq).collect::<Vec<_>>(), [kept]);
    // The leader may know its aggregate as stopped.
    assert_eq!(log.renew(&name, leader, LEASE).await?, Some(1), "its term begins anew");
    assert_eq!(log.due(&name, &source, 10).await?.len(), 1);
    assert_eq!(log.renew(&name, leader, LEASE).await?, Some(1), "once");
    Ok(())
});

on_each_database!(a_hold_keeps_its_replay_and_its_place_in_the_order_until_they_are_changed, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let name = subscription("sqs");
    for order in 1..=3 {
        store(&test.db, &order.to_string()).await?;
    }
    let (leader, _) = lead(&log, &name).await?;
    let (first, third) = (Uuid::now_v7(), Uuid::now_v7());
    let due_now = |seq| held(seq, HoldState::Retry, Due::After(Duration::ZERO));
    let inserts = vec![
        HoldChange::Insert(Hold { replay: Some(first), ..due_now(1) }),
        HoldChange::Insert(due_now(2)),
        // The place in front of everything.
        HoldChange::Insert(Hold { replay: Some(third), aggregate: Some(Default::default()), ..due_now(3) }),
    ];
    assert_eq!(log.flush(&name, leader, &flush(0, inserts)).await?, Flushed::Stored);
    let due = log.due(&name, &"/orders".into(), 10).await?;
    let replays: Vec<_> = due.iter().map(|(hold, message)| (hold.replay, message.replay)).collect();
    assert_eq!(replays, [(Some(first), Some(first)), (None, None), (Some(third), Some(third))]);
    assert_eq!(due[0].0.aggregate, due_now(1).aggregate);
    assert_eq!(due[2].0.aggregate, Some((String::new(), String::new())));

    // It dies and leaves its order; the replay of another ends.
    let changes = vec![
        HoldChange::Update(Hold {
            replay: Some(first),
            aggregate: None,
            state: HoldState::Dead,
            ..due_now(1)
        }),
        HoldChange::Insert(Hold { replay: None, aggregate: None, ..due_now(3) }),
    ];
    assert_eq!(log.flush(&name, leader, &flush(1, changes)).await?, Flushed::Stored);
    let rows = stored(&test.db).await?;
    let of = |row: &hold::Model| (row.replay, row.aggregate_type.clone(), row.aggregate_id.clone());
    assert_eq!(of(&rows[0]), (Some(first), None, None));
    assert_eq!(of(&rows[2]), (None, None, None));
    assert!(rows[1].aggregate_id.is_some());
    Ok(())
});
