//! The built program, run as a user runs it. What it says of itself is held against its tables.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, Statement};

/// Far more than a run takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// What an input holds.
#[derive(Debug, Clone, Copy)]
struct Size {
    orders: i64,
    changes: i64,
}

/// The input that comes with the program.
const SAMPLE: Size = Size { orders: 2_400, changes: 4_116 };

const HEADER: &str = "order_id,revision,action,customer,address,sku,quantity,total_cents";

/// A folder for a database and an input.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self) -> String {
        format!("sqlite://{}?mode=rwc", self.path("orders.sqlite").display())
    }

    fn input(&self, lines: &[&str]) -> PathBuf {
        let path = self.path("orders.csv");
        std::fs::write(&path, format!("{HEADER}\n{}\n", lines.join("\n"))).expect("write the input");
        path
    }
}

fn quickstart(url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quickstart"));
    command.args(["--database-url", url]).stdin(Stdio::null());
    command
}

/// What a run printed and its exit code, as text to assert on.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program prints UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Ended {
    fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\n{}\n{}", self.stdout, self.stderr);
        self
    }

    /// The last number of the row of the table with this name.
    fn row(&self, name: &str) -> u64 {
        let row = self.stdout.lines().find(|line| line.trim_start().starts_with(name));
        let row = row.unwrap_or_else(|| panic!("no row {name} in\n{}", self.stdout));
        row.split_whitespace().last().and_then(|cell| cell.parse().ok()).unwrap_or_else(|| panic!("{row}"))
    }
}

fn run(command: &mut Command) -> Ended {
    command.output().expect("run the program").into()
}

/// A run in the background, killed if the test fails before it ends.
struct Running(Option<Child>);

impl Running {
    fn start(command: &mut Command) -> Self {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start the program");
        Self(Some(child))
    }

    fn signal(&self, name: &str) {
        let pid = self.0.as_ref().expect("it runs").id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status().expect("send a signal");
        assert!(sent.success(), "the program ended before it could be sent SIG{name}");
    }

    fn wait(mut self) -> Ended {
        self.0.take().expect("it runs").wait_with_output().expect("wait for the program").into()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The number that a query gives, `None` while there is no such table.
async fn number(db: &DatabaseConnection, sql: &str) -> Option<i64> {
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await.ok()??;
    row.try_get_by_index(0).ok()
}

async fn wait_for(db: &DatabaseConnection, sql: &str, at_least: i64) {
    let end = Instant::now() + DEADLINE;
    while number(db, sql).await.unwrap_or(0) < at_least {
        assert!(Instant::now() < end, "waited in vain for {at_least} of {sql}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

const BOOKINGS: &str = "SELECT COUNT(*) FROM inventory_bookings";
const EFFECTS: &str =
    "SELECT COUNT(*) FROM (SELECT DISTINCT order_id, revision FROM inventory_bookings) effects";

/// Every change of the input took effect, each once.
async fn assert_all_once(db: &DatabaseConnection, Size { orders, changes }: Size) {
    assert_eq!(number(db, "SELECT COUNT(*) FROM orders").await, Some(orders));
    assert_eq!(number(db, "SELECT COUNT(*) FROM order_revisions").await, Some(changes));
    assert_eq!(number(db, EFFECTS).await, Some(changes), "changes that took effect");
    assert_eq!(number(db, BOOKINGS).await, Some(changes), "effects, repeated ones counted");
}

#[tokio::test]
async fn the_sample_is_processed_once_though_messages_are_repeated() {
    let desk = Desk::new();
    let ended = run(&mut quickstart(&desk.url())).expect_code(0);
    assert_eq!(ended.row("lost"), 0);
    assert_eq!(ended.row("out of order"), 0);
    let repeated = ended.row("and repeated");
    assert!(repeated > 500, "one in seven messages was sent twice, found {repeated}");
    assert!(ended.row("duplicates dropped") >= repeated);
    let db = Database::connect(desk.url()).await.expect("open the database");
    assert_all_once(&db, SAMPLE).await;

    let again = run(&mut quickstart(&desk.url())).expect_code(0);
    assert!(again.stdout.contains("4116 changes had been saved by an earlier run"), "{}", again.stdout);
    assert_all_once(&db, SAMPLE).await;
}

#[test]
fn an_event_thrown_away_behind_the_relays_back_is_found() {
    let desk = Desk::new();
    let input = desk.input(&[
        "A-1,1,place,Ada,1 Mill Lane,MUG,2,100",
        "A-2,1,place,Alan,2 Mill Lane,MUG,1,50",
        "A-1,2,pay,,,,,",
    ]);
    let ended =
        run(quickstart(&desk.url()).arg("--file").arg(&input).args(["--sabotage", "drop=1"])).expect_code(1);
    assert_eq!(ended.row("lost"), 1);
    assert_eq!(ended.row("processed"), 2);
    // The next run cannot mend it and does not hide it.
    let again = run(quickstart(&desk.url()).arg("--file").arg(&input)).expect_code(1);
    assert_eq!(again.row("lost"), 1);
}

#[test]
fn sabotage_that_finds_nothing_to_throw_away_is_no_success() {
    let desk = Desk::new();
    let input = desk.input(&["A-1,1,place,Ada,1 Mill Lane,MUG,2,100"]);
    run(quickstart(&desk.url()).arg("--file").arg(&input)).expect_code(0);
    let again =
        run(quickstart(&desk.url()).arg("--file").arg(&input).args(["--sabotage", "drop=1"])).expect_code(2);
    assert!(again.stderr.contains("1 events fewer than asked for"), "{}", again.stderr);
}

#[test]
fn a_malformed_line_is_reported_with_its_number_and_skipped() {
    let desk = Desk::new();
    let input = desk.input(&[
        "A-1,1,place,Ada,1 Mill Lane,MUG,2,100",
        "A-1,two,pay,,,,,",
        "A-1,2",
        "A-1,3,pay,,,,,",
        "A-9,2,pay,,,,,",
        "A-1,2,pay,,,,,",
    ]);
    let ended = run(quickstart(&desk.url()).arg("--file").arg(&input)).expect_code(0);
    for expected in [
        "line 3 skipped: ",
        "line 4 skipped: ",
        "line 5 skipped: revision 3 of order A-1 cannot follow revision 1",
        "line 6 skipped: revision 2 of order A-9 cannot follow revision 0",
    ] {
        assert!(ended.stderr.contains(expected), "no `{expected}` in\n{}", ended.stderr);
    }
    assert_eq!(ended.row("changes saved"), 2);
    assert_eq!(ended.row("processed"), 2);
}

#[test]
fn orders_come_from_standard_input() {
    let desk = Desk::new();
    let input = desk.input(&["A-1,1,place,Ada,1 Mill Lane,MUG,2,100", "A-1,2,cancel,,,,,"]);
    let stdin = std::fs::File::open(input).expect("open the input");
    let ended = run(quickstart(&desk.url()).args(["--file", "-"]).stdin(stdin)).expect_code(0);
    assert_eq!(ended.row("processed"), 2);
}

/// One line, no backtrace, exit code 2.
fn assert_one_clear_line(ended: Ended, expected: &str) {
    let ended = ended.expect_code(2);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.starts_with("quickstart: "), "{}", ended.stderr);
    assert!(ended.stderr.contains(expected), "no `{expected}` in {}", ended.stderr);
    assert_eq!(ended.stdout, "");
}

#[test]
fn a_missing_file_is_one_clear_line() {
    let desk = Desk::new();
    let missing = desk.path("nowhere.csv");
    let ended = run(quickstart(&desk.url()).arg("--file").arg(&missing));
    assert_one_clear_line(ended, &format!("cannot open {}", missing.display()));
    assert!(!desk.path("orders.sqlite").exists(), "nothing was made");
}

#[test]
fn an_input_that_cannot_be_read_is_no_success() {
    let desk = Desk::new();
    let a_folder = run(quickstart(&desk.url()).arg("--file").arg(desk.folder.path()));
    assert_one_clear_line(a_folder, "cannot read the input: Is a directory");
    let other = desk.path("other.csv");
    std::fs::write(&other, "sku,price\nMUG,100\n").expect("write the input");
    let other = run(quickstart(&desk.url()).arg("--file").arg(other));
    assert_one_clear_line(other, "the input has no column order_id: expected a first line with order_id,");
}

#[test]
fn an_input_of_which_no_line_could_be_used_is_no_success() {
    let desk = Desk::new();
    let input = desk.input(&["A-1,two,pay,,,,,", "A-9,2,pay,,,,,"]);
    let ended = run(quickstart(&desk.url()).arg("--file").arg(&input)).expect_code(2);
    assert!(ended.stdout.contains("None of the 2 lines of the input could be used"), "{}", ended.stdout);
}

#[tokio::test]
async fn an_index_that_a_killed_run_did_not_come_to_is_made_by_the_next() {
    let desk = Desk::new();
    let empty = desk.input(&[]);
    run(quickstart(&desk.url()).arg("--file").arg(&empty)).expect_code(0);
    let db = Database::connect(desk.url()).await.expect("open the database");
    db.execute_unprepared("DROP INDEX inventory_bookings_by_change").await.expect("drop the index");
    run(quickstart(&desk.url()).arg("--file").arg(&empty)).expect_code(0);
    let there = "SELECT COUNT(*) FROM sqlite_master WHERE name = 'inventory_bookings_by_change'";
    assert_eq!(number(&db, there).await, Some(1));
}

#[test]
fn a_database_that_cannot_be_opened_is_one_clear_line() {
    let url = format!("sqlite://{}?mode=rwc", Path::new("/nowhere/at/all.sqlite").display());
    assert_one_clear_line(
        run(&mut quickstart(&url)),
        "cannot use the database sqlite:///nowhere/at/all.sqlite",
    );
    assert_one_clear_line(run(&mut quickstart("redis://127.0.0.1")), "expected a URL with sqlite://");
}

#[tokio::test]
async fn an_interruption_leaves_a_job_that_goes_on() {
    let desk = Desk::new();
    // The tables are there, so that the database can be watched.
    run(quickstart(&desk.url()).arg("--file").arg(desk.input(&[]))).expect_code(0);
    let db = Database::connect(desk.url()).await.expect("open the database");
    let running = Running::start(&mut quickstart(&desk.url()));
    wait_for(&db, BOOKINGS, 100).await;
    running.signal("INT");
    let ended = running.wait().expect_code(130);
    assert!(ended.stdout.contains("Stopped before line"), "{}", ended.stdout);
    let saved = number(&db, "SELECT COUNT(*) FROM order_revisions").await.expect("a count");
    assert!(saved < SAMPLE.changes, "it was interrupted while it saved");

    run(&mut quickstart(&desk.url())).expect_code(0);
    assert_all_once(&db, SAMPLE).await;
}

/// A killed leader's lease has to run out; time is moved, not spent.
async fn expire_lease(db: &DatabaseConnection) {
    let expire = "UPDATE outbox_subscription SET lease_until = '2000-01-01 00:00:00'";
    db.execute_unprepared(expire).await.expect("expire the lease");
}

/// Kills the job whenever so many effects are there, then lets it finish.
async fn survives_kills(job: impl Fn() -> Command, db: &DatabaseConnection, kills: [i64; 3], size: Size) {
    for effects in kills {
        let running = Running::start(&mut job());
        wait_for(db, BOOKINGS, effects).await;
        running.signal("KILL");
        assert_eq!(running.wait().code, None, "it was killed");
        expire_lease(db).await;
    }
    let ended = run(&mut job()).expect_code(0);
    assert_eq!(ended.row("lost"), 0);
    assert_all_once(db, size).await;
}

#[tokio::test]
async fn a_kill_loses_nothing_and_repeats_no_effect() {
    let desk = Desk::new();
    let db = Database::connect(desk.url()).await.expect("open the database");
    survives_kills(|| quickstart(&desk.url()), &db, [50, 800, 2_500], SAMPLE).await;
}

#[cfg(not(feature = "servers"))]
#[test]
fn a_build_without_servers_says_which_one_has_them() {
    let ended = run(&mut quickstart("postgres://postgres@127.0.0.1/postgres"));
    assert_one_clear_line(ended, "--features servers");
}

#[cfg(feature = "servers")]
mod servers {
    use outbox_sqs::dev::DevQueue;
    use outbox_tests::{Kind, TestDb, sqs};

    use super::*;

    /// The first lines of the sample: a local SQS server is slow.
    const PART: Size = Size { orders: 365, changes: 600 };

    async fn goes_through_sqs_though_it_is_killed(kind: Kind) {
        let desk = Desk::new();
        let sample = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/orders.csv"));
        let sample = sample.expect("read the sample");
        let lines: Vec<_> = sample.lines().skip(1).take(600).collect();
        let input = desk.input(&lines);
        let (client, _) = sqs::client(&sqs::endpoint());
        TestDb::run(kind, async |test| {
            // No other run has a database of this name now; one that was killed may have left its queues.
            let name = test.url.rsplit('/').next().expect("a URL that ends in the name of its database");
            let queue = DevQueue::named(name);
            queue.delete(&client).await?;
            let job = || {
                let mut command = quickstart(&test.url);
                command.arg("--file").arg(&input);
                command.args(["--sqs-endpoint", &sqs::endpoint(), "--queue", name]);
                command
            };
            survives_kills(job, &test.db, [20, 150, 400], PART).await;
            queue.delete(&client).await?;
            Ok(())
        })
        .await;
    }

    #[tokio::test]
    async fn orders_go_through_postgres_and_sqs_though_the_job_is_killed() {
        goes_through_sqs_though_it_is_killed(Kind::Postgres).await;
    }

    #[tokio::test]
    async fn orders_go_through_mariadb_and_sqs_though_the_job_is_killed() {
        goes_through_sqs_though_it_is_killed(Kind::Mariadb).await;
    }

    #[tokio::test]
    async fn the_sample_goes_through_postgres_though_the_job_is_killed() {
        TestDb::run(Kind::Postgres, async |test| {
            survives_kills(|| quickstart(&test.url), &test.db, [50, 800, 2_500], SAMPLE).await;
            Ok(())
        })
        .await;
    }

    #[tokio::test]
    async fn the_sample_goes_through_mariadb_though_the_job_is_killed() {
        TestDb::run(Kind::Mariadb, async |test| {
            survives_kills(|| quickstart(&test.url), &test.db, [50, 800, 2_500], SAMPLE).await;
            Ok(())
        })
        .await;
    }

    #[test]
    fn a_refused_connection_is_one_clear_line() {
        // Port 1 is nobody's.
        let url = "postgres://ada:secret@127.0.0.1:1/shop";
        assert_one_clear_line(
            run(&mut quickstart(url)),
            "cannot use the database postgres://ada@127.0.0.1:1/shop",
        );
        let desk = Desk::new();
        let refused =
            run(quickstart(&desk.url()).args(["--sqs-endpoint", "http://127.0.0.1:1", "--queue", "orders"]));
        assert_one_clear_line(refused, "cannot use the queue orders at http://127.0.0.1:1");
    }
}
