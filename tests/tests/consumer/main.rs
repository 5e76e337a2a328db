//! The consumer, on each database.

mod deliveries;
mod groups;
mod handlers;
mod outages;
mod purge;
mod shutdown;
mod start;
mod world;
