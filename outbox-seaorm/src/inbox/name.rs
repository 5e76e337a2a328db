//! What the columns of the inbox can hold.

use outbox_core::consumer::MessageKey;

use super::InboxNameError;

/// Longest name of a consumer, in characters.
const MAX_CONSUMER: usize = 100;

/// Longest source and longest message id, in characters.
const MAX_SOURCE_AND_ID: usize = 255;

/// Longest replay id, in characters.
const MAX_REPLAY: usize = 40;

/// Longest key of a command, in characters.
const MAX_COMMAND_KEY: usize = 255;

/// Longest hash of a request, in bytes: that of SHA-512.
const MAX_REQUEST_HASH: usize = 64;

/// The name of a consumer.
#[derive(Debug)]
pub(super) struct ConsumerName(String);

impl ConsumerName {
    pub(super) fn new(name: String) -> Result<Self, InboxNameError> {
        let fits = (1..=MAX_CONSUMER).contains(&name.chars().count())
            && name.trim() == name
            && !name.chars().any(char::is_control);
        if fits { Ok(Self(name)) } else { Err(InboxNameError { found: name }) }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks that the key can be stored as it is. One that was cut short, or that a database compares without its
/// trailing blanks (MySQL), would make two messages one.
pub(super) fn check(key: MessageKey<'_>) -> Result<(), String> {
    let parts = [
        ("source", Some(key.source), MAX_SOURCE_AND_ID),
        ("id", Some(key.id), MAX_SOURCE_AND_ID),
        ("replay id", key.replay, MAX_REPLAY),
    ];
    for (what, value, longest) in parts {
        if let Some(value) = value {
            check_text(&format!("a message's {what}"), value, longest)?;
        }
    }
    Ok(())
}

/// The same for the key of a command. A request without a hash could not be told from others.
pub(super) fn check_command(key: &str, request_hash: &[u8]) -> Result<(), String> {
    check_text("a command's key", key, MAX_COMMAND_KEY)?;
    if (1..=MAX_REQUEST_HASH).contains(&request_hash.len()) {
        return Ok(());
    }
    let length = request_hash.len();
    Err(format!(
        "expected a request's hash of 1 to {MAX_REQUEST_HASH} bytes, found {length}: `RequestHash` makes one"
    ))
}

fn check_text(what: &str, value: &str, longest: usize) -> Result<(), String> {
    let length = value.chars().count();
    if !(1..=longest).contains(&length) {
        return Err(format!("expected {what} of 1 to {longest} characters, found {length}"));
    }
    if value.ends_with(' ') || value.contains('\0') {
        return Err(format!("expected {what} without blanks at its end and without NUL, found `{value}`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_column_cannot_hold_is_refused() {
        for good in ["inventory", "a", "Bestände 2", &"n".repeat(100)] {
            assert!(ConsumerName::new(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", " inventory", "inventory ", "in\nventory", &"n".repeat(101)] {
            assert!(ConsumerName::new(bad.to_owned()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_key_that_would_be_cut_short_or_taken_for_another_is_refused() {
        let long = "i".repeat(255);
        assert!(check(MessageKey::new("/orders", &long)).is_ok());
        assert!(check(MessageKey::new(&"ü".repeat(255), "1")).is_ok());
        for (source, id, replay) in [
            ("", "1", None),
            ("/orders", "", None),
            ("/orders", "1 ", None),
            ("/orders", "1\0", None),
            ("/orders", &*format!("{long}i"), None),
            ("/orders", "1", Some("")),
            ("/orders", "1", Some(&*"r".repeat(41))),
        ] {
            assert!(check(MessageKey { source, id, replay }).is_err(), "{source:?} {id:?} {replay:?}");
        }
    }

    #[test]
    fn a_command_without_a_key_or_a_hash_that_can_be_stored_is_refused() {
        let long = "ü".repeat(255);
        assert!(check_command(&long, &[0; 64]).is_ok());
        assert!(check_command("k", &[0]).is_ok());
        for (key, hash) in [("", 1), ("k ", 1), ("k\0", 1), (&*format!("{long}k"), 1), ("k", 0), ("k", 65)] {
            assert!(check_command(key, &vec![0; hash]).is_err(), "{key:?} {hash}");
        }
    }
}
