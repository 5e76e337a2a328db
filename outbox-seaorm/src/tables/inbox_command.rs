//! The commands that were run once, with what they answered.

use sea_orm::entity::prelude::*;

/// The table.
#[derive(Copy, Clone, Default, Debug, DeriveEntity)]
pub struct Entity;

super::named!(inbox_command);

/// A row. It is committed together with what its command wrote.
#[derive(Clone, Debug, PartialEq, Eq, DeriveModel, DeriveActiveModel)]
pub struct Model {
    /// Whose inbox ran it.
    pub consumer: String,
    /// The key that its caller gave it.
    pub command_key: String,
    /// What tells its request from others.
    pub request_hash: Vec<u8>,
    /// What it answered, as JSON. Empty only while it runs.
    pub result: Option<String>,
    /// When it began, by the database's clock; it is purged by that.
    pub begun_at: DateTimeUtc,
    /// When it had answered, by the same.
    pub done_at: Option<DateTimeUtc>,
}

/// The columns.
#[derive(Copy, Clone, Debug, EnumIter, DeriveColumn)]
pub enum Column {
    /// Whose inbox ran it.
    Consumer,
    /// The key that its caller gave it.
    CommandKey,
    /// What tells its request from others.
    RequestHash,
    /// What it answered, as JSON.
    Result,
    /// When it began, by the database's clock.
    BegunAt,
    /// When it had answered, by the same.
    DoneAt,
}

/// The primary key.
#[derive(Copy, Clone, Debug, EnumIter, DerivePrimaryKey)]
pub enum PrimaryKey {
    /// See [`Column::Consumer`].
    Consumer,
    /// See [`Column::CommandKey`].
    CommandKey,
}

impl PrimaryKeyTrait for PrimaryKey {
    type ValueType = (String, String);

    fn auto_increment() -> bool {
        false
    }
}

impl ColumnTrait for Column {
    type EntityName = Entity;

    fn def(&self) -> ColumnDef {
        match self {
            Self::Consumer => ColumnType::string(Some(100)).def(),
            Self::CommandKey => ColumnType::string(Some(255)).def(),
            Self::RequestHash => ColumnType::var_binary(64).def(),
            Self::Result => crate::tables::long_text().def().nullable(),
            Self::BegunAt => crate::tables::timestamp().def(),
            Self::DoneAt => crate::tables::timestamp().def().nullable(),
        }
    }
}

/// No relations.
#[derive(Copy, Clone, Debug, EnumIter)]
pub enum Relation {}

impl RelationTrait for Relation {
    fn def(&self) -> RelationDef {
        match *self {}
    }
}

impl ActiveModelBehavior for ActiveModel {}
