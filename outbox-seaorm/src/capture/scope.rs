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

use super::CaptureError;

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
    prepared: Option<Prepared>,
    /// The entity of an update that was prepared and whose row never came by.
    untold: Option<&'static str>,
    events: Vec<NewEvent>,
    /// Of `on_delete` for the scope's own row: told only where a row went.
    of_delete: Vec<NewEvent>,
}

/// An update that is about to be written.
struct Prepared {
    entity: &'static str,
    emit: Box<dyn Any + Send>,
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

    pub(super) fn prepare<M: 'static>(&self, entity: &'static str, emit: Emit<M>) {
        let mut state = self.state();
        if let Some(earlier) = state.prepared.replace(Prepared { entity, emit: Box::new(emit) }) {
            state.untold = Some(earlier.entity);
        }
    }

    pub(super) fn take_prepared<M: 'static>(&self) -> Option<Emit<M>> {
        let prepared = self.state().prepared.take()?;
        prepared.emit.downcast::<Emit<M>>().ok().map(|emit| *emit)
    }

    pub(super) fn push(&self, events: Vec<NewEvent>) {
        self.state().events.extend(events);
    }

    pub(super) fn push_of_delete(&self, events: Vec<NewEvent>) {
        self.state().of_delete.extend(events);
    }

    /// The events of the hooks, after the write.
    ///
    /// # Errors
    /// Where a hook has updated a row by `update_without_returning`, which tells nobody how that went.
    pub(super) fn take_events(&self) -> Result<Vec<NewEvent>, CaptureError> {
        let mut state = self.state();
        let untold = state.untold.or(state.prepared.as_ref().map(|prepared| prepared.entity));
        match untold {
            Some(entity) => Err(CaptureError::UpdateByTraitMethod { entity }),
            None => Ok(std::mem::take(&mut state.events)),
        }
    }

    /// The events of the scope's own `on_delete`.
    pub(super) fn take_of_delete(&self) -> Vec<NewEvent> {
        std::mem::take(&mut self.state().of_delete)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
