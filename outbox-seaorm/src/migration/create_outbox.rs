//! The first version of all tables.

use async_trait::async_trait;
use sea_orm::{
    DbBackend, DbErr, EntityName, EntityTrait, Set,
    sea_query::{ColumnDef, Expr, Index, IndexCreateStatement, IntoIden, Table, TableCreateStatement},
};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::tables::{archive, audit, event, hold, inbox_command, inbox_message, meta, receipt, subscription};

/// Version of the tables that this migration makes.
const SCHEMA_VERSION: i32 = 1;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000001_create_outbox"
    }
}

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = Columns { backend: manager.get_database_backend() };
        for table in [
            columns.event(),
            columns.archive(),
            columns.subscription(),
            columns.hold(),
            columns.receipt(),
            columns.audit(),
            columns.inbox_message(),
            columns.inbox_command(),
            columns.meta(),
        ] {
            manager.create_table(table).await?;
        }
        if !columns.indexes_come_with_tables() {
            for mut index in
                hold_indexes().into_iter().chain([receipt_index(), inbox_index(), command_index()])
            {
                manager.create_index(index.if_not_exists().take()).await?;
            }
        }
        let db = manager.get_connection();
        if meta::Entity::find_by_id(1).one(db).await?.is_none() {
            let row = meta::ActiveModel { id: Set(1), floor: Set(0), schema_version: Set(SCHEMA_VERSION) };
            meta::Entity::insert(row).exec_without_returning(db).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(dropped(meta::Entity)).await?;
        manager.drop_table(dropped(inbox_command::Entity)).await?;
        manager.drop_table(dropped(inbox_message::Entity)).await?;
        manager.drop_table(dropped(audit::Entity)).await?;
        manager.drop_table(dropped(receipt::Entity)).await?;
        manager.drop_table(dropped(hold::Entity)).await?;
        manager.drop_table(dropped(subscription::Entity)).await?;
        manager.drop_table(dropped(archive::Entity)).await?;
        manager.drop_table(dropped(event::Entity)).await
    }
}

fn dropped<E: EntityName>(entity: E) -> sea_orm::sea_query::TableDropStatement {
    Table::drop().table(entity.table_ref()).if_exists().to_owned()
}

/// What is held by one aggregate, in order, and what is due.
fn hold_indexes() -> [IndexCreateStatement; 2] {
    [
        index(hold::Entity, "aggregate", &["subscription", "aggregate_type", "aggregate_id", "seq"]),
        index(hold::Entity, "due", &["subscription", "due_at"]),
    ]
}

/// What is not acknowledged, by when it should have been; also for the purge, which leaves those alone.
fn receipt_index() -> IndexCreateStatement {
    index(receipt::Entity, "ack_due", &["subscription", "ack_due_at", "seq"])
}

/// For the purge: the rows of a consumer by age.
fn inbox_index() -> IndexCreateStatement {
    index(inbox_message::Entity, "age", &["consumer", "processed_at"])
}

/// The same of its commands.
fn command_index() -> IndexCreateStatement {
    index(inbox_command::Entity, "age", &["consumer", "begun_at"])
}

fn index<E: EntityName>(entity: E, suffix: &str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(format!("{}_{suffix}", entity.table_name())).table(entity.table_ref());
    for column in columns {
        index.col(*column);
    }
    index
}

/// The column types that differ between the databases, in one place.
struct Columns {
    backend: DbBackend,
}

impl Columns {
    /// MySQL has no `CREATE INDEX IF NOT EXISTS`; the others have no index in `CREATE TABLE`.
    fn indexes_come_with_tables(&self) -> bool {
        self.backend == DbBackend::MySql
    }

    fn table<E: EntityName>(&self, entity: E) -> TableCreateStatement {
        let mut table = Table::create();
        table.table(entity.table_ref()).if_not_exists();
        if self.backend == DbBackend::MySql {
            // Ids and names are compared byte by byte, as on the other databases.
            table.engine("InnoDB").character_set("utf8mb4").collate("utf8mb4_bin");
        }
        table
    }

    /// A moment with microseconds, in UTC.
    fn moment<C: IntoIden>(&self, column: C) -> ColumnDef {
        let mut def = ColumnDef::new(column);
        match self.backend {
            // TIMESTAMP ends in 2038.
            DbBackend::MySql => def.custom("datetime(6)"),
            _ => def.timestamp_with_time_zone(),
        };
        def
    }

    /// A moment that is the database's own clock where nothing is given.
    fn moment_now<C: IntoIden>(&self, column: C) -> ColumnDef {
        let mut def = self.moment(column);
        let clock = match self.backend {
            // The time of the statement; `now()` is that of the transaction's start.
            DbBackend::Postgres => "clock_timestamp()",
            DbBackend::MySql => "(utc_timestamp(6))",
            _ => "(strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'))",
        };
        def.not_null().default(Expr::cust(clock));
        def
    }

    fn long_text<C: IntoIden>(&self, column: C) -> ColumnDef {
        let mut def = ColumnDef::new(column);
        match self.backend {
            DbBackend::MySql => def.custom("longtext"),
            _ => def.text(),
        };
        def
    }

    /// A number that only the database gives: one that a writer chose would defeat the proofs.
    fn identity<C: IntoIden>(&self, column: C) -> ColumnDef {
        let mut def = ColumnDef::new(column);
        match self.backend {
            DbBackend::Postgres => {
                def.big_integer().not_null().extra("GENERATED ALWAYS AS IDENTITY (CACHE 1)").primary_key()
            }
            DbBackend::MySql => def.big_integer().not_null().auto_increment().primary_key(),
            _ => def.integer().not_null().auto_increment().primary_key(),
        };
        def
    }

    fn event_columns(&self, table: &mut TableCreateStatement) {
        table
            .col(ColumnDef::new("id").uuid().not_null())
            .col(ColumnDef::new("event_type").string_len(255).not_null())
            .col(ColumnDef::new("event_version").integer().not_null())
            .col(ColumnDef::new("topic").string_len(255).not_null())
            .col(ColumnDef::new("aggregate_type").string_len(255))
            .col(ColumnDef::new("aggregate_id").string_len(255))
            .col(self.long_text("payload").not_null())
            .col(ColumnDef::new("headers").text())
            .col(self.moment("deliver_at").null())
            .col(self.moment("occurred_at").not_null())
            .col(self.moment_now("created_at"));
    }

    fn event(&self) -> TableCreateStatement {
        let mut table = self.table(event::Entity);
        table.col(self.identity("seq"));
        self.event_columns(&mut table);
        table
    }

    fn archive(&self) -> TableCreateStatement {
        let mut table = self.table(archive::Entity);
        table.col(ColumnDef::new("seq").big_integer().not_null().primary_key());
        self.event_columns(&mut table);
        table
    }

    fn subscription(&self) -> TableCreateStatement {
        self.table(subscription::Entity)
            .col(ColumnDef::new("name").string_len(100).not_null().primary_key())
            .col(ColumnDef::new("position").big_integer().not_null())
            .col(ColumnDef::new("anchor").uuid())
            .col(self.long_text("holes").not_null())
            .col(ColumnDef::new("flush_no").big_integer().not_null().default(0))
            .col(ColumnDef::new("owner").uuid())
            .col(ColumnDef::new("epoch").big_integer().not_null().default(0))
            .col(self.moment("lease_until").null())
            .col(ColumnDef::new("state").string_len(20).not_null())
            .col(self.moment_now("state_since"))
            .col(ColumnDef::new("last_error").text())
            .col(ColumnDef::new("interventions").big_integer().not_null().default(0))
            .col(ColumnDef::new("leader").string_len(255))
            .col(self.long_text("topics").null())
            .col(self.long_text("skipped_topics").null())
            .col(ColumnDef::new("ordering").string_len(20).not_null().default("aggregate"))
            .to_owned()
    }

    fn hold(&self) -> TableCreateStatement {
        let mut table = self.table(hold::Entity);
        table
            .col(ColumnDef::new("subscription").string_len(100).not_null())
            .col(ColumnDef::new("seq").big_integer().not_null())
            .col(ColumnDef::new("aggregate_type").string_len(255))
            .col(ColumnDef::new("aggregate_id").string_len(255))
            .col(ColumnDef::new("state").string_len(20).not_null())
            .col(ColumnDef::new("attempts").integer().not_null().default(0))
            .col(self.moment("due_at").null())
            .col(ColumnDef::new("last_error").text())
            .col(self.moment("first_failed_at").null())
            .col(ColumnDef::new("replay").uuid())
            .primary_key(Index::create().col("subscription").col("seq"));
        if self.indexes_come_with_tables() {
            for mut index in hold_indexes() {
                table.index(&mut index);
            }
        }
        table
    }

    fn receipt(&self) -> TableCreateStatement {
        let mut table = self.table(receipt::Entity);
        table
            .col(ColumnDef::new("subscription").string_len(100).not_null())
            .col(ColumnDef::new("seq").big_integer().not_null())
            .col(ColumnDef::new("broker_id").string_len(255))
            .col(self.moment_now("dispatched_at"))
            .col(self.moment("acknowledged_at").null())
            .col(self.moment("ack_due_at").null())
            .primary_key(Index::create().col("subscription").col("seq"));
        if self.indexes_come_with_tables() {
            table.index(&mut receipt_index());
        }
        table
    }

    fn audit(&self) -> TableCreateStatement {
        self.table(audit::Entity)
            .col(self.identity("id"))
            .col(self.moment_now("at"))
            .col(ColumnDef::new("actor").string_len(255).not_null())
            .col(ColumnDef::new("action").string_len(50).not_null())
            .col(ColumnDef::new("target").text().not_null())
            .col(ColumnDef::new("reason").text())
            .to_owned()
    }

    fn inbox_message(&self) -> TableCreateStatement {
        let mut table = self.table(inbox_message::Entity);
        table
            .col(ColumnDef::new("consumer").string_len(100).not_null())
            .col(ColumnDef::new("source").string_len(255).not_null())
            .col(ColumnDef::new("message_id").string_len(255).not_null())
            .col(ColumnDef::new("replay").string_len(40).not_null().default(""))
            .col(self.moment_now("processed_at"))
            .col(self.long_text("result").null())
            .primary_key(Index::create().col("consumer").col("source").col("message_id").col("replay"));
        if self.indexes_come_with_tables() {
            table.index(&mut inbox_index());
        }
        table
    }

    fn inbox_command(&self) -> TableCreateStatement {
        let mut table = self.table(inbox_command::Entity);
        table
            .col(ColumnDef::new("consumer").string_len(100).not_null())
            .col(ColumnDef::new("command_key").string_len(255).not_null())
            .col(ColumnDef::new("request_hash").var_binary(64).not_null())
            .col(self.long_text("result").null())
            .col(self.moment_now("begun_at"))
            .col(self.moment("done_at").null())
            .primary_key(Index::create().col("consumer").col("command_key"));
        if self.indexes_come_with_tables() {
            table.index(&mut command_index());
        }
        table
    }

    fn meta(&self) -> TableCreateStatement {
        self.table(meta::Entity)
            .col(ColumnDef::new("id").integer().not_null().primary_key())
            .col(ColumnDef::new("floor").big_integer().not_null())
            .col(ColumnDef::new("schema_version").integer().not_null())
            .to_owned()
    }
}
