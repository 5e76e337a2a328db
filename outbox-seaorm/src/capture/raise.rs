//! Events raised on an entity: `order.raise(OrderPaid { .. }).update(&db)`.

use std::fmt;

use outbox_core::event::IntoEvents;
use sea_orm::{ActiveModelBehavior, DbErr, DeleteResult, EntityTrait, IntoActiveModel, UpdateResult};

use super::{
    SaveConnection,
    atomic::atomic,
    hooks::RowOf,
    raises::Raises,
    steps::{Delete, Insert, Save, Update, UpdateWithoutReturning},
};

/// Raises events on the save of a row.
///
/// Every active model has it. Generic code that saves rows of any entity asks for it in the place of
/// `ActiveModelBehavior`, and calls `model.raise(()).insert(db)`: that is atomic on a pool too, and runs the hooks.
pub trait Raise:
    ActiveModelBehavior<Entity: EntityTrait<Model: IntoActiveModel<Self> + 'static>> + Send + 'static
{
    /// Raises an event, or several, on the save that follows.
    fn raise<E: IntoEvents>(self, events: E) -> Raised<Self> {
        Raised::new(self).raise(events)
    }

    /// Raises events made from the row as it is stored: with the key that the database gave.
    fn raise_with<F, E>(self, events: F) -> Raised<Self>
    where
        F: FnOnce(&RowOf<Self>) -> E + Send + 'static,
        E: IntoEvents,
    {
        Raised::new(self).raise_with(events)
    }
}

impl<A> Raise for A
where
    A: ActiveModelBehavior + Send + 'static,
    RowOf<A>: IntoActiveModel<A> + 'static,
{
}

/// A row with the events that its save is going to store. The verbs are SeaORM's.
///
/// On a pool the save begins a transaction and commits it; in a transaction it takes a savepoint. Either the row and all
/// events are stored, or nothing is.
///
/// # Cancel safety
/// A save whose future is dropped stores both the row and its events, or neither. In a transaction, end that
/// transaction then: where the savepoint was just being begun, SeaORM has rolled all of it back, and what is
/// written through it later stands by itself. A [`Tx`](crate::Tx) refuses to go on.
#[must_use = "the events are stored by a save: call `insert`, `update`, `save` or `delete`"]
pub struct Raised<A: Raise>(Save<A>);

impl<A: Raise> Raised<A> {
    pub(crate) fn new(model: A) -> Self {
        Self(Save { model, raises: Raises::none() })
    }

    /// Raises more events, after those before.
    pub fn raise<E: IntoEvents>(mut self, events: E) -> Self {
        self.0.raises.add(events);
        self
    }

    /// Raises more events, made from the row as it is stored.
    pub fn raise_with<F, E>(mut self, events: F) -> Self
    where
        F: FnOnce(&RowOf<A>) -> E + Send + 'static,
        E: IntoEvents,
    {
        self.0.raises.add_with(events);
        self
    }

    /// Inserts the row and its events.
    ///
    /// # Errors
    /// What SeaORM's `insert` says, and [`CaptureError`](super::CaptureError). Nothing is stored then.
    pub async fn insert<C: SaveConnection>(self, db: &C) -> Result<RowOf<A>, DbErr> {
        atomic(db, Insert(self.0.checked()?)).await
    }

    /// Updates the row and stores its events. Where no column is set the row is locked first, so that the event
    /// keeps its place among the row's others.
    ///
    /// # Errors
    /// What SeaORM's `update` says, and [`CaptureError`](super::CaptureError). Nothing is stored then.
    pub async fn update<C: SaveConnection>(self, db: &C) -> Result<RowOf<A>, DbErr> {
        atomic(db, Update(self.0.checked()?)).await
    }

    /// Inserts where the key is not set, updates otherwise.
    ///
    /// # Errors
    /// As [`insert`](Self::insert) and [`update`](Self::update).
    pub async fn save<C: SaveConnection>(self, db: &C) -> Result<A, DbErr> {
        let row = if self.0.model.is_update() { self.update(db).await? } else { self.insert(db).await? };
        Ok(row.into_active_model())
    }

    /// Updates the row without reading it back, except where an event is made from it.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn update_without_returning<C: SaveConnection>(self, db: &C) -> Result<UpdateResult, DbErr> {
        atomic(db, UpdateWithoutReturning(self.0.checked()?)).await
    }

    /// Deletes the row and stores its events; where there was no row, neither.
    ///
    /// # Errors
    /// What SeaORM's `delete` says, and [`CaptureError`](super::CaptureError). Nothing is stored then.
    pub async fn delete<C: SaveConnection>(self, db: &C) -> Result<DeleteResult, DbErr> {
        atomic(db, Delete(self.0.checked()?)).await
    }
}

impl<A: Raise> fmt::Debug for Raised<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Raised").field("model", &self.0.model).finish_non_exhaustive()
    }
}
