//! The log: each event is written once and never updated.

use sea_orm::entity::prelude::*;

/// The table.
#[derive(Copy, Clone, Default, Debug, DeriveEntity)]
pub struct Entity;

super::named!(event);

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveModel, DeriveActiveModel)]
pub struct Model {
    /// The event's number, given by the database.
    pub seq: i64,
    /// The message id (UUID version 7).
    pub id: Uuid,
    /// Stable name of the event type.
    pub event_type: String,
    /// Version of the payload's schema.
    pub event_version: i32,
    /// Where it goes; empty for a tombstone.
    pub topic: String,
    /// The kind of thing it belongs to.
    pub aggregate_type: Option<String>,
    /// The id of the thing it belongs to; `None` promises no order.
    pub aggregate_id: Option<String>,
    /// JSON text as serialised.
    pub payload: String,
    /// Context and user headers, a JSON object.
    pub headers: Option<String>,
    /// Not to be published before this time.
    pub deliver_at: Option<DateTimeUtc>,
    /// When it happened, by the application's clock.
    pub occurred_at: DateTimeUtc,
    /// When it was stored, by the database's clock.
    pub created_at: DateTimeUtc,
}

/// The columns.
#[derive(Copy, Clone, Debug, EnumIter, DeriveColumn)]
pub enum Column {
    /// The event's number, given by the database.
    Seq,
    /// The message id (UUID version 7).
    Id,
    /// Stable name of the event type.
    EventType,
    /// Version of the payload's schema.
    EventVersion,
    /// Where it goes; empty for a tombstone.
    Topic,
    /// The kind of thing it belongs to.
    AggregateType,
    /// The id of the thing it belongs to; `None` promises no order.
    AggregateId,
    /// JSON text as serialised.
    Payload,
    /// Context and user headers, a JSON object.
    Headers,
    /// Not to be published before this time.
    DeliverAt,
    /// When it happened, by the application's clock.
    OccurredAt,
    /// When it was stored, by the database's clock.
    CreatedAt,
}

/// The primary key.
#[derive(Copy, Clone, Debug, EnumIter, DerivePrimaryKey)]
pub enum PrimaryKey {
    /// See [`Column::Seq`].
    Seq,
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
            Self::Seq => ColumnType::BigInteger.def(),
            Self::Id => ColumnType::Uuid.def(),
            Self::EventType => ColumnType::string(Some(255)).def(),
            Self::EventVersion => ColumnType::Integer.def(),
            Self::Topic => ColumnType::string(Some(255)).def(),
            Self::AggregateType => ColumnType::string(Some(255)).def().nullable(),
            Self::AggregateId => ColumnType::string(Some(255)).def().nullable(),
            Self::Payload => crate::tables::long_text().def(),
            Self::Headers => ColumnType::Text.def().nullable(),
            Self::DeliverAt => crate::tables::timestamp().def().nullable(),
            Self::OccurredAt => crate::tables::timestamp().def(),
            Self::CreatedAt => crate::tables::timestamp().def(),
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
