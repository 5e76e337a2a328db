//! A publisher that answers as it is told.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;

use super::RecordingPublisher;
use crate::{
    message::{Message, Seq},
    publisher::{Outcome, Publisher, PublisherHealth, Topics},
};

/// What becomes of one batch.
#[derive(Clone)]
pub enum Answer {
    /// All of it is published.
    Publish,
    /// Each message has this outcome.
    Each(Outcome),
    /// Each message has the outcome that this says.
    By(Arc<dyn Fn(&Message) -> Outcome + Send + Sync>),
    /// Only so many messages, the first ones, are published, and the answer is as short.
    Short(usize),
    /// The publisher panics.
    Panic,
    /// The publisher never answers.
    Hang,
    /// The same after a delay.
    After(Duration, Box<Answer>),
}

impl Answer {
    /// Each message has the outcome that `outcome` says.
    pub fn by(outcome: impl Fn(&Message) -> Outcome + Send + Sync + 'static) -> Self {
        Self::By(Arc::new(outcome))
    }

    /// The event at `seq` fails so many times and is published after that; all others are published.
    pub fn failing(seq: Seq, times: usize) -> Self {
        let left = AtomicUsize::new(times);
        let take = move || left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        Self::by(move |message| {
            if message.seq == seq && take().is_ok() {
                Outcome::failed("it fails by script")
            } else {
                Outcome::published()
            }
        })
    }

    /// The events that `rejects` picks are rejected; all others are published.
    pub fn rejecting(rejects: impl Fn(&Message) -> bool + Send + Sync + 'static) -> Self {
        Self::by(move |message| {
            if rejects(message) {
                Outcome::rejected("it is rejected by script")
            } else {
                Outcome::published()
            }
        })
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publish => f.write_str("Publish"),
            Self::Each(outcome) => f.debug_tuple("Each").field(outcome).finish(),
            Self::By(_) => f.write_str("By(..)"),
            Self::Short(count) => f.debug_tuple("Short").field(count).finish(),
            Self::Panic => f.write_str("Panic"),
            Self::Hang => f.write_str("Hang"),
            Self::After(delay, answer) => f.debug_tuple("After").field(delay).field(answer).finish(),
        }
    }
}

/// Answers by a script, batch by batch, and after its end by one standing answer, at first
/// [`Answer::Publish`]. It remembers what it published and counts how often it was asked. A clone is the
/// same publisher.
///
/// ```
/// use outbox_core::{
///     message::Message,
///     publisher::{Outcome, Publisher},
///     testing::{Answer, ScriptedPublisher},
/// };
/// use uuid::Uuid;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let publisher = ScriptedPublisher::new();
/// publisher.always(Answer::failing(7, 2));
/// let mut message = Message::new(Uuid::now_v7(), "/orders", "orders", "order.placed", "{}");
/// message.seq = 7;
/// for attempt in 1..=3 {
///     let outcomes = publisher.publish(std::slice::from_ref(&message)).await;
///     assert_eq!(outcomes[0].is_published(), attempt == 3);
/// }
/// publisher.always(Answer::rejecting(|message| message.topic == "orders"));
/// assert!(matches!(publisher.publish(&[message]).await[0], Outcome::Rejected { .. }));
/// assert_eq!(publisher.published_seqs(), [7]);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ScriptedPublisher {
    script: Arc<Mutex<Script>>,
    published: RecordingPublisher,
    calls: Arc<AtomicUsize>,
    max_batch: usize,
    keeps_order_in_batch: bool,
    topics: Topics,
}

#[derive(Debug)]
struct Script {
    health: Option<PublisherHealth>,
    next: VecDeque<Answer>,
    standing: Answer,
}

impl ScriptedPublisher {
    /// Publishes everything until it is told otherwise.
    #[must_use]
    pub fn new() -> Self {
        Self {
            script: Arc::new(Mutex::new(Script {
                health: Some(PublisherHealth::Healthy),
                next: VecDeque::new(),
                standing: Answer::Publish,
            })),
            published: RecordingPublisher::new(),
            calls: Arc::default(),
            max_batch: 100,
            keeps_order_in_batch: false,
            topics: Topics::All,
        }
    }

    /// Changes its largest batch.
    #[must_use]
    pub fn max_batch(mut self, max_batch: usize) -> Self {
        self.max_batch = max_batch;
        self
    }

    /// Lets it say that it keeps the order within a batch.
    #[must_use]
    pub fn keeping_order_in_batch(mut self) -> Self {
        self.keeps_order_in_batch = true;
        self
    }

    /// Gives it routes for these topics only.
    #[must_use]
    pub fn with_topics<T: Into<String>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.topics = Topics::Only(topics.into_iter().map(Into::into).collect());
        self
    }

    /// Adds the answer to one more batch.
    pub fn then(&self, answer: Answer) -> &Self {
        self.script().next.push_back(answer);
        self
    }

    /// Changes the answer to all batches after the script.
    pub fn always(&self, answer: Answer) -> &Self {
        self.script().standing = answer;
        self
    }

    /// Changes what it says of its health, at first [`PublisherHealth::Healthy`]; with `None` it never answers.
    pub fn say_health(&self, health: Option<PublisherHealth>) -> &Self {
        self.script().health = health;
        self
    }

    /// How often it was asked to publish a batch.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// The messages that it published.
    #[must_use]
    pub fn published(&self) -> Vec<Message> {
        self.published.messages()
    }

    /// The seqs of the messages that it published.
    #[must_use]
    pub fn published_seqs(&self) -> Vec<Seq> {
        self.published.seqs()
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish_all<'a>(&self, messages: impl IntoIterator<Item = &'a Message>) {
        let messages: Vec<_> = messages.into_iter().cloned().collect();
        if !messages.is_empty() {
            self.published.record(&messages);
        }
    }
}

impl Default for ScriptedPublisher {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Publisher for ScriptedPublisher {
    async fn publish(&self, batch: &[Message]) -> Vec<Outcome> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let mut answer = {
            let mut script = self.script();
            script.next.pop_front().unwrap_or_else(|| script.standing.clone())
        };
        while let Answer::After(delay, then) = answer {
            tokio::time::sleep(delay).await;
            answer = *then;
        }
        let outcomes: Vec<_> = match answer {
            Answer::Publish | Answer::After(..) => vec![Outcome::published(); batch.len()],
            Answer::Each(outcome) => vec![outcome; batch.len()],
            Answer::By(outcome) => batch.iter().map(|message| outcome(message)).collect(),
            Answer::Short(count) => vec![Outcome::published(); count.min(batch.len())],
            Answer::Panic => panic!("a panic by script"),
            Answer::Hang => std::future::pending().await,
        };
        self.publish_all(
            batch
                .iter()
                .zip(&outcomes)
                .filter_map(|(message, outcome)| outcome.is_published().then_some(message)),
        );
        outcomes
    }

    fn max_batch(&self) -> usize {
        self.max_batch
    }

    fn keeps_order_in_batch(&self) -> bool {
        self.keeps_order_in_batch
    }

    fn topics(&self) -> Topics {
        self.topics.clone()
    }

    async fn health(&self) -> PublisherHealth {
        let health = self.script().health.clone();
        match health {
            Some(health) => health,
            None => std::future::pending().await,
        }
    }
}
