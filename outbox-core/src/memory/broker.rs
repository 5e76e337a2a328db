//! The queues, shared by publishers and sources.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use super::{
    Depth, Faults, MemoryPublisher, MemorySource,
    faults::{BatchFate, Dice},
    queue::Queue,
};
use crate::{
    message::ReceivedMessage,
    wire::{self, Encoded, WireError, WireFormat},
};

/// The settings of a [`MemoryBroker`].
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerConfig {
    /// How long a received message stays invisible before it comes again. Default 30 s. Shorter than a
    /// handler's run: it is handled twice. Much longer: what a crashed consumer held comes late.
    pub visibility: Duration,
    /// The most messages that a queue holds, dead ones too until they are [taken](MemoryBroker::take_dead).
    /// Default 100,000. A full queue refuses as an unavailable broker does, so a relay waits. Too large: memory.
    pub capacity: usize,
    /// How often a message is delivered before it is kept aside as dead; `None` (the default): for ever.
    pub max_deliveries: Option<u32>,
    /// How long a receive waits for a first message. Default 1 s.
    pub long_poll: Duration,
    /// The format of messages. Default: CloudEvents.
    pub format: WireFormat,
    /// Misbehaviour on purpose. Default: none.
    pub faults: Faults,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            visibility: Duration::from_secs(30),
            capacity: 100_000,
            max_deliveries: None,
            long_poll: Duration::from_secs(1),
            format: WireFormat::CloudEvents,
            faults: Faults::default(),
        }
    }
}

/// A broker in this process. A clone is the same broker.
#[derive(Debug, Clone)]
pub struct MemoryBroker {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: BrokerConfig,
    state: Mutex<State>,
    /// Counts arrivals, so that a waiting receive cannot miss one.
    arrivals: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    queues: HashMap<String, Queue>,
    dice: Dice,
    away: bool,
}

impl MemoryBroker {
    /// A broker with the default settings.
    #[must_use]
    pub fn new() -> Self {
        Self::with_config(BrokerConfig::default())
    }

    /// A broker with these settings.
    #[must_use]
    pub fn with_config(config: BrokerConfig) -> Self {
        let state = State { queues: HashMap::new(), dice: Dice::new(config.faults.clone()), away: false };
        let arrivals = watch::Sender::new(0);
        Self { shared: Arc::new(Shared { config, state: Mutex::new(state), arrivals }) }
    }

    /// A publisher to this broker. Without routes each topic goes to the queue of its name.
    #[must_use]
    pub fn publisher(&self) -> MemoryPublisher {
        MemoryPublisher::new(self.clone())
    }

    /// A source that receives from a queue. The queue needs no creation.
    pub fn source(&self, queue: impl Into<String>) -> MemorySource {
        MemorySource::new(self.clone(), queue.into())
    }

    /// Goes away (`true`), refusing everything, or comes back.
    pub fn set_away(&self, away: bool) {
        self.state().away = away;
    }

    /// How many messages a queue holds.
    #[must_use]
    pub fn depth(&self, queue: &str) -> Depth {
        self.state().queues.get(queue).map(Queue::depth).unwrap_or_default()
    }

    /// The messages of a queue that were received too often, each as a consumer would read it.
    #[must_use]
    pub fn dead(&self, queue: &str) -> Vec<Result<ReceivedMessage, WireError>> {
        let state = self.state();
        let dead = state.queues.get(queue).into_iter().flat_map(Queue::dead);
        dead.map(|stored| decode(&stored.encoded)).collect()
    }

    /// Takes those messages out of the queue. What is to be tried again can be [put](Self::put) back.
    #[must_use = "they are in the queue no more"]
    pub fn take_dead(&self, queue: &str) -> Vec<Encoded> {
        let taken = self.state().queues.get_mut(queue).map(Queue::take_dead).unwrap_or_default();
        taken.into_iter().map(|stored| stored.encoded).collect()
    }

    /// Puts a body into a queue as it is, for example one that is no message. It belongs to no aggregate, and
    /// there is always room for it.
    pub fn put(&self, queue: &str, encoded: Encoded) {
        self.state().queues.entry(queue.to_owned()).or_default().push(encoded, None);
        self.announce();
    }

    pub(super) fn config(&self) -> &BrokerConfig {
        &self.shared.config
    }

    pub(super) fn is_away(&self) -> bool {
        self.state().away
    }

    pub(super) fn draw_batch_fate(&self) -> BatchFate {
        self.state().dice.batch()
    }

    pub(super) fn arrivals(&self) -> watch::Receiver<u64> {
        self.shared.arrivals.subscribe()
    }

    pub(super) fn announce(&self) {
        self.shared.arrivals.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Runs `work` on a queue and the dice.
    pub(super) fn with_queue<T>(&self, name: &str, work: impl FnOnce(&mut Queue, &mut Dice) -> T) -> T {
        let mut state = self.state();
        let State { queues, dice, .. } = &mut *state;
        if let Some(queue) = queues.get_mut(name) {
            return work(queue, dice);
        }
        work(queues.entry(name.to_owned()).or_default(), dice)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way through a change.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryBroker {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads a stored message as a consumer of a real broker would.
pub(super) fn decode(encoded: &Encoded) -> Result<ReceivedMessage, WireError> {
    wire::decode(&encoded.body, &encoded.attributes.iter().cloned().collect())
}
