//! The documents: what they name is there, and the program that they show is the one that runs.

use std::path::{Path, PathBuf};

use outbox_core::telemetry::METRICS;

/// The links of a document whose text is code: what they name, and where to.
fn links(document: &str) -> impl Iterator<Item = (&str, &str)> {
    document.split("[`").skip(1).filter_map(|rest| {
        let (name, rest) = rest.split_once("`](")?;
        Some((name, rest.split_once(')')?.0))
    })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_test_that_a_promise_names_is_there() {
    let folder = root().join("docs");
    let document = read(&folder.join("guarantees.md"));
    let mut named = 0;
    for (name, file) in links(&document) {
        let code = read(&folder.join(file));
        let is_there = [format!("fn {name}("), format!("!({name},")];
        assert!(is_there.iter().any(|form| code.contains(form)), "no test {name} in {file}");
        named += 1;
    }
    assert!(named > 30, "found {named} names of tests: the links have another form");
}

/// A promise is a paragraph that begins in bold.
#[test]
fn no_promise_stands_without_a_test() {
    let document = read(&root().join("docs/guarantees.md"));
    let (promised, _) = document.split_once("# What is not promised").expect("what is not promised");
    let promises: Vec<_> = promised.split("\n\n").filter(|part| part.starts_with("**")).collect();
    assert!(promises.len() >= 10, "found {} promises: they have another form", promises.len());
    for promise in promises {
        assert!(links(promise).next().is_some(), "no test is named for\n{promise}");
    }
}

#[test]
fn the_program_that_the_readme_shows_is_the_one_that_runs() {
    let readme = read(&root().join("README.md"));
    let program = read(&root().join("examples/smallest/src/main.rs"));
    assert!(readme.contains(&format!("```rust\n{program}```\n")), "examples/smallest/src/main.rs is another");
    let manifest = read(&root().join("examples/smallest/Cargo.toml"));
    let (_, dependencies) = manifest.split_once("[dependencies]\n").expect("dependencies");
    let shown = format!("```toml\n[dependencies]\n{dependencies}```\n");
    assert!(readme.contains(&shown), "examples/smallest/Cargo.toml has other dependencies");
}

/// The rows of the table of metrics: name, type, labels, unit.
#[test]
fn the_table_of_metrics_is_the_one_in_the_code() {
    let document = read(&root().join("docs/operations.md"));
    let rows: Vec<Vec<&str>> = document
        .lines()
        .filter(|line| line.starts_with("| `outbox."))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let told: Vec<Vec<String>> = METRICS
        .iter()
        .map(|metric| {
            let labels = metric.labels.join(", ");
            let name = format!("`{}`", metric.name);
            vec![name, metric.kind.as_str().into(), labels, metric.unit.as_str().into()]
        })
        .collect();
    let documented: Vec<Vec<String>> =
        rows.iter().map(|row| row[..4].iter().map(ToString::to_string).collect()).collect();
    assert_eq!(documented, told);
    for row in rows {
        assert!(row[4].len() > 20, "{} has no meaning", row[0]);
    }
}
