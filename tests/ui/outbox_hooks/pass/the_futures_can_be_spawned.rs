//! Saves are `Send`, also of entities that refer to each other, raised on a builder, and in generic code.
#![deny(warnings)]

use outbox_seaorm::{Raise, RaiseGraph as _, SaveConnection, event::IntoEvents};
use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr, Set};

mod order {
    use outbox_seaorm::prelude::*;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "orders")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        #[sea_orm(has_many)]
        pub lines: HasMany<super::line::Entity>,
    }

    #[outbox_hooks]
    impl ActiveModelBehavior for ActiveModel {}
}

mod line {
    use outbox_seaorm::prelude::*;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "order_lines")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        pub order_id: i32,
        #[sea_orm(belongs_to, from = "order_id", to = "id")]
        pub order: BelongsTo<super::order::Entity>,
    }

    #[outbox_hooks]
    impl ActiveModelBehavior for ActiveModel {}
}

async fn generic<A: Raise, E: IntoEvents + Send, C: SaveConnection>(db: &C, model: A, event: E) -> Result<A, DbErr> {
    model.raise(event).save(db).await
}

fn spawned(_: impl Future<Output: Send> + Send) {}

fn all(db: &DatabaseConnection, txn: &DatabaseTransaction) {
    let model = || order::ActiveModel { id: Set(1) };
    spawned(model().insert(db));
    spawned(model().update(txn));
    spawned(model().save(txn));
    spawned(model().delete(db));
    spawned(model().update_without_returning(db));
    spawned(order::Model { id: 1 }.delete(txn));
    spawned(model().raise(()).insert(db));
    spawned(model().raise_with(|_| ()).update(txn));
    let graph = || order::ActiveModel::builder().add_line(line::ActiveModel::builder());
    spawned(graph().save(db));
    spawned(graph().raise(()).insert(db));
    spawned(graph().raise_with(|order| println!("{}", order.lines.len())).save(txn));
    spawned(generic(db, model(), ()));
    spawned(generic(txn, line::ActiveModel { id: Set(1), order_id: Set(1) }, ()));
}

fn main() {
    let _ = all;
}
