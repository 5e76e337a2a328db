//! Forgetting a hole by proof, and by nothing else.

use crate::{
    log::{EventLog, HoleProof, RowKind},
    message::Seq,
    progress::{Absence, HoleClosing, NextStep, Progress},
    publisher::Topics,
    testing::log_conformance::{
        LogFixture, LogWriter as _,
        leader::{Leader, event, numbers, ranges, store},
    },
};

pub(crate) async fn an_open_writer_is_listed_until_it_ends(fixture: &impl LogFixture) {
    let log = fixture.log().await;
    assert_eq!(
        log.barrier().await.expect("a barrier"),
        crate::log::Barrier::default(),
        "nothing was ever written"
    );
    for ends_by_commit in [true, false] {
        let mut open = fixture.begin().await;
        let seq = open.append(event("open")).await;
        let barrier = log.barrier().await.expect("a barrier");
        assert!(barrier.upto >= seq, "{seq} was given out, the barrier says {}", barrier.upto);
        let now = log.writers().await.expect("the writers");
        assert!(!barrier.is_cleared_by(&now), "{seq} may be filled yet; of {barrier:?} are left {now:?}");
        if ends_by_commit {
            open.commit().await;
        } else {
            open.rollback().await;
        }
        let now = log.writers().await.expect("the writers");
        assert!(barrier.is_cleared_by(&now), "the writer has ended; of {barrier:?} are left {now:?}");
    }
}

pub(crate) async fn a_writer_that_began_later_does_not_hold_up_the_proof(fixture: &impl LogFixture) {
    let log = fixture.log().await;
    let mut early = fixture.begin().await;
    early.append(event("early")).await;
    let barrier = log.barrier().await.expect("a barrier");
    let mut later = fixture.begin().await;
    let seq = later.append(event("later")).await;
    assert!(seq > barrier.upto, "it drew its number after the barrier");
    early.commit().await;
    let now = log.writers().await.expect("the writers");
    assert!(barrier.is_cleared_by(&now), "of {barrier:?} are left {now:?}");
    later.commit().await;
}

pub(crate) async fn only_tombstones_that_went_in_are_proofs(fixture: &impl LogFixture) {
    let log = fixture.log().await;
    let (mut open, mut given_up) = (fixture.begin().await, fixture.begin().await);
    let writing = open.append(event("open")).await;
    let gap = given_up.append(event("given up")).await;
    given_up.rollback().await;
    let (committed, _) = store(fixture, 1).await;
    let holes = ranges([writing, gap, committed[0]]);
    assert_eq!(log.fill(&holes).await.expect("a lock is no error"), ranges([gap]));
    open.commit().await;
    assert_eq!(log.fill(&holes).await.expect("an answer"), ranges([]), "the one that is there is not new");
}

pub(crate) async fn a_tombstone_is_not_read_as_an_event(fixture: &impl LogFixture) {
    let mut given_up = fixture.begin().await;
    let gap = given_up.append(event("given up")).await;
    given_up.rollback().await;
    let (seqs, _) = store(fixture, 1).await;
    let leader = Leader::of(fixture, "conformance").await;
    assert_eq!(leader.log.fill(&ranges([gap])).await.expect("an answer"), ranges([gap]));
    let page = leader.read(10).await;
    assert_eq!(numbers(&page.rows), [gap, seqs[0]]);
    assert_eq!(page.rows[0].kind, RowKind::Tombstone);
    let none = Topics::Only(std::collections::BTreeSet::new());
    let page = leader.read_from(seqs[0], &ranges([gap]), &none, 10).await;
    assert_eq!(page.rows[0].kind, RowKind::Tombstone, "whatever topics are asked for");
}

pub(crate) async fn a_hole_is_forgotten_in_time_and_not_too_early(fixture: &impl LogFixture) {
    let mut reader = Reader::new(Leader::of(fixture, "conformance").await);
    let (mut open, mut given_up) = (fixture.begin().await, fixture.begin().await);
    let late = open.append(event("late")).await;
    let gap = given_up.append(event("given up")).await;
    given_up.rollback().await;
    let (seqs, _) = store(fixture, 1).await;
    assert_eq!(reader.settle().await, seqs);
    assert!(reader.progress.unseen().contains(late), "its transaction is open");
    open.commit().await;
    assert_eq!(reader.settle().await, [late]);
    assert!(reader.progress.unseen().is_empty(), "{gap} stays empty for ever: {}", reader.progress.unseen());
    let next = reader.leader.replaced(fixture).await;
    assert!(next.progress.holes.is_empty(), "found {}", next.progress.holes);
}

/// Reads, proves and flushes as a relay does, with the relay's own arithmetic.
struct Reader<L> {
    leader: Leader<L>,
    progress: Progress,
    closing: HoleClosing,
}

impl<L: EventLog> Reader<L> {
    fn new(leader: Leader<L>) -> Self {
        let progress = Progress::load(leader.progress.clone());
        Self { leader, progress, closing: HoleClosing::default() }
    }

    /// As many rounds as any proof takes, and some more: what was read.
    async fn settle(&mut self) -> Vec<Seq> {
        let mut seqs = Vec::new();
        for _ in 0..6 {
            seqs.extend(self.poll().await);
            self.prove().await;
        }
        seqs
    }

    async fn poll(&mut self) -> Vec<Seq> {
        const LIMIT: usize = 100;
        let absence = match self.leader.log.hole_proof() {
            HoleProof::SingleWriter => Absence::Proves,
            HoleProof::WriterList => self.closing.absence(),
            HoleProof::Tombstones { .. } => Absence::ProvesNothing,
        };
        let unseen = self.progress.unseen().clone();
        let page = self.leader.read_from(self.progress.position(), &unseen, &Topics::All, LIMIT).await;
        let absorbed = self.progress.absorb(page, LIMIT, absence, 100_000).expect("the log that was read");
        self.closing.absorbed(self.progress.unseen());
        let seqs: Vec<Seq> = absorbed.events.iter().map(|event| event.message.seq).collect();
        self.progress.settle(seqs.iter().copied());
        self.closing.flush_sent();
        self.leader.stores(self.progress.to_flush(Vec::new())).await;
        self.progress.flushed();
        self.closing.flush_stored();
        seqs
    }

    async fn prove(&mut self) {
        let log = &self.leader.log;
        match log.hole_proof() {
            HoleProof::WriterList => match self.closing.next_step(self.progress.unseen()) {
                NextStep::ReadBarrier => {
                    self.closing.barrier_read(log.barrier().await.expect("a barrier"));
                }
                NextStep::ListWriters => {
                    self.closing.writers_listed(&log.writers().await.expect("the writers"));
                }
                NextStep::Nothing | NextStep::Flush | NextStep::Read => {}
            },
            HoleProof::Tombstones { .. } => {
                let filled = log.fill(self.progress.unseen()).await.expect("a lock is no error");
                self.progress.close(&filled);
            }
            HoleProof::SingleWriter => {}
        }
    }
}
