//! The database's clock, as an expression: whatever decides something goes by it and never by the host's.

use sea_orm::{
    ConnectionTrait, DbBackend, DbErr,
    prelude::DateTimeUtc,
    sea_query::{Expr, Query},
};

/// The moment at which the statement runs, in the form in which the tables store one.
pub(crate) fn now(backend: DbBackend) -> Expr {
    Expr::cust(match backend {
        // `now()` is the start of the transaction, which may have waited for a lock since.
        DbBackend::Postgres => "clock_timestamp()",
        DbBackend::MySql => "utc_timestamp(6)",
        _ => "strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')",
    })
}

/// Asks for it.
pub(crate) async fn read(db: &impl ConnectionTrait) -> Result<DateTimeUtc, DbErr> {
    let ask = Query::select().expr_as(now(db.get_database_backend()), "now").to_owned();
    let row = db.query_one(&ask).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("the database's clock".to_owned()))?.try_get("", "now")
}
