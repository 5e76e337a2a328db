//! Publishers that wait until a consumer has acknowledged what they sent.

use std::collections::{HashMap, hash_map::Entry};

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::message::Message;

/// Which messages are the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    id: Uuid,
    replay: Option<Uuid>,
}

/// How a stored message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Acknowledged,
    Dead,
}

/// Who waits for which of the messages of a queue.
#[derive(Debug, Default)]
pub(super) struct Awaited(HashMap<Key, Vec<oneshot::Sender<End>>>);

impl Key {
    pub(super) fn of(message: &Message) -> Self {
        Self { id: message.id, replay: message.replay }
    }
}

impl Awaited {
    /// Whether the message is in the queue already, sent by one who waited for it.
    pub(super) fn contains(&self, key: Key) -> bool {
        self.0.contains_key(&key)
    }

    /// Waits for the end of a message.
    pub(super) fn wait(&mut self, key: Key) -> oneshot::Receiver<End> {
        let (sender, receiver) = oneshot::channel();
        let waiting = self.0.entry(key).or_default();
        // Those that gave up waiting.
        waiting.retain(|sender| !sender.is_closed());
        waiting.push(sender);
        receiver
    }

    /// Tells all that wait for a message.
    pub(super) fn ended(&mut self, key: Key, end: End) {
        if let Entry::Occupied(waiting) = self.0.entry(key) {
            for sender in waiting.remove() {
                // Nobody has to be waiting still.
                let _ = sender.send(end);
            }
        }
    }
}
