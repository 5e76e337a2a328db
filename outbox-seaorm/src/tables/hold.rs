//! Events that could not be published yet; it points at the log and copies no payload.

use sea_orm::entity::prelude::*;

/// The table.
#[derive(Copy, Clone, Default, Debug, DeriveEntity)]
pub struct Entity;

super::named!(hold);

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveModel, DeriveActiveModel)]
pub struct Model {
    /// Whose hold it is.
    pub subscription: String,
    /// The event.
    pub seq: i64,
    /// The kind of thing in whose order it stands: while it is held, it stops the later events there. NULL outside of every order.
    pub aggregate_type: Option<String>,
    /// The id of the thing in whose order it stands.
    pub aggregate_id: Option<String>,
    /// `scheduled`, `retry`, `blocked` or `dead`.
    pub state: String,
    /// Attempts so far.
    pub attempts: i32,
    /// When it may go, by the database's clock.
    pub due_at: Option<DateTimeUtc>,
    /// What the last attempt said.
    pub last_error: Option<String>,
    /// When it failed first, by the database's clock.
    pub first_failed_at: Option<DateTimeUtc>,
    /// Set where an operator wants it to be processed again: part of the consumers' de-duplication key.
    pub replay: Option<Uuid>,
}

/// The columns.
#[derive(Copy, Clone, Debug, EnumIter, DeriveColumn)]
pub enum Column {
    /// Whose hold it is.
    Subscription,
    /// The event.
    Seq,
    /// The kind of thing in whose order it stands: while it is held, it stops the later events there. NULL outside of every order.
    AggregateType,
    /// The id of the thing in whose order it stands.
    AggregateId,
    /// `scheduled`, `retry`, `blocked` or `dead`.
    State,
    /// Attempts so far.
    Attempts,
    /// When it may go, by the database's clock.
    DueAt,
    /// What the last attempt said.
    LastError,
    /// When it failed first, by the database's clock.
    FirstFailedAt,
    /// Set where an operator wants it to be processed again: part of the consumers' de-duplication key.
    Replay,
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
            Self::AggregateType => ColumnType::string(Some(255)).def().nullable(),
            Self::AggregateId => ColumnType::string(Some(255)).def().nullable(),
            Self::State => ColumnType::string(Some(20)).def(),
            Self::Attempts => ColumnType::Integer.def(),
            Self::DueAt => crate::tables::timestamp().def().nullable(),
            Self::LastError => ColumnType::Text.def().nullable(),
            Self::FirstFailedAt => crate::tables::timestamp().def().nullable(),
            Self::Replay => ColumnType::Uuid.def().nullable(),
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
