//! Orders that something on hold stops: which they are, and what waits in them.

use std::{sync::Arc, time::Duration};

use outbox_core::{
    log::{Due, EventLog as _, Flush, Flushed, Hold, HoldChange, HoldState, OrderKey, Stopped},
    message::Seq,
};
use outbox_seaorm::{SeaOrmLog, tables::hold};
use outbox_tests::{
    Kind,
    events::{lead, order_event, run, subscription},
    on_each_database,
};
use sea_orm::{
    ColumnTrait as _, DatabaseConnection, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
};

const NONE: [Seq; 0] = [];

fn key(order: &str) -> OrderKey {
    ("order".into(), order.into())
}

fn held(seq: Seq, order: &str, state: HoldState) -> Hold {
    let due = if state == HoldState::Retry { Due::After(Duration::ZERO) } else { Due::Never };
    Hold { seq, aggregate: Some(key(order)), state, attempts: 0, due, last_error: None, replay: None }
}

fn flush(previous_flush_no: i64, holds: impl IntoIterator<Item = Hold>) -> Flush {
    let holds = holds.into_iter().map(HoldChange::Insert).collect();
    Flush { previous_flush_no, holds, ..Flush::default() }
}

async fn events(db: &DatabaseConnection, count: usize) -> anyhow::Result<()> {
    let rows = (1..=count).map(|order| order_event(&order.to_string(), "{}"));
    outbox_seaorm::tables::event::Entity::insert_many(rows).exec_without_returning(db).await?;
    Ok(())
}

fn found(found: &[(Hold, outbox_core::message::Message)]) -> Vec<Seq> {
    assert!(found.iter().all(|(hold, message)| hold.seq == message.seq && hold.state == HoldState::Blocked));
    found.iter().map(|(hold, _)| hold.seq).collect()
}

on_each_database!(each_order_with_something_on_hold_is_told_with_what_it_is, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let (name, other) = (subscription("sqs"), subscription("other"));
    let (leader, _) = lead(&log, &name).await?;
    let (others_leader, _) = lead(&log, &other).await?;
    assert_eq!(log.stopped(&name).await?, []);
    let holds = [
        held(1, "a", HoldState::Retry),
        held(2, "a", HoldState::Blocked),
        held(3, "a", HoldState::Blocked),
        held(4, "b", HoldState::Dead),
        // Another one, of another name but for a space.
        held(5, "b ", HoldState::Blocked),
        held(6, "B", HoldState::Retry),
        Hold { aggregate: None, ..held(7, "", HoldState::Dead) },
        Hold { aggregate: Some(Default::default()), ..held(8, "", HoldState::Blocked) },
    ];
    assert_eq!(log.flush(&name, leader, &flush(0, holds)).await?, Flushed::Stored);
    log.flush(&other, others_leader, &flush(0, [held(9, "other", HoldState::Retry)])).await?;
    let mut stopped = log.stopped(&name).await?;
    stopped.sort_by(|a, b| a.aggregate.cmp(&b.aggregate));
    let of = |aggregate, retries, dead, blocked| Stopped { aggregate, retries, dead, blocked };
    let expected = [
        of(Default::default(), false, false, true),
        of(key("B"), true, false, false),
        of(key("a"), true, false, true),
        of(key("b"), false, true, false),
        of(key("b "), false, false, true),
    ];
    assert_eq!(stopped, expected);
    Ok(())
});

on_each_database!(
    the_first_blocked_events_of_each_order_come_in_order_and_no_more_than_asked_for,
    async |test| {
        let log = SeaOrmLog::new(test.db.clone());
        let (name, other, source) = (subscription("sqs"), subscription("other"), Arc::<str>::from("/orders"));
        events(&test.db, 12).await?;
        let (leader, _) = lead(&log, &name).await?;
        let holds = [
            held(1, "a", HoldState::Retry),
            held(2, "b", HoldState::Blocked),
            held(3, "a", HoldState::Blocked),
            held(4, "a", HoldState::Dead),
            held(5, "a", HoldState::Blocked),
            held(6, "b", HoldState::Blocked),
            held(7, "a", HoldState::Blocked),
            held(8, "c", HoldState::Blocked),
            held(9, "b ", HoldState::Blocked),
            Hold { aggregate: None, ..held(10, "", HoldState::Blocked) },
            Hold { aggregate: Some(Default::default()), ..held(11, "", HoldState::Blocked) },
        ];
        assert_eq!(log.flush(&name, leader, &flush(0, holds)).await?, Flushed::Stored);
        let blocked = async |keys: &[OrderKey], each| -> anyhow::Result<Vec<Seq>> {
            Ok(found(&log.blocked(&name, &source, keys, each).await?))
        };
        assert_eq!(blocked(&[key("b"), key("a")], 2).await?, [2, 3, 5, 6]);
        assert_eq!(blocked(&[key("b"), key("a")], 10).await?, [2, 3, 5, 6, 7]);
        assert_eq!(blocked(&[key("a"), key("a")], 1).await?, [3], "a key that is named twice counts once");
        assert_eq!(blocked(&[key("b ")], 10).await?, [9]);
        assert_eq!(blocked(&[Default::default()], 10).await?, [11]);
        assert_eq!(blocked(&[key("nobody's"), key("zamówienie \"🛒\"")], 10).await?, NONE);
        assert_eq!(blocked(&[], 10).await?, NONE);
        assert_eq!(blocked(&[key("a")], 0).await?, NONE);
        assert_eq!(found(&log.blocked(&other, &source, &[key("a")], 10).await?), NONE);
        let (hold, message) = &log.blocked(&name, &source, &[key("c")], 1).await?[0];
        assert_eq!((hold.aggregate.as_ref(), hold.due), (Some(&key("c")), Due::Never));
        assert_eq!((message.aggregate(), &*message.source), (Some(("order", "8")), "/orders"));
        Ok(())
    }
);

on_each_database!(hundreds_of_orders_are_asked_for_at_once, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let (name, source) = (subscription("sqs"), Arc::<str>::from("/orders"));
    events(&test.db, 1_400).await?;
    let (leader, _) = lead(&log, &name).await?;
    let holds = (1..=1_400).map(|seq| held(seq, &(seq % 700).to_string(), HoldState::Blocked));
    assert_eq!(log.flush(&name, leader, &flush(0, holds)).await?, Flushed::Stored);
    let keys: Vec<OrderKey> = (0..700).map(|order| key(&order.to_string())).collect();
    assert_eq!(found(&log.blocked(&name, &source, &keys, 1).await?), (1..=700).collect::<Vec<_>>());
    assert_eq!(found(&log.blocked(&name, &source, &keys, 3).await?), (1..=1_400).collect::<Vec<_>>());
    Ok(())
});

on_each_database!(blocked_events_that_were_deleted_by_hand_do_not_hide_those_behind_them, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let (name, source) = (subscription("sqs"), Arc::<str>::from("/orders"));
    events(&test.db, 5).await?;
    let (leader, _) = lead(&log, &name).await?;
    log.flush(&name, leader, &flush(0, (1..=5).map(|seq| held(seq, "a", HoldState::Blocked)))).await?;
    run(&test.db, "DELETE FROM outbox_event WHERE seq IN (1, 2, 4)", []).await?;
    assert_eq!(found(&log.blocked(&name, &source, &[key("a")], 2).await?), [3, 5]);
    assert_eq!(hold::Entity::find().count(&test.db).await?, 2, "their holds have ended");
    Ok(())
});

on_each_database!(ten_thousand_events_with_long_errors_are_put_on_hold_in_one_flush, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let name = subscription("sqs");
    let (leader, _) = lead(&log, &name).await?;
    let error = "\u{1}🛑".repeat(900);
    let hold = |seq: Seq, state| Hold {
        last_error: Some(error.clone()),
        ..held(seq, &(seq % 7).to_string(), state)
    };
    // On servers more than MySQL takes at once; the SQLite of a test is slow with JSON, because it is not optimised.
    let every = if test.kind == Kind::Sqlite { 100 } else { 4 };
    let some = (1..=10_000).map(|seq| {
        if seq % every == 0 { hold(seq, HoldState::Blocked) } else { held(seq, "a", HoldState::Blocked) }
    });
    assert_eq!(log.flush(&name, leader, &flush(0, some)).await?, Flushed::Stored);
    let count =
        async |state: &str| hold::Entity::find().filter(hold::Column::State.eq(state)).count(&test.db).await;
    assert_eq!(count("blocked").await?, 10_000);
    let longest =
        hold::Entity::find_by_id(("sqs".to_owned(), 100)).one(&test.db).await?.expect("it is on hold");
    assert_eq!(longest.last_error, Some(error.clone()));

    let holds = (1..=10_000)
        .map(|seq| match seq % 2 {
            0 => HoldChange::Update(held(seq, "a", HoldState::Dead)),
            _ => HoldChange::Delete(seq),
        })
        .collect();
    let changes = Flush { holds, ..flush(1, []) };
    assert_eq!(log.flush(&name, leader, &changes).await?, Flushed::Stored);
    assert_eq!((count("blocked").await?, count("dead").await?), (0, 5_000));
    Ok(())
});
