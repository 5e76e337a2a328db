//! A behaviour that is not empty: with and without `#[async_trait]`, early returns, unused parameters, other bounds.
#![deny(warnings)]

mod order {
    use outbox_seaorm::prelude::*;
    use sea_orm::{Set, entity::prelude::*};

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "orders")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        pub status: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    #[derive(Serialize, OutboxEvent)]
    #[outbox(event_type = "order.placed", topic = "orders")]
    struct Placed;

    #[outbox_hooks(on_insert = |_| Placed)]
    #[async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        fn new() -> Self {
            Self { status: Set("new".to_owned()), ..ActiveModelTrait::default() }
        }

        async fn before_save<C>(mut self, _db: &C, insert: bool) -> Result<Self, DbErr>
        where
            C: ConnectionTrait,
        {
            if !insert {
                return Ok(self);
            }
            self.status = Set("placed".to_owned());
            Ok(self)
        }

        async fn after_save<Conn>(mut model: Model, _: &Conn, _insert: bool) -> Result<Model, DbErr>
        where
            Conn: ConnectionTrait,
        {
            model.status.push('!');
            Ok(model)
        }

        async fn before_delete<C: ConnectionTrait>(self, db: &C) -> Result<Self, DbErr> {
            let others = Entity::find().filter(Column::Status.eq("kept")).one(db).await?;
            if others.is_some() {
                return Err(DbErr::Custom("kept".to_owned()));
            }
            Ok(self)
        }

        async fn after_delete<C: ConnectionTrait>(self, db: &C) -> std::result::Result<Self, DbErr> {
            let _ = db.get_database_backend();
            Ok(self)
        }
    }
}

mod part {
    use outbox_seaorm::prelude::*;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "parts")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    #[outbox_hooks]
    impl ActiveModelBehavior for ActiveModel {
        async fn before_save<C: ConnectionTrait>(self, _: &C, _: bool) -> Result<Self, DbErr> {
            Ok(self)
        }
    }
}

fn main() {
    let _ = (order::Entity, part::Entity);
}
