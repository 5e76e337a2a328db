//! What operators did, and why.

use sea_orm::entity::prelude::*;

/// The table.
#[derive(Copy, Clone, Default, Debug, DeriveEntity)]
pub struct Entity;

super::named!(audit);

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveModel, DeriveActiveModel)]
pub struct Model {
    /// Number of the entry.
    pub id: i64,
    /// When, by the database's clock.
    pub at: DateTimeUtc,
    /// Who.
    pub actor: String,
    /// What: `requeue`, `discard`, `replay`, `pause`, ...
    pub action: String,
    /// On what.
    pub target: String,
    /// Why.
    pub reason: Option<String>,
}

/// The columns.
#[derive(Copy, Clone, Debug, EnumIter, DeriveColumn)]
pub enum Column {
    /// Number of the entry.
    Id,
    /// When, by the database's clock.
    At,
    /// Who.
    Actor,
    /// What: `requeue`, `discard`, `replay`, `pause`, ...
    Action,
    /// On what.
    Target,
    /// Why.
    Reason,
}

/// The primary key.
#[derive(Copy, Clone, Debug, EnumIter, DerivePrimaryKey)]
pub enum PrimaryKey {
    /// See [`Column::Id`].
    Id,
}

impl PrimaryKeyTrait for PrimaryKey {
    type ValueType = i64;

    fn auto_increment() -> bool {
        true
    }
}

impl ColumnTrait for Column {
    type EntityName = Entity;

    fn def(&self) -> ColumnDef {
        match self {
            Self::Id => ColumnType::BigInteger.def(),
            Self::At => crate::tables::timestamp().def(),
            Self::Actor => ColumnType::string(Some(255)).def(),
            Self::Action => ColumnType::string(Some(50)).def(),
            Self::Target => ColumnType::Text.def(),
            Self::Reason => ColumnType::Text.def().nullable(),
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
