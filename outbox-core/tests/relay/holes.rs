//! Late commits, rollbacks and the proofs that end a hole.

use std::time::Duration;

use outbox_core::{relay::RelayConfig, testing::RecordingPublisher};
use tokio::time::sleep;

use crate::*;

const GRACE: Duration = Duration::from_secs(10);

fn proofs() -> [HoleProof; 2] {
    [HoleProof::WriterList, HoleProof::Tombstones { grace: GRACE }]
}

#[tokio::test(start_paused = true)]
async fn a_late_commit_is_delivered_however_late() {
    for proof in proofs() {
        let (log, publisher) = (MemoryLog::new(proof), RecordingPublisher::new());
        let relay = spawn(&log, publisher.clone());
        let mut slow = log.begin();
        let late = slow.append(new_event("orders", "slow", "late"));
        append(&log, 10, 2);
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(publisher.seqs().len(), 10, "the others did not wait");
        assert!(slow.commit());
        drained(&log).await;
        assert_eq!(publisher.seqs().last(), Some(&late));
        assert_complete_and_ordered(&publisher.messages(), &log.committed());
        relay.stop().await.expect("stops");
    }
}

#[tokio::test(start_paused = true)]
async fn holes_of_rolled_back_writers_close_beside_a_writer_that_stays() {
    for proof in proofs() {
        let (log, publisher) = (MemoryLog::new(proof), RecordingPublisher::new());
        let relay = spawn(&log, publisher.clone());
        for round in 0..20 {
            let mut writer = log.begin();
            writer.append(new_event("orders", "x", "never"));
            append(&log, 2, 2);
            if round % 2 == 0 {
                writer.rollback();
            } else {
                writer.commit();
            }
            sleep(Duration::from_millis(30)).await;
        }
        until("the holes to close", || {
            log.subscription(NAME).is_some_and(|stored| stored.progress.holes.is_empty())
        })
        .await;
        // A writer that stays keeps its own hole, and what comes after a barrier without it closes.
        let mut stays = log.begin();
        let open = stays.append(new_event("orders", "y", "open"));
        append(&log, 1, 1);
        sleep(Duration::from_secs(60)).await;
        let holes = log.subscription(NAME).expect("registered").progress.holes;
        assert_eq!(holes.to_string(), open.to_string());
        stays.rollback();
        drained(&log).await;
        assert_complete_and_ordered(&publisher.messages(), &log.committed());
        relay.stop().await.expect("stops");
    }
}

#[tokio::test(start_paused = true)]
async fn numbers_that_are_given_out_again_after_a_crash_are_not_skipped() {
    let (log, publisher) = (log(), RecordingPublisher::new());
    let relay = spawn(&log, publisher.clone());
    for round in 0..50_u64 {
        append(&log, 2, 2);
        let mut lost = log.begin();
        lost.append(new_event("orders", "x", "lost"));
        let mut other = log.begin();
        other.append(new_event("orders", "y", "lost"));
        sleep(Duration::from_millis(round * 7 % 160)).await;
        log.crash();
        assert!(!lost.commit() && !other.commit());
        // The same numbers again, by writers that the barrier did not see; the later one commits first.
        let mut slow = log.begin();
        slow.append(new_event("orders", "z", "slow"));
        append(&log, 1, 1);
        sleep(Duration::from_millis(round * 13 % 400)).await;
        slow.commit();
    }
    drained(&log).await;
    assert_complete_and_ordered(&publisher.messages(), &log.committed());
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_full_in_the_middle_of_the_holes_loses_none_of_them() {
    for proof in proofs() {
        let (log, publisher) = (MemoryLog::new(proof), RecordingPublisher::new());
        let config = RelayConfig { page_size: 3, read_ahead: 100, ..RelayConfig::default() };
        let relay = spawn_with(&log, publisher.clone(), config);
        let mut writers = Vec::new();
        for number in 0..30 {
            let mut writer = log.begin();
            writer.append(new_event("orders", &format!("w{number}"), "late"));
            writers.push(writer);
            append(&log, 1, 1);
        }
        sleep(Duration::from_secs(1)).await;
        for (number, writer) in writers.into_iter().enumerate() {
            if number % 3 == 0 { writer.rollback() } else { assert!(writer.commit()) }
        }
        drained(&log).await;
        assert_complete_and_ordered(&publisher.messages(), &log.committed());
        relay.stop().await.expect("stops");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tombstone_waits_for_the_grace_of_its_hole() {
    let (log, publisher) =
        (MemoryLog::new(HoleProof::Tombstones { grace: GRACE }), RecordingPublisher::new());
    let relay = spawn(&log, publisher.clone());
    let mut writer = log.begin();
    writer.append(new_event("orders", "x", "never"));
    append(&log, 1, 1);
    writer.rollback();
    sleep(GRACE - Duration::from_millis(100)).await;
    assert_eq!(log.counts().fills, 0);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(log.counts().fills, 1);
    drained(&log).await;
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_long_writer_costs_few_questions() {
    let (log, publisher) = (log(), RecordingPublisher::new());
    let relay = spawn(&log, publisher.clone());
    let mut writer = log.begin();
    writer.append(new_event("orders", "x", "open"));
    append(&log, 1, 1);
    sleep(Duration::from_secs(10)).await;
    let before = log.counts();
    sleep(Duration::from_secs(100)).await;
    let after = log.counts();
    assert!(after.proofs - before.proofs <= 105, "{} lists in 100 s", after.proofs - before.proofs);
    assert_eq!(after.flushes, before.flushes);
    writer.rollback();
    drained(&log).await;
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn too_many_holes_make_reading_wait_and_not_forget() {
    let (log, publisher) = (log(), RecordingPublisher::new());
    let config = RelayConfig { max_holes: 10, ..RelayConfig::default() };
    let relay = spawn_with(&log, publisher.clone(), config);
    let writers: Vec<_> = (0..25)
        .map(|number| {
            let mut writer = log.begin();
            writer.append(new_event("orders", &format!("w{number}"), "late"));
            append(&log, 1, 1);
            writer
        })
        .collect();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(publisher.seqs().len(), 10);
    for writer in writers {
        writer.commit();
    }
    drained(&log).await;
    assert_complete_and_ordered(&publisher.messages(), &log.committed());
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn with_one_writer_at_a_time_rollbacks_leave_no_holes() {
    let (log, publisher) = (MemoryLog::new(HoleProof::SingleWriter), RecordingPublisher::new());
    let relay = spawn(&log, publisher.clone());
    for round in 0..30 {
        let mut writer = log.begin();
        writer.append(new_event("orders", "x", "perhaps"));
        if round % 3 == 0 {
            writer.rollback();
        } else {
            assert!(writer.commit());
        }
        append(&log, 1, 1);
        sleep(Duration::from_millis(20)).await;
    }
    drained(&log).await;
    assert_complete_and_ordered(&publisher.messages(), &log.committed());
    assert_eq!((log.counts().proofs, log.counts().fills), (0, 0));
    relay.stop().await.expect("stops");
}
