//! Deliveries of a real SQS server, from the source alone and through a consumer with its inbox.
// A queue, its dead-letter queue and a database around a consumer: futures in futures.
#![recursion_limit = "256"]

mod dead_letters;
mod fifo;
mod groups;
mod retention;
mod sns;
mod world;
