//! What tells the request of a key from others.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The SHA-256 of a request: a caller that uses its key for another one is refused.
///
/// Put in all that makes the request what it is, its path or the command's name too, and nothing that differs when it is
/// sent again, such as a time stamp or a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestHash([u8; 32]);

impl RequestHash {
    /// Of bytes as they came, for example a body. A client that sends the same request with its fields in another order
    /// sends another one: see [`of`](Self::of).
    #[must_use]
    pub fn of_bytes(request: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(request).into())
    }

    /// Of a value, by its JSON. The order of fields and of the keys of maps does not matter, that of lists does: a
    /// `HashSet` gives another hash each time.
    ///
    /// # Errors
    /// Where the value cannot be written as JSON.
    pub fn of(request: &(impl Serialize + ?Sized)) -> Result<Self, serde_json::Error> {
        let mut text = String::new();
        write_sorted(&serde_json::to_value(request)?, &mut text);
        Ok(Self::of_bytes(text))
    }
}

impl AsRef<[u8]> for RequestHash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Writes JSON with the keys of objects in order: whether a map of `serde_json` is sorted is a feature that any crate of
/// a program may set.
fn write_sorted(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            text.push('{');
            for (name, value) in fields {
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write_sorted(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_sorted(item, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            text.push_str(&value.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hash(value: &Value) -> RequestHash {
        RequestHash::of(value).expect("JSON")
    }

    #[test]
    fn bytes_have_the_well_known_hash() {
        let hash = RequestHash::of_bytes("abc");
        let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn the_order_of_fields_does_not_matter() {
        #[derive(Serialize)]
        struct Before {
            seat: u32,
            guest: Guest,
        }
        #[derive(Serialize)]
        struct After {
            guest: Guest,
            seat: u32,
        }
        #[derive(Serialize)]
        struct Guest {
            name: &'static str,
            age: u32,
        }
        let guest = || Guest { name: "Ada", age: 36 };
        let before = RequestHash::of(&Before { seat: 7, guest: guest() }).expect("JSON");
        assert_eq!(before, RequestHash::of(&After { guest: guest(), seat: 7 }).expect("JSON"));
        assert_eq!(before, hash(&json!({ "seat": 7, "guest": { "age": 36, "name": "Ada" } })));
    }

    #[test]
    fn values_that_look_alike_are_told_apart() {
        let alike = [
            json!([1, 2]),
            json!([2, 1]),
            json!([12]),
            json!([[1], 2]),
            json!({ "1": 2 }),
            json!({ "1": "2" }),
            json!("[1,2,]"),
            json!({ "a": 1, "b": 2 }),
            json!({ "a:1,\"b\"": 2 }),
            json!(null),
            json!("null"),
            json!({}),
            json!([]),
        ];
        for (at, one) in alike.iter().enumerate() {
            for other in alike.iter().skip(at + 1) {
                assert_ne!(hash(one), hash(other), "{one} {other}");
            }
        }
    }
}
