//! The service that owns the orders: ordinary SeaORM code, with one attribute above the behavior of `Order`.

pub mod events;
pub mod order;
pub mod revision;

use anyhow::Result;
use outbox_seaorm::SaveConnection;
use sea_orm::{ActiveValue::Set, EntityTrait as _, IntoActiveModel as _};

use crate::input::{Action, Change};

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// It was saved, and its event with it.
    Saved,
    /// An earlier run had saved it.
    Already,
    /// It does not fit the order as it stands.
    Refused(String),
}

/// Saves one change with a normal SeaORM save. Where the order has that revision already, nothing is done: this is
/// how a second run on the same database goes on where the first one stopped.
pub async fn apply(db: &impl SaveConnection, change: Change) -> Result<Applied> {
    let Change { order_id, revision, action } = change;
    let stored = order::Entity::find_by_id(&order_id).one(db).await?;
    let found = stored.as_ref().map_or(0, |order| order.revision);
    if revision <= found {
        return Ok(Applied::Already);
    }
    if revision != found + 1 {
        return refused(format!("revision {revision} of order {order_id} cannot follow revision {found}"));
    }
    match (stored, action) {
        (None, Action::Place { customer, address, sku, quantity, total_cents }) => {
            let order = order::ActiveModel {
                id: Set(order_id),
                revision: Set(revision),
                status: Set("placed".to_owned()),
                customer: Set(customer),
                address: Set(address),
                sku: Set(sku),
                quantity: Set(quantity),
                total_cents: Set(total_cents),
            };
            order.insert(db).await?;
        }
        (Some(stored), action) => {
            let mut order = stored.into_active_model();
            order.revision = Set(revision);
            match action {
                Action::Pay => order.status = Set("paid".to_owned()),
                Action::Cancel => order.status = Set("cancelled".to_owned()),
                Action::Move { address } => order.address = Set(address),
                Action::Place { .. } => return refused(format!("order {order_id} is placed a second time")),
            }
            order.update(db).await?;
        }
        (None, _) => return refused(format!("order {order_id} has not been placed")),
    }
    Ok(Applied::Saved)
}

fn refused(reason: String) -> Result<Applied> {
    Ok(Applied::Refused(reason))
}
