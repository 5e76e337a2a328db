//! The log in memory, as the suite wants it. Its time is tokio's, which the tests pause and move.

use std::time::Duration;

use async_trait::async_trait;
use outbox_core::{
    event::NewEvent,
    log::{HoleProof, SubscriptionName},
    message::Seq,
    testing::{
        MemoryLog, MemoryWriter,
        log_conformance::{LogCapabilities, LogFixture, LogWriter, Operation, ReceiptView, StoredView},
    },
};

pub(crate) const PROOFS: [HoleProof; 3] = [
    HoleProof::WriterList,
    HoleProof::Tombstones { grace: Duration::from_secs(10) },
    HoleProof::SingleWriter,
];

pub(crate) struct InMemory {
    pub(crate) log: MemoryLog,
    proof: HoleProof,
}

impl InMemory {
    pub(crate) fn new(proof: HoleProof) -> Self {
        Self { log: MemoryLog::new(proof), proof }
    }
}

pub(crate) struct Transaction(MemoryWriter);

#[async_trait]
impl LogFixture for InMemory {
    type Log = MemoryLog;
    type Writer = Transaction;

    fn capabilities(&self) -> LogCapabilities {
        LogCapabilities::all(self.proof)
    }

    async fn log(&self) -> MemoryLog {
        self.log.clone()
    }

    async fn begin(&self) -> Transaction {
        Transaction(self.log.begin())
    }

    async fn pass(&self, time: Duration) {
        tokio::time::advance(time).await;
    }

    async fn remove(&self, seq: Seq) {
        assert!(self.log.remove(seq), "there is no event {seq}");
    }

    async fn lose_from(&self, first: Seq) {
        self.log.lose_from(first);
    }

    async fn operate(&self, subscription: &SubscriptionName, operation: Operation) {
        let name = subscription.as_str();
        match operation {
            Operation::Pause => self.log.pause(name),
            Operation::Resume => self.log.resume(name),
            Operation::Requeue(seq) => {
                self.log.requeue(name, seq);
            }
            Operation::Discard(seq) => {
                self.log.discard(name, seq);
            }
            Operation::Replay { seqs, replay } => {
                self.log.replay(name, &seqs, replay);
            }
            Operation::Acknowledge(seq) => {
                self.log.acknowledge(name, seq);
            }
            Operation::Drop => {
                self.log.drop_subscription(name);
            }
            other => panic!("expected an operation that is known, found {other:?}"),
        }
    }

    async fn stored(&self, subscription: &SubscriptionName) -> StoredView {
        let stored = self.log.subscription(subscription.as_str()).expect("it is registered");
        let receipts = stored.receipts.into_iter().map(|(seq, stored)| {
            (seq, ReceiptView { broker_id: stored.receipt.broker_id, is_awaited: stored.ack_due.is_some() })
        });
        StoredView {
            state: stored.state,
            last_error: stored.last_error,
            description: stored.description,
            receipts: receipts.collect(),
        }
    }

    async fn archived(&self) -> Vec<Seq> {
        self.log.archived()
    }
}

#[async_trait]
impl LogWriter for Transaction {
    async fn append(&mut self, event: NewEvent) -> Seq {
        self.0.append(event)
    }

    async fn commit(self) {
        assert!(self.0.commit(), "the database did not crash");
    }

    async fn rollback(self) {
        self.0.rollback();
    }
}
