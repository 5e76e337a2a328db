use outbox_seaorm::prelude::*;
use sea_orm::{DatabaseTransaction, DbErr};

struct NoEvent;

async fn one(txn: &DatabaseTransaction) -> Result<(), DbErr> {
    record_all(txn, [NoEvent]).await
}

fn main() {}
