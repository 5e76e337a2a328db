//! The whole relay against everything at once: late commits, rollbacks, outages, panics, silence, short
//! answers, statements that err, crashes of the database and leaders that are killed.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use outbox_core::{
    message::Message,
    publisher::{Outcome, Publisher},
    relay::{Relay, RelayConfig},
    testing::{MemoryWriter, RecordingPublisher},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{task::JoinHandle, time::sleep};

use crate::*;

#[derive(Clone)]
struct Unreliable {
    record: RecordingPublisher,
    rng: Arc<Mutex<StdRng>>,
    is_calm: Arc<std::sync::atomic::AtomicBool>,
}

impl Unreliable {
    fn draw(&self, upto: u32) -> u32 {
        if self.is_calm.load(std::sync::atomic::Ordering::SeqCst) {
            return upto;
        }
        self.rng.lock().expect("no panic").random_range(0..upto)
    }
}

#[async_trait]
impl Publisher for Unreliable {
    async fn publish(&self, batch: &[Message]) -> Vec<Outcome> {
        sleep(Duration::from_millis(u64::from(self.draw(60)))).await;
        match self.draw(40) {
            0 => panic!("now and then"),
            1 => std::future::pending().await,
            2 => return vec![Outcome::unavailable("now and then"); batch.len()],
            3 => {
                let sent = &batch[..batch.len() / 2];
                self.record.publish(sent).await;
                return vec![Outcome::published(); sent.len()];
            }
            // It went out, and the answer is lost.
            4 => {
                self.record.publish(batch).await;
                return Vec::new();
            }
            _ => {}
        }
        let mut outcomes = Vec::new();
        for message in batch {
            outcomes.push(match self.draw(50) {
                0 => Outcome::failed("now and then"),
                1 => Outcome::throttled(Some(Duration::from_millis(5)), "now and then"),
                _ => {
                    self.record.publish(std::slice::from_ref(message)).await;
                    Outcome::published()
                }
            });
        }
        outcomes
    }

    fn max_batch(&self) -> usize {
        5
    }
}

/// A relay whose process can be killed: the task is gone, the lease stays.
fn start(log: &MemoryLog, publisher: &Unreliable) -> JoinHandle<()> {
    let config = RelayConfig {
        lease: Duration::from_secs(3),
        publish_timeout: Duration::from_secs(1),
        page_size: 7,
        read_ahead: 40,
        max_in_flight: 3,
        backoff_min: Duration::from_millis(10),
        backoff_max: Duration::from_millis(100),
        ..RelayConfig::default()
    };
    let relay = Relay::new(log.clone(), "/test")
        .config(config)
        .subscription(Subscription::new(NAME, publisher.clone()));
    tokio::spawn(async move { relay.run_until(std::future::pending()).await.expect("runs for ever") })
}

async fn run(seed: u64, proof: HoleProof, crashes: bool) {
    let mut rng = StdRng::seed_from_u64(seed);
    let log = MemoryLog::new(proof);
    let publisher = Unreliable {
        record: RecordingPublisher::new(),
        rng: Arc::new(Mutex::new(StdRng::seed_from_u64(seed + 1))),
        is_calm: Arc::default(),
    };
    let mut relays = vec![start(&log, &publisher), start(&log, &publisher)];
    // The aggregates that an open transaction has written: row locks keep others away from them.
    let mut open: Vec<(MemoryWriter, Vec<u32>)> = Vec::new();
    for _ in 0..600 {
        match rng.random_range(0..100) {
            0..45 => {
                let aggregate = rng.random_range(0..8);
                let own = rng.random_range(0..=open.len().min(4));
                let is_locked =
                    open.iter().enumerate().any(|(n, (_, locks))| n != own && locks.contains(&aggregate));
                if !is_locked {
                    if own >= open.len() {
                        open.push((log.begin(), Vec::new()));
                    }
                    let own = own.min(open.len() - 1);
                    open[own].0.append(new_event("orders", &aggregate.to_string(), "x"));
                    open[own].1.push(aggregate);
                }
            }
            45..75 if !open.is_empty() => {
                let (writer, _) = open.swap_remove(rng.random_range(0..open.len()));
                writer.commit();
            }
            75..82 if !open.is_empty() => {
                let (writer, _) = open.swap_remove(rng.random_range(0..open.len()));
                writer.rollback();
            }
            82..84 => log.fail_statements(rng.random_range(1..4)),
            84 => log.lose_flush_answers(1),
            85 => log.expire_lease(NAME),
            86 if crashes => {
                log.crash();
                open.clear();
            }
            87 => {
                let killed = rng.random_range(0..relays.len());
                relays[killed].abort();
                relays[killed] = start(&log, &publisher);
            }
            _ => sleep(Duration::from_millis(rng.random_range(0..120))).await,
        }
    }
    for (writer, _) in open {
        writer.commit();
    }
    publisher.is_calm.store(true, std::sync::atomic::Ordering::SeqCst);
    drained(&log).await;
    assert_complete_and_ordered(&publisher.record.messages(), &log.committed());
    for relay in relays {
        relay.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_and_no_aggregate_out_of_order_whatever_goes_wrong() {
    for seed in 0..12 {
        run(seed, HoleProof::WriterList, true).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_with_tombstones() {
    for seed in 100..108 {
        run(seed, HoleProof::Tombstones { grace: Duration::from_millis(300) }, true).await;
    }
}
