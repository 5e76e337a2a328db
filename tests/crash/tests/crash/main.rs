//! Real processes, killed and frozen; real servers, killed and restarted. Each test has servers of its own.

mod chaos;
mod promotion;
mod restore;
mod statements;
