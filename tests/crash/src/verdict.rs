//! What was lost, doubled or out of order. Everything is computed from the tables of the surviving database and the
//! broker's journal, never from what a process says of itself.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use outbox_seaorm::tables::event;
use sea_orm::{ColumnTrait as _, DatabaseConnection, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use uuid::Uuid;

use crate::{
    broker::Entry,
    shop::{effect, events::OrderChanged, order, parts},
};

/// What a database holds at the end of a run.
#[derive(Debug, Clone, Default)]
pub struct Holdings {
    /// Events of the log in order of seq, tombstones left out.
    pub events: Vec<Stored>,
    /// The step of each order.
    pub orders: BTreeMap<i64, i64>,
    /// Message ids, one for each effect.
    pub effects: Vec<Uuid>,
}

/// An event of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub id: Uuid,
    /// The order and its step, where it belongs to one.
    pub told: Option<(i64, i64)>,
}

impl Holdings {
    /// Reads them.
    ///
    /// # Errors
    /// What the database says.
    pub async fn of(db: &DatabaseConnection) -> Result<Self> {
        let rows: Vec<event::Model> = event::Entity::find()
            .filter(event::Column::Topic.ne(""))
            .order_by_asc(event::Column::Seq)
            .all(db)
            .await?;
        let events = rows.iter().map(stored).collect::<Result<_>>()?;
        let orders = order::Entity::find().all(db).await?;
        let effects = effect::Entity::find().all(db).await?;
        Ok(Self {
            events,
            orders: orders.into_iter().map(|order| (order.id, order.step)).collect(),
            effects: effects
                .into_iter()
                .map(|effect| Ok(effect.message_id.parse()?))
                .collect::<Result<_>>()?,
        })
    }
}

fn stored(row: &event::Model) -> Result<Stored> {
    let told = match row.aggregate_id {
        None => None,
        Some(_) => {
            // Both events of an order have these two fields.
            let OrderChanged { order, step } =
                serde_json::from_str(&row.payload).context("a payload of ours")?;
            Some((order, step))
        }
    };
    Ok(Stored { id: row.id, told })
}

/// The figures of a run. Those of [`must_be_zero`](Self::must_be_zero) must be, where the database keeps what it
/// showed; where it forgets, those of [`must_be_zero_of_what_is_left`](Self::must_be_zero_of_what_is_left).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// Events that the database holds.
    pub events: usize,
    /// Messages that the broker took.
    pub sent: usize,
    /// Steps of orders whose events are not in the log, or events of steps that were never saved.
    pub uncaptured: usize,
    /// Events of the log that the broker never got.
    pub lost: usize,
    /// Events of the log that came before an earlier one of their aggregate, first deliveries only.
    pub out_of_order: usize,
    /// Events of the log without an effect.
    pub without_effect: usize,
    /// Effects beyond the first of each message.
    pub effects_twice: usize,
    /// Messages whose event the database does not hold.
    pub never_committed: usize,
    /// Messages beyond the first of each event.
    pub duplicates: usize,
    /// The longest time in which the broker got nothing.
    pub longest_gap: Duration,
}

impl Figures {
    /// Holds the journal against the database; the gap is looked for from `begun` on.
    #[must_use]
    pub fn of(held: &Holdings, journal: &[Entry], begun: Instant) -> Self {
        let mut first = HashMap::new();
        for (index, entry) in journal.iter().enumerate() {
            first.entry(entry.id).or_insert(index);
        }
        let known: HashSet<Uuid> = held.events.iter().map(|event| event.id).collect();
        let mut effects: HashMap<Uuid, usize> = HashMap::new();
        for id in &held.effects {
            *effects.entry(*id).or_default() += 1;
        }
        Self {
            events: held.events.len(),
            sent: journal.len(),
            uncaptured: uncaptured(held),
            lost: held.events.iter().filter(|event| !first.contains_key(&event.id)).count(),
            out_of_order: out_of_order(&held.events, &first),
            without_effect: held.events.iter().filter(|event| !effects.contains_key(&event.id)).count(),
            effects_twice: effects.values().map(|times| times - 1).sum(),
            never_committed: first.keys().filter(|id| !known.contains(id)).count(),
            duplicates: journal.len() - first.len(),
            longest_gap: longest_gap(journal, begun),
        }
    }

    /// What must not have happened, by name.
    #[must_use]
    pub fn must_be_zero(&self) -> Vec<(&'static str, usize)> {
        let mut figures = self.must_be_zero_of_what_is_left();
        figures.push(("without effect", self.without_effect));
        figures.push(("published but never committed", self.never_committed));
        figures
    }

    /// The same where the database has forgotten commits that it showed: events that were published by then, and
    /// effects whose messages were acknowledged.
    #[must_use]
    pub fn must_be_zero_of_what_is_left(&self) -> Vec<(&'static str, usize)> {
        vec![
            ("not captured with its row", self.uncaptured),
            ("lost", self.lost),
            ("out of order", self.out_of_order),
            ("effects applied twice", self.effects_twice),
        ]
    }
}

/// Each step of an order has told of itself as often as it had to, in the order of the steps.
fn uncaptured(held: &Holdings) -> usize {
    let mut told: HashMap<(i64, i64), usize> = HashMap::new();
    let mut last: HashMap<i64, i64> = HashMap::new();
    let mut wrong = 0;
    for (order, step) in held.events.iter().filter_map(|event| event.told) {
        *told.entry((order, step)).or_default() += 1;
        let before = last.entry(order).or_insert(0);
        wrong += usize::from(step < *before);
        *before = step;
    }
    for (order, steps) in &held.orders {
        for step in 1..=*steps {
            wrong += told.remove(&(*order, step)).unwrap_or(0).abs_diff(parts(step));
        }
    }
    // What is left belongs to no step of an order.
    wrong + told.values().sum::<usize>()
}

fn out_of_order(events: &[Stored], first: &HashMap<Uuid, usize>) -> usize {
    let mut last: HashMap<i64, usize> = HashMap::new();
    let mut wrong = 0;
    for (event, (order, _)) in events.iter().filter_map(|event| Some((event, event.told?))) {
        // One that was never delivered is counted as lost.
        let Some(&delivered) = first.get(&event.id) else { continue };
        let before = last.entry(order).or_insert(delivered);
        wrong += usize::from(delivered < *before);
        *before = (*before).max(delivered);
    }
    wrong
}

fn longest_gap(journal: &[Entry], begun: Instant) -> Duration {
    let mut before = begun;
    let mut longest = Duration::ZERO;
    for entry in journal {
        longest = longest.max(entry.at.saturating_duration_since(before));
        before = before.max(entry.at);
    }
    longest
}

/// How many numbers came to the broker with the ids of several events: the database gave them out again.
#[must_use]
pub fn reused_numbers(journal: &[Entry]) -> usize {
    let mut ids: HashMap<i64, HashSet<Uuid>> = HashMap::new();
    for entry in journal {
        ids.entry(entry.seq).or_default().insert(entry.id);
    }
    ids.values().filter(|ids| ids.len() > 1).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u128) -> Entry {
        Entry {
            id: Uuid::from_u128(id),
            seq: 0,
            aggregate: None,
            topic: String::new(),
            relay: String::new(),
            at: Instant::now(),
        }
    }

    /// Order 1 at step 2, its two events and one that belongs to nothing, each with its effect.
    fn held() -> Holdings {
        let event = |id, told| Stored { id: Uuid::from_u128(id), told };
        Holdings {
            events: vec![event(1, Some((1, 1))), event(2, Some((1, 2))), event(3, None)],
            orders: [(1, 2)].into(),
            effects: [1, 2, 3].map(Uuid::from_u128).into(),
        }
    }

    fn wrong(held: &Holdings, journal: &[u128]) -> Vec<(&'static str, usize)> {
        let journal: Vec<Entry> = journal.iter().map(|id| entry(*id)).collect();
        let figures = Figures::of(held, &journal, Instant::now());
        figures.must_be_zero().into_iter().filter(|(_, count)| *count != 0).collect()
    }

    #[test]
    fn a_run_without_fault_has_none() {
        assert_eq!(wrong(&held(), &[3, 1, 2]), []);
        assert_eq!(wrong(&held(), &[1, 2, 3, 1]), [], "a late duplicate is no misorder");
    }

    #[test]
    fn each_fault_is_seen() {
        assert_eq!(wrong(&held(), &[1, 2]), [("lost", 1)]);
        assert_eq!(wrong(&held(), &[2, 1, 3]), [("out of order", 1)]);
        assert_eq!(wrong(&held(), &[1, 2, 3, 4]), [("published but never committed", 1)]);
        let mut doubled = held();
        doubled.effects.push(Uuid::from_u128(3));
        assert_eq!(wrong(&doubled, &[1, 2, 3]), [("effects applied twice", 1)]);
        let mut forgotten = held();
        forgotten.effects.pop();
        assert_eq!(wrong(&forgotten, &[1, 2, 3]), [("without effect", 1)]);
        let mut ahead = held();
        ahead.orders.insert(1, 3);
        assert_eq!(wrong(&ahead, &[1, 2, 3]), [("not captured with its row", 1)]);
        let mut behind = held();
        behind.orders.insert(1, 1);
        assert_eq!(wrong(&behind, &[1, 2, 3]), [("not captured with its row", 1)]);
    }
}
