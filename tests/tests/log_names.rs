//! Every statement of the log with tables of other names in a schema of their own. The names hold for a process,
//! so this test is alone in its file.

use std::time::Duration;

use outbox_core::log::{
    AfterRetention, Due, EventLog as _, Flushed, Hold, HoldChange, HoldState, LogError, PurgeRequest,
    StartPoint, SubscriptionState,
};
use outbox_seaorm::{
    SeaOrmLog, TableNames,
    tables::{archive, hold},
};
use outbox_tests::{
    Kind, TestDb,
    events::{LEASE, store, subscription},
    reader::Reader,
};
use sea_orm::{ConnectionTrait as _, EntityTrait as _, TransactionTrait as _};

#[tokio::test]
async fn another_schema_and_a_prefix_reach_every_statement_on_postgres() -> anyhow::Result<()> {
    TableNames::with_prefix("Billing_")?.in_schema("messaging")?.install()?;
    let test = TestDb::create_empty(Kind::Postgres).await?;
    test.db.execute_unprepared("CREATE SCHEMA messaging").await?;
    let log = SeaOrmLog::new(test.db.clone());
    match log.check().await {
        Err(LogError::Refused(reason)) => {
            assert!(reason.contains("\"messaging\".\"Billing_outbox_event\""), "found {reason}");
        }
        other => panic!("expected a refusal, found {other:?}"),
    }
    outbox_seaorm::create_tables(&test.db).await?;
    // Made twice they are left as they are.
    outbox_seaorm::create_tables(&test.db).await?;
    log.check().await?;

    let mut reader = Reader::lead(log.clone(), "sqs").await?;
    let gone = test.db.begin().await?;
    store(&gone, "gone").await?;
    let (second, third) = (store(&test.db, "2").await?, store(&test.db, "3").await?);
    assert_eq!(log.writers().await?.len(), 1);
    gone.rollback().await?;
    assert_eq!(reader.settle().await?, [second, third]);
    assert!(reader.progress.unseen().is_empty());

    let held = Hold {
        seq: third,
        aggregate: Some(("order".into(), "3".into())),
        state: HoldState::Retry,
        attempts: 1,
        due: Due::After(Duration::ZERO),
        last_error: None,
        replay: None,
    };
    for change in [HoldChange::Insert(held.clone()), HoldChange::Update(held.clone())] {
        let flush = reader.progress.to_flush(vec![change]);
        assert_eq!(log.flush(&reader.name, reader.owner, &flush).await?, Flushed::Stored);
        reader.progress.flushed();
    }
    assert_eq!(log.due(&reader.name, &"/orders".into(), 10).await?.len(), 1);
    assert_eq!(log.next_due(&reader.name).await?, Some(Duration::ZERO));
    let flush = reader.progress.to_flush(vec![HoldChange::Delete(third)]);
    assert_eq!(log.flush(&reader.name, reader.owner, &flush).await?, Flushed::Stored);
    assert_eq!(hold::Entity::find().all(&test.db).await?.len(), 0);

    log.register(&subscription("late"), StartPoint::Now).await?;
    assert!(log.renew(&reader.name, reader.owner, LEASE).await?.is_some());
    log.report(&reader.name, reader.owner, SubscriptionState::BrokerDown, Some("away")).await?;
    log.release(&reader.name, reader.owner).await?;
    // The subscription that began now has the number that was rolled back as a hole: it keeps what is above.
    let request = PurgeRequest { keep: Duration::ZERO, then: AfterRetention::Archive, chunk: 10 };
    assert_eq!(log.purge(request).await?.removed, 0);
    let mut late = Reader::lead(log.clone(), "late").await?;
    late.settle().await?;
    assert_eq!(log.purge(request).await?.floor, second);
    assert_eq!(archive::Entity::find().all(&test.db).await?.len(), 1);
    test.drop_database().await
}
