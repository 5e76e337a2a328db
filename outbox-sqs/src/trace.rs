//! The trace header of SQS, which X-Ray and Lambda read, from a W3C `traceparent`.

/// What a trace calls this broker, by OpenTelemetry's conventions.
pub(crate) const SYSTEM: &str = "aws_sqs";

/// Writes a `traceparent` as an X-Ray header: the same trace id, its first eight digits set apart.
/// X-Ray takes W3C ids in this form. `None` for what is no valid `traceparent`: the header is then
/// left out, since SQS refuses a message whose trace header is ill-formed.
pub(crate) fn xray_header(traceparent: &str) -> Option<String> {
    let mut parts = traceparent.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    // Later versions may append fields; this one has exactly four.
    if version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let hex = |text: &str, length: usize| {
        text.len() == length
            && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let zero = |text: &str| text.bytes().all(|byte| byte == b'0');
    if !(hex(version, 2) && hex(trace, 32) && hex(parent, 16) && hex(flags, 2)) || zero(trace) || zero(parent)
    {
        return None;
    }
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1;
    let (epoch, random) = trace.split_at(8);
    Some(format!("Root=1-{epoch}-{random};Parent={parent};Sampled={sampled}"))
}

#[cfg(test)]
mod tests {
    use super::xray_header;

    #[test]
    fn a_traceparent_keeps_its_ids_and_its_sampling() {
        let header =
            |flags| xray_header(&format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}"));
        let root = "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7";
        assert_eq!(header("01"), Some(format!("{root};Sampled=1")));
        assert_eq!(header("00"), Some(format!("{root};Sampled=0")));
        assert_eq!(header("03"), Some(format!("{root};Sampled=1")));
    }

    #[test]
    fn an_ill_formed_traceparent_gives_no_header() {
        for traceparent in [
            "",
            "00",
            "garbage",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(xray_header(traceparent), None, "{traceparent}");
        }
    }
}
