//! A source that does what a test says and remembers what the consumer told it.
//!
//! It redelivers as a FIFO queue does: in order, and nothing of a group whose earlier message is out. Delays are noted
//! and not waited for.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use outbox_core::{
    message::ReceivedMessage,
    source::{Incoming, Receipt, Source, SourceError},
    wire,
};
use tokio::sync::Notify;

/// What the consumer told the source. Messages are named by their label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    Acked(String),
    GivenBack(String, Duration),
    Extended(String),
}

/// A clone is the same source.
#[derive(Debug, Clone, Default)]
pub struct ScriptedSource {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    messages: BTreeMap<u64, Scripted>,
    out: HashSet<u64>,
    told: Vec<Told>,
    next: u64,
    acks_to_lose: u32,
    away: bool,
    receives: u32,
    visibility: Option<Duration>,
    retention: Option<Duration>,
}

#[derive(Debug, Clone)]
struct Scripted {
    label: String,
    attempts: u32,
    group: Option<String>,
    message: Option<ReceivedMessage>,
}

impl ScriptedSource {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn with_visibility(self, visibility: Duration) -> Self {
        self.state().visibility = Some(visibility);
        self
    }

    #[must_use]
    pub fn with_retention(self, retention: Duration) -> Self {
        self.state().retention = Some(retention);
        self
    }

    /// Adds a message; its label is its id.
    pub fn put(&self, message: &ReceivedMessage) {
        self.add(message.id.clone(), None, Some(message.clone()));
    }

    /// Adds a message of a group.
    pub fn put_in_group(&self, group: &str, message: &ReceivedMessage) {
        self.add(message.id.clone(), Some(group.to_owned()), Some(message.clone()));
    }

    /// Adds a body that is no message.
    pub fn put_garbage(&self, label: &str) {
        self.add(label.to_owned(), None, None);
    }

    fn add(&self, label: String, group: Option<String>, message: Option<ReceivedMessage>) {
        let mut state = self.state();
        state.next += 1;
        let number = state.next;
        state.messages.insert(number, Scripted { label, attempts: 0, group, message });
        self.shared.arrived.notify_one();
    }

    /// The next acknowledgements fail, as if the consumer had crashed before them: the messages come again.
    pub fn lose_acks(&self, calls: u32) {
        self.state().acks_to_lose = calls;
    }

    pub fn set_away(&self, away: bool) {
        self.state().away = away;
    }

    #[must_use]
    pub fn told(&self) -> Vec<Told> {
        self.state().told.clone()
    }

    /// How often it was asked for messages.
    #[must_use]
    pub fn receives(&self) -> u32 {
        self.state().receives
    }

    /// How many messages are not acknowledged.
    #[must_use]
    pub fn left(&self) -> usize {
        self.state().messages.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("nothing panics with the lock held")
    }

    fn check_there(&self) -> Result<(), SourceError> {
        if self.state().away {
            return Err(SourceError::Unavailable { reason: "away on purpose".into(), source: None });
        }
        Ok(())
    }

    fn take(&self, max: usize) -> Vec<Incoming> {
        let mut state = self.state();
        let State { messages, out, .. } = &mut *state;
        let busy: HashSet<_> = out.iter().filter_map(|number| messages.get(number)?.group.clone()).collect();
        let mut taken = Vec::new();
        for (number, scripted) in messages.iter_mut() {
            let is_busy = scripted.group.as_ref().is_some_and(|group| busy.contains(group));
            if taken.len() == max || is_busy || !out.insert(*number) {
                continue;
            }
            scripted.attempts += 1;
            taken.push(Incoming {
                receipt: Receipt(format!("{number}/{}", scripted.attempts).into()),
                broker_id: Some(number.to_string()),
                attempt: scripted.attempts,
                group: scripted.group.clone(),
                message: match &scripted.message {
                    Some(message) => Ok(message.clone()),
                    None => wire::decode("garbage", &BTreeMap::new()),
                },
            });
        }
        taken
    }
}

fn number(receipt: &Receipt) -> u64 {
    delivery(receipt).0
}

/// The message that a receipt names, and which delivery of it.
fn delivery(receipt: &Receipt) -> (u64, u32) {
    let (number, attempt) = receipt.0.split_once('/').expect("a receipt of ours");
    (number.parse().expect("a number"), attempt.parse().expect("a number"))
}

#[async_trait]
impl Source for ScriptedSource {
    async fn receive(&self, max: usize) -> Result<Vec<Incoming>, SourceError> {
        self.state().receives += 1;
        self.check_there()?;
        let taken = self.take(max);
        if !taken.is_empty() {
            return Ok(taken);
        }
        // A short long poll: the next turn looks again.
        let _ = tokio::time::timeout(Duration::from_millis(50), self.shared.arrived.notified()).await;
        Ok(self.take(max))
    }

    async fn ack(&self, receipts: &[Receipt]) -> Result<Vec<Receipt>, SourceError> {
        self.check_there()?;
        let mut state = self.state();
        if state.acks_to_lose > 0 {
            state.acks_to_lose -= 1;
            for receipt in receipts {
                state.out.remove(&number(receipt));
            }
            return Err(SourceError::Unavailable {
                reason: "an acknowledgement lost on purpose".into(),
                source: None,
            });
        }
        let mut not_taken = Vec::new();
        for receipt in receipts {
            let (number, attempt) = delivery(receipt);
            // Told again after it was lost: its message waits to come again, came again, or is gone.
            let is_ours = state.messages.get(&number).is_some_and(|scripted| scripted.attempts == attempt);
            if !is_ours || !state.out.remove(&number) {
                not_taken.push(receipt.clone());
                continue;
            }
            let scripted = state.messages.remove(&number).expect("it is there");
            state.told.push(Told::Acked(scripted.label));
        }
        Ok(not_taken)
    }

    async fn nack(&self, receipt: &Receipt, delay: Duration) -> Result<(), SourceError> {
        self.check_there()?;
        let mut state = self.state();
        state.out.remove(&number(receipt));
        let label = state.messages[&number(receipt)].label.clone();
        state.told.push(Told::GivenBack(label, delay));
        drop(state);
        self.shared.arrived.notify_one();
        Ok(())
    }

    async fn extend(&self, receipt: &Receipt, _: Duration) -> Result<bool, SourceError> {
        let mut state = self.state();
        // A heartbeat that was under way when the message was acknowledged.
        let Some(scripted) = state.messages.get(&number(receipt)) else { return Ok(false) };
        let label = scripted.label.clone();
        state.told.push(Told::Extended(label));
        Ok(true)
    }

    fn visibility(&self) -> Option<Duration> {
        self.state().visibility
    }

    async fn retention(&self) -> Result<Option<Duration>, SourceError> {
        Ok(self.state().retention)
    }
}
