//! A line of an order: the database gives the key, and the behaviour has hooks of its own.

use outbox_seaorm::prelude::*;
use sea_orm::entity::prelude::*;

use super::events::LineAdded;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "order_lines")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub order_id: Uuid,
    pub article: String,
    pub quantity: i32,
    #[sea_orm(belongs_to, from = "order_id", to = "id")]
    pub order: BelongsTo<super::order::Entity>,
}

#[outbox_hooks(on_insert = LineAdded::from)]
#[async_trait::async_trait]
impl ActiveModelBehavior for ActiveModel {
    async fn before_save<C>(mut self, _db: &C, insert: bool) -> Result<Self, DbErr>
    where
        C: ConnectionTrait,
    {
        // As a hook that asks another service: others run meanwhile.
        tokio::task::yield_now().await;
        if insert && self.quantity.is_not_set() {
            self.quantity = sea_orm::Set(1);
            return Ok(self);
        }
        if matches!(&self.quantity, sea_orm::ActiveValue::Set(quantity) if *quantity < 0) {
            return Err(DbErr::Custom("a quantity below zero".into()));
        }
        Ok(self)
    }

    async fn after_save<C>(model: Model, _: &C, _insert: bool) -> Result<Model, DbErr>
    where
        C: ConnectionTrait,
    {
        if model.article == "refused after the write" {
            return Err(DbErr::Custom("refused after the write".into()));
        }
        Ok(model)
    }
}
