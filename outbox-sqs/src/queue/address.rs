//! How a queue is named, as pure code: by URL, by ARN, or by its bare name.

use std::fmt;

use super::{QueueError, QueueKind, QueueUrl};

/// The end of every FIFO queue's name, and of no other's.
pub(crate) const FIFO_SUFFIX: &str = ".fifo";

/// The longest name of a queue, its suffix included.
const MAX_NAME_LEN: usize = 80;

/// Where a queue is, as it was given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Address {
    /// As `GetQueueUrl` gives it: nobody has to be asked.
    Url(QueueUrl),
    /// In the client's own account and region.
    Name(String),
    /// In the client's region; the account may be another's.
    Arn { region: String, account: String, name: String },
}

impl Address {
    /// Reads a URL, an ARN or a name.
    pub(crate) fn parse(text: &str) -> Result<Self, QueueError> {
        let refused = || QueueError::NoAddress(text.to_owned());
        if let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) {
            let has_path =
                rest.split_once('/').is_some_and(|(host, path)| !host.is_empty() && !path.is_empty());
            return if has_path && !rest.ends_with('/') {
                Ok(Self::Url(QueueUrl::new(text)))
            } else {
                Err(refused())
            };
        }
        let (region, account, name) = match text.strip_prefix("arn:") {
            None => (None, "", text),
            Some(arn) => {
                let parts: Vec<&str> = arn.split(':').collect();
                let [partition, "sqs", region, account, name] = parts[..] else { return Err(refused()) };
                if [partition, region, account].contains(&"") {
                    return Err(refused());
                }
                (Some(region), account, name)
            }
        };
        if !valid_name(name) {
            return Err(refused());
        }
        Ok(match region {
            None => Self::Name(name.to_owned()),
            Some(region) => {
                Self::Arn { region: region.to_owned(), account: account.to_owned(), name: name.to_owned() }
            }
        })
    }

    /// The queue's name.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Url(url) => url.name(),
            Self::Name(name) | Self::Arn { name, .. } => name,
        }
    }

    /// What its name says of it: a FIFO queue's ends with `.fifo`, by a rule of SQS.
    pub(crate) fn kind(&self) -> QueueKind {
        if self.name().ends_with(FIFO_SUFFIX) { QueueKind::Fifo } else { QueueKind::Standard }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => fmt::Display::fmt(url, f),
            Self::Name(name) => f.write_str(name),
            Self::Arn { region, account, name } => write!(f, "{name} of account {account} in {region}"),
        }
    }
}

/// Whether SQS takes a name, with or without the suffix.
pub(crate) fn valid_name(name: &str) -> bool {
    let bare = name.strip_suffix(FIFO_SUFFIX).unwrap_or(name);
    !bare.is_empty()
        && name.len() <= MAX_NAME_LEN
        && bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_named_by_url_arn_or_name() {
        let parsed = |text: &str| Address::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));

        for url in [
            "https://sqs.eu-central-1.amazonaws.com/123456789012/orders",
            "http://127.0.0.1:4566/000000000000/orders",
            "http://sqs.us-east-1.localhost.localstack.cloud:4566/000000000000/orders",
        ] {
            assert_eq!(parsed(url), Address::Url(QueueUrl::new(url)));
            assert_eq!(parsed(url).name(), "orders");
        }
        let arn = parsed("arn:aws-cn:sqs:cn-north-1:123456789012:orders");
        let (region, account) = ("cn-north-1".to_owned(), "123456789012".to_owned());
        assert_eq!(arn, Address::Arn { region, account, name: "orders".to_owned() });
        assert_eq!(parsed("orders_2-live"), Address::Name("orders_2-live".to_owned()));
        assert_eq!(parsed(&"n".repeat(80)).name().len(), 80);
    }

    #[test]
    fn what_is_no_queue_is_refused() {
        for wrong in [
            "",
            "http://127.0.0.1:4566",
            "http://host/",
            "https:///orders",
            "arn:aws:sns:eu-central-1:1:orders",
            "arn:aws:sqs:eu-central-1::orders",
            "arn:aws:sqs:eu-central-1:1:orders:more",
            "arn:aws:sqs:eu-central-1:1:",
            "sqs.eu-central-1.amazonaws.com/1/orders",
            "my orders",
            "orders.dead",
            ".fifo",
            &"n".repeat(81),
        ] {
            let error = Address::parse(wrong);
            assert!(matches!(error, Err(QueueError::NoAddress(_))), "{wrong}: {error:?}");
        }
    }

    #[test]
    fn the_suffix_says_that_a_queue_is_fifo() {
        for (text, kind) in [
            ("https://sqs.eu-central-1.amazonaws.com/1/orders.fifo", QueueKind::Fifo),
            ("arn:aws:sqs:eu-central-1:1:orders.fifo", QueueKind::Fifo),
            ("orders.fifo", QueueKind::Fifo),
            ("ordersfifo", QueueKind::Standard),
            ("https://sqs.eu-central-1.amazonaws.com/1/fifo", QueueKind::Standard),
        ] {
            assert_eq!(Address::parse(text).expect("a queue").kind(), kind, "{text}");
        }
    }
}
