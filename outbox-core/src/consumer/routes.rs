//! Which handler takes which message.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
};

use serde::de::DeserializeOwned;

use super::{ConsumerError, Delivery, Handler, HandlerError};
use crate::{
    event::{DecodeError, OutboxEvent},
    message::ReceivedMessage,
};

/// A decoded event with its handler: give it the transaction.
pub(super) type Call<Tx> =
    Box<dyn FnOnce(Tx) -> Pin<Box<dyn Future<Output = Result<(), HandlerError>> + Send>> + Send>;

/// What to do with a message.
pub(super) enum Route<'r, Tx> {
    To(&'r dyn Entry<Tx>),
    /// There is a handler for other versions of this event only.
    OtherVersions(Vec<u32>),
    /// Nobody is to handle this type.
    Ignored,
    Nowhere,
}

/// All handlers by type and version.
pub(super) struct Routes<Tx> {
    entries: HashMap<&'static str, BTreeMap<u32, Claim<Tx>>>,
    /// The first version that two handlers take.
    twice: Option<Twice>,
    ignored: HashSet<String>,
}

/// A handler of one version.
struct Claim<Tx> {
    entry: Arc<dyn Entry<Tx>>,
    /// The version that it gets it as.
    read_as: u32,
}

struct Twice {
    event_type: &'static str,
    version: u32,
    /// The version that one of the two, at least, gets it as.
    read_as: u32,
}

/// A handler with its event type erased. Boxed futures, because handlers of different types stand in one table.
pub(super) trait Entry<Tx>: Send + Sync {
    fn call(&self, message: Arc<ReceivedMessage>, attempt: u32) -> Result<Call<Tx>, DecodeError>;
}

struct Typed<E, H> {
    handler: Arc<H>,
    event: PhantomData<fn() -> E>,
}

impl<E, H, Tx> Entry<Tx> for Typed<E, H>
where
    E: OutboxEvent + DeserializeOwned,
    H: Handler<E, Tx>,
    Tx: Send + 'static,
{
    fn call(&self, message: Arc<ReceivedMessage>, attempt: u32) -> Result<Call<Tx>, DecodeError> {
        let event = E::decode(&message.event_type, message.event_version, &message.payload)?;
        let delivery = Delivery::new(event, message, attempt);
        let handler = Arc::clone(&self.handler);
        Ok(Box::new(move |txn| Box::pin(async move { handler.handle(delivery, txn).await })))
    }
}

impl<Tx: Send + 'static> Routes<Tx> {
    pub(super) fn new() -> Self {
        Self { entries: HashMap::new(), twice: None, ignored: HashSet::new() }
    }

    pub(super) fn add<E, H>(&mut self, handler: H)
    where
        E: OutboxEvent + DeserializeOwned,
        H: Handler<E, Tx>,
    {
        let entry: Arc<dyn Entry<Tx>> =
            Arc::new(Typed { handler: Arc::new(handler), event: PhantomData::<fn() -> E> });
        for kind in E::KINDS {
            self.claim(
                kind.event_type,
                kind.version,
                Claim { entry: Arc::clone(&entry), read_as: kind.version },
            );
        }
        for upcast in E::UPCASTS {
            let into = upcast.into_kind();
            for version in upcast.versions() {
                self.claim(
                    into.event_type,
                    version,
                    Claim { entry: Arc::clone(&entry), read_as: into.version },
                );
            }
        }
    }

    fn claim(&mut self, event_type: &'static str, version: u32, claim: Claim<Tx>) {
        let read_as = claim.read_as;
        let versions = self.entries.entry(event_type).or_default();
        if let Some(earlier) = versions.insert(version, claim) {
            let read_as = read_as.max(earlier.read_as);
            self.twice.get_or_insert(Twice { event_type, version, read_as });
        }
    }

    pub(super) fn ignore(&mut self, event_type: String) {
        self.ignored.insert(event_type);
    }

    pub(super) fn check(&self) -> Result<(), ConsumerError> {
        if let Some(event_type) =
            self.ignored.iter().find(|ignored| self.entries.contains_key(ignored.as_str()))
        {
            return Err(ConsumerError::HandledAndIgnored { event_type: event_type.clone() });
        }
        match self.twice {
            Some(Twice { event_type, version, read_as }) if read_as != version => {
                return Err(ConsumerError::HandledAndUpcast { event_type, version, into: read_as });
            }
            Some(Twice { event_type, version, .. }) => {
                return Err(ConsumerError::TwoHandlers { event_type, version });
            }
            None => {}
        }
        if self.entries.is_empty() { Err(ConsumerError::NoHandler) } else { Ok(()) }
    }

    pub(super) fn find(&self, message: &ReceivedMessage) -> Route<'_, Tx> {
        let Some(versions) = self.entries.get(message.event_type.as_str()) else {
            let is_ignored = self.ignored.contains(&message.event_type);
            return if is_ignored { Route::Ignored } else { Route::Nowhere };
        };
        match versions.get(&message.event_version) {
            Some(claim) => Route::To(&*claim.entry),
            None => Route::OtherVersions(versions.keys().copied().collect()),
        }
    }
}

impl<Tx> fmt::Debug for Routes<Tx> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.entries.keys()).finish()
    }
}
