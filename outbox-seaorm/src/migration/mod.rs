//! The tables as ordinary SeaORM migrations, to splice into the user's own list.

mod create_outbox;

use sea_orm::DbErr;
use sea_orm_migration::{IntoSchemaManagerConnection, MigrationTrait, SchemaManager};

/// All migrations of this crate, in order, to splice into a migrator of one's own.
///
/// ```
/// use sea_orm_migration::prelude::*;
///
/// struct Migrator;
///
/// #[async_trait::async_trait]
/// impl MigratorTrait for Migrator {
///     fn migrations() -> Vec<Box<dyn MigrationTrait>> {
///         let mut migrations = outbox_seaorm::migrations();
///         // then one's own
///         migrations.extend(Vec::<Box<dyn MigrationTrait>>::new());
///         migrations
///     }
/// }
/// ```
#[must_use]
pub fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(create_outbox::Migration)]
}

/// Creates all tables without keeping a record of it: for tests and first steps. A service uses [`migrations`].
/// Takes `&DatabaseConnection` or `&DatabaseTransaction`. A table that is there already is left as it is.
///
/// # Errors
/// What the database says.
pub async fn create_tables<'c, C>(db: C) -> Result<(), DbErr>
where
    C: IntoSchemaManagerConnection<'c>,
{
    let manager = SchemaManager::new(db);
    for migration in migrations() {
        migration.up(&manager).await?;
    }
    Ok(())
}
