//! What an `on_update` hook sees.

use std::marker::PhantomData;

use sea_orm::{EntityTrait, IdenStatic as _, ModelTrait};

/// One update of one row, as an `on_update` hook gets it.
///
/// A hook that takes the plain row fires at every update. One that takes the update can ask which columns this
/// save has set, so that "order paid" is not told again when the address changes:
///
/// ```
/// # mod order {
/// #     use sea_orm::entity::prelude::*;
/// #     #[sea_orm::model]
/// #     #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
/// #     #[sea_orm(table_name = "orders")]
/// #     pub struct Model { #[sea_orm(primary_key)] pub id: i32, pub status: String }
/// #     impl ActiveModelBehavior for ActiveModel {}
/// # }
/// # use order::{Column, Model};
/// # use outbox_seaorm::Update;
/// # struct OrderPaid { id: i32 }
/// fn paid(update: &Update<Model>) -> Option<OrderPaid> {
///     (update.set(Column::Status) && update.row().status == "paid").then(|| OrderPaid { id: update.row().id })
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Update<M, B = Unread> {
    row: M,
    set: Vec<&'static str>,
    before: B,
}

/// An update with the row before it, as a hook declared `on_update(before) = ..` gets it.
pub type UpdateWithBefore<M> = Update<M, Before<M>>;

/// The row before the update was not read.
#[derive(Debug, Clone, Copy)]
pub struct Unread;

/// The row before the update, read under a lock.
#[derive(Debug, Clone)]
pub struct Before<M>(M);

impl<M: ModelTrait, B> Update<M, B> {
    pub(super) fn new(row: M, set: Vec<&'static str>, before: B) -> Self {
        Self { row, set, before }
    }

    /// The row as it is stored now.
    pub fn row(&self) -> &M {
        &self.row
    }

    /// Whether this save has set the column, be it to the same value.
    pub fn set(&self, column: <M::Entity as EntityTrait>::Column) -> bool {
        self.set.contains(&column.as_str())
    }

    pub(super) fn into_row(self) -> M {
        self.row
    }
}

impl<M: ModelTrait> Update<M, Before<M>> {
    /// The row as it was before this save.
    pub fn before(&self) -> &M {
        &self.before.0
    }

    /// Whether the column has another value than before.
    pub fn changed(&self, column: <M::Entity as EntityTrait>::Column) -> bool {
        self.row.get(column) != self.before.0.get(column)
    }
}

/// Whether an entity's hook wants the row before.
pub trait BeforeRow<M>: Sized + Send + 'static {
    /// Whether it has to be read.
    const READ: bool;

    /// From what was read.
    fn from_row(row: Option<M>) -> Option<Self>;
}

impl<M> BeforeRow<M> for Unread {
    const READ: bool = false;

    fn from_row(_: Option<M>) -> Option<Self> {
        Some(Self)
    }
}

impl<M: Send + 'static> BeforeRow<M> for Before<M> {
    const READ: bool = true;

    fn from_row(row: Option<M>) -> Option<Self> {
        row.map(Self)
    }
}

/// A handler of updates: a function of the update, or of the plain row.
#[diagnostic::on_unimplemented(
    message = "this cannot be an `on_update` hook",
    label = "expected a function of `&Update<Model>` or `&Model`",
    note = "with `on_update(before)` it is a function of `&UpdateWithBefore<Model>` or `&Model`"
)]
pub trait UpdateHandler<'u, M, B, Kind> {
    /// What it returns.
    type Events;

    /// Calls it.
    fn call(self, update: &'u Update<M, B>) -> Self::Events;
}

/// The kind of handler that takes the update.
#[derive(Debug)]
pub struct OfUpdate(PhantomData<()>);

/// The kind of handler that takes the plain row.
#[derive(Debug)]
pub struct OfRow(PhantomData<()>);

impl<'u, M: 'u, B: 'u, F: FnOnce(&'u Update<M, B>) -> R, R> UpdateHandler<'u, M, B, OfUpdate> for F {
    type Events = R;

    fn call(self, update: &'u Update<M, B>) -> R {
        self(update)
    }
}

impl<'u, M: 'u, B: 'u, F: FnOnce(&'u M) -> R, R> UpdateHandler<'u, M, B, OfRow> for F {
    type Events = R;

    fn call(self, update: &'u Update<M, B>) -> R {
        self(&update.row)
    }
}
