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

#[async_trait::async_trait]
#[outbox_hooks(on_insert = |_| Changed)]
impl ActiveModelBehavior for ActiveModel {
    async fn before_save<C: ConnectionTrait>(self, _: &C, _: bool) -> Result<Self, DbErr> {
        Ok(self)
    }
}

fn main() {}
