//! What a save will do to its row, and the row itself under a lock.

use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait as _, DbErr, EntityTrait, IdenStatic as _, Iterable as _,
    PrimaryKeyToColumn as _, QueryFilter as _, QuerySelect as _, Select,
};

type ColumnOf<A> = <<A as ActiveModelTrait>::Entity as EntityTrait>::Column;
type KeyOf<A> = <<A as ActiveModelTrait>::Entity as EntityTrait>::PrimaryKey;

/// The columns that an update of `model` writes: those that are set, without the key.
pub(super) fn set_columns<A: ActiveModelTrait>(model: &A) -> Vec<&'static str> {
    ColumnOf::<A>::iter()
        .filter(|column| KeyOf::<A>::from_column(*column).is_none())
        .filter(|column| matches!(model.get(*column), ActiveValue::Set(_)))
        .map(|column| column.as_str())
        .collect()
}

/// The stored row by the model's key, without a lock.
pub(super) fn stored<A: ActiveModelTrait>(model: &A, verb: &'static str) -> Result<Select<A::Entity>, DbErr> {
    KeyOf::<A>::iter().try_fold(A::Entity::find(), |select, key| {
        let column = key.into_column();
        let value = model.get(column).into_value().ok_or(DbErr::PrimaryKeyNotSet { ctx: verb })?;
        Ok(select.filter(column.eq(value)))
    })
}

/// The stored row by the model's key, `FOR UPDATE`. SQLite has no such lock and needs none: a transaction that
/// has read what another one then writes cannot write any more.
pub(super) fn locked<A: ActiveModelTrait>(model: &A, verb: &'static str) -> Result<Select<A::Entity>, DbErr> {
    Ok(stored(model, verb)?.lock_exclusive())
}

/// The model with nothing but its key, marked as not read from the database.
pub(super) fn bare_key<A: ActiveModelTrait>(mut model: A) -> A {
    let mut bare = <A as ActiveModelTrait>::default();
    for key in KeyOf::<A>::iter() {
        if let Some(value) = model.take(key.into_column()).into_value() {
            bare.set(key.into_column(), value);
        }
    }
    bare
}

/// Whether the model is a row as it was read from the database.
pub(super) fn is_stored_row<A: ActiveModelTrait>(model: &A) -> bool {
    ColumnOf::<A>::iter().all(|column| matches!(model.get(column), ActiveValue::Unchanged(_)))
}
