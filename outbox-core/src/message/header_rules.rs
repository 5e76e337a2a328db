//! Which headers can travel: those that CloudEvents takes as extension attributes.

use super::names;
use crate::{context::TraceParent, wire::attribute::RESERVED};

/// Longest accepted header name, in bytes. CloudEvents advises 20.
pub const MAX_HEADER_NAME_LEN: usize = 64;

/// A header that cannot travel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// CloudEvents takes nothing else in the name of an attribute.
    #[error(
        "expected a header name of 1 to {MAX_HEADER_NAME_LEN} lower-case letters and digits, found `{name}`"
    )]
    Name {
        /// What was found.
        name: String,
    },
    /// The wire format has an attribute of that name.
    #[error("`{name}` is an attribute of the wire format and cannot be a header")]
    Reserved {
        /// What was found.
        name: String,
    },
    /// CloudEvents takes no control characters.
    #[error("the value of the header `{name}` holds a control character")]
    ControlCharacter {
        /// The header's name.
        name: String,
    },
    /// Not the W3C format; a wrong one would break the trace in a consumer.
    #[error(
        "`traceparent` is not in the W3C format; expected `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`"
    )]
    TraceParent,
    /// A trace state says more of a trace context; alone it says nothing.
    #[error("`tracestate` is given without `traceparent`; expected both or `traceparent` alone")]
    TraceStateAlone,
}

/// Checks a header that a user gives.
///
/// # Errors
/// Which rule it breaks.
pub fn check_header(name: &str, value: &str) -> Result<(), HeaderError> {
    let letters = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if !letters || !(1..=MAX_HEADER_NAME_LEN).contains(&name.len()) {
        return Err(HeaderError::Name { name: name.to_owned() });
    }
    if RESERVED.contains(&name) {
        return Err(HeaderError::Reserved { name: name.to_owned() });
    }
    if value.chars().any(char::is_control) {
        return Err(HeaderError::ControlCharacter { name: name.to_owned() });
    }
    if name == names::TRACEPARENT && TraceParent::parse(value).is_none() {
        return Err(HeaderError::TraceParent);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_cloudevents_does_not_take_is_refused() {
        for name in ["", "x-request-id", "Tenant", "a_b", "größe", &"a".repeat(65)] {
            assert_eq!(check_header(name, "v"), Err(HeaderError::Name { name: name.to_owned() }));
        }
        assert_eq!(check_header("region2", "eu"), Ok(()));
    }

    #[test]
    fn a_header_cannot_stand_in_for_an_attribute() {
        for name in RESERVED {
            assert_eq!(check_header(name, "v"), Err(HeaderError::Reserved { name: name.to_owned() }));
        }
    }

    #[test]
    fn a_value_with_a_line_break_is_refused() {
        let refused = Err(HeaderError::ControlCharacter { name: "region".to_owned() });
        assert_eq!(check_header("region", "a\r\nb"), refused);
        assert_eq!(check_header("region", "a\u{85}b"), refused);
        assert_eq!(check_header("region", "größe \"q\""), Ok(()));
    }

    #[test]
    fn a_broken_traceparent_is_refused() {
        assert_eq!(check_header("traceparent", "00-abc"), Err(HeaderError::TraceParent));
    }
}
