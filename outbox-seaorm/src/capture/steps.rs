//! Insert, update and delete of one row, each with the events of its hooks and those raised on it.

use sea_orm::{ActiveModelTrait, DbErr, DeleteResult, Select, UpdateResult};

use super::{
    CaptureError, Raise, SaveConnection,
    atomic::{Done, Step, log},
    hooks::RowOf,
    raises::Raises,
    row::{locked, set_columns, stored},
    scope::Scope,
};

/// One row and what is raised on its save.
pub(super) struct Save<A: Raise> {
    pub(super) model: A,
    pub(super) raises: Raises<RowOf<A>>,
}

impl<A: Raise> Save<A> {
    /// Gives the error of an event that is no JSON before anything is written.
    pub(super) fn checked(self) -> Result<Self, DbErr> {
        Ok(Self { raises: self.raises.checked()?, ..self })
    }

    /// The read that locks the row, where an event is raised on an update that writes none: without the lock,
    /// the event could be stored between another writer's event and its commit.
    fn lock_unwritten(&self) -> Result<Option<Select<A::Entity>>, DbErr> {
        if self.raises.any() && set_columns(&self.model).is_empty() {
            locked(&self.model, "UpdateOne").map(Some)
        } else {
            Ok(None)
        }
    }
}

/// As `ActiveModelTrait::insert`.
pub(super) struct Insert<A: Raise>(pub(super) Save<A>);

impl<A: Raise> Step for Insert<A> {
    type Output = RowOf<A>;

    async fn run<T: SaveConnection>(self, db: &T) -> Result<Done<Self::Output>, DbErr> {
        let Save { model, raises } = self.0;
        let scope = Scope::new(&model, db);
        let row = scope.enter(ActiveModelTrait::insert(model, db)).await?;
        let raised = raises.of(&row)?;
        log(db, scope.take_events()?, raised, row).await
    }
}

/// As `ActiveModelTrait::update`.
pub(super) struct Update<A: Raise>(pub(super) Save<A>);

impl<A: Raise> Step for Update<A> {
    type Output = RowOf<A>;

    async fn run<T: SaveConnection>(self, db: &T) -> Result<Done<Self::Output>, DbErr> {
        if let Some(lock) = self.0.lock_unwritten()? {
            lock.one(db).await?;
        }
        let Save { model, raises } = self.0;
        let scope = Scope::new(&model, db);
        let row = scope.enter(ActiveModelTrait::update(model, db)).await?;
        let raised = raises.of(&row)?;
        log(db, scope.take_events()?, raised, row).await
    }
}

/// As `ActiveModelTrait::update_without_returning`, which runs no `after_save`: where an event needs the row, it is
/// read here.
pub(super) struct UpdateWithoutReturning<A: Raise>(pub(super) Save<A>);

impl<A: Raise> Step for UpdateWithoutReturning<A> {
    type Output = UpdateResult;

    async fn run<T: SaveConnection>(self, db: &T) -> Result<Done<Self::Output>, DbErr> {
        if let Some(lock) = self.0.lock_unwritten()? {
            lock.one(db).await?.ok_or(DbErr::RecordNotUpdated)?;
        }
        let Save { model, raises } = self.0;
        let scope = Scope::new(&model, db);
        let by_key = stored(&model, "UpdateOne")?;
        let result = scope.enter(ActiveModelTrait::update_without_returning(model, db)).await?;
        let hook = scope.take_prepared::<RowOf<A>>();
        if hook.is_none() && !raises.need_row() {
            let raised = raises.without_row()?;
            return log(db, scope.take_events()?, raised, result).await;
        }
        let row = by_key.one(db).await?.ok_or(DbErr::RecordNotUpdated)?;
        let (row, hooked) = match hook {
            Some(emit) => emit(row).map_err(CaptureError::from)?,
            None => (row, Vec::new()),
        };
        scope.push(hooked);
        let raised = raises.of(&row)?;
        log(db, scope.take_events()?, raised, result).await
    }
}

/// As `ActiveModelTrait::delete`. Where no row goes, nothing is raised.
pub(super) struct Delete<A: Raise>(pub(super) Save<A>);

impl<A: Raise> Step for Delete<A> {
    type Output = DeleteResult;

    async fn run<T: SaveConnection>(self, db: &T) -> Result<Done<Self::Output>, DbErr> {
        let Save { model, raises } = self.0;
        let row = if raises.need_row() { locked(&model, "DeleteOne")?.one(db).await? } else { None };
        let scope = Scope::new(&model, db);
        let result = scope.enter(ActiveModelTrait::delete(model, db)).await?;
        let mut hooked = scope.take_events()?;
        if result.rows_affected > 0 {
            hooked.extend(scope.take_of_delete());
        }
        let raised = match row {
            _ if result.rows_affected == 0 => Ok(Vec::new()),
            Some(row) => raises.of(&row),
            None => raises.without_row(),
        };
        log(db, hooked, raised?, result).await
    }
}
