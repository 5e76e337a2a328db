//! The memory of a whole process while its relay works through a long backlog.
//!
//! A binary of its own with one test: what is measured is the peak of the process, which other tests would add to. It is the
//! kernel's own figure and no count of allocations, so that what the allocator keeps is in it too.
#![cfg(target_os = "linux")]

mod generated;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use generated::GeneratedLog;
use outbox_core::{
    message::Message,
    publisher::{Outcome, Publisher},
    relay::{Relay, Subscription},
};

const MIB: usize = 1024 * 1024;

/// Takes everything, and stands still now and then, so that the read-ahead is full for most of the time.
#[derive(Clone, Default)]
struct Halting {
    published: Arc<AtomicUsize>,
}

#[async_trait]
impl Publisher for Halting {
    async fn publish(&self, batch: &[Message]) -> Vec<Outcome> {
        let before = self.published.fetch_add(batch.len(), Ordering::Relaxed);
        if before % 1_700 < batch.len() {
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        vec![Outcome::published(); batch.len()]
    }
}

/// The most memory that the process has had at a time since [`begin_anew`], in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("the kernel tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024
}

fn begin_anew() {
    std::fs::write("/proc/self/clear_refs", "5").expect("the kernel forgets its peak");
}

/// Works through so many events of so many bytes each, and gives the peak.
fn drain(events: i64, payload: usize) -> usize {
    begin_anew();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let (log, publisher) = (GeneratedLog::new(events, payload), Halting::default());
        let relay =
            Relay::new(log.clone(), "/memory").subscription(Subscription::new("m", publisher.clone()));
        let relay = relay.spawn();
        for _ in 0..1_000_000 {
            if log.is_drained() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(log.is_drained(), "it ended in time");
        assert_eq!(publisher.published.load(Ordering::Relaxed), usize::try_from(events).expect("positive"));
        relay.stop().await.expect("stops");
    });
    peak()
}

#[test]
fn a_backlog_of_a_million_events_takes_no_more_memory_than_a_fifth_of_it() {
    let fifth = drain(200_000, 1_000);
    let million = drain(1_000_000, 1_000);
    let large = drain(3_000, 100_000);
    let in_mib = |bytes: usize| bytes / MIB;
    println!(
        "peak: {} MiB for 200,000 events of 1 kB, {} MiB for 1,000,000, {} MiB for 3,000 of 100 kB",
        in_mib(fifth),
        in_mib(million),
        in_mib(large)
    );
    assert!(million < 100 * MIB, "{} MiB", in_mib(million));
    assert!(million < fifth + 8 * MIB, "{} MiB after {} MiB", in_mib(million), in_mib(fifth));
    // 300 MB went through.
    assert!(large < 100 * MIB, "{} MiB", in_mib(large));
}
