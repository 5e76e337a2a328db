//! Events raised on a builder: `order::ActiveModel::builder().set_..().raise(..).save(&db)`.

use std::fmt;

use outbox_core::event::IntoEvents;
use sea_orm::{ActiveModelTrait, DbErr, DeleteResult, Select};

use super::{
    SaveConnection,
    atomic::{Done, Step, atomic, log},
    raises::Raises,
    row::{locked, set_columns},
};

/// The verbs of a builder, which SeaORM generates as inherent methods: `#[outbox_hooks]` implements it.
pub trait Graph: ActiveModelTrait + Send + 'static {
    /// What `insert` and `update` give back.
    type Row: Send + 'static;

    /// The builder's own `insert`.
    fn insert_graph<C: SaveConnection>(self, db: &C)
    -> impl Future<Output = Result<Self::Row, DbErr>> + Send;

    /// The builder's own `update`.
    fn update_graph<C: SaveConnection>(self, db: &C)
    -> impl Future<Output = Result<Self::Row, DbErr>> + Send;

    /// The builder's own `save`: other than `update`, it inserts rows of the graph that are new.
    fn save_graph<C: SaveConnection>(self, db: &C) -> impl Future<Output = Result<Self, DbErr>> + Send;

    /// The builder's own `delete`.
    fn delete_graph<C: SaveConnection>(
        self,
        db: &C,
    ) -> impl Future<Output = Result<DeleteResult, DbErr>> + Send;

    /// The row that a builder holds, where it is complete.
    ///
    /// # Errors
    /// Where an attribute is not set.
    fn to_row(&self) -> Result<Self::Row, DbErr>;
}

/// Raises events on the save of a builder, with all that hangs on it.
///
/// For entities with `#[outbox_hooks]`; hooks of the rows in the graph run as in every save.
pub trait RaiseGraph: Graph {
    /// Raises an event, or several, on the save that follows.
    fn raise<E: IntoEvents>(self, events: E) -> RaisedGraph<Self> {
        RaisedGraph::new(self).raise(events)
    }

    /// Raises events made from the row as it is stored.
    fn raise_with<F, E>(self, events: F) -> RaisedGraph<Self>
    where
        F: FnOnce(&Self::Row) -> E + Send + 'static,
        E: IntoEvents,
    {
        RaisedGraph::new(self).raise_with(events)
    }
}

impl<G: Graph> RaiseGraph for G {}

/// A builder with the events that its save is going to store. The verbs are SeaORM's.
#[must_use = "the events are stored by a save: call `insert`, `update`, `save` or `delete`"]
pub struct RaisedGraph<G: Graph>(SaveGraph<G>);

impl<G: Graph> RaisedGraph<G> {
    fn new(graph: G) -> Self {
        Self(SaveGraph { graph, raises: Raises::none() })
    }

    /// Raises more events, after those before.
    pub fn raise<E: IntoEvents>(mut self, events: E) -> Self {
        self.0.raises.add(events);
        self
    }

    /// Raises more events, made from the row as it is stored.
    pub fn raise_with<F, E>(mut self, events: F) -> Self
    where
        F: FnOnce(&G::Row) -> E + Send + 'static,
        E: IntoEvents,
    {
        self.0.raises.add_with(events);
        self
    }

    /// Inserts the graph and the events.
    ///
    /// # Errors
    /// What the builder's own `insert` says, and [`CaptureError`](super::CaptureError). Nothing is stored then.
    pub async fn insert<C: SaveConnection>(self, db: &C) -> Result<G::Row, DbErr> {
        atomic(db, Insert(self.0.checked()?)).await
    }

    /// Updates the graph and stores the events.
    ///
    /// # Errors
    /// What the builder's own `update` says, and [`CaptureError`](super::CaptureError). Nothing is stored then.
    pub async fn update<C: SaveConnection>(self, db: &C) -> Result<G::Row, DbErr> {
        atomic(db, Update(self.0.checked()?)).await
    }

    /// Inserts each row of the graph whose key is not set, updates the others.
    ///
    /// # Errors
    /// What the builder's own `save` says, and [`CaptureError`](super::CaptureError). Nothing is stored then.
    pub async fn save<C: SaveConnection>(self, db: &C) -> Result<G, DbErr> {
        atomic(db, Save(self.0.checked()?)).await
    }

    /// Deletes the graph and stores the events; where there was no row, none.
    ///
    /// # Errors
    /// What the builder's own `delete` says, and [`CaptureError`](super::CaptureError). Nothing is stored then.
    pub async fn delete<C: SaveConnection>(self, db: &C) -> Result<DeleteResult, DbErr> {
        atomic(db, Delete(self.0.checked()?)).await
    }
}

impl<G: Graph> fmt::Debug for RaisedGraph<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaisedGraph").field("graph", &self.0.graph).finish_non_exhaustive()
    }
}

struct SaveGraph<G: Graph> {
    graph: G,
    raises: Raises<G::Row>,
}

impl<G: Graph> SaveGraph<G> {
    fn checked(self) -> Result<Self, DbErr> {
        Ok(Self { raises: self.raises.checked()?, ..self })
    }

    /// As for a single row: an event raised on a root that is not written needs the root's lock.
    fn lock_unwritten(&self) -> Result<Option<Select<G::Entity>>, DbErr> {
        if self.raises.any() && set_columns(&self.graph).is_empty() {
            locked(&self.graph, "UpdateOne").map(Some)
        } else {
            Ok(None)
        }
    }
}

struct Insert<G: Graph>(SaveGraph<G>);

impl<G: Graph> Step for Insert<G> {
    type Output = G::Row;

    async fn run<T: SaveConnection>(self, db: &T) -> Result<Done<G::Row>, DbErr> {
        let SaveGraph { graph, raises } = self.0;
        let row = graph.insert_graph(db).await?;
        let raised = raises.of(&row)?;
        log(db, Vec::new(), raised, row).await
    }
}

struct Update<G: Graph>(SaveGraph<G>);

impl<G: Graph> Step for Update<G> {
    type Output = G::Row;

    async fn run<T: SaveConnection>(self, db: &T) -> Result<Done<G::Row>, DbErr> {
        if let Some(lock) = self.0.lock_unwritten()? {
            lock.one(db).await?.ok_or(DbErr::RecordNotUpdated)?;
        }
        let SaveGraph { graph, raises } = self.0;
        let row = graph.update_graph(db).await?;
        let raised = raises.of(&row)?;
        log(db, Vec::new(), raised, row).await
    }
}

struct Save<G: Graph>(SaveGraph<G>);

impl<G: Graph> Step for Save<G> {
    type Output = G;

    async fn run<T: SaveConnection>(self, db: &T) -> Result<Done<G>, DbErr> {
        if self.0.graph.is_update()
            && let Some(lock) = self.0.lock_unwritten()?
        {
            lock.one(db).await?.ok_or(DbErr::RecordNotUpdated)?;
        }
        let SaveGraph { graph, raises } = self.0;
        let saved = graph.save_graph(db).await?;
        let raised = if raises.need_row() {
            let row = saved.to_row()?;
            raises.of(&row)
        } else {
            raises.without_row()
        };
        log(db, Vec::new(), raised?, saved).await
    }
}

struct Delete<G: Graph>(SaveGraph<G>);

impl<G: Graph> Step for Delete<G> {
    type Output = DeleteResult;

    async fn run<T: SaveConnection>(self, db: &T) -> Result<Done<DeleteResult>, DbErr> {
        let SaveGraph { graph, raises } = self.0;
        let row = if raises.need_row() { Some(graph.to_row()?) } else { None };
        let lock = if raises.any() { Some(locked(&graph, "DeleteOne")?) } else { None };
        let there = match lock {
            Some(lock) => lock.one(db).await?.is_some(),
            None => false,
        };
        let result = graph.delete_graph(db).await?;
        let raised = match row {
            _ if !there || result.rows_affected == 0 => Ok(Vec::new()),
            Some(row) => raises.of(&row),
            None => raises.without_row(),
        };
        log(db, Vec::new(), raised?, result).await
    }
}
