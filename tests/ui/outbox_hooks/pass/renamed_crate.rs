//! The runtime crate under a name of the user's own.

mod platform {
    pub use outbox_seaorm as messaging;
}

mod order {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "orders")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
    }

    #[outbox_seaorm::outbox_hooks(crate = crate::platform::messaging, on_insert = |_| ())]
    impl ActiveModelBehavior for ActiveModel {}
}

fn main() {
    let _ = order::Entity;
}
