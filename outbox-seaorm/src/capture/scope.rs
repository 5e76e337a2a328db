//! What one save carries from its verb to its hooks and back, in a task-local.
//!
//! SeaORM's `after_save` has no `self`, so it cannot see which columns were set; and a hook cannot see that the
//! verb around it has begun a transaction. The scope is set around the one call of SeaORM's trait method, so each
//! save has its own: in a graph, in `join!` and in spawned tasks.

use std::{
    any::{Any, TypeId},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use outbox_core::event::{EventError, NewEvent};
use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, sea_query::ValueTuple};

tokio::task_local! {
    static SAVE: Arc<Scope>;
}

/// Makes the events of an update from the row as it is stored, and gives the row back.
pub(super) type Emit<M> = Box<dyn FnOnce(M) -> Result<(M, Vec<NewEvent>), EventError> + Send>;

/// One save of one row.
pub(super) struct Scope {
    entity: TypeId,
    /// `None` where the database gives the key.
    key: Option<ValueTuple>,
    connection: Connection,
    state: Mutex<State>,
}

/// Which connection the save runs on: its type, and where it is while it is borrowed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Connection {
    kind: TypeId,
    address: usize,
}

impl Connection {
    fn of<C: ConnectionTrait>(db: &C) -> Self {
        Self { kind: typeid::of::<C>(), address: std::ptr::from_ref(db).addr() }
    }
}

#[derive(Default)]
struct State {
    /// Set by `before_save` of an update, taken by what comes after the write: an [`Emit`] of the row's type.
    prepared: Option<Box<dyn Any + Send>>,
    events: Vec<NewEvent>,
}

impl Scope {
    /// The scope of a save of `model` on `db`, which is in a transaction.
    pub(super) fn new<A: ActiveModelTrait, C: ConnectionTrait>(model: &A, db: &C) -> Arc<Self> {
        Arc::new(Self {
            entity: TypeId::of::<A::Entity>(),
            key: model.get_primary_key_value(),
            connection: Connection::of(db),
            state: Mutex::default(),
        })
    }

    /// Runs SeaORM's trait method in this scope.
    pub(super) async fn enter<F: Future>(self: &Arc<Self>, write: F) -> F::Output {
        SAVE.scope(Arc::clone(self), write).await
    }

    /// Whether a verb of ours has put connections of type `C` into a transaction around this hook.
    pub(super) fn covers<C: ConnectionTrait>() -> bool {
        SAVE.try_with(|scope| scope.connection.kind == typeid::of::<C>()).unwrap_or(false)
    }

    /// The scope of the save that a hook of entity `E` on `db` belongs to.
    pub(super) fn current<E: EntityTrait, C: ConnectionTrait>(db: &C) -> Option<Arc<Self>> {
        let scope = SAVE.try_with(Arc::clone).ok()?;
        (scope.entity == TypeId::of::<E>() && scope.connection == Connection::of(db)).then_some(scope)
    }

    /// The scope of the save of exactly this row.
    pub(super) fn of_row<A: ActiveModelTrait, C: ConnectionTrait>(model: &A, db: &C) -> Option<Arc<Self>> {
        Self::current::<A::Entity, C>(db)
            .filter(|scope| scope.key.is_none() || scope.key == model.get_primary_key_value())
    }

    pub(super) fn prepare<M: 'static>(&self, emit: Emit<M>) {
        self.state().prepared = Some(Box::new(emit));
    }

    pub(super) fn take_prepared<M: 'static>(&self) -> Option<Emit<M>> {
        let prepared = self.state().prepared.take()?;
        prepared.downcast::<Emit<M>>().ok().map(|emit| *emit)
    }

    pub(super) fn push(&self, events: Vec<NewEvent>) {
        self.state().events.extend(events);
    }

    pub(super) fn take_events(&self) -> Vec<NewEvent> {
        std::mem::take(&mut self.state().events)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
