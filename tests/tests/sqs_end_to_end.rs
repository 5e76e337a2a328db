//! Over SQS into an inbox: effects once, whatever is delivered twice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use outbox_core::{
    consumer::{Consumer, Delivery, HandlerError},
    message::Message,
    publisher::{Outcome, Publisher as _},
};
use outbox_seaorm::{Inbox, Tx};
use outbox_sqs::{SqsPublisher, SqsSource};
use outbox_tests::{Kind, TestDb, database::until, shop::events::OrderPlaced, sqs::TestQueue};
use sea_orm::{ActiveModelTrait as _, ConnectionTrait as _, EntityTrait as _, Schema, Set};
use tokio::sync::oneshot;
use uuid::Uuid;

/// What the inventory writes. Nothing in it is unique: an effect that happens twice shows.
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

async fn reserve(event: Delivery<OrderPlaced>, txn: Tx) -> Result<(), HandlerError> {
    let order_id = Set(event.into_event().order_id);
    reservation::ActiveModel { order_id, ..Default::default() }.insert(&txn).await?;
    Ok(())
}

/// The orders that were reserved, sorted, each as often as it was.
async fn reserved(db: &TestDb) -> Result<Vec<Uuid>> {
    let mut orders: Vec<_> =
        reservation::Entity::find().all(&db.db).await?.into_iter().map(|row| row.order_id).collect();
    orders.sort();
    Ok(orders)
}

/// The inventory's own database.
async fn inventory() -> Result<TestDb> {
    let inventory = TestDb::create(Kind::Sqlite).await?;
    let table =
        Schema::new(inventory.db.get_database_backend()).create_table_from_entity(reservation::Entity);
    inventory.db.execute(&table).await?;
    Ok(inventory)
}

fn placed(order_id: Uuid) -> Result<Message> {
    let payload = serde_json::to_string(&OrderPlaced { order_id, total_cents: 1_000 })?;
    Ok(Message::new(Uuid::now_v7(), "/shop", "orders", "order.placed", payload))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_and_failures_over_sqs_leave_each_effect_once() {
    TestQueue::run(async |queue| {
        let inventory = inventory().await?;
        let mut orders: Vec<_> = (0..50).map(|_| Uuid::now_v7()).collect();
        orders.sort();
        let messages = orders.iter().map(|order| placed(*order)).collect::<Result<Vec<_>>>()?;
        let publisher = SqsPublisher::new(queue.client.clone()).route("orders", &queue.url);
        for _copy in 0..2 {
            let outcomes = publisher.publish(&messages).await;
            assert!(outcomes.iter().all(Outcome::is_published), "{outcomes:?}");
        }

        let unlucky = orders[7];
        let failed = Arc::new(AtomicBool::new(false));
        let handler = move |event: Delivery<OrderPlaced>, txn: Tx| {
            let failed = failed.clone();
            async move {
                let fails = event.order_id == unlucky && !failed.swap(true, Ordering::SeqCst);
                reserve(event, txn).await?;
                // After the write: it has to be rolled back.
                if fails { Err(HandlerError::retry_after(Duration::ZERO, "out of luck")) } else { Ok(()) }
            }
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let source = SqsSource::new(queue.client.clone(), &queue.url);
        let inbox =
            Inbox::new(inventory.db.clone(), "inventory")?.remember_for(Duration::from_secs(30 * 86_400));
        let consumer =
            tokio::spawn(Consumer::new(source, inbox).on(handler).run_until(async { drop(stopped.await) }));

        until("an empty queue", Duration::from_secs(60), async || {
            (queue.depth().await.ok()? == 0).then_some(())
        })
        .await;
        let stopping = Instant::now();
        drop(stop);
        let report = consumer.await??;
        // The consumer stands in a long poll of 20 s.
        assert!(stopping.elapsed() < Duration::from_secs(10), "stopped after {:?}", stopping.elapsed());

        assert_eq!(reserved(&inventory).await?, orders);
        assert_eq!(report.processed, 50);
        assert!(report.duplicates >= 50 && report.failed >= 1, "{report:?}");
        Ok(())
    })
    .await;
}
