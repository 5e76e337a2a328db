//! What is known of each delivery after the fact, where a subscription asks for it.

use sea_orm::entity::prelude::*;

/// The table.
#[derive(Copy, Clone, Default, Debug, DeriveEntity)]
pub struct Entity;

super::named!(receipt);

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveModel, DeriveActiveModel)]
pub struct Model {
    /// Whose delivery it was.
    pub subscription: String,
    /// The event.
    pub seq: i64,
    /// The id that the broker gave it.
    pub broker_id: Option<String>,
    /// When it was published, by the database's clock.
    pub dispatched_at: DateTimeUtc,
    /// When a consumer confirmed it.
    pub acknowledged_at: Option<DateTimeUtc>,
    /// Until when a consumer is to confirm it, by the database's clock; NULL where that is not awaited, or done.
    pub ack_due_at: Option<DateTimeUtc>,
}

/// The columns.
#[derive(Copy, Clone, Debug, EnumIter, DeriveColumn)]
pub enum Column {
    /// Whose delivery it was.
    Subscription,
    /// The event.
    Seq,
    /// The id that the broker gave it.
    BrokerId,
    /// When it was published, by the database's clock.
    DispatchedAt,
    /// When a consumer confirmed it.
    AcknowledgedAt,
    /// Until when a consumer is to confirm it, by the database's clock; NULL where that is not awaited, or done.
    AckDueAt,
}

/// The primary key.
#[derive(Copy, Clone, Debug, EnumIter, DerivePrimaryKey)]
pub enum PrimaryKey {
    /// See [`Column::Subscription`].
    Subscription,
    /// See [`Column::Seq`].
    Seq,
}

impl PrimaryKeyTrait for PrimaryKey {
    type ValueType = (String, i64);

    fn auto_increment() -> bool {
        false
    }
}

impl ColumnTrait for Column {
    type EntityName = Entity;

    fn def(&self) -> ColumnDef {
        match self {
            Self::Subscription => ColumnType::string(Some(100)).def(),
            Self::Seq => ColumnType::BigInteger.def(),
            Self::BrokerId => ColumnType::string(Some(255)).def().nullable(),
            Self::DispatchedAt => crate::tables::timestamp().def(),
            Self::AcknowledgedAt => crate::tables::timestamp().def().nullable(),
            Self::AckDueAt => crate::tables::timestamp().def().nullable(),
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
