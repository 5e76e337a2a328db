//! Kills, freezes and cuts off what a run is made of, in an order that a seed repeats.
//!
//! How often each thing happens follows from the length of the run alone: a run in which nothing went wrong would
//! prove nothing. Two times out of three the relay that leads is the one that is hit.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::{broker::Broker, dice::Dice, process::Process, roles::relay::Pace, scene::Scene, server::Server};

/// What may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blow {
    KillRelay,
    FreezeRelay,
    KillConsumer,
    CutConnections,
    KillServer,
    BrokerOutage,
}

/// How often each thing happens in a minute.
pub type Minute = [(Blow, u32); 6];

/// Some of everything.
pub const OF_EVERYTHING: Minute = [
    (Blow::KillRelay, 8),
    (Blow::FreezeRelay, 6),
    (Blow::KillConsumer, 4),
    (Blow::CutConnections, 6),
    (Blow::KillServer, 3),
    (Blow::BrokerOutage, 3),
];

/// A server that does not stay up.
pub const OF_CRASHES: Minute = [
    (Blow::KillRelay, 2),
    (Blow::FreezeRelay, 0),
    (Blow::KillConsumer, 2),
    (Blow::CutConnections, 2),
    (Blow::KillServer, 16),
    (Blow::BrokerOutage, 2),
];

/// The blows of a run, in an order of their own.
#[must_use]
pub fn blows(minute: &Minute, length: Duration, dice: &mut Dice) -> Vec<Blow> {
    let mut blows = Vec::new();
    for &(blow, a_minute) in minute {
        let times = (u64::from(a_minute) * length.as_secs()).div_ceil(60);
        blows.extend((0..times).map(|_| blow));
    }
    dice.shuffle(&mut blows);
    blows
}

/// The processes that are hit.
#[derive(Debug)]
pub struct Cast<'a> {
    pub scene: &'a Scene,
    pub broker: &'a Broker,
    pub server: &'a mut Server,
    pub url: &'a str,
    pub pace: Pace,
    pub relays: Vec<Process>,
    pub consumer: Process,
    pub writers: Vec<Process>,
}

/// What happened in a run.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Happened {
    pub blows: BTreeMap<Blow, u32>,
    /// Connections that were ended by the server.
    pub connections_cut: usize,
    /// The longest time from the kill of the server until it answered again: a gap in delivery is at least as long.
    pub longest_downtime: Duration,
}

impl Cast<'_> {
    /// Deals all blows, spread over `length`. Where servers take long to start, it may last twice as long.
    ///
    /// # Errors
    /// Where a process ended by itself, or the server did not come up again.
    pub async fn suffer(&mut self, minute: &Minute, length: Duration, dice: &mut Dice) -> Result<Happened> {
        let mut happened = Happened::default();
        let begun = Instant::now();
        let blows = blows(minute, length, dice);
        let total = u32::try_from(blows.len())?;
        for (number, blow) in (1..).zip(blows) {
            if begun.elapsed() > length * 2 {
                // On a slow machine restarts take their time; what was dealt has to do.
                break;
            }
            let due = length * number / (total + 1);
            let early = due.saturating_sub(begun.elapsed());
            // Not on the beat: a lease is a beat, too.
            tokio::time::sleep(dice.between(early * 2 / 3, early)).await;
            tracing::info!(?blow, "dealt");
            self.deal(blow, dice, &mut happened).await.with_context(|| format!("{blow:?}"))?;
            *happened.blows.entry(blow).or_default() += 1;
            self.all_run()?;
        }
        tokio::time::sleep(length.saturating_sub(begun.elapsed())).await;
        self.all_run()?;
        Ok(happened)
    }

    async fn deal(&mut self, blow: Blow, dice: &mut Dice, happened: &mut Happened) -> Result<()> {
        let millis = Duration::from_millis;
        match blow {
            Blow::KillRelay => {
                let victim = self.victim(dice);
                self.relays[victim].kill()?;
                tokio::time::sleep(dice.between(millis(0), millis(800))).await;
                self.relays[victim] = self.scene.relay(self.url, &name(victim), self.pace)?;
            }
            Blow::FreezeRelay => {
                let mut victim = self.victim(dice);
                if self.relays[victim].is_frozen()? {
                    victim = (victim + 1) % self.relays.len();
                }
                // Some wake before their lease has ended, most after another has taken over.
                let length = dice.between(self.pace.lease / 2, self.pace.lease * 2);
                self.relays[victim].freeze(length)?;
            }
            Blow::KillConsumer => {
                self.consumer.kill()?;
                self.consumer = self.scene.consumer(self.url)?;
            }
            Blow::CutConnections => happened.connections_cut += self.server.cut_connections("shop").await?,
            Blow::KillServer => {
                let killed = Instant::now();
                self.server.kill()?;
                tokio::time::sleep(dice.between(millis(0), millis(1_000))).await;
                self.server.launch().await?;
                happened.longest_downtime = happened.longest_downtime.max(killed.elapsed());
            }
            Blow::BrokerOutage => self.broker.faults().go_away(dice.between(millis(300), millis(2_500))),
        }
        Ok(())
    }

    /// The relay that is hit.
    fn victim(&self, dice: &mut Dice) -> usize {
        let leader = (0..self.relays.len()).find(|relay| self.broker.last_relay() == Some(name(*relay)));
        let any = usize::try_from(dice.roll(self.relays.len() as u64)).unwrap_or(0);
        leader.filter(|_| dice.roll(3) > 0).unwrap_or(any)
    }

    /// None of them may end by itself, whatever happens around it.
    fn all_run(&mut self) -> Result<()> {
        let all = self.relays.iter_mut().chain(&mut self.writers).chain([&mut self.consumer]);
        for process in all {
            ensure!(process.is_running()?, "a process has ended by itself: {process:?}");
        }
        Ok(())
    }
}

/// What a relay is called, by its place in the cast.
#[must_use]
pub fn name(relay: usize) -> String {
    format!("relay-{}", relay + 1)
}
