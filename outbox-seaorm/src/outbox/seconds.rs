//! Durations in answers: a number of seconds, as dashboards take it.

use std::time::Duration;

use serde::Serializer;

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's own signature")]
pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

pub(super) mod option {
    use super::{Duration, Serializer};

    #[allow(clippy::ref_option, reason = "serde's own signature")]
    pub(in crate::outbox) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => serializer.serialize_f64(duration.as_secs_f64()),
            None => serializer.serialize_none(),
        }
    }
}
