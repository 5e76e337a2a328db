use std::time::Duration;

use outbox_seaorm::{
    Inbox, SeaOrmLog, Tx,
    consumer::{Consumer, Delivery, HandlerError},
    memory::MemoryBroker,
    relay::{Relay, Subscription},
};
use sea_orm::{ActiveValue::Set, ConnectionTrait, Database, Schema};

mod order {
    use outbox_seaorm::prelude::*;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "orders")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub total_cents: i64,
    }

    #[derive(Clone, Debug, Serialize, Deserialize, OutboxEvent)]
    #[outbox(event_type = "order.placed", topic = "orders", aggregate = "order")]
    pub struct OrderPlaced {
        #[outbox(aggregate_id)]
        pub order_id: i64,
        pub total_cents: i64,
    }

    #[outbox_hooks(on_insert = placed)]
    impl ActiveModelBehavior for ActiveModel {}

    fn placed(order: &Model) -> OrderPlaced {
        OrderPlaced { order_id: order.id, total_cents: order.total_cents }
    }
}

/// What it writes in `txn` is committed together with the note that the message was processed.
async fn reserve_stock(event: Delivery<order::OrderPlaced>, _txn: Tx) -> Result<(), HandlerError> {
    println!("order {} of {} cents was placed", event.order_id, event.total_cents);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let db = Database::connect("sqlite::memory:").await?;
    db.execute(&Schema::new(db.get_database_backend()).create_table_from_entity(order::Entity)).await?;
    outbox_seaorm::create_tables(&db).await?; // a service has migrations: `outbox_seaorm::migrations()`

    // The normal save, on a plain connection.
    order::ActiveModel { total_cents: Set(4_200), ..Default::default() }.insert(&db).await?;

    let broker = MemoryBroker::new(); // it ends with the process: confirmed, nothing is lost with it
    let relay = Relay::new(SeaOrmLog::new(db.clone()), "/shop")
        .subscription(Subscription::new("stock", broker.publisher().confirmed()));
    let consumer = Consumer::new(broker.source("orders"), Inbox::new(db.clone(), "stock")?).on(reserve_stock);

    let shutdown = || tokio::time::sleep(Duration::from_secs(1)); // a service waits for a signal
    let (relayed, consumed) = tokio::join!(relay.run_until(shutdown()), consumer.run_until(shutdown()));
    relayed?;
    assert_eq!(consumed?.processed, 1);
    Ok(())
}
