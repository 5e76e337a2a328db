//! Why a body is no message.

/// A body that is no message. It never quotes the body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// Neither a CloudEvents object nor a payload with attributes.
    #[error(
        "expected a CloudEvents 1.0 event as structured JSON; the body is none from line {line}, column {column}"
    )]
    NotAnEvent {
        /// Where it stops being one, from 1.
        line: usize,
        /// Where it stops being one, from 0 at the start of a line.
        column: usize,
    },
    /// The payload is not JSON.
    #[error("expected a payload of JSON; the body is none from line {line}, column {column}")]
    NotJson {
        /// Where it stops being JSON, from 1.
        line: usize,
        /// Where it stops being JSON, from 0 at the start of a line.
        column: usize,
    },
    /// A required attribute is not there.
    #[error("expected the attribute `{attribute}`, which is not there")]
    Missing {
        /// Its name.
        attribute: &'static str,
    },
    /// An attribute stands twice in the body: which one counts is anybody's guess.
    #[error("expected each attribute once, found `{attribute}` twice")]
    Repeated {
        /// Its name.
        attribute: String,
    },
    /// An attribute is not what the specification says.
    #[error("expected `{attribute}` to be {expected}")]
    Attribute {
        /// Its name.
        attribute: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The payload is in `data_base64`: binary, and payloads are JSON.
    #[error("expected JSON in `data`, found binary in `data_base64`")]
    Binary,
}

impl WireError {
    pub(super) fn attribute(attribute: impl Into<String>, expected: &'static str) -> Self {
        Self::Attribute { attribute: attribute.into(), expected }
    }
}
