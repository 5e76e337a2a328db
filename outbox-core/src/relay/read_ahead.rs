//! How much is read ahead of the publisher, in rows and in bytes.
//!
//! A read asks for rows, because a database cannot stop at a number of bytes without computing it for each row. How many
//! rows fit is learned from the pages that came: the first ones are small, and each may be four times the one before.

use super::RelayConfig;
use crate::message::Message;

/// What an event takes in memory besides its texts: itself, its place in the plan and in a batch, and what the
/// allocator adds to each of its texts.
const OVERHEAD: usize = size_of::<Message>() + 256;

/// The rows of the first page.
const FIRST_PAGE: usize = 64;

/// A read is worth it when this part of the bytes is free.
const WORTH_READING: usize = 4;

/// The bytes that an event takes in memory, about.
pub(super) fn footprint(message: &Message) -> usize {
    let aggregate = [&message.aggregate_type, &message.aggregate_id];
    let texts = [&message.payload, &message.event_type, &message.topic];
    let texts = texts.into_iter().chain(aggregate.into_iter().flatten()).map(String::len).sum::<usize>();
    let headers = message.headers.iter();
    // Two texts in a node of a tree that is filled by half.
    let headers = headers.map(|(name, value)| name.len() + value.len() + 4 * size_of::<String>());
    OVERHEAD + texts + headers.sum::<usize>()
}

/// Events, and the bytes that they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Load {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

impl Load {
    pub(super) fn add(&mut self, message: &Message) {
        self.events += 1;
        self.bytes += footprint(message);
    }

    pub(super) fn remove(&mut self, message: &Message) {
        self.events = self.events.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(footprint(message));
    }
}

/// How many rows the next page may have.
#[derive(Debug)]
pub(super) struct ReadAhead {
    /// The most rows that the next page may have for what is known so far.
    ramp: usize,
    /// Bytes of an event, by the pages so far: up at once, and down slowly.
    bytes_each: usize,
}

impl ReadAhead {
    pub(super) fn new() -> Self {
        Self { ramp: FIRST_PAGE, bytes_each: OVERHEAD }
    }

    /// The most rows that may be read while `held` is in memory; `None` where there is no room worth a read.
    pub(super) fn room(&self, held: Load, config: &RelayConfig) -> Option<usize> {
        if held.events == 0 {
            // Also where a single event is larger than all that may be held.
            return Some(self.rows(config.read_ahead_bytes, config).max(1));
        }
        let bytes = config.read_ahead_bytes.checked_sub(held.bytes)?;
        let has_room = held.events + config.page_size <= config.read_ahead
            && bytes >= config.read_ahead_bytes / WORTH_READING;
        has_room.then(|| self.rows(bytes, config)).filter(|rows| *rows > 0)
    }

    fn rows(&self, bytes: usize, config: &RelayConfig) -> usize {
        config.page_size.min(self.ramp).min(bytes / self.bytes_each)
    }

    /// A page came: so many rows, of which these were events.
    pub(super) fn read(&mut self, rows: usize, events: Load, config: &RelayConfig) {
        if let Some(mean) = events.bytes.checked_div(events.events) {
            self.bytes_each = mean.max(self.bytes_each - self.bytes_each / 4).max(OVERHEAD);
        }
        if rows >= self.ramp {
            self.ramp = self.ramp.saturating_mul(4).min(config.page_size);
        }
    }
}
