//! The log on a database of its own, as the suite wants it. Time is moved in the rows, not waited for.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use outbox_core::{
    event::NewEvent,
    log::{Description, HoleProof, Ordering, SubscriptionName, SubscriptionState},
    message::Seq,
    publisher::Topics,
    testing::log_conformance::{LogCapabilities, LogFixture, LogWriter, Operation, ReceiptView, StoredView},
};
use outbox_seaorm::{
    Outbox, SeaOrmLog,
    outbox::OutboxError,
    tables::{archive, event, hold, receipt, subscription},
};
use outbox_tests::{Kind, TestDb};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait as _, DatabaseTransaction, EntityTrait as _,
    IntoActiveModel as _, QueryFilter as _, QueryOrder as _, Set, TransactionTrait as _,
};

/// What the log can do on each database, and its fixture with it.
pub(crate) fn capabilities(kind: Kind) -> LogCapabilities {
    let proof = match kind {
        Kind::Sqlite => HoleProof::SingleWriter,
        Kind::Postgres => HoleProof::WriterList,
        Kind::Mariadb => HoleProof::Tombstones { grace: Duration::from_secs(10) },
    };
    LogCapabilities { replays: false, ..LogCapabilities::all(proof) }
}

pub(crate) struct OnDatabase(pub(crate) Arc<TestDb>);

pub(crate) struct Transaction(DatabaseTransaction);

#[async_trait]
impl LogFixture for OnDatabase {
    type Log = SeaOrmLog;
    type Writer = Transaction;

    fn capabilities(&self) -> LogCapabilities {
        capabilities(self.0.kind)
    }

    async fn log(&self) -> SeaOrmLog {
        SeaOrmLog::new(self.0.another_pool().await.expect("the server is there"))
    }

    async fn begin(&self) -> Transaction {
        Transaction(self.0.db.begin().await.expect("a transaction"))
    }

    async fn pass(&self, time: Duration) {
        self.move_back(time).await.expect("to move the stored times");
    }

    async fn remove(&self, seq: Seq) {
        let deleted = event::Entity::delete_by_id(seq).exec(&self.0.db).await.expect("to delete it");
        assert_eq!(deleted.rows_affected, 1, "there is no event {seq}");
    }

    async fn lose_from(&self, first: Seq) {
        let db = &self.0.db;
        let later = event::Entity::delete_many().filter(event::Column::Seq.gte(first));
        later.exec(db).await.expect("to delete the later ones");
        let restart = match self.0.kind {
            Kind::Postgres => format!("ALTER TABLE outbox_event ALTER COLUMN seq RESTART WITH {first}"),
            Kind::Mariadb => format!("ALTER TABLE outbox_event AUTO_INCREMENT = {first}"),
            Kind::Sqlite => {
                format!("UPDATE sqlite_sequence SET seq = {} WHERE name = 'outbox_event'", first - 1)
            }
        };
        db.execute_unprepared(&restart).await.expect("to set the counter back");
    }

    async fn operate(&self, subscription: &SubscriptionName, operation: Operation) {
        // What a fixture's methods give has to be `Send`, and the compiler cannot tell of what an operator's give.
        let doing = self.do_operation(subscription.as_str(), operation);
        let done = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(doing));
        done.expect("what an operator does");
    }

    async fn stored(&self, subscription: &SubscriptionName) -> StoredView {
        self.view(subscription.as_str()).await.expect("what is stored")
    }

    async fn archived(&self) -> Vec<Seq> {
        let all = archive::Entity::find().order_by_asc(archive::Column::Seq).all(&self.0.db).await;
        all.expect("the archive").into_iter().map(|row| row.seq).collect()
    }
}

impl OnDatabase {
    /// Everything that is stored becomes so much older.
    async fn move_back(&self, time: Duration) -> Result<()> {
        let db = &self.0.db;
        let before = |at: DateTime<Utc>| at - time;
        for row in event::Entity::find().all(db).await? {
            let (created_at, deliver_at) = (before(row.created_at), row.deliver_at.map(before));
            let mut row = row.into_active_model();
            (row.created_at, row.deliver_at) = (Set(created_at), Set(deliver_at));
            row.update(db).await?;
        }
        for row in subscription::Entity::find().all(db).await? {
            let lease_until = row.lease_until.map(before);
            let mut row = row.into_active_model();
            row.lease_until = Set(lease_until);
            row.update(db).await?;
        }
        for row in hold::Entity::find().all(db).await? {
            let due_at = row.due_at.map(before);
            let mut row = row.into_active_model();
            row.due_at = Set(due_at);
            row.update(db).await?;
        }
        for row in receipt::Entity::find().all(db).await? {
            let (dispatched_at, ack_due_at) = (before(row.dispatched_at), row.ack_due_at.map(before));
            let mut row = row.into_active_model();
            (row.dispatched_at, row.ack_due_at) = (Set(dispatched_at), Set(ack_due_at));
            row.update(db).await?;
        }
        Ok(())
    }

    async fn do_operation(&self, name: &str, operation: Operation) -> Result<()> {
        let operator =
            Outbox::new(self.0.db.clone()).acting_as("the suite", "to see what the log makes of it")?;
        match operation {
            Operation::Pause => {
                operator.pause(name).await?;
            }
            Operation::Resume => {
                operator.resume(name).await?;
            }
            Operation::Requeue(seq) => match operator.requeue(seq, name).await {
                Ok(()) | Err(OutboxError::NotDead { .. } | OutboxError::NotHeld { .. }) => {}
                Err(error) => return Err(error.into()),
            },
            Operation::Discard(seq) => operator.discard(seq, name).await?,
            Operation::Acknowledge(seq) => {
                let row = receipt::ActiveModel {
                    subscription: Set(name.to_owned()),
                    seq: Set(seq),
                    acknowledged_at: Set(Some(Utc::now())),
                    ack_due_at: Set(None),
                    ..Default::default()
                };
                row.update(&self.0.db).await?;
            }
            Operation::Drop => {
                operator.drop_subscription(name).await?;
            }
            other => anyhow::bail!("expected an operation that is known, found {other:?}"),
        }
        Ok(())
    }

    async fn row(&self, name: &str) -> Result<subscription::Model> {
        let row = subscription::Entity::find_by_id(name).one(&self.0.db).await?;
        row.with_context(|| format!("there is no subscription {name}"))
    }

    async fn view(&self, name: &str) -> Result<StoredView> {
        let row = self.row(name).await?;
        let states = [SubscriptionState::Running, SubscriptionState::Paused, SubscriptionState::BrokerDown];
        let state = states.into_iter().find(|state| state.as_str() == row.state);
        let receipts = receipt::Entity::find().filter(receipt::Column::Subscription.eq(name));
        let receipts = receipts.all(&self.0.db).await?.into_iter().map(|row| {
            (row.seq, ReceiptView { broker_id: row.broker_id, is_awaited: row.ack_due_at.is_some() })
        });
        Ok(StoredView {
            state: state.with_context(|| format!("a state {:?}", row.state))?,
            receipts: receipts.collect(),
            description: row.leader.clone().map(|leader| description(leader, &row)).transpose()?,
            last_error: row.last_error,
        })
    }
}

fn description(leader: String, row: &subscription::Model) -> Result<Description> {
    let list = |text: &Option<String>| -> Result<Option<BTreeSet<String>>> {
        Ok(text.as_deref().map(serde_json::from_str).transpose()?)
    };
    Ok(Description {
        leader,
        topics: list(&row.topics)?.map_or(Topics::All, Topics::Only),
        skipped_topics: list(&row.skipped_topics)?.unwrap_or_default(),
        ordering: Ordering::parse(&row.ordering).with_context(|| format!("an order {:?}", row.ordering))?,
    })
}

#[async_trait]
impl LogWriter for Transaction {
    async fn append(&mut self, event: NewEvent) -> Seq {
        let headers = (!event.headers.is_empty())
            .then(|| serde_json::to_string(&event.headers).expect("a map of strings is JSON"));
        let row = event::ActiveModel {
            id: Set(event.id),
            event_type: Set(event.event_type),
            event_version: Set(event.event_version.cast_signed()),
            topic: Set(event.topic),
            aggregate_type: Set(event.aggregate_type),
            aggregate_id: Set(event.aggregate_id),
            payload: Set(event.payload),
            headers: Set(headers),
            deliver_at: Set(event.deliver_at),
            occurred_at: Set(event.occurred_at),
            ..Default::default()
        };
        row.insert(&self.0).await.expect("to store the event").seq
    }

    async fn commit(self) {
        self.0.commit().await.expect("to commit");
    }

    async fn rollback(self) {
        self.0.rollback().await.expect("to roll back");
    }
}
