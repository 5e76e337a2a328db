//! Keeps requests on this machine.
//!
//! Where a request goes is decided late: by the client's configuration, the environment, a profile, other
//! interceptors. So it is looked at in the last hook before the request is handed to the HTTP client, when nothing can
//! change it any more and an error still keeps it from being sent.

use std::net::IpAddr;

use aws_sdk_sqs::{
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextRef},
    error::BoxError,
};

use super::DevError;

/// The ends of the names of hosts of AWS, in all its partitions.
const AWS: [&str; 14] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "api.aws",
    "on.aws",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "cloud.adc-e.uk",
    "amazonwebservices.com.cn",
    "amazonwebservices.eu",
    "aws.ic.gov",
    "aws.scloud",
    "cloud-aws.adc-e.uk",
    "hci.ic.gov",
];

/// Why a request was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("{0:?} is not loopback")]
    NotLoopback(String),
    #[error("{0:?} is a host of AWS")]
    Aws(String),
}

impl From<Refused> for DevError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotLoopback(host) => Self::NotLoopback { host },
            Refused::Aws(host) => Self::Aws { host },
        }
    }
}

/// Lets requests to loopback pass, and to hosts that were named.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    pub(super) hosts: Vec<String>,
}

impl Intercept for Guard {
    fn name(&self) -> &'static str {
        "outbox_sqs::dev::Guard"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        Ok(self.allows(context.request().uri())?)
    }
}

impl Guard {
    fn allows(&self, uri: &str) -> Result<(), Refused> {
        // A host that cannot be read is none that is known to be here.
        let host = host(uri).unwrap_or(uri);
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        if AWS.iter().any(|end| name == *end || name.ends_with(&format!(".{end}"))) {
            return Err(Refused::Aws(host.to_owned()));
        }
        let is_named = self.hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host));
        if is_named || is_loopback(&name) { Ok(()) } else { Err(Refused::NotLoopback(host.to_owned())) }
    }
}

/// The host of a URI, without user, port and the brackets of an IPv6 address.
fn host(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    match address.strip_prefix('[') {
        Some(bracketed) => Some(bracketed.split_once(']')?.0),
        None => Some(address.split_once(':').map_or(address, |(host, _)| host)),
    }
}

/// The name `localhost` and all below it are loopback by RFC 6761.
fn is_loopback(name: &str) -> bool {
    match name.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(hosts: &[&str]) -> Guard {
        Guard { hosts: hosts.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn loopback_passes() {
        for uri in [
            "http://127.0.0.1:4566/",
            "http://127.8.9.10/",
            "http://[::1]:4566/",
            "http://localhost:4566",
            "https://LOCALHOST./",
            "http://sqs.us-east-1.localhost:4566/?a=b",
        ] {
            assert_eq!(guard(&[]).allows(uri), Ok(()), "{uri}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for (uri, host) in [
            ("http://localstack:4566/", "localstack"),
            ("http://10.0.0.1/", "10.0.0.1"),
            ("http://0.0.0.0:4566/", "0.0.0.0"),
            ("http://[2001:db8::1]:4566/", "2001:db8::1"),
            ("http://localhost.example.com/", "localhost.example.com"),
            ("http://notlocalhost/", "notlocalhost"),
            ("http://127.0.0.1.example.com/", "127.0.0.1.example.com"),
            ("http://127.0.0.1:80@example.com/", "example.com"),
            ("http://example.com/?http://127.0.0.1/", "example.com"),
            ("http://example.com#@127.0.0.1/", "example.com"),
            ("/no/host", "/no/host"),
            ("", ""),
        ] {
            assert_eq!(guard(&[]).allows(uri), Err(Refused::NotLoopback(host.to_owned())), "{uri}");
        }
    }

    #[test]
    fn a_host_is_allowed_by_its_very_name() {
        let guard = guard(&["localstack", "::2"]);
        assert_eq!(guard.allows("http://LocalStack:4566/"), Ok(()));
        assert_eq!(guard.allows("http://[::2]/"), Ok(()));
        for other in ["http://localstack.example.com/", "http://my.localstack/", "http://localstack2/"] {
            assert!(matches!(guard.allows(other), Err(Refused::NotLoopback(_))), "{other}");
        }
    }

    #[test]
    fn aws_is_refused_even_where_it_is_named() {
        for host in [
            "sqs.eu-central-1.amazonaws.com",
            "SQS.EU-Central-1.AmazonAWS.com.",
            "sqs.cn-north-1.amazonaws.com.cn",
            "sqs.us-east-1.api.aws",
            "vpce-1-2.sqs.us-east-1.vpce.amazonaws.com",
            "sqs.cn-north-1.api.amazonwebservices.com.cn",
            "sqs.eusc-de-east-1.api.amazonwebservices.eu",
            "sqs.us-iso-east-1.api.aws.ic.gov",
            "sqs.us-isob-east-1.api.aws.scloud",
            "sqs.eu-isoe-west-1.api.cloud-aws.adc-e.uk",
            "sqs.us-isof-south-1.csp.hci.ic.gov",
        ] {
            let allowed = guard(&[host]).allows(&format!("https://{host}/"));
            assert_eq!(allowed, Err(Refused::Aws(host.to_owned())));
        }
    }
}
