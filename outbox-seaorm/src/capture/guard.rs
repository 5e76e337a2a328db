//! Which connections are transactions: at compile time for `record`, at run time for hooks.
//!
//! SeaORM's `ConnectionTrait` cannot say whether it is a transaction, and a hook gets any `C: ConnectionTrait`.
//! A type's identity can: a pool never becomes a transaction.

use std::{
    any::TypeId,
    sync::{PoisonError, RwLock},
};

use sea_orm::{ConnectionTrait, DatabaseTransaction};

use crate::Tx;

/// A connection that is inside a transaction.
///
/// Implemented for SeaORM's transactions. Implement it for a transaction type of your own to
/// [`record`](super::Record::record) in it, and [`register`] it to let SeaORM's trait methods through with it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a transaction: the event could outlive or miss the write that it tells of",
    label = "expected a transaction",
    note = "begin one: `let txn = db.begin().await?;`, write, `event.record(&txn).await?`, `txn.commit().await?`",
    note = "a transaction type of your own says so by `impl outbox_seaorm::InTransaction for ..`"
)]
pub trait InTransaction: ConnectionTrait {}

impl InTransaction for DatabaseTransaction {}

impl InTransaction for Tx {}

#[cfg(feature = "rbac")]
impl InTransaction for sea_orm::RestrictedTransaction {}

/// The user's own transaction types.
static REGISTERED: RwLock<Vec<TypeId>> = RwLock::new(Vec::new());

/// Tells hooks that connections of type `T` are transactions: once, at the start of the program, for a
/// transaction type of your own.
///
/// Only SeaORM's trait methods (`ActiveModelTrait::insert(model, &own)`) need it: the entity's own
/// methods begin a transaction (a savepoint) on any connection that is not known to be one.
pub fn register<T: InTransaction>() {
    let mut registered = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
    let id = typeid::of::<T>();
    if !registered.contains(&id) {
        registered.push(id);
    }
}

/// Whether connections of type `C` are known to be transactions.
pub(super) fn is_transaction<C: ConnectionTrait>() -> bool {
    let id = typeid::of::<C>();
    built_in().contains(&id) || REGISTERED.read().unwrap_or_else(PoisonError::into_inner).contains(&id)
}

/// The transaction types of SeaORM and of this crate.
fn built_in() -> &'static [TypeId] {
    const {
        &[
            TypeId::of::<DatabaseTransaction>(),
            TypeId::of::<Tx>(),
            #[cfg(feature = "rbac")]
            TypeId::of::<sea_orm::RestrictedTransaction>(),
        ]
    }
}
