use outbox_seaorm::prelude::*;
use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "orders")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i32,
    pub status: String,
}

#[derive(Serialize, OutboxEvent)]
#[outbox(event_type = "order.changed", topic = "orders")]
pub struct Changed;

#[outbox_hooks(on_insert = |order| order.id)]
impl ActiveModelBehavior for ActiveModel {}

fn main() {}
