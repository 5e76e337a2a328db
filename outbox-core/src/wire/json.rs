//! Writes JSON text into a `String`, without anything in between.

use std::fmt::Write as _;

/// Appends `text` as a JSON string, quotes included.
pub(super) fn push_string(into: &mut String, text: &str) {
    into.push('"');
    let mut written = 0;
    // Every byte that needs an escape is ASCII, so each cut is at the edge of a character.
    for (index, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        into.push_str(&text[written..index]);
        written = index + 1;
        if escape.is_empty() {
            write!(into, "\\u{byte:04x}").expect("a String takes everything");
        } else {
            into.push_str(escape);
        }
    }
    into.push_str(&text[written..]);
    into.push('"');
}

/// Appends `,"name":"value"`.
pub(super) fn push_member(into: &mut String, name: &str, value: &str) {
    into.push(',');
    push_string(into, name);
    into.push(':');
    push_string(into, value);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_text_is_read_back(text in "\\PC*|[\\x00-\\x7f]*|.*") {
            let mut json = String::new();
            push_string(&mut json, &text);
            prop_assert_eq!(serde_json::from_str::<String>(&json).expect("a JSON string"), text);
        }
    }
}
