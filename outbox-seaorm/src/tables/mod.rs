//! The tables as SeaORM entities. Their names stand in one place: [`TableNames`].

pub mod archive;
pub mod audit;
pub mod event;
pub mod hold;
pub mod inbox_command;
pub mod inbox_message;
pub mod meta;
mod names;
pub mod receipt;
pub mod subscription;

pub use names::{TableNames, TableNamesError};

/// Gives an entity the table name that [`TableNames`] has for it.
macro_rules! named {
    ($field:ident) => {
        impl sea_orm::EntityName for Entity {
            fn schema_name(&self) -> Option<&str> {
                crate::tables::TableNames::current().schema
            }

            fn table_name(&self) -> &'static str {
                crate::tables::TableNames::current().$field
            }
        }
    };
}
pub(crate) use named;

/// The type of a moment. Each database's own is chosen by the migration.
pub(crate) fn timestamp() -> sea_orm::ColumnType {
    sea_orm::ColumnType::TimestampWithTimeZone
}

/// A text without a limit. MySQL's own `LONGTEXT` is chosen by the migration.
pub(crate) fn long_text() -> sea_orm::ColumnType {
    sea_orm::ColumnType::Text
}
