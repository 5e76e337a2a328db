//! What `#[outbox_hooks]` calls from the four hooks of SeaORM.

use outbox_core::{
    event::{EventError, NewEvent},
    wake,
};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbErr, EntityName as _, EntityTrait, IntoActiveModel, TryIntoModel,
};

use super::{
    CaptureError, Raise,
    guard::is_transaction,
    insert::insert,
    row::{bare_key, is_stored_row, locked, set_columns},
    scope::Scope,
    turn::Turn,
    update::{BeforeRow, Update},
};

/// The row of an active model.
pub type RowOf<A> = <<A as ActiveModelTrait>::Entity as EntityTrait>::Model;

type Events = Result<Vec<NewEvent>, EventError>;

/// The hooks of one entity, as `#[outbox_hooks]` implements them.
pub trait Hooks: Raise + TryIntoModel<RowOf<Self>> {
    /// Whether there is an `on_insert`.
    const ON_INSERT: bool;
    /// Whether there is an `on_update`.
    const ON_UPDATE: bool;
    /// Whether there is an `on_delete`.
    const ON_DELETE: bool;

    /// Whether `on_update` wants the row before.
    type Before: BeforeRow<RowOf<Self>>;

    /// The events of an insert.
    ///
    /// # Errors
    /// Where an event is no JSON.
    fn on_insert(row: &RowOf<Self>) -> Events;

    /// The events of an update.
    ///
    /// # Errors
    /// Where an event is no JSON.
    fn on_update(update: &Update<RowOf<Self>, Self::Before>) -> Events;

    /// The events of a delete.
    ///
    /// # Errors
    /// Where an event is no JSON.
    fn on_delete(row: &RowOf<Self>) -> Events;
}

/// At the end of `before_save`: refuses what could not be captured, and notes what an update is about to write.
///
/// # Errors
/// [`CaptureError`], and what the database says of the read of the row before.
pub async fn before_save<A, C>(model: A, db: &C, insert: bool) -> Result<A, DbErr>
where
    A: Hooks,
    C: ConnectionTrait,
{
    if insert {
        if A::ON_INSERT {
            in_transaction::<A, C>("insert")?;
        }
        return Ok(model);
    }
    if !A::ON_UPDATE {
        return Ok(model);
    }
    in_transaction::<A, C>("update")?;
    let scope = Scope::of_row(&model, db)
        .ok_or_else(|| CaptureError::UpdateByTraitMethod { entity: table::<A>() })?;
    let set = set_columns(&model);
    if set.is_empty() {
        // SeaORM is going to write nothing, so there is nothing to tell.
        return Ok(model);
    }
    let before = if A::Before::READ { locked(&model, "UpdateOne")?.one(db).await? } else { None };
    let before = A::Before::from_row(before).ok_or(DbErr::RecordNotUpdated)?;
    scope.prepare::<RowOf<A>>(
        table::<A>(),
        Box::new(|row| {
            let update = Update::new(row, set, before);
            let events = A::on_update(&update)?;
            Ok((update.into_row(), events))
        }),
    );
    Ok(model)
}

/// At the start of `after_save`: emits for the row as it is stored.
///
/// # Errors
/// [`CaptureError`], and what the database says of the insert into the log.
pub async fn after_save<A, C>(row: RowOf<A>, db: &C, insert: bool) -> Result<RowOf<A>, DbErr>
where
    A: Hooks,
    C: ConnectionTrait,
{
    let scope = Scope::current::<A::Entity, C>(db);
    if insert {
        if A::ON_INSERT {
            let events = A::on_insert(&row).map_err(CaptureError::from)?;
            emit(scope.as_deref(), db, events).await?;
        }
        return Ok(row);
    }
    match scope.as_ref().and_then(|scope| scope.take_prepared::<RowOf<A>>()) {
        Some(emit_update) => {
            let (row, events) = emit_update(row).map_err(CaptureError::from)?;
            emit(scope.as_deref(), db, events).await?;
            Ok(row)
        }
        // Nothing was written, or there is no `on_update`: `before_save` refuses what it cannot prepare.
        None => Ok(row),
    }
}

/// At the end of `before_delete`: reads the row that is about to go, so that `on_delete` has it.
///
/// # Errors
/// [`CaptureError`], and what the database says of the read.
pub async fn before_delete<A, C>(model: A, db: &C) -> Result<A, DbErr>
where
    A: Hooks,
    C: ConnectionTrait,
{
    if !A::ON_DELETE {
        return Ok(model);
    }
    in_transaction::<A, C>("delete")?;
    let row = locked(&model, "DeleteOne")?.one(db).await?;
    Ok(row.map_or_else(|| bare_key(model), IntoActiveModel::into_active_model))
}

/// At the start of `after_delete`: emits if there was a row.
///
/// # Errors
/// [`CaptureError`], and what the database says of the insert into the log.
pub async fn after_delete<A, C>(model: A, db: &C) -> Result<(), DbErr>
where
    A: Hooks,
    C: ConnectionTrait,
{
    let scope = Scope::current::<A::Entity, C>(db);
    if A::ON_DELETE && is_stored_row(&model) {
        let own = Scope::of_row(&model, db);
        let row = model.try_into_model()?;
        let events = A::on_delete(&row).map_err(CaptureError::from)?;
        match own {
            // SeaORM calls this hook also where a policy or a trigger has kept the row.
            Some(own) => own.push_of_delete(events),
            None => emit(scope.as_deref(), db, events).await?,
        }
    }
    Ok(())
}

/// Leaves the events to the verb around this hook, which inserts them with those that were raised; without a
/// verb (SeaORM's trait method in a transaction) inserts them here.
async fn emit<C: ConnectionTrait>(scope: Option<&Scope>, db: &C, events: Vec<NewEvent>) -> Result<(), DbErr> {
    if let Some(scope) = scope {
        scope.push(events);
    } else if !events.is_empty() {
        let _turn = Turn::wait(db).await;
        insert(db, events).await?;
        wake::captured();
    }
    Ok(())
}

fn in_transaction<A: ActiveModelTrait, C: ConnectionTrait>(verb: &'static str) -> Result<(), CaptureError> {
    if is_transaction::<C>() || Scope::covers::<C>() {
        Ok(())
    } else {
        Err(CaptureError::NotInTransaction { entity: table::<A>(), verb })
    }
}

fn table<A: ActiveModelTrait>() -> &'static str {
    A::Entity::default().table_name()
}
