//! The trail: what each save made of an order.

use sea_orm::{ActiveValue::Set, entity::prelude::*};

use super::order;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "order_revisions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub order_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub revision: i32,
    pub status: String,
    pub address: String,
}

impl ActiveModelBehavior for ActiveModel {}

impl ActiveModel {
    pub fn of(order: &order::Model) -> Self {
        Self {
            order_id: Set(order.id.clone()),
            revision: Set(order.revision),
            status: Set(order.status.clone()),
            address: Set(order.address.clone()),
        }
    }
}
