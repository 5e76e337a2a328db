//! What every log has to pass, on each database.

mod fixture;

use std::collections::BTreeSet;

use fixture::{OnDatabase, capabilities};
use outbox_core::testing::log_conformance::{LogCapability, LogCase};
use outbox_tests::{Kind, TestDb};

async fn on(kind: Kind, case: LogCase) {
    if let Some(lacking) = case.switched_off_by(capabilities(kind)) {
        println!("switched off: it needs {lacking}");
        return;
    }
    TestDb::run(kind, async |test| {
        case.run(&OnDatabase(test)).await;
        Ok(())
    })
    .await;
}

async fn on_sqlite(case: LogCase) {
    on(Kind::Sqlite, case).await;
}

async fn on_postgres(case: LogCase) {
    on(Kind::Postgres, case).await;
}

async fn on_mariadb(case: LogCase) {
    on(Kind::Mariadb, case).await;
}

mod sqlite {
    outbox_core::log_conformance_tests!(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        super::on_sqlite
    );
}

mod postgres {
    outbox_core::log_conformance_tests!(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        super::on_postgres
    );
}

mod mariadb {
    outbox_core::log_conformance_tests!(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        super::on_mariadb
    );
}

#[test]
fn no_case_is_switched_off_that_the_database_could_run() {
    let lacking = |kind| -> BTreeSet<LogCapability> {
        LogCase::ALL.iter().filter_map(|case| case.switched_off_by(capabilities(kind))).collect()
    };
    assert_eq!(lacking(Kind::Postgres), BTreeSet::from([LogCapability::Tombstones, LogCapability::Replays]));
    assert_eq!(lacking(Kind::Mariadb), BTreeSet::from([LogCapability::WriterList, LogCapability::Replays]));
    assert_eq!(
        lacking(Kind::Sqlite),
        BTreeSet::from([
            LogCapability::WriterList,
            LogCapability::Tombstones,
            LogCapability::SeveralWriters,
            LogCapability::Replays,
        ])
    );
}
