//! An order: the key is the application's, the impl of the behaviour is empty.

use outbox_seaorm::prelude::*;
use sea_orm::entity::prelude::*;

use super::events::{OrderPaid, OrderPlaced, OrderRemoved};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "orders")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub status: String,
    pub address: String,
    pub total_cents: i64,
    #[sea_orm(has_many)]
    pub lines: HasMany<super::line::Entity>,
}

#[outbox_hooks(on_insert = OrderPlaced::from, on_update = paid, on_delete = OrderRemoved::from)]
impl ActiveModelBehavior for ActiveModel {}

fn paid(update: &Update<Model>) -> Option<OrderPaid> {
    let order = update.row();
    (update.set(Column::Status) && order.status == "paid").then_some(OrderPaid { order_id: order.id })
}

impl ActiveModel {
    /// A new order of 1,000 cents.
    pub fn placed() -> Self {
        use sea_orm::Set;
        Self {
            id: Set(Uuid::now_v7()),
            status: Set("placed".into()),
            address: Set("Harbour Street 1".into()),
            total_cents: Set(1_000),
        }
    }
}
