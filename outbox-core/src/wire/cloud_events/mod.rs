//! CloudEvents 1.0 as structured JSON.

mod decode;
mod encode;

pub(super) use decode::decode;
pub(super) use encode::encode;
