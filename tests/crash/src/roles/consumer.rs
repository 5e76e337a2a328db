//! The consumer: one row for each message, in the transaction of its inbox row.

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;
use outbox_seaorm::{
    Inbox, Tx,
    consumer::{Consumer, Delivery, HandlerError},
    retry::RetryPolicy,
};
use sea_orm::{ActiveModelTrait as _, Set};
use tokio::sync::watch;

use super::{connect, input_ended};
use crate::{
    broker::BrokerSource,
    shop::{
        effect,
        events::{OrderChanged, OrderNoted, Seen},
    },
};

/// Consumes until the input ends.
///
/// # Errors
/// What ended the consumer: an outage does not.
pub async fn run(url: &str, broker: SocketAddr, ended: watch::Receiver<bool>) -> Result<()> {
    let Some(db) = connect(url, 10, &ended).await else { return Ok(()) };
    let soon = RetryPolicy::exponential(Duration::from_millis(50), Duration::from_millis(500), u32::MAX);
    Consumer::new(BrokerSource::new(broker), Inbox::new(db, "effects")?)
        .on(changed)
        .on(noted)
        .on(seen)
        .retry(soon)
        .drain_timeout(Duration::from_secs(5))
        .run_until(input_ended(ended))
        .await?;
    Ok(())
}

async fn changed(event: Delivery<OrderChanged>, txn: Tx) -> Result<(), HandlerError> {
    store(event.message().id.clone(), event.order, event.step, &txn).await
}

async fn noted(event: Delivery<OrderNoted>, txn: Tx) -> Result<(), HandlerError> {
    store(event.message().id.clone(), event.order, event.step, &txn).await
}

async fn seen(event: Delivery<Seen>, txn: Tx) -> Result<(), HandlerError> {
    store(event.message().id.clone(), 0, 0, &txn).await
}

async fn store(message_id: String, order_id: i64, step: i64, txn: &Tx) -> Result<(), HandlerError> {
    let (message_id, order_id, step) = (Set(message_id), Set(order_id), Set(step));
    effect::ActiveModel { message_id, order_id, step, ..Default::default() }.insert(txn).await?;
    Ok(())
}
