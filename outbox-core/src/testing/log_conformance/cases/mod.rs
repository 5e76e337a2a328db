//! The cases, by what they are about.

pub(super) mod fence;
pub(super) mod hold;
pub(super) mod intervention;
pub(super) mod lease;
pub(super) mod proof;
pub(super) mod purge;
pub(super) mod read;
pub(super) mod receipt;
pub(super) mod report;
pub(super) mod start;
