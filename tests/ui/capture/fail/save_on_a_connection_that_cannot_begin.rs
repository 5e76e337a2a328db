use outbox_seaorm::prelude::*;
use sea_orm::entity::prelude::*;

mod order {
    use outbox_seaorm::prelude::*;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "orders")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
    }

    #[outbox_hooks]
    impl ActiveModelBehavior for ActiveModel {}
}

async fn place<C: ConnectionTrait>(db: &C, order: order::ActiveModel) -> Result<order::Model, DbErr> {
    order.insert(db).await
}

async fn remove<C: ConnectionTrait>(db: &C, order: order::Model) -> Result<(), DbErr> {
    order.delete(db).await?;
    Ok(())
}

async fn raise<C: ConnectionTrait>(db: &C, order: order::ActiveModel) -> Result<order::Model, DbErr> {
    order.raise(()).insert(db).await
}

fn main() {}
