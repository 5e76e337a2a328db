//! What cannot be captured is refused before anything is written, and the error says what to do.

use std::{future::Future, pin::Pin};

use outbox_seaorm::{CaptureError, InTransaction, Record as _, Tx, capture};
use outbox_tests::{
    on_each_database,
    shop::{self, events::OrderNoted, line, order, part},
};
use sea_orm::{
    AccessMode, ActiveModelBehavior, ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DatabaseConnection,
    DatabaseTransaction, DbBackend, DbErr, EntityTrait, ExecResult, IntoActiveModel, IsolationLevel,
    MockDatabase, MockExecResult, PaginatorTrait as _, QueryResult, Statement, TransactionError,
    TransactionOptions, TransactionSession, TransactionTrait,
};
use uuid::Uuid;

type Row<A> = <<A as ActiveModelTrait>::Entity as EntityTrait>::Model;

/// Code that knows no entity and calls SeaORM's trait methods.
async fn insert_generic<A, C>(model: A, db: &C) -> Result<Row<A>, DbErr>
where
    A: ActiveModelBehavior + Send,
    Row<A>: IntoActiveModel<A>,
    C: ConnectionTrait,
{
    model.insert(db).await
}

async fn update_generic<A, C>(model: A, db: &C) -> Result<Row<A>, DbErr>
where
    A: ActiveModelBehavior + Send,
    Row<A>: IntoActiveModel<A>,
    C: ConnectionTrait,
{
    model.update(db).await
}

on_each_database!(a_trait_method_on_a_pool_is_refused_before_anything_is_written, async |test| {
    shop::create_tables(&test.db).await?;
    let refused = insert_generic(order::ActiveModel::placed(), &test.db).await.expect_err("a pool");
    assert!(matches!(
        CaptureError::of(&refused),
        Some(CaptureError::NotInTransaction { entity: "orders", verb: "insert" })
    ));
    assert_eq!(
        refused.to_string(),
        "Error converting `save` into `save with its events`: `orders` has events, and this save is not in a \
         transaction; call the entity's own method (`model.insert(db)`), in generic code \
         `model.raise(()).insert(db)`, or begin a transaction first"
    );
    assert_eq!(order::Entity::find().count(&test.db).await?, 0);

    let order = order::ActiveModel::placed().insert(&test.db).await?;
    let mut paid = order.clone().into_active_model();
    paid.status = Set("paid".into());
    let refused = update_generic(paid, &test.db).await.expect_err("a pool");
    assert!(matches!(
        CaptureError::of(&refused),
        Some(CaptureError::NotInTransaction { verb: "update", .. })
    ));
    let refused =
        ActiveModelTrait::delete(order.clone().into_active_model(), &test.db).await.expect_err("a pool");
    assert!(matches!(
        CaptureError::of(&refused),
        Some(CaptureError::NotInTransaction { verb: "delete", .. })
    ));
    assert_eq!(order::Entity::find().all(&test.db).await?, [order]);
    assert_eq!(shop::types(&test.db).await?, ["order.placed"]);
    Ok(())
});

on_each_database!(a_trait_method_in_a_transaction_captures_inserts_and_deletes, async |test| {
    shop::create_tables(&test.db).await?;
    let txn = test.db.begin().await?;
    let order = insert_generic(order::ActiveModel::placed(), &txn).await?;
    ActiveModelTrait::delete(order.clone().into_active_model(), &txn).await?;
    ActiveModelTrait::delete(order.into_active_model(), &txn).await?;
    txn.commit().await?;
    assert_eq!(shop::types(&test.db).await?, ["order.placed", "order.removed"]);
    Ok(())
});

on_each_database!(an_update_by_the_trait_method_is_refused_where_there_is_on_update, async |test| {
    shop::create_tables(&test.db).await?;
    let order = order::ActiveModel::placed().insert(&test.db).await?;
    let txn = test.db.begin().await?;
    let mut paid = order.clone().into_active_model();
    paid.status = Set("paid".into());
    let refused = update_generic(paid.clone(), &txn).await.expect_err("no scope");
    assert!(matches!(
        CaptureError::of(&refused),
        Some(CaptureError::UpdateByTraitMethod { entity: "orders" })
    ));
    assert!(refused.to_string().contains("`model.update(db)`"), "found {refused}");
    // It runs no `after_save` at all: its event would be lost without a word.
    let refused = ActiveModelTrait::update_without_returning(paid, &txn).await.expect_err("no scope");
    assert!(matches!(CaptureError::of(&refused), Some(CaptureError::UpdateByTraitMethod { .. })));
    // An entity without `on_update` has nothing to lose.
    let added =
        line::ActiveModel { order_id: Set(order.id), article: Set("bolt".into()), ..Default::default() };
    let mut line = added.insert(&txn).await?.into_active_model();
    line.quantity = Set(3);
    assert_eq!(update_generic(line, &txn).await?.quantity, 3);
    txn.commit().await?;
    assert_eq!(order::Entity::find().all(&test.db).await?, [order]);
    assert_eq!(shop::types(&test.db).await?, ["order.placed", "line.added"]);
    Ok(())
});

on_each_database!(the_transaction_of_a_consumer_is_known, async |test| {
    shop::create_tables(&test.db).await?;
    let txn = Tx::from(test.db.begin().await?);
    let order = order::ActiveModel::placed().insert(&txn).await?;
    OrderNoted { order_id: order.id, note: "by hand".into() }.record(&txn.clone()).await?;
    insert_generic(order::ActiveModel::placed(), &txn).await?;
    let mut paid = order.into_active_model();
    paid.status = Set("paid".into());
    paid.update(&txn).await?;
    txn.commit().await?;
    assert_eq!(shop::types(&test.db).await?, ["order.placed", "order.noted", "order.placed", "order.paid"]);
    Ok(())
});

on_each_database!(a_restricted_connection_needs_entity_statements_only, async |test| {
    use sea_orm::rbac::{RbacContext, RbacUserId};

    shop::create_tables(&test.db).await?;
    sea_orm::rbac::schema::create_tables(&test.db, Default::default()).await?;
    let mut rbac = RbacContext::load(&test.db).await?;
    rbac.add_tables(&test.db, &["orders", "order_lines", "outbox_event"]).await?;
    rbac.add_crud_permissions(&test.db).await?;
    rbac.add_roles(&test.db, &["clerk", "guest"]).await?;
    rbac.assign_user_role(&test.db, &[(1, "clerk"), (2, "guest")]).await?;
    let all = ["select", "insert", "update", "delete"];
    rbac.add_role_permissions(&test.db, "clerk", &all, &["orders"]).await?;
    rbac.add_role_permissions(&test.db, "clerk", &["insert"], &["outbox_event"]).await?;
    rbac.add_role_permissions(&test.db, "guest", &all, &["orders"]).await?;
    test.db.load_rbac().await?;

    let clerk = test.db.restricted_for(RbacUserId(1))?;
    let order = order::ActiveModel::placed().insert(&clerk).await?;
    let txn = clerk.begin().await?;
    let mut paid = order.clone().into_active_model();
    paid.status = Set("paid".into());
    let paid = paid.raise(OrderNoted { order_id: order.id, note: "paid".into() }).update(&txn).await?;
    OrderNoted { order_id: order.id, note: "by hand".into() }.record(&txn).await?;
    insert_generic(order::ActiveModel::placed(), &txn).await?;
    txn.commit().await?;
    paid.delete(&clerk).await?;
    assert!(insert_generic(order::ActiveModel::placed(), &clerk).await.is_err(), "a pool is a pool");
    assert_eq!(
        shop::types(&test.db).await?,
        ["order.placed", "order.paid", "order.noted", "order.noted", "order.placed", "order.removed"]
    );

    let guest = test.db.restricted_for(RbacUserId(2))?;
    let denied = order::ActiveModel::placed().insert(&guest).await.expect_err("no right to the log");
    assert!(matches!(denied, DbErr::AccessDenied { .. }), "found {denied}");
    let txn = guest.begin().await?;
    assert!(order::ActiveModel::placed().insert(&txn).await.is_err());
    let _ = txn.commit().await;
    assert_eq!(order::Entity::find().count(&test.db).await?, 1, "no order without its event");
    Ok(())
});

#[tokio::test]
async fn a_mock_connection_without_an_answer_says_which_one_is_missing() {
    let order = order::Model {
        id: Uuid::now_v7(),
        status: "placed".into(),
        address: "Harbour Street 1".into(),
        total_cents: 1_000,
    };
    let db = MockDatabase::new(DbBackend::Postgres).append_query_results([[order.clone()]]).into_connection();
    let error = order::ActiveModel::placed().insert(&db).await.expect_err("no answer for the log");
    assert!(matches!(CaptureError::of(&error), Some(CaptureError::Mock { table: "outbox_event", .. })));
    assert!(error.to_string().contains("append one `MockExecResult`"), "found {error}");

    let db = MockDatabase::new(DbBackend::Postgres)
        .append_query_results([[order.clone()]])
        .append_exec_results([MockExecResult { last_insert_id: 1, rows_affected: 1 }])
        .into_connection();
    assert_eq!(order::ActiveModel::placed().insert(&db).await.expect("both answers"), order);
    let log = format!("{:?}", db.into_transaction_log());
    assert!(log.contains("BEGIN") && log.contains("outbox_event") && log.contains("COMMIT"), "found {log}");
}

/// A transaction type of a user's own.
struct Traced(DatabaseTransaction);

impl InTransaction for Traced {}

#[async_trait::async_trait]
impl ConnectionTrait for Traced {
    fn get_database_backend(&self) -> DbBackend {
        self.0.get_database_backend()
    }

    async fn execute_raw(&self, stmt: Statement) -> Result<ExecResult, DbErr> {
        self.0.execute_raw(stmt).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.0.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, stmt: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.0.query_one_raw(stmt).await
    }

    async fn query_all_raw(&self, stmt: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.0.query_all_raw(stmt).await
    }
}

#[async_trait::async_trait]
impl TransactionSession for Traced {
    async fn commit(self) -> Result<(), DbErr> {
        self.0.commit().await
    }

    async fn rollback(self) -> Result<(), DbErr> {
        self.0.rollback().await
    }
}

#[async_trait::async_trait]
impl TransactionTrait for Traced {
    type Transaction = Self;

    async fn begin(&self) -> Result<Self, DbErr> {
        self.0.begin().await.map(Self)
    }

    async fn begin_with_config(
        &self,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<Self, DbErr> {
        self.0.begin_with_config(isolation_level, access_mode).await.map(Self)
    }

    async fn begin_with_options(&self, options: TransactionOptions) -> Result<Self, DbErr> {
        self.0.begin_with_options(options).await.map(Self)
    }

    async fn transaction<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Self) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>> + Send,
        T: Send,
        E: std::fmt::Display + std::fmt::Debug + Send,
    {
        self.transaction_with_config(callback, None, None).await
    }

    async fn transaction_with_config<F, T, E>(
        &self,
        callback: F,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Self) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>> + Send,
        T: Send,
        E: std::fmt::Display + std::fmt::Debug + Send,
    {
        let txn = self.begin_with_config(isolation_level, access_mode).await?;
        let value = callback(&txn).await.map_err(TransactionError::Transaction)?;
        txn.commit().await?;
        Ok(value)
    }
}

on_each_database!(a_transaction_type_of_a_users_own_can_be_let_in, async |test| {
    shop::create_tables(&test.db).await?;
    let txn = Traced(test.db.begin().await?);
    // The entity's own verbs take it as it is: they begin a savepoint on what they do not know.
    let order = order::ActiveModel::placed().insert(&txn).await?;
    OrderNoted { order_id: order.id, note: "by hand".into() }.record(&txn).await?;
    capture::register::<Traced>();
    insert_generic(order::ActiveModel::placed(), &txn).await?;
    txn.commit().await?;
    assert_eq!(shop::types(&test.db).await?, ["order.placed", "order.noted", "order.placed"]);
    assert_eq!(part::Entity::find().count(&test.db).await?, 0);
    Ok(())
});

on_each_database!(a_function_over_any_pool_or_transaction_takes_both, async |test| {
    async fn place<C: ConnectionTrait + TransactionTrait>(db: &C) -> Result<order::Model, DbErr> {
        order::ActiveModel::placed().insert(db).await
    }

    shop::create_tables(&test.db).await?;
    let db: &DatabaseConnection = &test.db;
    place(db).await?;
    let txn = db.begin().await?;
    place(&txn).await?;
    txn.commit().await?;
    assert_eq!(shop::types(&test.db).await?, ["order.placed", "order.placed"]);
    Ok(())
});
