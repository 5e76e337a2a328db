//! The queue that consumers read: at least once, and of each group one message at a time, in order.

use std::{
    collections::{HashSet, VecDeque},
    time::{Duration, Instant},
};

use super::protocol::Given;

/// How long a delivery is invisible to others.
pub(super) const VISIBILITY: Duration = Duration::from_secs(4);

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// In the order in which they came.
    messages: VecDeque<Queued>,
    deliveries: u64,
}

#[derive(Debug)]
struct Queued {
    group: Option<String>,
    body: String,
    attempt: u32,
    /// Of the delivery that is out.
    receipt: Option<String>,
    visible_from: Instant,
}

impl Queue {
    pub(super) fn put(&mut self, group: Option<String>, body: String) {
        let visible_from = Instant::now();
        self.messages.push_back(Queued { group, body, attempt: 0, receipt: None, visible_from });
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn give(&mut self, max: usize, now: Instant) -> Vec<Given> {
        let mut given = Vec::new();
        let mut busy = HashSet::new();
        for message in &mut self.messages {
            if given.len() == max {
                break;
            }
            if message.group.as_ref().is_some_and(|group| !busy.insert(group.clone()))
                || now < message.visible_from
            {
                continue;
            }
            self.deliveries += 1;
            message.attempt += 1;
            message.visible_from = now + VISIBILITY;
            let receipt = self.deliveries.to_string();
            message.receipt = Some(receipt.clone());
            let (group, body) = (message.group.clone(), message.body.clone());
            given.push(Given { receipt, attempt: message.attempt, group, body });
        }
        given
    }

    /// Gives those back that were not taken: their visibility has ended.
    pub(super) fn ack(&mut self, receipts: &[String], now: Instant) -> Vec<String> {
        let mut open: HashSet<&String> = receipts.iter().collect();
        self.messages.retain(|message| {
            let is_out = now < message.visible_from;
            !message.receipt.as_ref().is_some_and(|receipt| is_out && open.remove(receipt))
        });
        open.into_iter().cloned().collect()
    }

    pub(super) fn nack(&mut self, receipt: &str, delay: Duration, now: Instant) {
        if let Some(message) = self.out(receipt, now) {
            message.receipt = None;
            message.visible_from = now + delay;
        }
    }

    pub(super) fn extend(&mut self, receipt: &str, visibility: Duration, now: Instant) -> bool {
        self.out(receipt, now).map(|message| message.visible_from = now + visibility).is_some()
    }

    fn out(&mut self, receipt: &str, now: Instant) -> Option<&mut Queued> {
        let mut all = self.messages.iter_mut();
        all.find(|message| message.receipt.as_deref() == Some(receipt) && now < message.visible_from)
    }
}
