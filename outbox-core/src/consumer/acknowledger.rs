//! Tells the broker what is done with, many deliveries with one call, and those again that it did not take.
//!
//! A message that was not deleted comes again when its visibility ends, and the inbox drops it. Until then the broker
//! gives nothing of its group to anybody, where it has groups: so it is told a few times more.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{
    select,
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

use super::broker::Broker;
use crate::source::{Receipt, Source};

/// The most receipts acknowledged with one call. Sources split it as their broker wants it.
const MAX_ACKS: usize = 100;

/// A call that takes so many is worth its price: brokers take ten at once.
const WORTH_A_CALL: usize = 10;

/// How long an acknowledgement waits for others.
const GATHER: Duration = Duration::from_millis(10);

/// How often a delivery is acknowledged before it is left to come again.
const MAX_TRIES: u32 = 4;

/// The wait after the first try; each later one is four times as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The most that are kept for another try. More than that come again.
const MAX_LEFT: usize = 10_000;

/// A delivery that is done with.
#[derive(Debug)]
struct Done {
    receipt: Receipt,
    since: Instant,
    tries: u32,
}

/// What the broker did not take, by when it is told again.
#[derive(Debug, Default)]
struct Left(VecDeque<(Instant, Done)>);

/// Acknowledges what was committed, as many at once as came together while the last call ran or within a moment, until
/// all senders are gone and nothing is left.
pub(super) async fn acknowledge<S: Source>(broker: Arc<Broker<S>>, mut receipts: mpsc::Receiver<Receipt>) {
    let mut left = Left::default();
    let mut arrived = Vec::with_capacity(MAX_ACKS);
    let mut is_open = true;
    while is_open || left.next().is_some() {
        let next = left.next();
        let again = async {
            match next {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        select! {
            biased;
            // Where it loses, nothing was taken out of the channel.
            count = receipts.recv_many(&mut arrived, MAX_ACKS), if is_open => {
                is_open = count > 0;
                gather(&mut receipts, &mut arrived).await;
            }
            () = again => {}
        }
        let now = Instant::now();
        let mut batch: Vec<Done> =
            arrived.drain(..).map(|receipt| Done { receipt, since: now, tries: 0 }).collect();
        left.take_due(now, &mut batch);
        if !batch.is_empty() {
            tell(&broker, batch, &mut left).await;
        }
    }
}

/// Waits for more, up to what is worth a call, for a moment.
async fn gather(receipts: &mut mpsc::Receiver<Receipt>, arrived: &mut Vec<Receipt>) {
    let others =
        async { while arrived.len() < WORTH_A_CALL && receipts.recv_many(arrived, MAX_ACKS).await > 0 {} };
    // Where the time is over, what came so far has arrived.
    let _ = timeout(GATHER, others).await;
}

async fn tell<S: Source>(broker: &Broker<S>, batch: Vec<Done>, left: &mut Left) {
    let receipts: Vec<Receipt> = batch.iter().map(|done| done.receipt.clone()).collect();
    let not_taken = broker.ack(&receipts).await;
    if not_taken.is_empty() {
        return;
    }
    let now = Instant::now();
    let again = batch.into_iter().filter(|done| not_taken.contains(&done.receipt));
    let given_up = left.keep(again, now, broker.visibility());
    if given_up > 0 {
        tracing::warn!(given_up, "acknowledgements were not taken; duplicates will come");
    }
}

impl Left {
    fn next(&self) -> Option<Instant> {
        self.0.iter().map(|(at, _)| *at).min()
    }

    /// Moves those that are due behind the others, up to a full call.
    fn take_due(&mut self, now: Instant, batch: &mut Vec<Done>) {
        let (due, later) = std::mem::take(&mut self.0).into_iter().partition(|(at, _)| *at <= now);
        self.0 = later;
        let due: VecDeque<(Instant, Done)> = due;
        for (at, done) in due {
            if batch.len() < MAX_ACKS {
                batch.push(done);
            } else {
                self.0.push_back((at, done));
            }
        }
    }

    /// Keeps what may be told again and gives how many are left to come again.
    fn keep(
        &mut self,
        not_taken: impl Iterator<Item = Done>,
        now: Instant,
        visibility: Option<Duration>,
    ) -> usize {
        let mut given_up = 0;
        for mut done in not_taken {
            done.tries += 1;
            match wait_after(done.tries, now - done.since, visibility) {
                Some(wait) if self.0.len() < MAX_LEFT => self.0.push_back((now + wait, done)),
                _ => given_up += 1,
            }
        }
        given_up
    }
}

/// How long to wait after so many tries, the first `elapsed` ago; `None` where it is to come again instead. Two thirds of
/// its visibility were left when it was done with, for it was prolonged until then: half of it is used for this.
fn wait_after(tries: u32, elapsed: Duration, visibility: Option<Duration>) -> Option<Duration> {
    if tries >= MAX_TRIES {
        return None;
    }
    let wait = FIRST_WAIT * 4_u32.pow(tries.saturating_sub(1));
    let Some(visibility) = visibility else { return Some(wait) };
    let wait = wait.min(visibility / 8);
    (elapsed + wait <= visibility / 2).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(name: usize) -> Done {
        Done { receipt: Receipt(name.to_string().into()), since: Instant::now(), tries: 0 }
    }

    #[test]
    fn tries_are_few_ever_farther_apart_and_over_before_the_visibility_is() {
        let millis = Duration::from_millis;
        let half_a_minute = Some(Duration::from_secs(30));
        for (tries, elapsed, visibility, wait) in [
            (1, 0, half_a_minute, Some(100)),
            (2, 100, half_a_minute, Some(400)),
            (3, 500, half_a_minute, Some(1_600)),
            (4, 2_100, half_a_minute, None),
            // A call that hung.
            (1, 10_000, half_a_minute, Some(100)),
            (1, 14_950, half_a_minute, None),
            // A visibility that is short.
            (1, 0, Some(millis(80)), Some(10)),
            (2, 10, Some(millis(80)), Some(10)),
            (3, 31, Some(millis(80)), None),
            // A broker that gives it to nobody else.
            (3, 3_600_000, None, Some(1_600)),
            (4, 3_600_000, None, None),
        ] {
            assert_eq!(
                wait_after(tries, millis(elapsed), visibility),
                wait.map(millis),
                "{tries} tries, {elapsed} ms, {visibility:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_fits_into_a_call_and_takes_no_more_memory_than_it_may() {
        let mut left = Left::default();
        let now = Instant::now();
        assert_eq!(left.keep((0..MAX_LEFT + 7).map(done), now, None), 7);
        assert_eq!(left.next(), Some(now + FIRST_WAIT));
        let mut batch = vec![done(0)];
        left.take_due(now, &mut batch);
        assert_eq!(batch.len(), 1, "none is due");
        left.take_due(now + FIRST_WAIT, &mut batch);
        assert_eq!((batch.len(), left.0.len()), (MAX_ACKS, MAX_LEFT - MAX_ACKS + 1));
    }
}
