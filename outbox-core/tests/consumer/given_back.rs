//! What comes again, when its return takes long to be answered or is not to be for ages.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use outbox_core::{
    consumer::{Delivery, HandlerError},
    message::ReceivedMessage,
    source::{Incoming, Receipt, Source, SourceError},
};
use tokio::time::{Instant, sleep};

use crate::world::{OrderPlaced, consumer};

/// A queue with one message of a group. Given back, it is there again after its delay, before that is answered.
#[derive(Clone)]
struct Slow {
    /// When the message is visible, and which delivery that is.
    visible: Arc<Mutex<Option<(Instant, u32)>>>,
    deliveries: Arc<AtomicUsize>,
    given_back: Arc<Mutex<Vec<Duration>>>,
    answer_time: Duration,
}

impl Slow {
    fn new(answer_time: Duration) -> Self {
        let visible = Arc::new(Mutex::new(Some((Instant::now(), 1))));
        Self { visible, deliveries: Arc::default(), given_back: Arc::default(), answer_time }
    }

    fn take(&self) -> Option<u32> {
        let mut visible = self.visible.lock().expect("nothing panics with the lock held");
        let (_, attempt) = visible.take_if(|(at, _)| *at <= Instant::now())?;
        self.deliveries.fetch_add(1, Ordering::SeqCst);
        Some(attempt)
    }
}

#[async_trait]
impl Source for Slow {
    async fn receive(&self, _: usize) -> Result<Vec<Incoming>, SourceError> {
        for _ in 0..2_000 {
            if let Some(attempt) = self.take() {
                return Ok(vec![Incoming {
                    receipt: Receipt(attempt.to_string().into()),
                    broker_id: None,
                    attempt,
                    group: Some("a".into()),
                    message: Ok(ReceivedMessage::new("/shop", "1", "order.placed", r#"{"order_id":1}"#)),
                }]);
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(Vec::new())
    }

    async fn ack(&self, _: &[Receipt]) -> Result<Vec<Receipt>, SourceError> {
        Ok(Vec::new())
    }

    async fn nack(&self, receipt: &Receipt, delay: Duration) -> Result<(), SourceError> {
        let attempt: u32 = receipt.0.parse().expect("the receipts are its own");
        self.given_back.lock().expect("nothing panics with the lock held").push(delay);
        let again = Instant::now().checked_add(delay).map(|at| (at, attempt + 1));
        *self.visible.lock().expect("nothing panics with the lock held") = again;
        sleep(self.answer_time).await;
        Ok(())
    }

    async fn extend(&self, _: &Receipt, _: Duration) -> Result<bool, SourceError> {
        Ok(true)
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_again_before_its_return_is_answered_is_handled() {
    for (answer_time, delay) in
        [(Duration::from_secs(8), Duration::from_secs(1)), (Duration::from_millis(20), Duration::ZERO)]
    {
        let source = Slow::new(answer_time);
        let tried = Arc::new(AtomicUsize::new(0));
        let note = Arc::clone(&tried);
        let handler = move |_: Delivery<OrderPlaced>, (): ()| {
            let fails = note.fetch_add(1, Ordering::SeqCst) < 3;
            let outcome = if fails { Err(HandlerError::retry_after(delay, "on purpose")) } else { Ok(()) };
            std::future::ready(outcome)
        };
        let consumer = consumer(source.clone()).on(handler);
        let report = consumer.run_until(sleep(Duration::from_secs(60))).await.expect("it ran");
        assert_eq!(
            (report.processed, tried.load(Ordering::SeqCst)),
            (1, 4),
            "answered after {answer_time:?}"
        );
        assert_eq!(source.deliveries.load(Ordering::SeqCst), 4, "answered after {answer_time:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_delay_past_the_end_of_the_clock_is_cut_to_a_hundred_years() {
    let hundred_years = Duration::from_secs(100 * 365 * 24 * 3_600);
    for delay in [Duration::MAX, longest_that_a_clock_takes(), hundred_years] {
        let source = Slow::new(Duration::from_millis(20));
        let handler = move |_: Delivery<OrderPlaced>, (): ()| {
            std::future::ready(Err::<(), _>(HandlerError::retry_after(delay, "never again")))
        };
        let consumer = consumer(source.clone()).on(handler);
        let report = consumer.run_until(sleep(Duration::from_secs(15))).await.expect("it ran");
        assert_eq!(report.failed, 1);
        let given_back = source.given_back.lock().expect("nothing panics with the lock held").clone();
        assert_eq!(given_back, [hundred_years], "asked for {delay:?}");
    }
}

/// An instant takes it, but nothing more behind it.
fn longest_that_a_clock_takes() -> Duration {
    let (mut fits, mut too_long) = (0, u64::MAX);
    while fits + 1 < too_long {
        let secs = fits + (too_long - fits) / 2;
        match Instant::now().checked_add(Duration::from_secs(secs)) {
            Some(_) => fits = secs,
            None => too_long = secs,
        }
    }
    Duration::from_secs(fits - 1)
}
