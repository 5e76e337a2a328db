//! Older versions of an event, each read as the type that it was written from and made into the newest by `From`.
//!
//! The log is never written anew, so an old version comes again with a replay, and out of a queue that was full at the
//! time of the deployment. To read it as the newest type with all that is new left out would say that it was never
//! there. A type for each version says what was written then, and `From` says what that means today.

use std::{fmt, iter::successors};

use serde::de::DeserializeOwned;

use super::{DecodeError, EventKind, OutboxEvent, payload::is_same};

/// How an older version becomes this event: what `#[outbox(upcast_from = OrderPlacedV1)]` stands for.
pub struct Upcast<E> {
    into: &'static EventKind,
    older: Older,
    read: fn(&str, u32, &str) -> Result<E, DecodeError>,
}

/// The kind of an older type, and the one before it.
#[derive(Debug, Clone, Copy)]
struct Older {
    kind: &'static EventKind,
    before: Option<&'static Older>,
}

impl<E: OutboxEvent> Upcast<E> {
    /// `Old` and whatever is upcast to it become the kind `into` of this type.
    ///
    /// # Panics
    /// While the program is compiled, where this stands in a constant: `Old` is not one kind of event with the event type
    /// of `into` and a lower version, or it leads to a version that this type has itself.
    #[must_use]
    #[track_caller]
    pub const fn of<Old>(into: &'static EventKind) -> Self
    where
        Old: OutboxEvent + DeserializeOwned,
        E: From<Old>,
    {
        // First: two types that are made of each other would ask for each other's upcasts without end.
        let kind = checked::<Old>(into);
        let older = lineage::<Old>(kind);
        check_own_versions::<E>(&older);
        Self {
            into,
            older,
            read: |event_type, version, payload| Old::decode(event_type, version, payload).map(E::from),
        }
    }

    /// The kind that older versions become.
    #[must_use]
    pub const fn into_kind(&self) -> &'static EventKind {
        self.into
    }

    /// The versions that become it, from the highest to the lowest.
    pub fn versions(&self) -> impl Iterator<Item = u32> + use<E> {
        successors(Some(self.older), |older| older.before.copied()).map(|older| older.kind.version)
    }
}

impl<E> fmt::Debug for Upcast<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upcast").field("into", self.into).field("older", &self.older).finish_non_exhaustive()
    }
}

/// The event, where one of the upcasts takes that type and version.
pub(super) fn decode<E: OutboxEvent>(
    event_type: &str,
    version: u32,
    payload: &str,
) -> Option<Result<E, DecodeError>> {
    let upcast = E::UPCASTS.iter().find(|upcast| {
        upcast.into.event_type == event_type && upcast.versions().any(|older| older == version)
    })?;
    Some((upcast.read)(event_type, version, payload).and_then(|event| {
        let found = event.kind();
        if is_same(found, upcast.into) {
            return Ok(event);
        }
        Err(DecodeError::UpcastToOther {
            event_type: event_type.to_owned(),
            version,
            expected: upcast.into.version,
            found: format!("{} version {}", found.event_type, found.version),
        })
    }))
}

/// The one kind of the older type.
#[track_caller]
const fn checked<Old: OutboxEvent>(into: &EventKind) -> &'static EventKind {
    let [kind] = Old::KINDS else {
        panic!(
            "expected `upcast_from` to name a type of one kind of event, found several: keep the older version as a struct"
        )
    };
    assert!(
        is_equal(kind.event_type, into.event_type),
        "expected `upcast_from` to name an older version of the same `event_type`, found another `event_type`"
    );
    assert!(
        kind.version < into.version,
        "expected `upcast_from` to name a type with a lower `version`, found the same or a higher one"
    );
    kind
}

/// A function of its own, for its constants are looked up before its first line runs.
const fn lineage<Old: OutboxEvent>(kind: &'static EventKind) -> Older {
    let before = match Old::UPCASTS {
        [] => None,
        [upcast, ..] => Some(&upcast.older),
    };
    Older { kind, before }
}

#[track_caller]
const fn check_own_versions<E: OutboxEvent>(older: &Older) {
    let mut next = Some(older);
    while let Some(older) = next {
        let mut index = 0;
        while index < E::KINDS.len() {
            let own = &E::KINDS[index];
            assert!(
                own.version != older.kind.version || !is_equal(own.event_type, older.kind.event_type),
                "expected `upcast_from` to lead to versions that the type does not have itself, found one that it has"
            );
            index += 1;
        }
        next = older.before;
    }
}

/// `==`, which constants cannot use yet.
const fn is_equal(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut index = 0;
    while index < one.len() {
        if one[index] != other[index] {
            return false;
        }
        index += 1;
    }
    true
}
