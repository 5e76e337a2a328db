//! What ends a relay.

use super::SourceUriError;
use crate::{
    log::{LogError, SubscriptionName, SubscriptionNameError},
    publisher::PublisherError,
    settings::ConfigError,
};

/// What ends a relay, or one of its subscriptions. An outage of the database or of a broker does not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// The source is no URI reference.
    #[error(transparent)]
    Source(#[from] SourceUriError),
    /// A setting is out of range.
    #[error("a setting of the relay: {0}")]
    Config(#[from] ConfigError),
    /// A subscription's name is not allowed.
    #[error(transparent)]
    Name(#[from] SubscriptionNameError),
    /// There is nothing to do.
    #[error("expected at least one subscription, found none: add one with `.subscription(..)`")]
    NoSubscription,
    /// Two subscriptions have one name.
    #[error("expected each subscription to have a name of its own, found `{0}` twice")]
    SameName(SubscriptionName),
    /// A subscription was narrowed to a topic that its publisher has no route for.
    #[error(
        "subscription `{subscription}` is narrowed to topic `{topic}`, but its publisher has no route for it"
    )]
    TopicWithoutRoute {
        /// The subscription.
        subscription: SubscriptionName,
        /// The topic.
        topic: String,
    },
    /// The choices of a subscription contradict one another, or one is out of range.
    #[error("subscription `{subscription}`: {reason}")]
    Policy {
        /// The subscription.
        subscription: SubscriptionName,
        /// What was expected, and what was found.
        reason: String,
    },
    /// A publisher cannot work as it is configured.
    #[error("the publisher of subscription `{subscription}` cannot start")]
    Publisher {
        /// The subscription.
        subscription: SubscriptionName,
        /// What it says.
        #[source]
        source: PublisherError,
    },
    /// The log is not fit for the protocol, or has lost what a subscription needs.
    #[error("the log ended it")]
    Log(#[from] LogError),
    /// A task of the relay itself panicked.
    #[error("a task of the relay panicked: {0}")]
    Panicked(String),
}
