//! What a thousand messages cost in requests to the broker.

use std::{sync::atomic::Ordering, time::Duration};

use outbox_core::consumer::Delivery;
use tokio::time::sleep;

use crate::world::{OrderPlaced, Watched, broker, consumer, run_dry, send};

// Handlers that are slower than the round trip end one by one: a request for each place costs ten times as many.
#[tokio::test(start_paused = true)]
async fn handlers_that_end_one_by_one_do_not_cost_a_request_each() {
    let broker = broker(Duration::from_secs(30));
    send(&broker, "order.placed", 0..1_000).await;
    let (source, calls) = Watched::new(&broker);
    let handler = |event: Delivery<OrderPlaced>, (): ()| async move {
        sleep(Duration::from_millis(10 + u64::from(event.order_id % 7) * 3)).await;
        Ok(())
    };
    let report = run_dry(consumer(source).on(handler).concurrency(20), &broker).await;
    assert_eq!(report.processed, 1_000);
    let (receives, acks) = (calls.receives.load(Ordering::SeqCst), calls.acks.load(Ordering::SeqCst));
    assert!(receives <= 150, "found {receives} receives of 1,000 messages");
    assert!(acks <= 200, "found {acks} acknowledgements of 1,000 messages");
}
