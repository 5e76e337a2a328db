//! What is said at the end.

use std::{fmt, process::ExitCode};

use anyhow::Result;
use outbox_seaorm::{
    consumer::ConsumerReport,
    tables::{event, inbox_message},
};
use sea_orm::{
    ColumnTrait as _, DatabaseConnection, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
};

use crate::{
    broker::Tally,
    database::Store,
    inventory,
    orders::{order, revision},
    reconcile::Reconciliation,
    save::Saved,
};

/// What the tables hold.
#[derive(Debug, Clone, Copy)]
pub struct Totals {
    orders: u64,
    changes: u64,
    captured: u64,
    processed: u64,
}

impl Totals {
    pub async fn of(db: &DatabaseConnection) -> Result<Self> {
        let of_inventory = inbox_message::Column::Consumer.eq(inventory::CONSUMER);
        Ok(Self {
            orders: order::Entity::find().count(db).await?,
            changes: revision::Entity::find().count(db).await?,
            captured: event::Entity::find().filter(event::Column::Topic.ne("")).count(db).await?,
            processed: inbox_message::Entity::find().filter(of_inventory).count(db).await?,
        })
    }
}

/// The whole run.
#[derive(Debug)]
pub struct Report<'r> {
    pub saved: Saved,
    pub tally: &'r Tally,
    pub consumed: ConsumerReport,
    pub before: Totals,
    pub after: Totals,
    pub found: Reconciliation,
    /// Whether nothing was on its way any more: only then is what is missing lost.
    pub drained: bool,
    pub order_is_kept: bool,
}

impl Report<'_> {
    pub fn exit_code(&self) -> ExitCode {
        let out_of_order = if self.order_is_kept { self.found.out_of_order } else { 0 };
        let wrong = self.found.repeated + out_of_order;
        if wrong > 0 || (self.drained && self.found.lost + self.found.stock_differs > 0) {
            ExitCode::from(1)
        } else if self.saved.nothing_was_usable() {
            ExitCode::from(2)
        } else if self.drained && self.saved.stopped_before.is_none() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(130)
        }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { saved, tally, consumed, before, after, found, .. } = self;
        let grown = |now: u64, then: u64| Some(now.saturating_sub(then));
        writeln!(f, "{:<22} {:>9} {:>9}", "", "this run", "in all")?;
        row(f, "orders saved", grown(after.orders, before.orders), Some(after.orders))?;
        row(f, "changes saved", Some(saved.saved), Some(after.changes))?;
        row(f, "events captured", grown(after.captured, before.captured), Some(after.captured))?;
        row(f, "published", Some(tally.published()), None)?;
        row(f, "  and repeated", Some(tally.repeated()), None)?;
        row(f, "processed", Some(consumed.processed), Some(after.processed))?;
        row(f, "duplicates dropped", Some(consumed.duplicates), None)?;
        row(f, "effects repeated", None, Some(found.repeated))?;
        row(f, "out of order", None, Some(found.out_of_order))?;
        if self.drained {
            row(f, "stock wrong, orders", None, Some(found.stock_differs))?;
            row(f, "lost", None, Some(found.lost))?;
        } else {
            row(f, "still on their way", None, Some(found.lost))?;
        }
        if saved.already > 0 {
            writeln!(f, "{} changes had been saved by an earlier run.", saved.already)?;
        }
        if saved.nothing_was_usable() {
            writeln!(f, "None of the {} lines of the input could be used; see above.", saved.skipped)?;
        } else if saved.skipped > 0 {
            writeln!(f, "{} malformed lines were skipped; see above.", saved.skipped)?;
        }
        if let Some(line) = saved.stopped_before {
            writeln!(
                f,
                "Stopped before line {line} of the input. Start it again on the same database to go on."
            )?;
        }
        Ok(())
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, this_run: Option<u64>, in_all: Option<u64>) -> fmt::Result {
    let cell = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
    writeln!(f, "{name:<22} {:>9} {:>9}", cell(this_run), cell(in_all))
}

/// Where everything is, for the curious.
pub fn where_to_look_next(store: &Store) -> String {
    let client = match store.file() {
        Some(file) => format!("sqlite3 {file}"),
        None => store.url.clone(),
    };
    format!(
        "Look next:
  {client}
    outbox_event           the log: each event as it was written with its order
    outbox_subscription    how far the relay has read it
    inbox_message          what inventory has processed
    inventory_bookings     what it did, beside order_revisions, which is what it should have done
  examples/quickstart/src/orders/order.rs    the hooks that write the events
  README.md, docs/guarantees.md              what is promised, and what is not
"
    )
}
