//! All statements of the log, in one place: one file for each database, the same names in each.
//!
//! The texts may differ between the databases, what they do may not: purpose, index and plan stand here, at the
//! field. "By key" is a range or point access by primary key; none of these statements may scan the log, but
//! for [`Sql::start`], which runs once in the life of a subscription, and at a rewind.

mod mysql;
mod postgres;
mod query;
mod sqlite;

use chrono::{DateTime, Utc};
use sea_orm::DbBackend;

pub(super) use query::{Query, quoted};

/// The statements of one database.
#[derive(Debug)]
pub(super) struct Sql {
    /// The anchor row and the rows after it, in one snapshot. The hot path: log by key from the position, in
    /// order, stopped by the limit; no sort. `limit` counts the anchor. Each row also tells how often an operator has
    /// intervened: the subscription by key, once a statement.
    pub(super) read_tail: Query,
    /// The same with the rows at unseen holes: one union in one snapshot, ordered by seq, one limit. Log by key
    /// once for each range of holes, then from the position; a sort of at most what was found.
    pub(super) read_with_holes: Query,

    /// Progress, fenced by owner, flush number and anchor. Subscription by key, log by key.
    pub(super) flush: Query,
    /// Puts events on hold; one that is there already is changed. Hold by key.
    pub(super) hold_insert: Query,
    /// Changes holds that are there. Hold by key.
    pub(super) hold_update: Query,
    /// Ends holds. Hold by key.
    pub(super) hold_delete: Query,
    /// Holds whose time has come, with their events, if these are there. Hold by `(subscription, due_at)`, a sort of the
    /// numbers of what is due, then hold and log by key once for each one wanted. Sorted by `seq + 0`: by `seq`, a planner may
    /// walk the key and pass by everything that is blocked.
    pub(super) due: Query,
    /// The ordering keys with holds, and of what states these are. Once in a term: the subscription's holds, grouped.
    pub(super) stopped: Query,
    /// The first blocked holds of some ordering keys, so many of each, with their events, if these are there. Hold by
    /// `(subscription, aggregate_type, aggregate_id, seq)` from each key's first, stopped by the limit; log by key; a sort of
    /// what was found.
    pub(super) blocked: Query,
    /// Microseconds until the next hold is due. Hold by `(subscription, due_at)`, one row.
    pub(super) next_due: Query,

    /// Stores receipts; those of an event that was sent again are replaced. One that was acknowledged, be it before the leader
    /// could store it, is awaited no more. Receipt by key.
    pub(super) receipt_insert: Query,
    /// Gives receipts up. Receipt by key.
    pub(super) receipt_delete: Query,
    /// Events whose acknowledgement is overdue, locked: an acknowledgement waits or was first. Receipt by
    /// `(subscription, ack_due_at, seq)`, in order, stopped by the limit.
    pub(super) overdue: Query,
    /// Puts events on hold, due now, that are not. Hold by key.
    pub(super) resend: Query,
    /// Gives consumers time again. Receipt by key.
    pub(super) await_again: Query,

    /// A subscription's row with what is left of its lease, whether its anchor is in the log, how often an operator has
    /// intervened, and the time. By key.
    pub(super) look: Query,
    /// Takes the lease if it is free. Subscription by key.
    pub(super) take: Query,
    /// Prolongs the lease. Subscription by key.
    pub(super) renew: Query,
    /// Counts an intervention and locks the row, as operators do. Subscription by key.
    pub(super) intervene: Query,
    /// How often an operator has intervened, asked by the leader. A statement of its own, because MySQL's `UPDATE` returns
    /// no rows. Subscription by key.
    pub(super) interventions: Query,
    /// Ends the lease, and leaves when. Subscription by key.
    pub(super) release: Query,
    /// Stores a state. Subscription by key.
    pub(super) report: Query,
    /// Stores what a leader tells of itself. Subscription by key.
    pub(super) describe: Query,

    /// How many holds there are of each state. The subscription's holds, and nothing of the log.
    pub(super) hold_counts: Query,
    /// How long ago the first row was stored that is not settled and of a wanted topic, in microseconds. As
    /// `read_with_holes`, without payloads; after `limit` rows of other topics, the last of them stands for what follows.
    pub(super) oldest_pending: Query,

    /// The purge floor, locked: purge and registration wait for each other. Meta by key.
    pub(super) lock_floor: Query,
    /// The gaps of the log above the floor and its last row, up to a moment, in one snapshot. One pass over the log by key.
    pub(super) start: Query,
    /// Makes a subscription's row if there is none. By key.
    pub(super) register: Query,

    /// Where each subscription stands, and its name. A handful of rows.
    pub(super) subscriptions: Query,
    /// The lowest event that a subscription holds, and the lowest whose acknowledgement it awaits, in one snapshot: a hold
    /// turns into a receipt when it is published, and an overdue receipt into a hold. One row of hold, by key, and the awaited
    /// receipts by `(subscription, ack_due_at, seq)`, index only. Of `seq + 0`: of `seq`, a planner may walk the key and
    /// pass by everything that was acknowledged.
    pub(super) lowest_needed: Query,
    /// The end of the next chunk of purge and the first row in it that is still too young. Log by key, one chunk,
    /// from the floor: what was deleted and not yet vacuumed is not met again. So with the two that follow.
    pub(super) purgeable: Query,
    /// Copies a chunk to the archive. Log by key.
    pub(super) archive: Query,
    /// Deletes a chunk. Log by key.
    pub(super) purge: Query,
    /// Deletes one subscription's receipts of a chunk. Receipt by key.
    pub(super) purge_receipts: Query,
    /// Stores the floor. Meta by key.
    pub(super) store_floor: Query,

    /// What is asked before a relay starts.
    pub(super) check: CheckSql,
    /// What proves a hole to stay empty.
    pub(super) proof: ProofSql,
    /// How this database reads a moment from text.
    moment: &'static str,
}

/// The statements of the check at start-up. Catalogues only.
#[derive(Debug)]
pub(super) struct CheckSql {
    /// Product and version, as text.
    pub(super) version: Query,
    /// Those of some tables that are not there.
    pub(super) missing: Query,
    /// What the check of this database looks at, one row.
    pub(super) facts: Query,
}

/// The statements behind a [`HoleProof`](outbox_core::log::HoleProof).
#[derive(Debug)]
pub(super) enum ProofSql {
    /// PostgreSQL.
    WriterList {
        /// The last number given out, 0 where none was. The sequence's own row.
        last_number: Query,
        /// The transactions that may be writing. The lock table, in memory.
        writers: Query,
    },
    /// MySQL and MariaDB.
    Tombstones {
        /// Numbers that have a row, committed or not, read without locks. Log by key.
        taken: Query,
        /// Puts tombstones in where nothing is, ends in `VALUES`. Log by key.
        fill: Query,
        /// The rows that are there now, to be compared with ours. Log by key.
        filled: Query,
        /// The table as it would be created: the one place where both databases tell the counter without a cache.
        table: Query,
    },
    /// SQLite.
    SingleWriter {
        /// The last number given out. One row.
        last_number: Query,
    },
}

impl Sql {
    /// The statements for a database.
    pub(super) fn of(backend: DbBackend) -> Option<Self> {
        match backend {
            DbBackend::Postgres => Some(postgres::sql()),
            DbBackend::MySql => Some(mysql::sql()),
            DbBackend::Sqlite => Some(sqlite::sql()),
            _ => None,
        }
    }

    /// A moment as text that the database takes for what it stores itself.
    pub(super) fn moment(&self, moment: DateTime<Utc>) -> String {
        moment.format(self.moment).to_string()
    }
}
