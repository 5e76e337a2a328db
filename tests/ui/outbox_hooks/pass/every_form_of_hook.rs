//! Paths, closures with and without types, the row, the update, the row before; everything that can be events.
#![deny(warnings, missing_docs)]

use outbox_seaorm::prelude::*;

/// An event.
#[derive(Serialize, OutboxEvent)]
#[outbox(event_type = "order.changed", topic = "orders")]
pub struct Changed {
    /// Its key.
    pub id: i32,
}

impl From<&paths::Model> for Changed {
    fn from(row: &paths::Model) -> Self {
        Self { id: row.id }
    }
}

macro_rules! entity {
    ($(#[$hooks:meta])* $name:ident $($items:item)*) => {
        /// An entity.
        pub mod $name {
            #![allow(missing_docs, reason = "SeaORM's own derives")]
            use outbox_seaorm::prelude::*;
            use sea_orm::entity::prelude::*;

            #[allow(unused_imports)]
            use super::Changed;

            #[sea_orm::model]
            #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
            #[sea_orm(table_name = "orders")]
            pub struct Model {
                #[sea_orm(primary_key)]
                pub id: i32,
                pub status: String,
            }

            $(#[$hooks])*
            impl ActiveModelBehavior for ActiveModel {}

            $($items)*
        }
    };
}

entity! { #[outbox_hooks] nothing }
entity! { #[outbox_hooks()] empty_list }
entity! { #[outbox_hooks(on_insert = Changed::from, on_update = Changed::from, on_delete = Changed::from,)] paths }
entity! {
    #[outbox_hooks(on_insert = told, on_update = updated, on_delete = removed)]
    functions

    fn told(row: &Model) -> Changed {
        Changed { id: row.id }
    }

    fn updated(update: &Update<Model>) -> Option<Changed> {
        update.set(Column::Status).then(|| Changed { id: update.row().id })
    }

    fn removed(_: &Model) {}
}
entity! {
    #[outbox_hooks(
        on_insert = |row| vec![Changed { id: row.id }],
        on_update = |update| update.set(Column::Status).then(|| Changed { id: update.row().id }),
        on_delete = |row: &Model| (Changed { id: row.id }, Some(Changed { id: 1 })),
    )]
    closures
}
entity! {
    #[outbox_hooks(on_update = |row: &Model| Changed { id: row.id })]
    typed_row
}
entity! {
    #[outbox_hooks(on_update = |update: &Update<Model>| Changed { id: update.row().id })]
    typed_update
}
entity! {
    #[outbox_hooks(on_update(before) = |update| (update.before().status != update.row().status).then(|| Changed { id: 1 }))]
    before
}
entity! {
    #[outbox_hooks(on_update(before) = moved)]
    before_by_path

    fn moved(update: &UpdateWithBefore<Model>) -> [Changed; 1] {
        [Changed { id: update.before().id + i32::from(update.changed(Column::Status)) }]
    }
}
entity! {
    #[outbox_hooks(on_update(before) = plain)]
    before_but_plain_row

    fn plain(row: &Model) -> Changed {
        Changed { id: row.id }
    }
}

fn main() {}
