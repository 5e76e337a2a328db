//! Was anything lost? Asked of the database in SQL: the orders' own tables against the consumer's own table.
//! No counter of this program, no row of the outbox and no row of the inbox has a say in it.

use anyhow::{Context as _, Result};
use sea_orm::{ConnectionTrait, Statement};

/// Changes of orders that inventory never acted on.
const LOST: &str = "
    SELECT COUNT(*) AS found
    FROM order_revisions change_made
    WHERE NOT EXISTS (
        SELECT 1 FROM inventory_bookings booking
        WHERE booking.order_id = change_made.order_id AND booking.revision = change_made.revision)";

/// Orders whose units inventory does not hold as the order says: held while it stands, given back once cancelled.
const STOCK_DIFFERS: &str = "
    SELECT COUNT(*) AS found
    FROM orders
    LEFT JOIN (SELECT order_id, SUM(units) AS held FROM inventory_bookings GROUP BY order_id) stock
        ON stock.order_id = orders.id
    WHERE COALESCE(stock.held, 0) <> CASE orders.status WHEN 'cancelled' THEN 0 ELSE orders.quantity END";

/// Effects beyond the first of each change.
const REPEATED: &str = "
    SELECT (SELECT COUNT(*) FROM inventory_bookings)
         - (SELECT COUNT(*) FROM (SELECT DISTINCT order_id, revision FROM inventory_bookings) effects) AS found";

/// Changes that inventory acted on before an earlier change of the same order.
const OUT_OF_ORDER: &str = "
    SELECT COUNT(*) AS found
    FROM inventory_bookings early
    JOIN inventory_bookings late ON late.order_id = early.order_id AND late.id > early.id
    WHERE late.revision < early.revision";

/// What the database says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconciliation {
    pub lost: u64,
    pub stock_differs: u64,
    pub repeated: u64,
    pub out_of_order: u64,
}

impl Reconciliation {
    pub async fn of(db: &impl ConnectionTrait) -> Result<Self> {
        Ok(Self {
            lost: lost(db).await?,
            stock_differs: count(db, STOCK_DIFFERS).await?,
            repeated: count(db, REPEATED).await?,
            out_of_order: count(db, OUT_OF_ORDER).await?,
        })
    }
}

/// Changes that inventory has not acted on (yet).
pub async fn lost(db: &impl ConnectionTrait) -> Result<u64> {
    count(db, LOST).await
}

async fn count(db: &impl ConnectionTrait, sql: &str) -> Result<u64> {
    let row = db
        .query_one_raw(Statement::from_string(db.get_database_backend(), sql))
        .await?
        .context("a count without a row")?;
    Ok(u64::try_from(row.try_get::<i64>("", "found")?)?)
}
