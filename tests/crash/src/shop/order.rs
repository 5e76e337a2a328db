//! An order: a number that each save raises by one.

use outbox_seaorm::prelude::*;
use sea_orm::entity::prelude::*;

use super::events::OrderChanged;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "orders")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    pub step: i64,
}

#[outbox_hooks(on_update = changed)]
impl ActiveModelBehavior for ActiveModel {}

fn changed(order: &Model) -> (OrderChanged, Option<OrderChanged>) {
    let told = OrderChanged { order: order.id, step: order.step };
    (told.clone(), (order.step % 4 == 0).then_some(told))
}
