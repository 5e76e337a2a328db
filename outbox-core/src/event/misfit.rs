//! What serde says of a payload that does not fit, without the payload.

use std::fmt;

/// Why a payload does not fit its type. It says where and what was expected, and never what was there: that would put
/// a piece of the payload into every log that the error gets to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadMisfit {
    expected: Option<String>,
    line: usize,
    column: usize,
}

impl PayloadMisfit {
    pub(super) fn of(error: &serde_json::Error) -> Self {
        Self { expected: expected(&error.to_string()), line: error.line(), column: error.column() }
    }

    /// Where it stops fitting, from 1; 0 where serde does not say.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// Where it stops fitting, from 0 at the start of a line.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }
}

impl fmt::Display for PayloadMisfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.expected {
            Some(expected) => f.write_str(expected)?,
            None => f.write_str("not what the type expects")?,
        }
        write!(f, " at line {} column {}", self.line, self.column)
    }
}

impl std::error::Error for PayloadMisfit {}

/// The part of serde's own sentences that speaks of the type alone; `None` for any other sentence, which may be
/// the user's and say anything.
fn expected(sentence: &str) -> Option<String> {
    if let Some(field) = sentence.strip_prefix("missing field `") {
        let (field, _) = field.split_once('`')?;
        return Some(format!("missing field `{field}`"));
    }
    let is_of_serde =
        ["invalid type: ", "invalid value: ", "invalid length ", "unknown field `", "unknown variant `"]
            .iter()
            .any(|beginning| sentence.starts_with(beginning));
    // What was found comes first and may hold the word itself.
    let (_, expected) = sentence.rsplit_once(", expected ").filter(|_| is_of_serde)?;
    let (expected, _) = expected.rsplit_once(" at line ").unwrap_or((expected, ""));
    Some(format!("expected {expected}"))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        #[allow(dead_code, reason = "only read in")]
        id: u32,
        #[allow(dead_code, reason = "only read in")]
        state: State,
    }

    #[derive(Debug, Deserialize)]
    enum State {
        Placed,
        Paid,
    }

    #[test]
    fn a_misfit_says_what_was_expected_and_nothing_of_what_was_there() {
        let table = [
            (r#"{"id": "marker, expected marker", "state": "Paid"}"#, "expected u32 at line 1 column 32"),
            (r#"{"id": 1, "state": "marker"}"#, "expected `Placed` or `Paid` at line 1 column 27"),
            (r#"{"id": 1, "marker": 2}"#, "expected `id` or `state` at line 1 column 18"),
            (r#"{"id": 1}"#, "missing field `state` at line 1 column 9"),
            (r#"{"id": marker}"#, "not what the type expects at line 1 column 8"),
        ];
        for (payload, expected) in table {
            let error = serde_json::from_str::<Order>(payload).expect_err(payload);
            assert_eq!(PayloadMisfit::of(&error).to_string(), expected, "{payload}: {error}");
        }
        assert!(matches!(serde_json::from_str(r#""Placed""#), Ok(State::Placed)));
        let custom =
            <serde_json::Error as serde::de::Error>::custom("the card marker is no card, expected marker");
        assert!(!PayloadMisfit::of(&custom).to_string().contains("marker"));
    }
}
