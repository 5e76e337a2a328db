//! The consumer under moved time: what hangs, what takes long, and what it costs.

mod groups;
mod hanging;
mod requests;
mod told;
mod world;
