//! The connections that a save with events takes.

use sea_orm::{ConnectionTrait, TransactionTrait};

/// A connection that a save with its events can be made on: a pool, a transaction, whatever can begin one.
///
/// On a pool a save begins a transaction and commits it; in a transaction it joins.
#[diagnostic::on_unimplemented(
    message = "a save with events needs a connection that can begin a transaction, and `{Self}` is not known to",
    label = "needs `TransactionTrait` too",
    note = "in generic code ask for both: `C: ConnectionTrait + TransactionTrait`"
)]
pub trait SaveConnection: ConnectionTrait + TransactionTrait {}

#[diagnostic::do_not_recommend]
impl<C: ConnectionTrait + TransactionTrait> SaveConnection for C {}
