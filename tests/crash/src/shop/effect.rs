//! What the consumer did for one message. There may be two rows for a message: then it was done twice.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "effects")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub message_id: String,
    /// 0 for a message that belongs to no order.
    pub order_id: i64,
    pub step: i64,
}

impl ActiveModelBehavior for ActiveModel {}
