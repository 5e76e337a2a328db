//! The source of a service's events: a CloudEvents URI-reference.

use std::sync::Arc;

/// A source that CloudEvents does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected as the relay's `source` a URI reference such as `/orders` or `https://shop.example/orders`, \
     found `{found}`: {reason}"
)]
pub struct SourceUriError {
    found: String,
    reason: &'static str,
}

/// Checks a source: a non-empty URI-reference as RFC 3986 defines it.
pub(super) fn parse(source: &str) -> Result<Arc<str>, SourceUriError> {
    check(source)
        .map(|()| Arc::from(source))
        .map_err(|reason| SourceUriError { found: source.chars().take(120).collect(), reason })
}

fn check(source: &str) -> Result<(), &'static str> {
    if source.is_empty() {
        return Err("it is empty");
    }
    let mut rest = source.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let hex = |digit: Option<u8>| digit.is_some_and(|digit| digit.is_ascii_hexdigit());
                if !(hex(rest.next()) && hex(rest.next())) {
                    return Err("`%` needs two hexadecimal digits after it");
                }
            }
            _ if byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(&byte) => {}
            _ => return Err("it has a character that a URI needs percent-encoded"),
        }
    }
    if source.bytes().filter(|byte| *byte == b'#').count() > 1 {
        return Err("it has more than one `#`");
    }
    let first_segment = source.split(['/', '?', '#']).next().unwrap_or_default();
    if let Some((scheme, _)) = first_segment.split_once(':') {
        let mut letters = scheme.bytes();
        let begins = letters.next().is_some_and(|byte| byte.is_ascii_alphabetic());
        if !begins || !letters.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
            return Err("what stands before its first `:` is no scheme");
        }
    }
    let brackets = |text: &str| text.contains(['[', ']']);
    let authority = source.split_once("//").map_or("", |(_, rest)| rest);
    let host = authority.split(['/', '?', '#']).next().unwrap_or_default();
    if brackets(&source.replacen(host, "", usize::from(!host.is_empty()))) {
        return Err("`[` and `]` may only surround the address of a host");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_source_is_a_uri_reference() {
        for right in [
            "/orders",
            "orders",
            "https://shop.example/orders?x=1#y",
            "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66",
            "mailto:cncf-wg-serverless@lists.cncf.io",
            "/a/b:c",
            "//[::1]:80/x",
            "/with%20space",
        ] {
            assert!(parse(right).is_ok(), "{right}");
        }
        for wrong in ["", "with space", "/caf\u{e9}", "%", "/%4", "1a:b", ":x", "/a#b#c", "/a[0]", "<orders>"]
        {
            let error = parse(wrong).expect_err(wrong).to_string();
            assert!(error.contains("`source`") && error.contains(&format!("`{wrong}`")), "{error}");
        }
    }
}
