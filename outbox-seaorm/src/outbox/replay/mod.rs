//! Publishing settled events once more.
//!
//! A replay puts a hold on each selected event, in the order that the event stands in, and the subscription's leader
//! publishes it from there: in order of seq, with the new events of its aggregate behind it. Moving the position back was
//! not chosen: it would publish all that is above, too.
//!
//! It walks the log by key in chunks. Each chunk is one transaction with its row of the audit, which tells how far the replay
//! has come: interrupted, it goes on from there under the same id, and does nothing twice.
//!
//! The leader is told with the first chunk and with the last: told of each, its terms would end again and again, and it
//! would publish nothing meanwhile. In between it may publish new events of an aggregate before what the replay has just
//! put on hold, which is an order that nobody was promised; holds that it does not know it neither changes nor removes.

mod answer;
mod choice;
mod chunk;
mod selection;
mod trail;

use outbox_core::message::Seq;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use answer::{Replayed, Skipped};
pub use selection::Selection;

use self::{choice::Candidate, chunk::Chunk, trail::Trail};
use super::{
    Operator, OutboxError,
    floor::read_floor,
    locate::window,
    operator::{Tell, unknown_subscription},
};
use crate::tables::{event, subscription};

/// How many numbers of the log one chunk looks at. Its transaction holds the subscription's row, so that a leader's flush
/// waits for it: far less than the lease.
const NUMBERS_PER_CHUNK: Seq = 2_000;

/// How consumers are to see what is published once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Redeliver,
    Reprocess,
}

/// A replay: how consumers are to see its events, and the id under which it can be run again where it was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replay {
    id: Uuid,
    mode: Mode,
}

impl Replay {
    /// The same messages again: an inbox drops those that it has processed. For what was lost behind the broker.
    #[must_use]
    pub fn redeliver() -> Self {
        Self { id: Uuid::now_v7(), mode: Mode::Redeliver }
    }

    /// The same messages to be processed again: the replay's id is part of what consumers de-duplicate by, so that their
    /// handlers run once more, and once only. For what was processed wrongly.
    #[must_use]
    pub fn reprocess() -> Self {
        Self { id: Uuid::now_v7(), mode: Mode::Reprocess }
    }

    /// Under the id of a replay that was interrupted: it goes on behind the last chunk that was stored.
    #[must_use]
    pub fn with_id(self, id: Uuid) -> Self {
        Self { id, ..self }
    }

    /// Its id. Keep it before running a large one.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }
}

impl Operator {
    /// Lets settled events be published once more, by the subscription that published them or by another one that takes
    /// their topics: in order of seq, each in its aggregate's order. New events of the aggregate wait behind them from when
    /// the leader has seen them, shortly after this returns; until then they may go out first. What is on hold already or
    /// not yet published is left alone, and the answer says so.
    ///
    /// What it selects is what the log has when it begins. It can be large: it is worked through in chunks of 2,000
    /// numbers, each committed by itself with a row of the audit, and the leader is told with the first and with the last of
    /// them. What was purged is gone, also where it was archived.
    ///
    /// # Errors
    /// [`OutboxError::UnknownSubscription`]; [`OutboxError::NeverLed`], because only a leader tells the topics that it
    /// takes; [`OutboxError::OtherReplay`] where the id belongs to a replay of something else; where the database is away.
    /// The chunks before the error stay, and the leader is told of them: run the same replay again.
    ///
    /// # Cancel safety
    /// The same replay goes on where it was dropped. What it has stored is published from when the leader learns of it:
    /// with that run, with another change, or when its next term begins.
    pub async fn replay(
        &self,
        replay: Replay,
        selection: &Selection,
        subscription: &str,
    ) -> Result<Replayed, OutboxError> {
        let floor = read_floor(&self.outbox.db).await?;
        let earlier = Trail::last(&self.outbox.db, subscription, replay.id).await?;
        let trail = match &earlier {
            Some(trail) if trail.mode == replay.mode && trail.selection == *selection => trail.clone(),
            Some(_) => return Err(OutboxError::OtherReplay { id: replay.id }),
            None => self.begin(replay, selection, subscription, floor).await?,
        };
        let purged = selection.first() <= floor && !self.is_all_stored_later(selection, floor).await?;
        let mut replayed = Replayed {
            id: replay.id,
            subscription: subscription.to_owned(),
            events: 0,
            skipped: Skipped::default(),
            upto: trail.upto,
            went_on_after: earlier.map(|trail| trail.done),
            purged_upto: purged.then_some(floor),
        };
        // An earlier run was interrupted before it could tell of its last chunk, or is complete.
        let mut is_told = trail.done >= trail.upto || replayed.went_on_after.is_none();
        let walked = self.walk(trail, &mut replayed, &mut is_told).await;
        let told = if is_told { Ok(()) } else { self.tell(subscription).await };
        // Its own error is the one to report.
        walked.and(told).map(|()| replayed)
    }

    /// `is_told` says in the end, also after an error, whether the leader was told of all that was stored.
    async fn walk(
        &self,
        mut trail: Trail,
        replayed: &mut Replayed,
        is_told: &mut bool,
    ) -> Result<(), OutboxError> {
        let selection = trail.selection.clone();
        while trail.done < trail.upto {
            let first = trail.done + 1;
            trail.done = trail.upto.min(trail.done.saturating_add(NUMBERS_PER_CHUNK));
            let candidates = self.candidates(&selection, first, trail.done).await?;
            if candidates.is_empty() {
                continue;
            }
            let is_first_or_last = replayed.events == 0 || trail.done == trail.upto;
            let tell = if is_first_or_last { Tell::Now } else { Tell::Later };
            let chunk = Chunk { subscription: &replayed.subscription, trail: &trail, candidates, tell };
            let (events, skipped) = self.carry_out(&chunk).await?;
            if events > 0 {
                *is_told = tell == Tell::Now;
            }
            replayed.events += events;
            replayed.skipped.add(skipped);
        }
        Ok(())
    }

    /// The plan of a replay that has stored nothing yet.
    async fn begin(
        &self,
        replay: Replay,
        selection: &Selection,
        name: &str,
        floor: Seq,
    ) -> Result<Trail, OutboxError> {
        let db = &self.outbox.db;
        let Some(row) = subscription::Entity::find_by_id(name).one(db).await? else {
            return Err(unknown_subscription(db, name).await?);
        };
        if row.leader.is_none() {
            return Err(OutboxError::NeverLed { subscription: name.to_owned() });
        }
        let last: Option<Seq> = event::Entity::find()
            .select_only()
            .column(event::Column::Seq)
            .order_by_desc(event::Column::Seq)
            .into_tuple()
            .one(db)
            .await?;
        let upto = selection.last().min(last.unwrap_or(floor));
        let (first, upto) = match window(db, selection.stored_since(), selection.stored_until()).await? {
            Some((first, after)) => (first.unwrap_or(1), after.map_or(upto, |after| upto.min(after - 1))),
            // The log has nothing as late as that.
            None => (upto.saturating_add(1), upto),
        };
        Ok(Trail {
            replay: replay.id,
            mode: replay.mode,
            selection: selection.clone(),
            upto,
            position: row.position,
            done: floor.max(selection.first().max(first) - 1),
            events: 0,
            skipped: Skipped::default(),
        })
    }

    /// The selected events among some numbers, in order.
    async fn candidates(
        &self,
        selection: &Selection,
        first: Seq,
        last: Seq,
    ) -> Result<Vec<Candidate>, OutboxError> {
        use event::Column::{AggregateId, AggregateType, Seq as Number, Topic};

        let rows: Vec<(Seq, String, Option<String>, Option<String>)> = event::Entity::find()
            .select_only()
            .columns([Number, Topic, AggregateType, AggregateId])
            .filter(Number.between(first, last))
            .filter(selection.condition())
            .order_by_asc(Number)
            .into_tuple()
            .all(&self.outbox.db)
            .await?;
        let candidate = |(seq, topic, kind, id): (Seq, String, Option<String>, Option<String>)| Candidate {
            seq,
            topic,
            aggregate: id.map(|id| (kind.unwrap_or_default(), id)),
        };
        Ok(rows.into_iter().map(candidate).collect())
    }

    /// Whether nothing that was purged can have been meant: purge takes the oldest.
    async fn is_all_stored_later(&self, selection: &Selection, floor: Seq) -> Result<bool, OutboxError> {
        let Some(since) = selection.stored_since() else { return Ok(false) };
        let oldest = event::Entity::find()
            .filter(event::Column::Seq.gt(floor))
            .order_by_asc(event::Column::Seq)
            .one(&self.outbox.db)
            .await?;
        Ok(oldest.is_some_and(|oldest| oldest.created_at <= since))
    }
}
