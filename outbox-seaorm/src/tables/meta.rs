//! One row: what holds for the log as a whole.

use sea_orm::entity::prelude::*;

/// The table.
#[derive(Copy, Clone, Default, Debug, DeriveEntity)]
pub struct Entity;

super::named!(meta);

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveModel, DeriveActiveModel)]
pub struct Model {
    /// Always 1.
    pub id: i32,
    /// The highest seq that purge has removed.
    pub floor: i64,
    /// Version of these tables.
    pub schema_version: i32,
}

/// The columns.
#[derive(Copy, Clone, Debug, EnumIter, DeriveColumn)]
pub enum Column {
    /// Always 1.
    Id,
    /// The highest seq that purge has removed.
    Floor,
    /// Version of these tables.
    SchemaVersion,
}

/// The primary key.
#[derive(Copy, Clone, Debug, EnumIter, DerivePrimaryKey)]
pub enum PrimaryKey {
    /// See [`Column::Id`].
    Id,
}

impl PrimaryKeyTrait for PrimaryKey {
    type ValueType = i32;

    fn auto_increment() -> bool {
        false
    }
}

impl ColumnTrait for Column {
    type EntityName = Entity;

    fn def(&self) -> ColumnDef {
        match self {
            Self::Id => ColumnType::Integer.def(),
            Self::Floor => ColumnType::BigInteger.def(),
            Self::SchemaVersion => ColumnType::Integer.def(),
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
