//! What the macros accept and what they say of the rest: one rule a file, under `<macro>/{pass,fail}`.
//!
//! After a change of a message: `TRYBUILD=overwrite cargo test -p outbox-ui-tests`, and read the diff.

#[test]
fn outbox_event_accepts_and_refuses_what_its_docs_say() {
    let cases = trybuild::TestCases::new();
    cases.pass("outbox_event/pass/*.rs");
    cases.compile_fail("outbox_event/fail/*.rs");
}

#[test]
fn outbox_hooks_accepts_and_refuses_what_its_docs_say() {
    let cases = trybuild::TestCases::new();
    cases.pass("outbox_hooks/pass/*.rs");
    cases.compile_fail("outbox_hooks/fail/*.rs");
}

#[test]
fn what_could_part_a_row_from_its_event_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("capture/fail/*.rs");
}
