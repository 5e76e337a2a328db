//! Reading the log: pages, proofs of holes, scheduled events.

use tokio::time::Instant;

use super::{
    holes::HoleStep,
    leader::{Lapse, Leader},
    schedule::ScheduleStep,
    subscription::takes,
};
use crate::{
    log::{LogError, ReadRequest},
    progress::{Absence, SeqRanges},
};

impl Leader<'_> {
    /// Reads a page and takes in its events.
    pub(super) async fn read(&mut self) -> Result<(), Lapse> {
        let config = &self.shared.config;
        let Some(limit) = self.room() else { return Ok(()) };
        // Before the read is sent: a proof that is completed while it runs says nothing of it.
        let absence = self.holes.absence();
        let request = self.term.progress().read_request(
            &self.reader.name,
            &self.reader.topics,
            &self.shared.source,
            limit,
        );
        let max_bytes = config.read_ahead_bytes.saturating_sub(self.term.load().bytes);
        let request = ReadRequest { max_bytes, ..request };
        let read = Self::while_leading(&self.lease, self.shared.log.read(request)).await?;
        let page = match read {
            Ok(page) => page,
            Err(error) => {
                let pause = self.log_erred(error)?;
                self.poll.hold_off(pause, Instant::now());
                return Ok(());
            }
        };
        self.outage.answered();

        // While the read ran: the proof may then be of another world than the page.
        if self.world_may_have_changed() {
            self.holes.reset();
            self.poll.signal(Instant::now());
            return Ok(());
        }
        let absorbed = self.term.absorb(page, limit, absence, config.max_holes)?;
        let now = Instant::now();
        let events = absorbed.events.iter().map(|event| &*event.message);
        self.read_ahead.came(events);
        self.holes.absorbed(&absorbed.new_holes, self.term.progress().unseen(), now);
        self.reader.meter.holes(self.term.progress().unseen().range_count());
        if absorbed.at_hole_bound {
            self.shared.warnings.hole_bound(&self.reader.name, self.term.progress().unseen());
            self.poll.found_nothing(now);
        } else if absorbed.moved {
            self.poll.found(absorbed.more, now);
        } else {
            self.poll.found_nothing(now);
        }
        if absorbed.moved {
            self.dirty_since.get_or_insert(now);
        }
        self.has_intervention |= absorbed.intervened;
        let has_brought = !absorbed.events.is_empty();
        for topic in absorbed.other_topics {
            self.told.met(&topic, now);
            self.shared.warnings.other_topic(topic);
        }
        for event in absorbed.events {
            self.term.take_in(event);
        }
        if self.term.has_changes() {
            self.dirty_since.get_or_insert(now);
        }
        if !has_brought {
            self.assume_well();
        }
        Ok(())
    }

    /// Brings the proof of the holes one step forward.
    pub(super) async fn close_holes(&mut self, step: HoleStep) -> Result<(), Lapse> {
        let outcome = match step {
            HoleStep::ReadBarrier => self.read_barrier().await?,
            HoleStep::ListWriters => self.list_writers().await?,
            HoleStep::Fill(ripe) => self.fill(&ripe).await?,
            HoleStep::Flush => {
                self.dirty_since.get_or_insert(Instant::now());
                Ok(true)
            }
            HoleStep::Read => {
                self.poll.signal(Instant::now());
                Ok(true)
            }
        };
        match outcome {
            Ok(has_advanced) => self.holes.stepped(has_advanced, &self.shared.config, Instant::now()),
            Err(error) => {
                let pause = self.log_erred(error)?;
                self.holes.hold_off(pause, Instant::now());
            }
        }
        Ok(())
    }

    async fn read_barrier(&mut self) -> Result<Result<bool, LogError>, Lapse> {
        let barrier = Self::while_leading(&self.lease, self.shared.log.barrier()).await?;
        Ok(barrier.map(|barrier| {
            if let Some(closing) = self.holes.closing() {
                closing.barrier_read(barrier);
            }
            // The proof needs a flush that is sent from here on.
            self.dirty_since.get_or_insert(Instant::now());
            true
        }))
    }

    async fn list_writers(&mut self) -> Result<Result<bool, LogError>, Lapse> {
        let writers = Self::while_leading(&self.lease, self.shared.log.writers()).await?;
        Ok(writers.map(|writers| {
            self.holes.closing().is_some_and(|closing| {
                closing.writers_listed(&writers);
                closing.absence() != Absence::ProvesNothing
            })
        }))
    }

    async fn fill(&mut self, ripe: &SeqRanges) -> Result<Result<bool, LogError>, Lapse> {
        let filled = Self::while_leading(&self.lease, self.shared.log.fill(ripe)).await?;
        Ok(filled.map(|filled| {
            self.term.progress_mut().close(&filled);
            if !filled.is_empty() {
                self.dirty_since.get_or_insert(Instant::now());
            }
            !filled.is_empty()
        }))
    }

    /// Asks for held events whose time has come, or when there will be some.
    pub(super) async fn follow_schedule(&mut self, step: ScheduleStep) -> Result<(), Lapse> {
        let (log, config, name) = (&self.shared.log, &self.shared.config, &self.reader.name);
        let outcome = match step {
            ScheduleStep::AskNext => {
                let next = Self::while_leading(&self.lease, log.next_due(name)).await?;
                next.map(|next| self.schedule.asked(next, Instant::now()))
            }
            ScheduleStep::Fetch => {
                // Those that are out are still due in the database.
                let limit = self.room_for_held() + self.schedule.out();
                let due = Self::while_leading(&self.lease, log.due(name, &self.shared.source, limit)).await?;
                // While some are out, those are found again each time.
                let patience = if self.schedule.out() > 0 { config.poll_max } else { config.flush_interval };
                due.map(|due| {
                    self.read_ahead.came(due.iter().map(|(_, message)| message));
                    let mut deaths = Vec::new();
                    for (hold, message) in self.schedule.fetched(due, patience, Instant::now()) {
                        if takes(&self.reader.topics, &message.topic) {
                            self.term.take_due(hold, message);
                        } else {
                            deaths.push(self.term.refuse(&hold, &message));
                        }
                    }
                    self.mourn(&deaths);
                    if self.term.has_changes() {
                        self.dirty_since.get_or_insert(Instant::now());
                    }
                })
            }
        };
        if let Err(error) = outcome {
            let pause = self.log_erred(error)?;
            self.schedule.erred(pause, Instant::now());
        }
        Ok(())
    }
}
