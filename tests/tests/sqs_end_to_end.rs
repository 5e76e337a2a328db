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
    relay::{Relay, Subscription},
};
use outbox_seaorm::{Inbox, SeaOrmLog, Tx};
use outbox_sqs::{SqsPublisher, SqsSource};
use outbox_tests::{
    Kind, TestDb,
    database::until,
    gate::Gate,
    on_each_database,
    shop::{events::OrderPlaced, order},
    sqs::{TestQueue, client, endpoint},
};
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

        until_reserved(&inventory, 50).await;
        until("an empty queue", Duration::from_secs(60), async || queue.is_empty().await.ok()?.then_some(()))
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

// From a normal save to an effect, through an outage in the middle.
on_each_database!(orders_saved_during_an_outage_of_sqs_are_each_reserved_once, async |shop| {
    TestQueue::run(async |queue| {
        outbox_tests::shop::create_tables(&shop.db).await?;
        let inventory = inventory().await?;

        let gate = Gate::in_front_of(&endpoint()).await?;
        let (publishing, requests) = client(&gate.url());
        let publisher = SqsPublisher::new(publishing).route("orders", &queue.url);
        let relay = Relay::new(SeaOrmLog::new(shop.db.clone()), "/shop")
            .subscription(Subscription::new("sqs", publisher))
            .spawn();
        let (stop, stopped) = oneshot::channel::<()>();
        let source = SqsSource::new(queue.client.clone(), &queue.url);
        let inbox =
            Inbox::new(inventory.db.clone(), "inventory")?.remember_for(Duration::from_secs(30 * 86_400));
        let consumer =
            tokio::spawn(Consumer::new(source, inbox).on(reserve).run_until(async { drop(stopped.await) }));

        let mut orders = Vec::new();
        orders.extend(save_orders(&shop, 100).await?);
        until_reserved(&inventory, 100).await;

        gate.set_closed(true);
        let before = requests.of("SendMessageBatch");
        orders.extend(save_orders(&shop, 100).await?);
        until("a try in vain", Duration::from_secs(60), async || {
            (requests.of("SendMessageBatch") > before).then_some(())
        })
        .await;
        orders.extend(save_orders(&shop, 100).await?);
        assert_eq!(reserved(&inventory).await?.len(), 100, "nothing goes through a closed gate");

        gate.set_closed(false);
        until_reserved(&inventory, 300).await;
        until("an empty queue", Duration::from_secs(60), async || queue.is_empty().await.ok()?.then_some(()))
            .await;
        relay.stop().await?;
        drop(stop);
        let report = consumer.await??;

        orders.sort();
        assert_eq!(reserved(&inventory).await?, orders);
        assert_eq!(report.processed, 300);
        println!("300 events, one outage: {} SendMessageBatch requests", requests.of("SendMessageBatch"));
        Ok(())
    })
    .await;
    Ok(())
});

async fn save_orders(shop: &TestDb, count: usize) -> Result<Vec<Uuid>> {
    let mut orders = Vec::new();
    for _ in 0..count {
        orders.push(order::ActiveModel::placed().insert(&shop.db).await?.id);
    }
    Ok(orders)
}

async fn until_reserved(inventory: &TestDb, count: usize) {
    until("reservations", Duration::from_secs(120), async || {
        (reserved(inventory).await.ok()?.len() >= count).then_some(())
    })
    .await;
}
