//! A consumer with a database of its own, where an effect that happens twice shows.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Result;
use outbox_core::{
    consumer::{Consumer, ConsumerError, ConsumerReport, Delivery, HandlerError},
    event::NewEvent,
    testing::new_event,
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
        /// Which of the order's events it was.
        pub number: i64,
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

    /// What was reserved: the order and which of its events it was, in the order in which they were handled, each as often
    /// as it was.
    pub(crate) async fn reserved(&self) -> Result<Vec<(Uuid, i64)>> {
        let rows = reservation::Entity::find().order_by_asc(reservation::Column::Id);
        Ok(rows.all(&self.0.db).await?.into_iter().map(|row| (row.order_id, row.number)).collect())
    }

    /// Reserves what comes, so many at once. The unlucky ones fail once, after the write, which has to be rolled back.
    pub(crate) fn consume(
        &self,
        source: SqsSource,
        concurrency: usize,
        unlucky: BTreeSet<(Uuid, i64)>,
    ) -> Result<Consuming> {
        let failed: Arc<Mutex<BTreeSet<(Uuid, i64)>>> = Arc::default();
        let handler = move |event: Delivery<OrderPlaced>, txn: Tx| {
            let OrderPlaced { order_id, total_cents: number } = event.into_event();
            let event = (order_id, number);
            let fails =
                unlucky.contains(&event) && failed.lock().is_ok_and(|mut failed| failed.insert(event));
            async move {
                let (order_id, number) = (Set(order_id), Set(number));
                reservation::ActiveModel { order_id, number, ..Default::default() }.insert(&txn).await?;
                if fails { Err(HandlerError::retry_after(Duration::ZERO, "out of luck")) } else { Ok(()) }
            }
        };
        let inbox =
            Inbox::new(self.0.db.clone(), "inventory")?.remember_for(Duration::from_secs(30 * 86_400));
        let (stop, stopped) = oneshot::channel::<()>();
        let consumer = Consumer::new(source, inbox)
            .on(handler)
            .concurrency(concurrency)
            .run_until(async { drop(stopped.await) });
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

/// One of the events of an order, as the shop tells of it: its number stands where the total does.
pub(crate) fn placed(order_id: Uuid, number: i64) -> NewEvent {
    let payload = format!(r#"{{"order_id":"{order_id}","total_cents":{number}}}"#);
    let event_type = "order.placed".to_owned();
    NewEvent { event_type, payload, ..new_event("orders", &order_id.to_string(), "") }
}
