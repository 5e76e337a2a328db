//! The consumer's own table: one row for each event that it acted on.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "inventory_bookings")]
pub struct Model {
    /// Given by the database. There is deliberately no key over (order, revision): an effect that is applied
    /// twice must show as two rows, not as an error.
    #[sea_orm(primary_key)]
    pub id: i64,
    pub order_id: String,
    pub revision: i32,
    /// What was done: reserved, confirmed, redirected or released.
    pub step: String,
    /// Units that this step takes from the stock (or gives back, below zero).
    pub units: i32,
}

impl ActiveModelBehavior for ActiveModel {}
