//! Operators pause, resume and drop subscriptions; each change is stored with who made it and why.

use outbox_seaorm::{
    Outbox, SeaOrmLog,
    outbox::{Action, AuditFilter, OutboxError, RewindTo},
    tables::{audit, subscription as row},
};
use outbox_tests::{
    events::{lead, subscription},
    on_each_database,
};
use sea_orm::{DatabaseConnection, EntityTrait as _, QueryOrder as _};

async fn stored(db: &DatabaseConnection, name: &str) -> anyhow::Result<Option<row::Model>> {
    Ok(row::Entity::find_by_id(name).one(db).await?)
}

/// Who did what on what, and why.
async fn audited(db: &DatabaseConnection) -> anyhow::Result<Vec<(String, String, String, String)>> {
    let rows = audit::Entity::find().order_by_asc(audit::Column::Id).all(db).await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.actor, row.action, row.target, row.reason.unwrap_or_default()))
        .collect())
}

fn entry(action: &str, target: &str) -> (String, String, String, String) {
    ("ada".into(), action.into(), target.into(), "broker moves".into())
}

on_each_database!(
    a_pause_and_its_end_are_stored_with_who_and_why_and_a_second_one_changes_nothing,
    async |test| {
        let (db, log) = (&test.db, SeaOrmLog::new(test.db.clone()));
        let (_, before) = lead(&log, &subscription("sqs")).await?;
        let operator = Outbox::new(db.clone()).acting_as(" ada ", "broker moves")?;
        let began = stored(db, "sqs").await?.expect("it is registered");

        assert!(operator.pause("sqs").await?);
        assert!(!operator.pause("sqs").await?, "it is paused already");
        let paused = stored(db, "sqs").await?.expect("it is still there");
        assert_eq!((paused.state.as_str(), paused.interventions), ("paused", before.interventions + 1));
        assert_eq!(paused.last_error.as_deref(), Some("paused by ada: broker moves"));
        assert!(paused.state_since >= began.state_since);
        assert_eq!(
            (paused.owner, paused.flush_no),
            (began.owner, began.flush_no),
            "its leader may end in good order"
        );

        assert!(operator.resume("sqs").await?);
        assert!(!operator.resume("sqs").await?);
        let resumed = stored(db, "sqs").await?.expect("it is still there");
        assert_eq!((resumed.state.as_str(), resumed.last_error), ("running", None));
        assert_eq!(resumed.interventions, before.interventions + 2);
        assert_eq!(audited(db).await?, [entry("pause", "sqs"), entry("resume", "sqs")]);
        Ok(())
    }
);

on_each_database!(a_subscription_that_is_not_there_is_named_with_those_that_are, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let operator = Outbox::new(test.db.clone()).acting_as("ada", "a slip")?;
    let nobody = operator.pause("sqs").await.expect_err("there is none");
    assert_eq!(nobody.to_string(), "expected the name of a subscription (there is none yet), found `sqs`");
    for name in ["mail", "sqs"] {
        lead(&log, &subscription(name)).await?;
    }
    let error = operator.resume("sqss").await.expect_err("it is not there");
    assert!(matches!(&error, OutboxError::UnknownSubscription { .. }));
    assert_eq!(error.to_string(), "expected the name of a subscription (mail, sqs), found `sqss`");
    assert_eq!(audited(&test.db).await?, []);
    Ok(())
});

on_each_database!(the_audit_tells_who_did_what_the_latest_first, async |test| {
    let outbox = Outbox::new(test.db.clone());
    for name in ["sqs", "sqs_2", "sqsX2"] {
        lead(&SeaOrmLog::new(test.db.clone()), &subscription(name)).await?;
    }
    let (ada, bob) = (outbox.acting_as("ada", "broker moves")?, outbox.acting_as("bob", "a test")?);
    ada.pause("sqs").await?;
    bob.pause("sqs_2").await?;
    bob.rewind("sqs_2", RewindTo::Beginning).await?;
    ada.pause("sqsX2").await?;
    ada.resume("sqs").await?;

    let all = outbox.audit(AuditFilter::all()).await?;
    assert_eq!(all.iter().map(|entry| entry.id).collect::<Vec<_>>(), [5, 4, 3, 2, 1]);
    assert_eq!((all[4].who.as_str(), all[4].why.as_deref()), ("ada", Some("broker moves")));
    let (begun, ended) = (all[4].at, all[0].at + chrono::TimeDelta::seconds(1));
    for (filter, expected) in [
        (AuditFilter::all().who("bob"), &[3, 2][..]),
        (AuditFilter::all().action(Action::Pause), &[4, 2, 1]),
        (AuditFilter::all().subscription("sqs"), &[5, 1]),
        (AuditFilter::all().subscription("sqs_2"), &[3, 2]),
        (AuditFilter::all().since(begun).until(ended), &[5, 4, 3, 2, 1]),
        (AuditFilter::all().until(begun), &[]),
        (AuditFilter::all().since(ended), &[]),
        (AuditFilter::all().limit(2).before(4), &[3, 2]),
    ] {
        let found = outbox.audit(filter.clone()).await?;
        assert_eq!(found.iter().map(|entry| entry.id).collect::<Vec<_>>(), expected, "of {filter:?}");
    }
    Ok(())
});
