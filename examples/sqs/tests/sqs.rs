//! The built program, run as a user runs it. It bounds itself: nothing here waits without end.

use std::process::Command;

/// What a run printed, and its exit code.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn run(endpoint: &str, arguments: &[&str]) -> Ended {
    let output =
        Command::new(env!("CARGO_BIN_EXE_sqs")).args(arguments).env("SQS_ENDPOINT", endpoint).output();
    let output = output.expect("start the program");
    let text = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn server() -> String {
    std::env::var("SQS_ENDPOINT").unwrap_or_else(|_| "http://127.0.0.1:4566".to_owned())
}

fn assert_all_is_well(ended: &Ended) {
    let Ended { code, stdout, stderr } = ended;
    assert_eq!(*code, Some(0), "\n{stdout}\n{stderr}");
    for line in [
        "saved       4 orders, and 12 events in the same transactions",
        "published   12 events by the relay",
        "poison      1 message in the dead-letter queue",
    ] {
        assert!(stdout.contains(line), "no {line:?} in\n{stdout}");
    }
    assert!(!stdout.contains("duplicates  0"), "{stdout}");
}

/// The steps of each order as they are printed.
fn orders(ended: &Ended) -> Vec<&str> {
    let rows = ended.stdout.lines().filter(|line| line.starts_with("order "));
    rows.map(|row| row.split_once("     ").expect("an order's row").1).collect()
}

#[test]
fn each_order_is_handled_in_order_over_a_fifo_queue_of_sqs() {
    let ended = run(&server(), &[]);
    assert_all_is_well(&ended);
    let all = "placed, paid, shipped";
    assert_eq!(orders(&ended), [all, all, "placed, paid", all]);
}

#[test]
fn each_event_is_handled_over_a_standard_queue_of_sqs() {
    let ended = run(&server(), &["--standard"]);
    assert_all_is_well(&ended);
    let steps: Vec<usize> = orders(&ended).iter().map(|row| row.split(", ").count()).collect();
    assert_eq!(steps, [3, 3, 2, 3]);
}

/// Code 2, nothing on stdout, and one line that helps.
fn assert_one_clear_line(ended: &Ended, part: &str) {
    let Ended { code, stdout, stderr } = ended;
    assert_eq!((*code, &**stdout), (Some(2), ""), "\n{stderr}");
    assert!(stderr.contains(part) && stderr.lines().count() == 1, "{stderr}");
}

#[test]
fn without_a_server_it_says_how_to_start_one() {
    // Port 1 is nobody's.
    let ended = run("http://127.0.0.1:1", &[]);
    assert_one_clear_line(&ended, "at http://127.0.0.1:1; `tests/servers/sqs start` starts a server");
}

#[test]
fn nothing_is_made_in_an_account_of_aws() {
    assert_one_clear_line(&run("https://sqs.eu-central-1.amazonaws.com", &[]), "a host of AWS");
}

#[test]
fn an_argument_that_it_does_not_know_is_an_error() {
    assert_one_clear_line(&run(&server(), &["--fast"]), "expected nothing or --standard, found --fast");
}
