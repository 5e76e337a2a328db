//! The messages that consumers have processed.

use sea_orm::entity::prelude::*;

/// The table.
#[derive(Copy, Clone, Default, Debug, DeriveEntity)]
pub struct Entity;

super::named!(inbox_message);

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveModel, DeriveActiveModel)]
pub struct Model {
    /// Who processed it.
    pub consumer: String,
    /// Who published it.
    pub source: String,
    /// Its id.
    pub message_id: String,
    /// The replay it belonged to; empty for the first delivery.
    pub replay: String,
    /// When, by the database's clock.
    pub processed_at: DateTimeUtc,
    /// What the handler returned, where it is kept.
    pub result: Option<String>,
}

/// The columns.
#[derive(Copy, Clone, Debug, EnumIter, DeriveColumn)]
pub enum Column {
    /// Who processed it.
    Consumer,
    /// Who published it.
    Source,
    /// Its id.
    MessageId,
    /// The replay it belonged to; empty for the first delivery.
    Replay,
    /// When, by the database's clock.
    ProcessedAt,
    /// What the handler returned, where it is kept.
    Result,
}

/// The primary key.
#[derive(Copy, Clone, Debug, EnumIter, DerivePrimaryKey)]
pub enum PrimaryKey {
    /// See [`Column::Consumer`].
    Consumer,
    /// See [`Column::Source`].
    Source,
    /// See [`Column::MessageId`].
    MessageId,
    /// See [`Column::Replay`].
    Replay,
}

impl PrimaryKeyTrait for PrimaryKey {
    type ValueType = (String, String, String, String);

    fn auto_increment() -> bool {
        false
    }
}

impl ColumnTrait for Column {
    type EntityName = Entity;

    fn def(&self) -> ColumnDef {
        match self {
            Self::Consumer => ColumnType::string(Some(100)).def(),
            Self::Source => ColumnType::string(Some(255)).def(),
            Self::MessageId => ColumnType::string(Some(255)).def(),
            Self::Replay => ColumnType::string(Some(40)).def(),
            Self::ProcessedAt => crate::tables::timestamp().def(),
            Self::Result => crate::tables::long_text().def().nullable(),
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
