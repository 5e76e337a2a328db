//! Older versions of an event, on their way to the newest.

mod decode;
mod end_to_end;
mod golden;
mod handlers;
mod orders;
