//! The inbox is kept short beside the work, and never at its cost.

use std::{
    error::Error,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use outbox_core::{
    consumer::{Consumer, Forgotten, HandlerError, InboxError, InboxStore, MessageKey, Processed},
    source::{Incoming, Receipt, Source, SourceError},
};
use tokio::time::{Instant, sleep};

use crate::{
    told::Log,
    world::{Handled, QUEUE, broker, run_dry, send},
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const WINDOW: Duration = Duration::from_secs(14 * 24 * 3_600);

/// What an inbox that forgets is asked, and what it does.
#[derive(Debug, Default)]
struct State {
    /// Rows past the window; a chunk is of a thousand.
    old: AtomicU64,
    /// When it was asked to forget.
    asked: Mutex<Vec<Instant>>,
    fails: AtomicBool,
    panics: AtomicBool,
    hangs: AtomicBool,
}

impl State {
    fn asked(&self) -> Vec<Instant> {
        self.asked.lock().expect("nothing panics with the lock held").clone()
    }
}

#[derive(Debug, Clone, Default)]
struct Forgetting(Arc<State>);

impl InboxStore for Forgetting {
    type Tx = ();

    async fn process<F, Fut>(
        &self,
        _: MessageKey<'_>,
        handler: F,
    ) -> Result<Processed<()>, InboxError<HandlerError>>
    where
        F: FnOnce(()) -> Fut + Send,
        Fut: Future<Output = Result<(), HandlerError>> + Send,
    {
        handler(()).await.map(Processed::Processed).map_err(InboxError::Handler)
    }

    fn window(&self) -> Option<Duration> {
        Some(WINDOW)
    }

    async fn forget_some(&self) -> Result<Forgotten, Box<dyn Error + Send + Sync>> {
        self.0.asked.lock().expect("nothing panics with the lock held").push(Instant::now());
        if self.0.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        assert!(!self.0.panics.load(Ordering::SeqCst), "on purpose");
        if self.0.fails.load(Ordering::SeqCst) {
            return Err("the database is away".into());
        }
        let old = self.0.old.load(Ordering::SeqCst);
        let removed = old.min(1_000);
        self.0.old.store(old - removed, Ordering::SeqCst);
        Ok(Forgotten { removed, more: removed == 1_000 })
    }
}

/// A source without messages, which says how long it keeps them.
#[derive(Debug, Clone)]
struct Silent {
    retention: Arc<Mutex<Duration>>,
    /// How often it said so.
    asked: Arc<AtomicU64>,
}

impl Silent {
    fn new() -> Self {
        Self { retention: Arc::new(Mutex::new(WINDOW)), asked: Arc::default() }
    }

    fn keeps_for(&self, retention: Duration) {
        *self.retention.lock().expect("nothing panics with the lock held") = retention;
    }
}

#[async_trait]
impl Source for Silent {
    async fn receive(&self, _: usize) -> Result<Vec<Incoming>, SourceError> {
        std::future::pending().await
    }

    async fn ack(&self, _: &[Receipt]) -> Result<Vec<Receipt>, SourceError> {
        Ok(Vec::new())
    }

    async fn nack(&self, _: &Receipt, _: Duration) -> Result<(), SourceError> {
        Ok(())
    }

    async fn extend(&self, _: &Receipt, _: Duration) -> Result<bool, SourceError> {
        Ok(true)
    }

    async fn retention(&self) -> Result<Option<Duration>, SourceError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(Some(*self.retention.lock().expect("nothing panics with the lock held")))
    }
}

fn consumer(inbox: &Forgetting) -> Consumer<Silent, Forgetting> {
    consumer_of(&Silent::new(), inbox)
}

fn consumer_of(source: &Silent, inbox: &Forgetting) -> Consumer<Silent, Forgetting> {
    Consumer::new(source.clone(), inbox.clone()).on(Handled::default().noting())
}

#[tokio::test(start_paused = true)]
async fn an_inbox_is_purged_every_hour_or_so_in_chunks_with_pauses() {
    let inbox = Forgetting::default();
    inbox.0.old.store(2_500, Ordering::SeqCst);
    let began = Instant::now();
    consumer(&inbox).run_until(sleep(4 * HOUR)).await.expect("it ran");
    let asked = inbox.0.asked();
    assert!(asked[0] - began <= HOUR, "the first within an hour, found {:?}", asked[0] - began);
    assert_eq!(inbox.0.old.load(Ordering::SeqCst), 0);
    let pauses: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let (chunks, purges) = pauses.split_at(2);
    assert!(
        chunks.iter().all(|pause| (Duration::from_millis(100)..MINUTE).contains(pause)),
        "found {chunks:?}"
    );
    // Two at the least: an hour, and twice an hour and a quarter.
    assert!(purges.len() >= 2, "found {purges:?}");
    assert!(purges.iter().all(|pause| (45 * MINUTE..=76 * MINUTE).contains(pause)), "found {purges:?}");
    assert!(purges.windows(2).any(|pair| pair[0] != pair[1]), "not in step with others, found {purges:?}");
}

#[tokio::test(start_paused = true)]
async fn the_interval_can_be_changed_and_the_purge_left_to_others() {
    let often = Forgetting::default();
    // Nobody may ask in a tight loop.
    consumer(&often).purge_interval(Duration::ZERO).run_until(sleep(MINUTE)).await.expect("it ran");
    let asked = often.0.asked().len();
    assert!((48..=80).contains(&asked), "about every second, found {asked}");
    let rarely = Forgetting::default();
    consumer(&rarely).purge_interval(Duration::MAX).run_until(sleep(24 * HOUR)).await.expect("it ran");
    assert_eq!(rarely.0.asked().len(), 0);
    let never = Forgetting::default();
    consumer(&never).without_purge().run_until(sleep(24 * HOUR)).await.expect("it ran");
    assert_eq!(never.0.asked().len(), 0);
}

// What is forgotten while it may still come is processed twice.
#[tokio::test(start_paused = true)]
async fn nothing_is_forgotten_while_the_source_keeps_messages_for_longer() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let inbox = Forgetting::default();
    let source = Silent::new();
    let script = async {
        // The start asks too, and would refuse.
        while source.asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        source.keeps_for(WINDOW + Duration::from_secs(1));
        sleep(12 * HOUR).await;
        assert_eq!(inbox.0.asked().len(), 0);
        assert!(source.asked.load(Ordering::SeqCst) > 100, "it is asked each time");
        source.keeps_for(WINDOW);
        sleep(2 * HOUR).await;
        assert!(!inbox.0.asked().is_empty());
    };
    consumer_of(&source, &inbox).purge_interval(MINUTE).run_until(script).await.expect("it ran");
    let lines = log.0.lock().expect("nothing panics with the lock held").clone();
    assert_eq!(lines.len(), 1, "found {lines:#?}");
    assert!(lines[0].starts_with("WARN") && lines[0].contains("1209601s"), "found {lines:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_purge_that_hangs_holds_up_neither_the_handlers_nor_the_end() {
    let inbox = Forgetting::default();
    inbox.0.hangs.store(true, Ordering::SeqCst);
    let broker = broker(MINUTE);
    let handled = Handled::default();
    let busy = Consumer::new(broker.source(QUEUE), inbox.clone()).on(handled.noting());
    let busy = busy.purge_interval(Duration::from_secs(1));
    let script = async {
        sleep(Duration::from_secs(2)).await;
        send(&broker, "order.placed", 0..3).await;
        sleep(MINUTE).await;
    };
    let began = Instant::now();
    busy.run_until(script).await.expect("it ran");
    assert_eq!(began.elapsed(), Duration::from_secs(62), "it ended at once");
    assert_eq!(handled.all().len(), 3);
    assert_eq!(inbox.0.asked().len(), 1, "the case was met");
    let strong = Arc::strong_count(&inbox.0);
    assert_eq!(strong, 1, "nothing runs on");
}

#[tokio::test(start_paused = true)]
async fn a_purge_that_fails_is_told_once_an_outage_and_tried_again() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let inbox = Forgetting::default();
    inbox.0.old.store(1, Ordering::SeqCst);
    let script = async {
        for outage in [&inbox.0.fails, &inbox.0.panics] {
            outage.store(true, Ordering::SeqCst);
            sleep(12 * HOUR).await;
            outage.store(false, Ordering::SeqCst);
            sleep(2 * HOUR).await;
        }
    };
    consumer(&inbox).run_until(script).await.expect("it ran");
    assert_eq!(inbox.0.old.load(Ordering::SeqCst), 0);
    let lines = log.0.lock().expect("nothing panics with the lock held").clone();
    assert_eq!(lines.len(), 2, "found {lines:#?}");
    assert!(lines[0].starts_with("WARN") && lines[0].contains("the database is away"), "found {}", lines[0]);
    assert!(lines[1].starts_with("WARN") && lines[1].contains("on purpose"), "found {}", lines[1]);
}

/// An inbox that says nothing of it, such as one of a user's own, goes on as it is.
#[tokio::test(start_paused = true)]
async fn an_inbox_that_cannot_forget_is_left_alone() {
    let broker = broker(MINUTE);
    send(&broker, "order.placed", 0..3).await;
    let consumer = crate::world::consumer(broker.source(QUEUE)).on(Handled::default().noting());
    let report = run_dry(consumer.purge_interval(Duration::from_secs(1)), &broker).await;
    assert_eq!(report.processed, 3);
}
