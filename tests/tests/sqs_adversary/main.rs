//! SQS behind a network that does its worst: nothing is lost, and no copy comes that nothing explains.

mod inventory;
mod sqs_consumer_storm;
mod sqs_directed;
mod sqs_proxy;
mod sqs_publisher_storm;
mod sqs_relay_storm;
mod world;
