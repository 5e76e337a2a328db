//! How much is read ahead of the publisher, in rows and in bytes.
//!
//! A log cuts a page that has too many bytes, but what it leaves out was read by the database and partly sent for
//! nothing. So a read asks for as many rows as are likely to fit, which is learned from what came. Held events come by rows
//! alone: for them what was learned is the only bound, and the first ones are few.

use super::RelayConfig;
use crate::message::Message;

/// What an event takes in memory besides its texts: itself, its place in the plan and in a batch, and what the
/// allocator adds to each of its texts.
const OVERHEAD: usize = size_of::<Message>() + 256;

/// So many held events are fetched while nothing is known of their size.
const FIRST_HELD: usize = 64;

/// A read is worth it when this part of the bytes is free.
const WORTH_READING: usize = 4;

/// The bytes that an event takes in memory, about.
fn footprint(message: &Message) -> usize {
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
        self.events -= 1;
        self.bytes -= footprint(message);
    }
}

/// How many events may be read.
#[derive(Debug)]
pub(super) struct ReadAhead {
    /// Bytes of an event, by those that came: up at once, and down slowly. `None` before the first.
    bytes_each: Option<usize>,
}

impl ReadAhead {
    pub(super) fn new() -> Self {
        Self { bytes_each: None }
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

    /// The most held events that may be fetched then: at least one.
    pub(super) fn room_for_held(&self, held: Load, config: &RelayConfig) -> usize {
        let most = if self.bytes_each.is_some() { config.page_size } else { FIRST_HELD };
        // Where there is no room, a few all the same: all that is in memory may wait for them.
        let few = config.read_ahead_bytes / WORTH_READING / self.bytes_each.unwrap_or(OVERHEAD);
        self.room(held, config).unwrap_or(few.clamp(1, FIRST_HELD)).min(most)
    }

    fn rows(&self, bytes: usize, config: &RelayConfig) -> usize {
        config.page_size.min(bytes / self.bytes_each.unwrap_or(OVERHEAD))
    }

    /// These events came.
    pub(super) fn came<'a>(&mut self, events: impl IntoIterator<Item = &'a Message>) {
        let mut load = Load::default();
        for message in events {
            load.add(message);
        }
        if let Some(mean) = load.bytes.checked_div(load.events) {
            let before = self.bytes_each.unwrap_or(mean);
            self.bytes_each = Some(mean.max(before - before / 4));
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn message(bytes: usize) -> Message {
        Message::new(Uuid::nil(), "/test", "orders", "order.placed", "x".repeat(bytes))
    }

    fn config() -> RelayConfig {
        RelayConfig { read_ahead_bytes: 1_000_000, ..RelayConfig::default() }
    }

    fn load(bytes: usize, events: usize) -> Load {
        let mut load = Load::default();
        for _ in 0..events {
            load.add(&message(bytes));
        }
        load
    }

    #[test]
    fn as_many_rows_are_asked_for_as_are_likely_to_fit() {
        let (mut read_ahead, config) = (ReadAhead::new(), config());
        assert_eq!(read_ahead.room(Load::default(), &config), Some(1_000), "the log cuts what is too much");
        assert_eq!(read_ahead.room_for_held(Load::default(), &config), FIRST_HELD, "nobody cuts these");
        read_ahead.came(&[message(10), message(20_000)]);
        assert!((90..=98).contains(&read_ahead.room(Load::default(), &config).unwrap_or(0)));
        read_ahead.came(&[message(100_000)]);
        assert_eq!(read_ahead.room_for_held(Load::default(), &config), 9, "up at once");
        read_ahead.came(&[message(10)]);
        assert!((10..20).contains(&read_ahead.room_for_held(Load::default(), &config)), "down slowly");
        for _ in 0..100 {
            read_ahead.came(&[message(10)]);
        }
        assert_eq!(read_ahead.room(Load::default(), &config), Some(1_000));
    }

    #[test]
    fn what_is_held_leaves_less_room_until_a_read_is_not_worth_it() {
        let (mut read_ahead, config) = (ReadAhead::new(), config());
        read_ahead.came(&[message(50_000)]);
        assert!((9..=10).contains(&read_ahead.room(load(50_000, 10), &config).unwrap_or(0)));
        assert_eq!(read_ahead.room(load(50_000, 16), &config), None, "less than a quarter is free");
        assert_eq!(read_ahead.room(load(50_000, 30), &config), None, "more is held than may be");
        assert_eq!(read_ahead.room(load(10, 4_001), &config), None, "no whole page more, by rows");
    }

    #[test]
    fn one_that_is_larger_than_all_of_it_is_read_alone() {
        let (mut read_ahead, config) = (ReadAhead::new(), config());
        read_ahead.came(&[message(9_000_000)]);
        assert_eq!(read_ahead.room(Load::default(), &config), Some(1));
        assert_eq!(read_ahead.room(load(9_000_000, 1), &config), None);
        assert_eq!(read_ahead.room_for_held(load(9_000_000, 1), &config), 1, "what is held makes progress");
    }

    #[test]
    fn what_comes_and_goes_leaves_nothing_behind() {
        let mut with_headers = message(100);
        with_headers.headers.insert("correlationid", "7");
        let mut held = load(10, 3);
        let before = held;
        held.add(&with_headers);
        assert!(held.bytes > before.bytes + 100 + "correlationid".len());
        held.remove(&with_headers);
        assert_eq!(held, before);
    }
}
