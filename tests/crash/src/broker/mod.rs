//! A broker outside of the processes that are killed: a journal of everything that relays sent, and a queue that
//! consumers read. It answers after it has written, and fails at random.
//!
//! The journal is what a run is judged by: what was delivered first, what came twice, and how long nothing came.

mod client;
mod faults;
mod protocol;
mod publisher;
mod queue;
mod source;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use anyhow::Result;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use uuid::Uuid;

pub use faults::Faults;
pub use publisher::BrokerPublisher;
pub use source::BrokerSource;

use crate::dice::Dice;
use faults::Fault;
use protocol::{Answer, Request, Sent, Told};
use queue::Queue;

/// One message that a relay sent and the broker took.
#[derive(Debug, Clone)]
pub struct Entry {
    pub id: Uuid,
    pub seq: i64,
    pub aggregate: Option<String>,
    pub topic: String,
    /// Which relay sent it.
    pub relay: String,
    pub at: Instant,
}

/// A broker in this process, spoken to over loopback by others.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
    desk: Arc<Desk>,
    /// Ends with the broker.
    _door: JoinSet<()>,
}

#[derive(Debug)]
struct Desk {
    journal: Mutex<Vec<Entry>>,
    queue: Mutex<Queue>,
    faults: Faults,
}

impl Broker {
    /// A broker that takes everything, until it is told to [fail](Faults::set_chance).
    ///
    /// # Errors
    /// Where no port can be had.
    pub async fn start(seed: u64) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let faults = Faults::new(Dice::new(seed));
        let desk = Arc::new(Desk { journal: Mutex::default(), queue: Mutex::default(), faults });
        let mut door = JoinSet::new();
        door.spawn(keep(listener, Arc::clone(&desk)));
        Ok(Self { address, desk, _door: door })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How it fails.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.desk.faults
    }

    /// Everything that it took, in order.
    #[must_use]
    pub fn journal(&self) -> Vec<Entry> {
        locked(&self.desk.journal).clone()
    }

    /// How much it took.
    #[must_use]
    pub fn taken(&self) -> usize {
        locked(&self.desk.journal).len()
    }

    /// The relay that sent last: the leader, as far as the broker can tell.
    #[must_use]
    pub fn last_relay(&self) -> Option<String> {
        locked(&self.desk.journal).last().map(|entry| entry.relay.clone())
    }

    /// How many messages no consumer has acknowledged.
    #[must_use]
    pub fn waiting(&self) -> usize {
        locked(&self.desk.queue).len()
    }
}

async fn keep(listener: TcpListener, desk: Arc<Desk>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let desk = Arc::clone(&desk);
        connections.spawn(async move {
            // A client that is killed in the middle of a line is no error here.
            let _ = serve(client, &desk).await;
        });
    }
}

/// One request a line, one answer a line; a connection that is dropped instead is a fault.
async fn serve(client: TcpStream, desk: &Desk) -> Result<()> {
    client.set_nodelay(true)?;
    let mut client = BufReader::new(client);
    let mut line = String::new();
    while client.read_line(&mut line).await? > 0 {
        let Some(answer) = desk.answer(serde_json::from_str(&line)?).await else { return Ok(()) };
        let mut text = serde_json::to_string(&answer)?;
        text.push('\n');
        client.write_all(text.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}

impl Desk {
    /// `None` where the connection is to be dropped without an answer.
    async fn answer(&self, request: Request) -> Option<Answer> {
        match request {
            Request::Publish { relay, messages } => self.publish(&relay, messages).await.map(Answer::Told),
            Request::Receive { max } => Some(Answer::Given(locked(&self.queue).give(max, Instant::now()))),
            Request::Ack { receipts } => {
                Some(Answer::Refused(locked(&self.queue).ack(&receipts, Instant::now())))
            }
            Request::Nack { receipt, delay } => {
                locked(&self.queue).nack(&receipt, delay, Instant::now());
                Some(Answer::Done)
            }
            Request::Extend { receipt, visibility } => {
                Some(Answer::Extended(locked(&self.queue).extend(&receipt, visibility, Instant::now())))
            }
        }
    }

    async fn publish(&self, relay: &str, messages: Vec<Sent>) -> Option<Vec<Told>> {
        let count = messages.len();
        match self.faults.next() {
            Fault::None => {}
            Fault::Away => return Some(vec![Told::Unavailable; count]),
            Fault::Throttled(pause) => return Some(vec![Told::Throttled(pause); count]),
            Fault::DroppedBefore => return None,
            Fault::AnswerLost => {
                self.take(relay, messages);
                return None;
            }
            Fault::SomeFailed(pattern) => {
                let told = (0..count).map(|index| {
                    if pattern >> (index % 64) & 1 == 1 { Told::Failed } else { Told::Published }
                });
                let told: Vec<Told> = told.collect();
                let taken = messages.into_iter().zip(&told).filter(|(_, told)| **told == Told::Published);
                self.take(relay, taken.map(|(message, _)| message).collect());
                return Some(told);
            }
            Fault::Stalled { length, keeps } => {
                tokio::time::sleep(length).await;
                // The relay has given up by now: what is taken here comes late, and as a duplicate.
                if !keeps {
                    return None;
                }
            }
        }
        self.take(relay, messages);
        Some(vec![Told::Published; count])
    }

    fn take(&self, relay: &str, messages: Vec<Sent>) {
        // Both under one lock: what is delivered first is the same in the journal and in the queue.
        let mut journal = locked(&self.journal);
        let at = Instant::now();
        for Sent { id, seq, aggregate, topic, body } in messages {
            locked(&self.queue).put(aggregate.clone(), body);
            journal.push(Entry { id, seq, aggregate, topic, relay: relay.to_owned(), at });
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
