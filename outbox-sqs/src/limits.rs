//! What SQS takes, as pure code: counts, sizes and characters.
//!
//! All of it is checked before sending. The service would refuse too, but some servers that speak
//! its protocol accept what the service does not, and a local answer names the culprit.

/// The most entries of one batch request.
pub(crate) const MAX_ENTRIES: usize = 10;

/// The most attributes of one message.
pub(crate) const MAX_ATTRIBUTES: usize = 10;

/// The most bytes of one message and of all messages of one request: 1 MiB.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;

/// The data type of every attribute that is sent. It counts into the size.
pub(crate) const DATA_TYPE: &str = "String";

/// The bytes that a message counts for: its body, and the name, the type and the value of each
/// attribute. System attributes (the trace header) do not count.
pub(crate) fn size(body: &str, attributes: &[(String, String)]) -> usize {
    let attributes = attributes.iter().map(|(name, value)| name.len() + DATA_TYPE.len() + value.len());
    body.len() + attributes.sum::<usize>()
}

/// The first character that SQS refuses in a body or in a value, if there is one. It takes what XML
/// 1.0 takes: tab, line feed, carriage return, and all from U+0020 on but surrogates, U+FFFE, U+FFFF.
pub(crate) fn invalid_character(text: &str) -> Option<char> {
    text.chars().find(|&found| {
        let valid = matches!(found, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..);
        !valid
    })
}

/// Whether an attribute may have this name.
pub(crate) fn valid_name(name: &str) -> bool {
    let reserved =
        |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    (1..=256).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && !reserved("aws.")
        && !reserved("amazon.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_types_and_values_of_attributes_count_into_the_size() {
        assert_eq!(size("body", &[]), 4);
        assert_eq!(size("body", &[("name".into(), "value".into())]), 4 + 4 + 6 + 5);
    }

    #[test]
    fn size_counts_bytes_not_characters() {
        assert_eq!(size("é€🦀", &[]), 2 + 3 + 4);
    }

    #[test]
    fn characters_that_xml_does_not_know_are_found() {
        for valid in
            ["", "plain", "tab\t line\n return\r", "é€🦀", "\u{D7FF}\u{E000}\u{FFFD}\u{10000}\u{10FFFF}"]
        {
            assert_eq!(invalid_character(valid), None, "{valid:?}");
        }
        for invalid in ['\0', '\u{1}', '\u{8}', '\u{B}', '\u{C}', '\u{E}', '\u{1F}', '\u{FFFE}', '\u{FFFF}'] {
            assert_eq!(invalid_character(&format!("before{invalid}after")), Some(invalid), "{invalid:?}");
        }
    }

    #[test]
    fn names_that_are_reserved_or_cannot_be_written_are_refused() {
        for name in ["a", "traceparent", "event_type", "x-y.z", "awsome", &"n".repeat(256)] {
            assert!(valid_name(name), "{name}");
        }
        for name in ["", ".a", "a.", "a..b", "a b", "ä", "AWS.x", "aws.x", "Amazon.x", &"n".repeat(257)] {
            assert!(!valid_name(name), "{name}");
        }
    }
}
