//! One subscription for as long as the relay runs: acquire, lead, and again.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt as _;
use tokio::time::{Instant, timeout};

use super::{
    RelayError, Shared,
    leader::{Lapse, Leader},
    lease::Lease,
    outage::Outage,
    publish::panic_text,
    subscription::Reader,
    survey::surveyed,
};
use crate::log::{Acquired, LogError, Owner, StoredProgress};

/// Runs a subscription until the relay is stopped.
///
/// # Errors
/// What waiting does not help against.
pub(super) async fn supervise(shared: &Shared, reader: &Reader) -> Result<(), RelayError> {
    let mut outage = Outage::new(Some(reader.name.clone()), &shared.config);
    reader.meter.reset();
    // A token that may still hold the lease: given up before the next is drawn, or the lease would have to
    // run out first.
    let mut stale: Option<Owner> = None;
    let ended = terms(shared, reader, &mut outage, &mut stale).await;
    // Also where it cannot go on: another relay may.
    if let Some(owner) = stale {
        release_once(shared, reader, owner).await;
    }
    ended
}

async fn terms(
    shared: &Shared,
    reader: &Reader,
    outage: &mut Outage,
    stale: &mut Option<Owner>,
) -> Result<(), RelayError> {
    register(shared, reader, outage).await?;
    while !shared.shutdown.is_cancelled() {
        if let Some(owner) = *stale
            && !give_up(shared, reader, owner, outage).await?
        {
            continue;
        }
        let owner = Owner::random();
        let sent = Instant::now();
        *stale = Some(owner);
        // Dropped half-way, it may have been granted: the token is given up in the end.
        let Some(acquired) = shared.unless_stopped(acquire(shared, reader, owner)).await else { break };
        match acquired {
            Ok(Acquired::Leader(stored)) => {
                outage.answered();
                lead(shared, reader, owner, sent, stored, outage).await?;
            }
            Ok(Acquired::Held { expires_in }) => {
                *stale = None;
                outage.stored();
                shared.pause(expires_in.clamp(shared.config.poll_min, shared.config.poll_max)).await;
            }
            Ok(Acquired::Paused) => {
                *stale = None;
                outage.stored();
                shared.pause(shared.config.poll_max).await;
            }
            Err(error) => wait_or_end(shared, outage, error).await?,
        }
    }
    Ok(())
}

async fn register(shared: &Shared, reader: &Reader, outage: &mut Outage) -> Result<(), RelayError> {
    while !shared.shutdown.is_cancelled() {
        let registering = shared.log.register(&reader.name, reader.start);
        let Some(registered) = shared.unless_stopped(registering).await else { break };
        match registered {
            Ok(()) => return Ok(()),
            Err(error) => wait_or_end(shared, outage, error).await?,
        }
    }
    Ok(())
}

async fn acquire(shared: &Shared, reader: &Reader, owner: Owner) -> Result<Acquired, LogError> {
    let length = shared.config.lease;
    match timeout(length / 2, shared.log.acquire(&reader.name, owner, length)).await {
        Ok(answer) => answer,
        Err(elapsed) => Err(LogError::database(elapsed)),
    }
}

/// One term. Only what waiting does not help against comes back as an error.
async fn lead(
    shared: &Shared,
    reader: &Reader,
    owner: Owner,
    sent: Instant,
    stored: StoredProgress,
    outage: &mut Outage,
) -> Result<(), RelayError> {
    let subscription = &reader.name;
    tracing::info!(%subscription, position = stored.position, "leading");
    let _leading = shared.leading();
    let lapse = {
        let term = reader.meter.begin_term();
        let lease = Lease::keep(shared.log.clone(), reader.name.clone(), owner, shared.config.lease, sent);
        let mut leader = Leader::new(shared, reader, owner, outage, lease, stored);
        match AssertUnwindSafe(surveyed(shared, reader, leader.run())).catch_unwind().await {
            Ok(Ok(())) => {
                term.given_up();
                return Ok(());
            }
            Ok(Err(lapse)) => lapse,
            Err(panic) => {
                // Dropped, a batch would be cut off and meet its own events in the next term.
                leader.flights.forget_all().await;
                Lapse::Panicked(panic_text(&*panic).to_owned())
            }
        }
    };
    match lapse {
        Lapse::Log(error) => wait_or_end(shared, outage, error).await,
        Lapse::Panicked(_) => {
            tracing::error!(%subscription, error = %lapse, "the term ended; acquiring again");
            shared.pause(outage.pause()).await;
            Ok(())
        }
        Lapse::LeaseLost | Lapse::Fenced | Lapse::AnchorLost(_) => {
            tracing::warn!(%subscription, error = %lapse, "the term ended; acquiring again");
            shared.pause(outage.pause()).await;
            Ok(())
        }
    }
}

/// Gives a lease up; `false` where that has to be tried again.
async fn give_up(
    shared: &Shared,
    reader: &Reader,
    owner: Owner,
    outage: &mut Outage,
) -> Result<bool, RelayError> {
    match release(shared, reader, owner).await {
        Ok(()) => Ok(true),
        Err(error) => wait_or_end(shared, outage, error).await.map(|()| false),
    }
}

async fn release_once(shared: &Shared, reader: &Reader, owner: Owner) {
    if let Err(error) = release(shared, reader, owner).await {
        tracing::warn!(subscription = %reader.name, %error, "the lease was not given up; it will run out");
    }
}

async fn release(shared: &Shared, reader: &Reader, owner: Owner) -> Result<(), LogError> {
    let limit: Duration = shared.config.lease / 3;
    match timeout(limit, shared.log.release(&reader.name, owner)).await {
        Ok(answer) => answer,
        Err(elapsed) => Err(LogError::database(elapsed)),
    }
}

/// Waits for a database that is away; anything else ends the subscription.
async fn wait_or_end(shared: &Shared, outage: &mut Outage, error: LogError) -> Result<(), RelayError> {
    if !error.is_transient() {
        return Err(error.into());
    }
    shared.pause(outage.failed(&error)).await;
    Ok(())
}
