#![deny(unused_must_use)]

use outbox_seaorm::RaiseGraph as _;

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

fn main() {
    order::ActiveModel::builder().raise(());
    <order::ActiveModel as sea_orm::ActiveModelTrait>::default().raise(());
}

