//! A model of everything around a leader: random outcomes, late commits, crashes, take-overs and operators, checked
//! after each step. The leader's memory is the real one; the database is the log in memory; the broker is a list.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};

use super::{Answer, Batch, Term};
use crate::{
    log::{
        Acquired, EventLog as _, Flushed, HoldState, HoleProof, Ordering, Owner, StartPoint, SubscriptionName,
    },
    message::Seq,
    progress::Absence,
    publisher::{Outcome, Topics},
    relay::policy::{OnDead, Policy},
    retry::RetryPolicy,
    testing::{MemoryLog, MemoryWriter, new_event},
};

/// The name of the subscription.
const NAME: &str = "model";

/// How the subscription is set.
#[derive(Debug, Clone, Copy)]
struct Settings {
    on_dead: OnDead,
    ordering: Ordering,
    keeps_order_in_batch: bool,
}

#[derive(Debug, Clone)]
enum Step {
    /// A row of this aggregate is written in one of the open transactions, or in a new one.
    Append {
        aggregate: u8,
        transaction: u8,
    },
    Commit(u8),
    RollBack(u8),
    Read {
        limit: u8,
    },
    Send {
        max: u8,
    },
    /// A batch is back; each message has the outcome that this chooses for it.
    Land {
        batch: u8,
        outcomes: Vec<u8>,
    },
    /// A batch is back without an answer; it may have been published all the same.
    Silence {
        batch: u8,
        is_published: bool,
    },
    Flush,
    /// The flush is stored, but the leader does not hear of it.
    LoseFlush,
    BusyFlush,
    Wait {
        millis: u16,
    },
    Due,
    Release {
        each: u8,
    },
    Spill {
        keep: u8,
    },
    /// The leader is gone, and with it what is in flight, published or not.
    Crash {
        is_published: bool,
    },
    Requeue(u8),
    Discard(u8),
    Replay(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (0..5_u8, any::<u8>()).prop_map(|(aggregate, transaction)| Step::Append { aggregate, transaction }),
        8 => any::<u8>().prop_map(Step::Commit),
        1 => any::<u8>().prop_map(Step::RollBack),
        8 => (1..12_u8).prop_map(|limit| Step::Read { limit }),
        10 => (1..6_u8).prop_map(|max| Step::Send { max }),
        10 => (any::<u8>(), prop::collection::vec(any::<u8>(), 6))
            .prop_map(|(batch, outcomes)| Step::Land { batch, outcomes }),
        1 => (any::<u8>(), any::<bool>())
            .prop_map(|(batch, is_published)| Step::Silence { batch, is_published }),
        7 => Just(Step::Flush),
        1 => Just(Step::LoseFlush),
        1 => Just(Step::BusyFlush),
        3 => (0..2_000_u16).prop_map(|millis| Step::Wait { millis }),
        4 => Just(Step::Due),
        4 => (1..4_u8).prop_map(|each| Step::Release { each }),
        1 => (0..3_u8).prop_map(|keep| Step::Spill { keep }),
        1 => any::<bool>().prop_map(|is_published| Step::Crash { is_published }),
        2 => any::<u8>().prop_map(Step::Requeue),
        1 => any::<u8>().prop_map(Step::Discard),
        1 => any::<u8>().prop_map(Step::Replay),
    ];
    prop::collection::vec(step, 1..160)
}

fn settings() -> impl Strategy<Value = Settings> {
    let on_dead = prop_oneof![Just(OnDead::Skip), Just(OnDead::Block)];
    let ordering =
        prop_oneof![4 => Just(Ordering::Aggregate), 1 => Just(Ordering::Total), 1 => Just(Ordering::None)];
    (on_dead, ordering, any::<bool>()).prop_map(|(on_dead, ordering, keeps_order_in_batch)| Settings {
        on_dead,
        ordering,
        keeps_order_in_batch,
    })
}

struct World {
    settings: Settings,
    log: MemoryLog,
    name: SubscriptionName,
    source: Arc<str>,
    rng: StdRng,
    open: Vec<(MemoryWriter, Vec<u8>)>,
    owner: Owner,
    term: Term,
    in_flight: Vec<Batch>,
    aggregates: BTreeMap<Seq, u8>,
    /// First deliveries, in order.
    delivered: Vec<Seq>,
    discarded: BTreeSet<Seq>,
    /// Those that an operator, or their death, has taken out of the order.
    out_of_order: BTreeSet<Seq>,
}

/// The work of a term that has just begun.
async fn begin(log: &MemoryLog, name: &SubscriptionName, settings: Settings) -> (Owner, Term) {
    let owner = Owner::random();
    log.expire_lease(NAME);
    let acquired = log.acquire(name, owner, Duration::from_secs(3600)).await.expect("acquires");
    let Acquired::Leader(stored) = acquired else { panic!("{acquired:?}") };
    let policy = Policy {
        retry: RetryPolicy::fixed(Duration::from_millis(700), 3),
        on_dead: settings.on_dead,
        ordering: settings.ordering,
        ..Policy::default()
    };
    let mut term = Term::new(name.clone(), Arc::new(policy), stored, settings.keeps_order_in_batch);
    term.load_stopped(log.stopped(name).await.expect("asks"));
    (owner, term)
}

impl World {
    async fn new(settings: Settings) -> Self {
        let log = MemoryLog::new(HoleProof::WriterList);
        let name = SubscriptionName::new(NAME).expect("a name");
        log.register(&name, StartPoint::Beginning).await.expect("registers");
        let (owner, term) = begin(&log, &name, settings).await;
        Self {
            settings,
            log,
            name,
            source: "/model".into(),
            rng: StdRng::seed_from_u64(5),
            open: Vec::new(),
            owner,
            term,
            in_flight: Vec::new(),
            aggregates: BTreeMap::new(),
            delivered: Vec::new(),
            discarded: BTreeSet::new(),
            out_of_order: BTreeSet::new(),
        }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Append { aggregate, transaction } => self.append(aggregate, transaction),
            Step::Commit(which) => {
                if let Some((writer, _)) = self.pick_open(which) {
                    writer.commit();
                }
            }
            Step::RollBack(which) => drop(self.pick_open(which)),
            Step::Read { limit } => self.read(limit.into()).await,
            Step::Send { max } => {
                self.in_flight.extend(self.term.take_batch(max.into(), usize::MAX));
            }
            Step::Land { batch, outcomes } => self.land(batch, &outcomes),
            Step::Silence { batch, is_published } => {
                if let Some(batch) = self.pick_batch(batch) {
                    if is_published {
                        self.deliver(&batch);
                    }
                    self.term.complete(batch, Answer::Silence("silence".into()), &mut self.rng);
                }
            }
            Step::Flush => self.flush().await,
            Step::LoseFlush => {
                self.log.lose_flush_answers(1);
                let flush = self.term.take_flush();
                let lost = self.log.flush(&self.name, self.owner, &flush).await;
                self.log.lose_flush_answers(0);
                assert!(lost.is_err());
                self.begin_anew().await;
            }
            Step::BusyFlush => {
                self.log.be_busy_for_flushes(1);
                self.flush().await;
            }
            Step::Wait { millis } => tokio::time::advance(Duration::from_millis(millis.into())).await,
            Step::Due => self.fetch_due().await,
            Step::Release { each } => self.release(each.into()).await,
            Step::Spill { keep } => {
                self.term.spill_long_queues(keep.into());
            }
            Step::Crash { is_published } => {
                if is_published {
                    for batch in std::mem::take(&mut self.in_flight) {
                        self.deliver(&batch);
                    }
                }
                self.begin_anew().await;
            }
            Step::Requeue(which) => {
                if let Some(seq) = self.pick_hold(which, |state| state == HoldState::Dead) {
                    assert!(self.log.requeue(NAME, seq));
                }
            }
            Step::Discard(which) => {
                if let Some(seq) = self.pick_hold(which, |_| true) {
                    assert!(self.log.discard(NAME, seq));
                    self.discarded.insert(seq);
                }
            }
            Step::Replay(which) => {
                let seqs: Vec<Seq> = self.aggregates.keys().copied().collect();
                let from = usize::from(which) % seqs.len().max(1);
                let seqs = &seqs[from.min(seqs.len())..(from + 3).min(seqs.len())];
                let replayed = self.log.replay(NAME, seqs, None);
                self.out_of_order.extend(replayed);
            }
        }
    }

    fn append(&mut self, aggregate: u8, transaction: u8) {
        // One order for all holds where transactions are one after the other.
        let most = if self.settings.ordering == Ordering::Total { 0 } else { 3 };
        let own = usize::from(transaction) % (self.open.len().min(most) + 1);
        let is_locked =
            self.open.iter().enumerate().any(|(n, (_, locks))| n != own && locks.contains(&aggregate));
        if is_locked {
            return;
        }
        if own == self.open.len() {
            self.open.push((self.log.begin(), Vec::new()));
        }
        let seq = self.open[own].0.append(new_event("orders", &aggregate.to_string(), "x"));
        self.open[own].1.push(aggregate);
        self.aggregates.insert(seq, aggregate);
    }

    async fn read(&mut self, limit: usize) {
        let open = self.log.writers().await.expect("asks");
        let request = self.term.progress().read_request(&self.name, &Topics::All, &self.source, limit);
        let page = self.log.read(request).await.expect("reads");
        // Nobody writes: every number so far is settled for good.
        let absence = if open.is_empty() { Absence::Proves } else { Absence::ProvesNothing };
        let absorbed = self.term.absorb(page, limit, absence, 1_000).expect("the anchor holds");
        for event in absorbed.events {
            self.term.take_in(event);
        }
        if absorbed.intervened {
            self.end_in_good_order().await;
        }
    }

    fn land(&mut self, batch: u8, outcomes: &[u8]) {
        let Some(batch) = self.pick_batch(batch) else { return };
        let mut is_broken = BTreeSet::new();
        let mut answer = Vec::new();
        for (index, message) in batch.messages.iter().enumerate() {
            let key = self.key(message.seq);
            let stumbles = key.is_some_and(|key| is_broken.contains(&key));
            let outcome = match outcomes.get(index).copied().unwrap_or(0) {
                0..180 if stumbles => Outcome::held_back("behind one that failed"),
                _ if stumbles => Outcome::failed("behind one that failed"),
                0..160 => Outcome::published(),
                160..180 => Outcome::unavailable("away"),
                180..190 => Outcome::throttled(None, "slower"),
                190..200 => Outcome::rejected("never"),
                200..240 => Outcome::failed("not now"),
                // For no reason that the batch shows: a publisher's mistake.
                240..245 => Outcome::held_back("behind nothing"),
                // The list ends here.
                245.. => break,
            };
            if outcome.is_published() {
                self.note_delivery(message.seq);
            } else {
                is_broken.extend(key);
            }
            answer.push(outcome);
        }
        let landing = self.term.complete(batch, Answer::Outcomes(answer), &mut self.rng);
        if self.settings.on_dead == OnDead::Skip {
            self.out_of_order.extend(landing.deaths.iter().map(|death| death.seq));
        }
    }

    async fn flush(&mut self) {
        let flush = self.term.take_flush();
        match self.log.flush(&self.name, self.owner, &flush).await.expect("answers") {
            Flushed::Stored => self.term.flushed(),
            Flushed::Busy => self.term.not_flushed(flush),
            Flushed::Fenced => panic!("nobody else leads"),
        }
    }

    async fn fetch_due(&mut self) {
        // What is out is due still: a leader asks for those that it does not have.
        let due = self.log.due(&self.name, &self.source, 1_000).await.expect("asks");
        let known = self.term.known_holds();
        for (hold, message) in due {
            if !known.contains(&hold.seq) && !self.in_flight_seqs().contains(&hold.seq) {
                self.term.take_due(hold, message);
            }
        }
    }

    async fn release(&mut self, each: usize) {
        if !self.term.has_releases() {
            return;
        }
        let keys = self.term.releases(2);
        if keys.is_empty() {
            return;
        }
        let found = self.log.blocked(&self.name, &self.source, &keys, each).await.expect("asks");
        self.term.released(2, found, each, |_| true);
    }

    /// As a leader does that was told of an operator's change.
    async fn end_in_good_order(&mut self) {
        while let Some(batch) = self.in_flight.pop() {
            let outcomes = vec![Outcome::published(); batch.messages.len()];
            self.deliver(&batch);
            self.term.complete(batch, Answer::Outcomes(outcomes), &mut self.rng);
        }
        self.flush().await;
        self.begin_anew().await;
    }

    async fn begin_anew(&mut self) {
        self.in_flight.clear();
        (self.owner, self.term) = begin(&self.log, &self.name, self.settings).await;
    }

    /// Publishes all that can be published.
    async fn quiesce(&mut self) {
        for (writer, _) in std::mem::take(&mut self.open) {
            writer.commit();
        }
        for _ in 0..400 {
            self.read(50).await;
            self.fetch_due().await;
            self.release(3).await;
            self.in_flight.extend(self.term.take_batch(10, usize::MAX));
            while let Some(batch) = self.pick_batch(0) {
                let outcomes = vec![Outcome::published(); batch.messages.len()];
                self.deliver(&batch);
                self.term.complete(batch, Answer::Outcomes(outcomes), &mut self.rng);
            }
            self.flush().await;
            self.check();
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        let stored = self.log.subscription(NAME).expect("registered");
        let holds_up_everything =
            stored.holds.values().any(|hold| hold.state == HoldState::Dead && hold.aggregate.is_some())
                && self.settings.ordering == Ordering::Total;
        assert!(stored.progress.holes.is_empty() || holds_up_everything, "left: {}", stored.progress.holes);
        let dead: BTreeSet<_> = stored
            .holds
            .values()
            .filter(|hold| hold.state == HoldState::Dead)
            .map(|hold| hold.aggregate.clone())
            .collect();
        for hold in stored.holds.values() {
            let waits_for_an_operator = hold.state == HoldState::Blocked && dead.contains(&hold.aggregate);
            assert!(hold.state == HoldState::Dead || waits_for_an_operator, "stuck: {hold:?}");
        }
        for seq in self.log.committed() {
            let is_held = stored.holds.contains_key(&seq) || holds_up_everything;
            assert!(
                self.delivered.contains(&seq) || is_held || self.discarded.contains(&seq),
                "{seq} is lost"
            );
        }
    }

    fn check(&self) {
        let stored = self.log.subscription(NAME).expect("registered");
        for seq in self.log.committed() {
            let is_settled = seq <= stored.progress.position && !stored.progress.holes.contains(seq);
            let is_accounted_for = self.delivered.contains(&seq)
                || self.discarded.contains(&seq)
                || stored.holds.contains_key(&seq);
            assert!(!is_settled || is_accounted_for, "{seq} is settled, and nobody has it");
        }
        let mut last = BTreeMap::new();
        for seq in self.delivered.iter().filter(|seq| !self.out_of_order.contains(seq)) {
            let Some(key) = self.key(*seq) else { continue };
            if let Some(before) = last.insert(key, *seq) {
                assert!(before < *seq, "{seq} came after {before}");
            }
        }
        let mut out = BTreeSet::new();
        for message in self.in_flight.iter().flat_map(|batch| &batch.messages) {
            let is_in_order = self.key(message.seq).filter(|_| !self.out_of_order.contains(&message.seq));
            if let Some(key) = is_in_order.filter(|_| !self.settings.keeps_order_in_batch) {
                assert!(out.insert(key), "{key} is out twice");
            }
        }
        self.term.check_counts(self.in_flight.iter().map(|batch| batch.messages.len()).sum());
    }

    /// The order that an event stands in.
    fn key(&self, seq: Seq) -> Option<u8> {
        match self.settings.ordering {
            Ordering::Aggregate => self.aggregates.get(&seq).copied(),
            Ordering::Total => Some(0),
            Ordering::None => None,
        }
    }

    fn deliver(&mut self, batch: &Batch) {
        for message in &batch.messages {
            self.note_delivery(message.seq);
        }
    }

    fn note_delivery(&mut self, seq: Seq) {
        if !self.delivered.contains(&seq) {
            self.delivered.push(seq);
        }
    }

    fn in_flight_seqs(&self) -> BTreeSet<Seq> {
        self.in_flight.iter().flat_map(|batch| &batch.messages).map(|message| message.seq).collect()
    }

    fn pick_open(&mut self, which: u8) -> Option<(MemoryWriter, Vec<u8>)> {
        let index = usize::from(which).checked_rem(self.open.len())?;
        Some(self.open.swap_remove(index))
    }

    fn pick_batch(&mut self, which: u8) -> Option<Batch> {
        let index = usize::from(which).checked_rem(self.in_flight.len())?;
        Some(self.in_flight.remove(index))
    }

    fn pick_hold(&self, which: u8, wanted: impl Fn(HoldState) -> bool) -> Option<Seq> {
        let holds: Vec<_> = self.log.holds(NAME).into_iter().filter(|hold| wanted(hold.state)).collect();
        let index = usize::from(which).checked_rem(holds.len())?;
        Some(holds[index].seq)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_misordered_or_stuck_whatever_happens(settings in settings(), steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let mut world = World::new(settings).await;
            for step in steps {
                world.take(step).await;
                world.check();
            }
            world.quiesce().await;
        });
    }
}
