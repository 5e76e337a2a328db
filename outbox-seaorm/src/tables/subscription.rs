//! The progress of each subscription and the lease of its leader.

use sea_orm::entity::prelude::*;

/// The table.
#[derive(Copy, Clone, Default, Debug, DeriveEntity)]
pub struct Entity;

super::named!(subscription);

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveModel, DeriveActiveModel)]
pub struct Model {
    /// The subscription's name.
    pub name: String,
    /// The highest seq that was read.
    pub position: i64,
    /// The id of the row at the position.
    pub anchor: Option<Uuid>,
    /// Seqs at or below the position that are not settled, as ranges: `3,7-9`.
    pub holes: String,
    /// Number of the last flush.
    pub flush_no: i64,
    /// The random token of the leader's acquisition.
    pub owner: Option<Uuid>,
    /// How often the lease was acquired, for display.
    pub epoch: i64,
    /// When the lease ends, by the database's clock.
    pub lease_until: Option<DateTimeUtc>,
    /// `running`, `paused` or `broker_down`.
    pub state: String,
    /// Since when, by the database's clock.
    pub state_since: DateTimeUtc,
    /// What led to the state.
    pub last_error: Option<String>,
    /// How often an operator has changed something of the subscription.
    pub interventions: i64,
    /// Which process led last: for people.
    pub leader: Option<String>,
    /// The topics that it takes, as a JSON list; NULL means all, or that nobody has led it yet.
    pub topics: Option<String>,
    /// Topics that it has met and does not take, as a JSON list.
    pub skipped_topics: Option<String>,
    /// `aggregate`, `total` or `none`.
    pub ordering: String,
}

/// The columns.
#[derive(Copy, Clone, Debug, EnumIter, DeriveColumn)]
pub enum Column {
    /// The subscription's name.
    Name,
    /// The highest seq that was read.
    Position,
    /// The id of the row at the position.
    Anchor,
    /// Seqs at or below the position that are not settled, as ranges: `3,7-9`.
    Holes,
    /// Number of the last flush.
    FlushNo,
    /// The random token of the leader's acquisition.
    Owner,
    /// How often the lease was acquired, for display.
    Epoch,
    /// When the lease ends, by the database's clock.
    LeaseUntil,
    /// `running`, `paused` or `broker_down`.
    State,
    /// Since when, by the database's clock.
    StateSince,
    /// What led to the state.
    LastError,
    /// How often an operator has changed something of the subscription.
    Interventions,
    /// Which process led last: for people.
    Leader,
    /// The topics that it takes, as a JSON list; NULL means all, or that nobody has led it yet.
    Topics,
    /// Topics that it has met and does not take, as a JSON list.
    SkippedTopics,
    /// `aggregate`, `total` or `none`.
    Ordering,
}

/// The primary key.
#[derive(Copy, Clone, Debug, EnumIter, DerivePrimaryKey)]
pub enum PrimaryKey {
    /// See [`Column::Name`].
    Name,
}

impl PrimaryKeyTrait for PrimaryKey {
    type ValueType = String;

    fn auto_increment() -> bool {
        false
    }
}

impl ColumnTrait for Column {
    type EntityName = Entity;

    fn def(&self) -> ColumnDef {
        match self {
            Self::Name => ColumnType::string(Some(100)).def(),
            Self::Position => ColumnType::BigInteger.def(),
            Self::Anchor => ColumnType::Uuid.def().nullable(),
            Self::Holes => crate::tables::long_text().def(),
            Self::FlushNo => ColumnType::BigInteger.def(),
            Self::Owner => ColumnType::Uuid.def().nullable(),
            Self::Epoch => ColumnType::BigInteger.def(),
            Self::LeaseUntil => crate::tables::timestamp().def().nullable(),
            Self::State => ColumnType::string(Some(20)).def(),
            Self::StateSince => crate::tables::timestamp().def(),
            Self::LastError => ColumnType::Text.def().nullable(),
            Self::Interventions => ColumnType::BigInteger.def(),
            Self::Leader => ColumnType::string(Some(255)).def().nullable(),
            Self::Topics => crate::tables::long_text().def().nullable(),
            Self::SkippedTopics => crate::tables::long_text().def().nullable(),
            Self::Ordering => ColumnType::string(Some(20)).def(),
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
