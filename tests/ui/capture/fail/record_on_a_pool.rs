use outbox_seaorm::prelude::*;
use sea_orm::{DatabaseConnection, DbErr};

#[derive(Serialize, OutboxEvent)]
#[outbox(event_type = "order.changed", topic = "orders")]
struct Changed;

async fn one(db: &DatabaseConnection) -> Result<(), DbErr> {
    Changed.record(db).await
}

async fn many(db: &DatabaseConnection) -> Result<(), DbErr> {
    record_all(db, [Changed, Changed]).await
}

fn main() {}
