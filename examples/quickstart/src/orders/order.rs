//! An order. Its events are written by the hooks, in the transaction of the save itself.

use outbox_seaorm::prelude::*;
use sea_orm::entity::prelude::*;

use super::{
    events::{OrderCancelled, OrderMoved, OrderPaid, OrderPlaced},
    revision,
};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "orders")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// Counts the saves of this order.
    pub revision: i32,
    pub status: String,
    pub customer: String,
    pub address: String,
    pub sku: String,
    pub quantity: i32,
    pub total_cents: i64,
}

#[outbox_hooks(on_insert = OrderPlaced::from, on_update = changed)]
impl ActiveModelBehavior for ActiveModel {
    /// A hook of one's own stays as it is. This one keeps the trail that the consumer is held against at the end.
    async fn after_save<C: ConnectionTrait>(order: Model, db: &C, _insert: bool) -> Result<Model, DbErr> {
        revision::ActiveModel::of(&order).insert(db).await?;
        Ok(order)
    }
}

/// An update is told by the columns that it set: a later change of the address is no second payment.
fn changed(update: &Update<Model>) -> (Option<OrderPaid>, Option<OrderCancelled>, Option<OrderMoved>) {
    let order = update.row();
    let became = |status| update.set(Column::Status) && order.status == status;
    (
        became("paid").then(|| OrderPaid::from(order)),
        became("cancelled").then(|| OrderCancelled::from(order)),
        update.set(Column::Address).then(|| OrderMoved::from(order)),
    )
}
