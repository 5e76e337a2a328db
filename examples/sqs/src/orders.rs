//! The service that owns the orders: an entity, its events, and normal saves.

use anyhow::Result;
use outbox_seaorm::prelude::*;
use sea_orm::{ActiveValue::Set, DatabaseConnection, IntoActiveModel as _, entity::prelude::*};

/// The orders that are placed, paid and shipped.
pub const ORDERS: [i64; 4] = [1, 2, 3, 4];

/// The order that nobody can ship.
pub const WITHOUT_ADDRESS: i64 = 3;

/// All events but the one that cannot be processed.
pub const PROCESSABLE: usize = 3 * ORDERS.len() - 1;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "orders")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub status: String,
    pub address: String,
}

/// The events of one aggregate, here of one order, are published in their order.
#[derive(Clone, Debug, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.placed", topic = "orders", aggregate = "order")]
pub struct OrderPlaced {
    #[outbox(aggregate_id)]
    pub order_id: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.paid", topic = "orders", aggregate = "order")]
pub struct OrderPaid {
    #[outbox(aggregate_id)]
    pub order_id: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.shipped", topic = "orders", aggregate = "order")]
pub struct OrderShipped {
    #[outbox(aggregate_id)]
    pub order_id: i64,
    pub address: String,
}

#[outbox_hooks(on_insert = placed, on_update = changed)]
impl ActiveModelBehavior for ActiveModel {}

fn placed(order: &Model) -> OrderPlaced {
    OrderPlaced { order_id: order.id }
}

fn changed(update: &Update<Model>) -> (Option<OrderPaid>, Option<OrderShipped>) {
    let order = update.row();
    let became = |status| update.set(Column::Status) && order.status == status;
    (
        became("paid").then_some(OrderPaid { order_id: order.id }),
        became("shipped").then(|| OrderShipped { order_id: order.id, address: order.address.clone() }),
    )
}

/// Normal saves on a plain connection: each row and its event are committed together, or neither is.
pub async fn place_pay_and_ship(db: &DatabaseConnection) -> Result<()> {
    for id in ORDERS {
        let address = if id == WITHOUT_ADDRESS { "" } else { "Main Street 1" };
        let order =
            ActiveModel { status: Set("placed".into()), address: Set(address.into()), ..Default::default() };
        let mut order = order.insert(db).await?;
        for status in ["paid", "shipped"] {
            let mut change = order.into_active_model();
            change.status = Set(status.into());
            order = change.update(db).await?;
        }
    }
    Ok(())
}
