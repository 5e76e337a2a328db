//! A part in stock: an entity in the style before `#[sea_orm::model]`, with a key from the database.
#![allow(clippy::redundant_closure, reason = "closures are what is tried here")]

use outbox_seaorm::prelude::*;
use sea_orm::entity::prelude::*;

use super::events::PartSaved;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "parts")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub name: String,
    pub stock: i32,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

#[outbox_hooks(
    on_insert = |part| PartSaved::from(part),
    on_update(before) = |update| update.changed(Column::Stock).then(|| PartSaved::from(update)),
)]
impl ActiveModelBehavior for ActiveModel {}
