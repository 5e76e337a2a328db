//! The documents: a promise names tests, and those have to be there.

use std::path::Path;

/// The links of a document whose text is code: what they name, and where to.
fn links(document: &str) -> impl Iterator<Item = (&str, &str)> {
    document.split("[`").skip(1).filter_map(|rest| {
        let (name, rest) = rest.split_once("`](")?;
        Some((name, rest.split_once(')')?.0))
    })
}

#[test]
fn every_test_that_a_promise_names_is_there() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let document = std::fs::read_to_string(folder.join("guarantees.md")).expect("read the document");
    let mut named = 0;
    for (name, file) in links(&document) {
        let code =
            std::fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let is_there = [format!("fn {name}("), format!("on_each_database!({name},")];
        assert!(is_there.iter().any(|form| code.contains(form)), "no test {name} in {file}");
        named += 1;
    }
    assert!(named > 30, "found {named} names of tests: the links have another form");
}
