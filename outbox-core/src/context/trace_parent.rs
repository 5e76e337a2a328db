//! The W3C `traceparent` header.

/// A `traceparent` in the W3C format: `version-traceid-parentid-flags`, in lower-case hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent<'a>(&'a str);

impl<'a> TraceParent<'a> {
    /// Reads the text; `None` where it is not in the format, or an id is all zeros.
    ///
    /// A version later than 00 may have more fields after the fourth.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut fields = text.splitn(5, '-');
        let version = hex(fields.next()?, 2)?;
        let trace_id = hex(fields.next()?, 32)?;
        let parent_id = hex(fields.next()?, 16)?;
        hex(fields.next()?, 2)?;
        let has_more = fields.next().is_some();
        let known = version != "ff" && (version != "00" || !has_more);
        (known && !is_zero(trace_id) && !is_zero(parent_id)).then_some(Self(text))
    }

    /// The id of the trace: 32 hex digits.
    #[must_use]
    pub fn trace_id(self) -> &'a str {
        self.field(3, 32)
    }

    /// The id of the span: 16 hex digits.
    #[must_use]
    pub fn parent_id(self) -> &'a str {
        self.field(36, 16)
    }

    /// The flags, of which the lowest bit says that the trace is sampled.
    #[must_use]
    pub fn flags(self) -> u8 {
        u8::from_str_radix(self.field(53, 2), 16).unwrap_or(0)
    }

    /// The first four fields have fixed lengths.
    fn field(self, start: usize, length: usize) -> &'a str {
        self.0.get(start..start + length).unwrap_or_default()
    }

    /// The text.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

fn hex(field: &str, length: usize) -> Option<&str> {
    let digits = field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (field.len() == length && digits).then_some(field)
}

fn is_zero(field: &str) -> bool {
    field.bytes().all(|byte| byte == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn only_the_w3c_format_is_read() {
        assert_eq!(TraceParent::parse(GOOD).map(TraceParent::as_str), Some(GOOD));
        assert!(TraceParent::parse(&format!("01{}-more", &GOOD[2..])).is_some(), "a later version has more");
        let parent = TraceParent::parse(GOOD).expect("good");
        assert_eq!(parent.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!((parent.parent_id(), parent.flags()), ("00f067aa0ba902b7", 1));
        let broken = [
            String::new(),
            "00".to_owned(),
            GOOD.to_uppercase(),
            format!("{GOOD}-more"),
            format!("ff{}", &GOOD[2..]),
            GOOD.replace("4bf9", "4bf"),
            GOOD.replace("4bf9", "4bg9"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01".to_owned(),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01".to_owned(),
        ];
        for text in broken {
            assert!(TraceParent::parse(&text).is_none(), "{text}");
        }
    }
}
