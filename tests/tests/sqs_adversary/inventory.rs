//! A consumer with a database of its own, where an effect that happens twice shows.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Result;
use outbox_core::{
    consumer::{Consumer, ConsumerError, ConsumerReport, Delivery, HandlerError},
    message::Message,
};
use outbox_seaorm::{Inbox, Tx};
use outbox_sqs::SqsSource;
use outbox_tests::{Kind, TestDb, shop::events::OrderPlaced};
use sea_orm::{ActiveModelTrait as _, ConnectionTrait as _, EntityTrait as _, QueryOrder as _, Schema, Set};
use tokio::{sync::oneshot, task::JoinHandle};
use uuid::Uuid;

/// What it writes. Nothing in it is unique.
#[allow(unreachable_pub, reason = "the entity macro writes `pub`")]
mod reservation {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "reservations")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub order_id: Uuid,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) struct Inventory(TestDb);

impl Inventory {
    pub(crate) async fn create() -> Result<Self> {
        let database = TestDb::create(Kind::Sqlite).await?;
        let schema = Schema::new(database.db.get_database_backend());
        database.db.execute(&schema.create_table_from_entity(reservation::Entity)).await?;
        Ok(Self(database))
    }

    /// The orders that were reserved, sorted, each as often as it was.
    pub(crate) async fn reserved(&self) -> Result<Vec<Uuid>> {
        let mut orders = self.handled().await?;
        orders.sort();
        Ok(orders)
    }

    /// The same in the order in which they were.
    pub(crate) async fn handled(&self) -> Result<Vec<Uuid>> {
        let rows = reservation::Entity::find().order_by_asc(reservation::Column::Id);
        Ok(rows.all(&self.0.db).await?.into_iter().map(|row| row.order_id).collect())
    }

    /// Reserves what comes. The unlucky ones fail once, after the write, which has to be rolled back.
    pub(crate) fn consume(&self, source: SqsSource, unlucky: BTreeSet<Uuid>) -> Result<Consuming> {
        let failed: Arc<Mutex<BTreeSet<Uuid>>> = Arc::default();
        let handler = move |event: Delivery<OrderPlaced>, txn: Tx| {
            let order = event.into_event().order_id;
            let fails =
                unlucky.contains(&order) && failed.lock().is_ok_and(|mut failed| failed.insert(order));
            async move {
                reservation::ActiveModel { order_id: Set(order), ..Default::default() }.insert(&txn).await?;
                if fails { Err(HandlerError::retry_after(Duration::ZERO, "out of luck")) } else { Ok(()) }
            }
        };
        let inbox =
            Inbox::new(self.0.db.clone(), "inventory")?.remember_for(Duration::from_secs(30 * 86_400));
        let (stop, stopped) = oneshot::channel::<()>();
        let consumer = Consumer::new(source, inbox).on(handler).run_until(async { drop(stopped.await) });
        Ok(Consuming { stop, task: tokio::spawn(consumer) })
    }
}

/// A consumer that runs.
pub(crate) struct Consuming {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<ConsumerReport, ConsumerError>>,
}

impl Consuming {
    pub(crate) async fn stop(self) -> Result<ConsumerReport> {
        drop(self.stop);
        Ok(self.task.await??)
    }
}

/// An order as the shop tells of it.
pub(crate) fn placed(order_id: Uuid) -> Result<Message> {
    let payload = serde_json::to_string(&OrderPlaced { order_id, total_cents: 1_000 })?;
    Ok(Message::new(Uuid::now_v7(), "/shop", "orders", "order.placed", payload))
}
