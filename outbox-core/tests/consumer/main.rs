//! The consumer under moved time: what hangs, what takes long, and what it costs.

mod acknowledgements;
mod backlog;
mod fifo;
mod given_back;
mod groups;
mod hanging;
mod heartbeat;
mod receivers;
mod requests;
mod told;
mod upkeep;
mod world;
