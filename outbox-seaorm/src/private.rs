//! What generated code calls. No part of the public API.

use outbox_core::event::{EventError, IntoEvents, NewEvent};

pub use async_trait::async_trait;
pub use sea_orm;

pub use crate::capture::{
    Before, Graph, Raised, SaveConnection, Unread, Update,
    hooks::{Hooks, RowOf, after_delete, after_save, before_delete, before_save},
    update::UpdateHandler,
};

/// What a hook gives.
pub type HookEvents = Result<Vec<NewEvent>, EventError>;

/// No hook.
pub fn no_events() -> HookEvents {
    Ok(Vec::new())
}

/// Calls a hook of a row. The types of a closure's parameters come from this signature.
pub fn of_row<'r, M, E: IntoEvents>(hook: impl FnOnce(&'r M) -> E, row: &'r M) -> HookEvents {
    events(hook(row))
}

/// Calls a hook of an update that is a closure without types.
pub fn of_update<'u, M, B, E: IntoEvents>(
    hook: impl FnOnce(&'u Update<M, B>) -> E,
    update: &'u Update<M, B>,
) -> HookEvents {
    events(hook(update))
}

/// Calls a hook of an update, whichever of the two forms it has.
pub fn of_either<'u, M, B, Kind, H>(hook: H, update: &'u Update<M, B>) -> HookEvents
where
    H: UpdateHandler<'u, M, B, Kind, Events: IntoEvents>,
{
    events(hook.call(update))
}

/// A model on the way to its save, with nothing raised on it yet.
pub fn evented<A: crate::Raise>(model: A) -> Raised<A> {
    Raised::new(model)
}

fn events(events: impl IntoEvents) -> HookEvents {
    let mut into = Vec::new();
    events.append_to(&mut into)?;
    Ok(into)
}
