//! A command that is run once for a key: what its caller is told, and what is stored.

use std::{sync::Arc, time::Duration};

use outbox_seaorm::{
    Inbox, Tx,
    inbox::{Answer, OnceError, RequestHash},
    tables::{audit, event, inbox_command},
};
use outbox_tests::{Kind, TestDb, on_each_database};
use sea_orm::{
    ActiveModelTrait as _, ConnectionTrait, DbErr, EntityTrait as _, PaginatorTrait as _, QuerySelect as _,
    Set, TransactionTrait as _, sea_query::LockType,
};
use serde_json::value::RawValue;
use tokio::sync::oneshot;

/// Far above what any step takes.
const DEADLINE: Duration = Duration::from_secs(30);

const REQUEST: [u8; 1] = [1];

/// What a command writes: one row.
async fn effect<C: ConnectionTrait>(db: &C, what: &str) -> Result<(), DbErr> {
    audit::ActiveModel {
        at: Set(chrono::Utc::now()),
        actor: Set("command".into()),
        action: Set("done".into()),
        target: Set(what.into()),
        ..Default::default()
    }
    .insert(db)
    .await?;
    Ok(())
}

/// An event that a command raises.
async fn raise<C: ConnectionTrait>(db: &C) -> Result<(), DbErr> {
    event::ActiveModel {
        id: Set(uuid::Uuid::now_v7()),
        event_type: Set("order.placed".into()),
        event_version: Set(1),
        topic: Set("orders".into()),
        payload: Set("{}".into()),
        occurred_at: Set(chrono::Utc::now()),
        ..Default::default()
    }
    .insert(db)
    .await?;
    Ok(())
}

/// Effects, rows of commands and events.
async fn stored(test: &TestDb) -> Result<(u64, u64, u64), DbErr> {
    Ok((
        audit::Entity::find().count(&test.db).await?,
        inbox_command::Entity::find().count(&test.db).await?,
        event::Entity::find().count(&test.db).await?,
    ))
}

fn inbox(test: &TestDb) -> Inbox {
    Inbox::new(test.db.clone(), "shop").expect("a good name")
}

/// A command that has an effect and answers with its number.
async fn run(inbox: &Inbox, key: &str, request: &[u8], number: u32) -> Result<Answer<u32>, OnceError<DbErr>> {
    inbox
        .once(key, request, async |txn| {
            effect(&txn, key).await?;
            Ok(number)
        })
        .await
}

on_each_database!(a_repeat_gets_the_first_answer_and_nothing_runs, async |test| {
    let inbox = inbox(&test);
    // Byte by byte, as no type could write it again.
    let first = RawValue::from_string("{\"b\":1.10,  \"a\" : \"ä\\u0000😀\", \"b\":2}".to_owned())?;
    for attempt in 0..3 {
        let answer = inbox
            .once("k", RequestHash::of_bytes("place"), async |txn| {
                effect(&txn, "k").await?;
                raise(&txn).await?;
                Ok::<_, DbErr>(if attempt == 0 {
                    first.clone()
                } else {
                    RawValue::from_string("0".into()).expect("JSON")
                })
            })
            .await?;
        assert_eq!(answer.is_repeated(), attempt > 0);
        assert_eq!(answer.into_inner().get(), first.get());
        assert_eq!(stored(&test).await?, (1, 1, 1));
    }
    let row = inbox_command::Entity::find().one(&test.db).await?.expect("one row");
    assert_eq!((&*row.consumer, &*row.command_key), ("shop", "k"));
    assert_eq!(row.request_hash, RequestHash::of_bytes("place").as_ref());
    let done = row.done_at.expect("it is done");
    assert!(done >= row.begun_at, "{done} {}", row.begun_at);
    let age = chrono::Utc::now() - done;
    assert!(age.num_seconds().abs() < 60, "done_at is the database's clock, found {age} ago");
    Ok(())
});

on_each_database!(the_same_key_for_another_request_is_refused_and_nothing_runs, async |test| {
    let inbox = inbox(&test);
    assert_eq!(run(&inbox, "k", &[1; 32], 1).await?, Answer::First(1));
    for other in [&[2; 32][..], &[1; 31], &[1; 33]] {
        let refused = run(&inbox, "k", other, 2).await;
        assert!(matches!(refused, Err(OnceError::DifferentRequest)), "found {refused:?}");
    }
    assert_eq!(run(&inbox, "k", &[1; 32], 3).await?, Answer::Repeated(1));
    assert_eq!(stored(&test).await?, (1, 1, 0));
    Ok(())
});

on_each_database!(keys_are_compared_byte_by_byte_and_belong_to_one_inbox, async |test| {
    let shop = inbox(&test);
    let longest = "ü".repeat(255);
    let keys = ["a", "A", "ä", "a\u{308}", "ａ", " a", "\u{200b}a", "a\u{200b}", &longest];
    for (key, number) in keys.into_iter().zip(0..) {
        assert_eq!(run(&shop, key, &REQUEST, number).await?, Answer::First(number), "{key:?}");
    }
    for (key, number) in keys.into_iter().zip(0..) {
        assert_eq!(run(&shop, key, &REQUEST, 99).await?, Answer::Repeated(number), "{key:?}");
    }
    for consumer in ["Shop", "mail"] {
        let other = Inbox::new(test.db.clone(), consumer)?;
        assert_eq!(run(&other, "a", &REQUEST, 7).await?, Answer::First(7), "{consumer}");
    }
    assert_eq!(stored(&test).await?, (11, 11, 0));
    Ok(())
});

on_each_database!(a_key_or_a_hash_that_cannot_be_stored_is_refused_and_nothing_runs, async |test| {
    let inbox = inbox(&test);
    let long = "k".repeat(256);
    for (key, hash, named) in [
        ("", &REQUEST[..], "a command's key"),
        ("k ", &REQUEST, "a command's key"),
        (&long, &REQUEST, "a command's key"),
        ("k", &[], "a request's hash"),
        ("k", &[0; 65], "a request's hash"),
    ] {
        let refused = run(&inbox, key, hash, 1).await;
        let Err(OnceError::Key(reason)) = refused else { panic!("found {refused:?}") };
        assert!(reason.contains(named), "found {reason}");
    }
    assert_eq!(stored(&test).await?, (0, 0, 0));
    Ok(())
});

/// Runs a command through `first` that has not ended when `beside` is called, and gives what both were told.
async fn beside(
    first: Inbox,
    end_with: Result<u32, DbErr>,
    beside: impl AsyncFnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Result<Answer<u32>, OnceError<DbErr>>> {
    let (begun, begins) = oneshot::channel();
    let (end, ends) = oneshot::channel();
    let running = tokio::spawn(async move {
        first
            .once("k", REQUEST, async |txn| {
                effect(&txn, "first").await?;
                let _ = begun.send(());
                ends.await.map_err(|lost| DbErr::Custom(lost.to_string()))?;
                end_with
            })
            .await
    });
    begins.await?;
    // The first ends only after that: who waited for it would wait until the deadline.
    tokio::time::timeout(DEADLINE, beside()).await??;
    end.send(()).map_err(|()| anyhow::anyhow!("the first command is gone"))?;
    Ok(running.await?)
}

on_each_database!(a_repeat_is_told_that_the_first_is_in_flight_and_waits_for_nothing, async |test| {
    let inbox = inbox(&test);
    // SQLite has one writer: other processes wait for their turn and not for a key.
    let elsewhere = match test.kind {
        Kind::Sqlite => inbox.clone(),
        Kind::Postgres | Kind::Mariadb => Inbox::new(test.another_pool().await?, "shop")?,
    };
    for end_with in [Err(DbErr::Custom("on purpose".into())), Ok(1)] {
        let fails = end_with.is_err();
        let first = beside(inbox.clone(), end_with, async || {
            for repeat in [&inbox, &elsewhere] {
                for request in [&REQUEST[..], &[2]] {
                    let told = run(repeat, "k", request, 9).await;
                    assert!(matches!(told, Err(OnceError::InFlight)), "found {told:?}");
                }
            }
            Ok(())
        })
        .await?;
        assert!(if fails { matches!(first, Err(OnceError::Command(_))) } else { first? == Answer::First(1) });
    }
    for repeat in [&inbox, &elsewhere] {
        assert_eq!(run(repeat, "k", &REQUEST, 9).await?, Answer::Repeated(1));
    }
    assert_eq!(stored(&test).await?, (1, 1, 0));
    Ok(())
});

// On MySQL and MariaDB the lock of a row that is not there is one of all that could stand in its place.
on_each_database!(other_keys_do_not_wait_for_one_that_is_in_flight, async |test| {
    if test.kind == Kind::Sqlite {
        return Ok(());
    }
    let inbox = inbox(&test);
    beside(inbox.clone(), Ok(1), async || {
        for key in ["a", "j", "ka", "kk", "l", "z"] {
            assert_eq!(run(&inbox, key, &REQUEST, 2).await?, Answer::First(2));
        }
        Ok(())
    })
    .await??;
    assert_eq!(stored(&test).await?, (7, 7, 0));
    Ok(())
});

/// A lock on the gap that the key is to go into: seen by no read that does not wait, and in the way of the insert.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_insert_that_meets_another_at_the_same_moment_is_given_up_on_mariadb() {
    TestDb::run(Kind::Mariadb, async |test| {
        let inbox = inbox(&test);
        let other = test.db.begin().await?;
        let key = ("shop".to_owned(), "k".to_owned());
        assert!(inbox_command::Entity::find_by_id(key).lock(LockType::Update).one(&other).await?.is_none());
        // The server itself would wait for 50 seconds.
        let told = tokio::time::timeout(DEADLINE, run(&inbox, "k", &REQUEST, 1)).await?;
        assert!(matches!(told, Err(OnceError::InFlight)), "found {told:?}");
        other.rollback().await?;
        let answer = until_answered(&inbox, "k", 2).await?;
        assert_eq!(answer, Answer::First(2), "what was given up left nothing");
        assert_eq!(stored(&test).await?, (1, 1, 0));
        Ok(())
    })
    .await;
}

/// Runs a command, again where it is in flight.
async fn until_answered(inbox: &Inbox, key: &str, number: u32) -> anyhow::Result<Answer<u32>> {
    let end = std::time::Instant::now() + DEADLINE;
    loop {
        match run(inbox, key, &REQUEST, number).await {
            Err(OnceError::InFlight | OnceError::Conflict(_)) if std::time::Instant::now() < end => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            answer => return Ok(answer?),
        }
    }
}

const KEYS: u32 = 10;
const COPIES: u32 = 20;

on_each_database!(twenty_copies_of_ten_commands_at_the_same_moment_have_ten_effects, async |test| {
    // Each has its own, as if it were another process, but on SQLite.
    let shared = inbox(&test);
    let elsewhere = test.another_pool().await?;
    let start = Arc::new(tokio::sync::Barrier::new((KEYS * COPIES) as usize));
    let calls = (0..KEYS * COPIES).map(|number| {
        let inbox = match test.kind {
            Kind::Sqlite => shared.clone(),
            _ if number % 2 == 0 => Inbox::new(elsewhere.clone(), "shop").expect("a good name"),
            _ => inbox(&test),
        };
        let start = Arc::clone(&start);
        tokio::spawn(async move {
            start.wait().await;
            let key = format!("k{}", number % KEYS);
            anyhow::Ok((key.clone(), until_answered(&inbox, &key, number).await?))
        })
    });
    let mut answers = std::collections::BTreeMap::<String, Vec<Answer<u32>>>::new();
    for answer in futures_util::future::join_all(calls).await {
        let (key, answer) = answer??;
        answers.entry(key).or_default().push(answer);
    }
    assert_eq!(answers.len(), KEYS as usize);
    for (key, answers) in answers {
        assert_eq!(answers.len(), COPIES as usize, "{key}");
        assert_eq!(answers.iter().filter(|answer| !answer.is_repeated()).count(), 1, "{key}: {answers:?}");
        let first = answers[0].into_inner();
        assert!(answers.iter().all(|answer| answer.into_inner() == first), "{key}: {answers:?}");
    }
    assert_eq!(stored(&test).await?, (u64::from(KEYS), u64::from(KEYS), 0));
    Ok(())
});

on_each_database!(an_error_of_the_command_rolls_all_back_and_the_key_may_be_used_again, async |test| {
    let inbox = inbox(&test);
    let failed = inbox
        .once("k", REQUEST, async |txn| {
            effect(&txn, "k").await.map_err(anyhow::Error::from)?;
            raise(&txn).await?;
            Err::<u32, _>(anyhow::anyhow!("out of stock"))
        })
        .await;
    let Err(OnceError::Command(error)) = failed else { panic!("found {failed:?}") };
    assert_eq!(error.to_string(), "out of stock");
    assert_eq!(stored(&test).await?, (0, 0, 0));
    // For another request too.
    assert_eq!(run(&inbox, "k", &[2], 7).await?, Answer::First(7));
    assert_eq!(stored(&test).await?, (1, 1, 0));
    Ok(())
});

on_each_database!(a_command_that_is_given_up_before_its_commit_leaves_nothing, async |test| {
    let inbox = inbox(&test);
    let (begun, begins) = oneshot::channel();
    let mut given_up = Box::pin(inbox.once("k", REQUEST, async |txn| {
        effect(&txn, "k").await?;
        raise(&txn).await?;
        let _ = begun.send(());
        std::future::pending::<Result<u32, DbErr>>().await
    }));
    tokio::select! {
        _ = &mut given_up => panic!("the command never returns"),
        begins = begins => begins?,
    }
    drop(given_up);
    assert_eq!(until_answered(&inbox, "k", 7).await?, Answer::First(7));
    assert_eq!(stored(&test).await?, (1, 1, 0));
    Ok(())
});

on_each_database!(a_command_that_panics_leaves_nothing, async |test| {
    let inbox = inbox(&test);
    let panicking = inbox.clone();
    let panicked = tokio::spawn(async move {
        let command = async |txn: Tx| -> Result<u32, DbErr> {
            effect(&txn, "k").await?;
            panic!("on purpose")
        };
        panicking.once("k", REQUEST, command).await
    });
    assert!(panicked.await.expect_err("it panics").is_panic());
    assert_eq!(until_answered(&inbox, "k", 7).await?, Answer::First(7));
    assert_eq!(stored(&test).await?, (1, 1, 0));
    Ok(())
});

on_each_database!(an_answer_that_could_not_be_repeated_rolls_the_command_back, async |test| {
    let inbox = inbox(&test);
    let no_number = inbox
        .once("nan", REQUEST, async |txn| {
            effect(&txn, "nan").await?;
            Ok::<_, DbErr>(f64::NAN)
        })
        .await;
    assert!(matches!(no_number, Err(OnceError::Unstorable(_))), "found {no_number:?}");
    let text = |bytes: usize| "x".repeat(bytes - 2);
    let too_large = inbox
        .once("large", REQUEST, async |txn| {
            effect(&txn, "large").await?;
            Ok::<_, DbErr>(text(1024 * 1024 + 1))
        })
        .await;
    let Err(OnceError::Unstorable(reason)) = too_large else { panic!("stored") };
    assert!(reason.contains("1048576") && reason.contains("1048577"), "found {reason}");
    assert_eq!(stored(&test).await?, (0, 0, 0));
    for is_repeated in [false, true] {
        let largest = inbox.once("large", REQUEST, async |_| Ok::<_, DbErr>(text(1024 * 1024))).await?;
        assert_eq!(largest.is_repeated(), is_repeated);
        assert_eq!(largest.into_inner().len(), 1024 * 1024 - 2);
    }
    Ok(())
});

on_each_database!(a_stored_answer_that_cannot_be_read_any_more_is_told_and_nothing_runs, async |test| {
    let inbox = inbox(&test);
    assert_eq!(run(&inbox, "k", &REQUEST, 1).await?, Answer::First(1));
    let told = inbox
        .once("k", REQUEST, async |txn| {
            effect(&txn, "k").await?;
            Ok::<_, DbErr>("a text".to_owned())
        })
        .await;
    assert!(matches!(told, Err(OnceError::Unreadable(_))), "found {told:?}");
    assert_eq!(stored(&test).await?, (1, 1, 0));
    Ok(())
});

on_each_database!(a_clone_kept_past_the_command_is_an_error_and_nothing_is_stored, async |test| {
    let inbox = inbox(&test);
    let mut kept: Option<Tx> = None;
    let failed = inbox
        .once("k", REQUEST, async |txn| {
            effect(&txn, "k").await?;
            kept = Some(txn.clone());
            Ok::<_, DbErr>(1)
        })
        .await;
    assert!(matches!(failed, Err(OnceError::TransactionKept)), "found {failed:?}");
    assert!(effect(&kept.expect("kept by the command"), "late").await.is_err());
    assert_eq!(until_answered(&inbox, "k", 7).await?, Answer::First(7));
    assert_eq!(stored(&test).await?, (1, 1, 0));
    Ok(())
});

on_each_database!(a_swallowed_error_of_a_command_is_no_commit_that_stores_nothing, async |test| {
    let inbox = inbox(&test);
    let outcome = inbox
        .once("k", REQUEST, async |txn| {
            effect(&txn, "k").await?;
            assert!(txn.execute_unprepared("SELECT * FROM no_such_table").await.is_err());
            Ok::<_, DbErr>(1)
        })
        .await;
    match (test.kind, outcome) {
        (Kind::Postgres, Err(OnceError::TransactionAborted)) => assert_eq!(stored(&test).await?, (0, 0, 0)),
        (Kind::Sqlite | Kind::Mariadb, Ok(Answer::First(1))) => assert_eq!(stored(&test).await?, (1, 1, 0)),
        other => panic!("found {other:?}"),
    }
    Ok(())
});

on_each_database!(a_command_that_borrows_its_surroundings_runs_in_a_spawned_task, async |test| {
    let inbox = inbox(&test);
    let total = tokio::spawn(async move {
        let mut total = 0;
        let prices = vec![3, 4];
        for price in &prices {
            let request = RequestHash::of(price)?;
            inbox
                .once(&price.to_string(), request, async |txn| {
                    effect(&txn, "borrowed").await?;
                    total += price;
                    Ok::<_, DbErr>(())
                })
                .await?;
        }
        anyhow::Ok(total)
    })
    .await??;
    assert_eq!(total, 7);
    assert_eq!(stored(&test).await?, (2, 2, 0));
    Ok(())
});
