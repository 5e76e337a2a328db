//! How many batches go side by side while a broker throttles, as pure code.

/// Fewer at once after the broker has asked to slow down, one more with each batch that it takes (additive increase,
/// multiplicative decrease, as in TCP's congestion control, RFC 5681).
#[derive(Debug)]
pub(super) struct Pace {
    most: usize,
    now: usize,
}

impl Pace {
    pub(super) fn new(most: usize) -> Self {
        Self { most, now: most }
    }

    /// The most batches in flight.
    pub(super) fn max_in_flight(&self) -> usize {
        self.now
    }

    /// The broker has asked to slow down, with so many other batches in flight.
    pub(super) fn is_too_fast(&mut self, in_flight: usize) {
        self.now = self.now.min(in_flight.saturating_add(1)).div_euclid(2).max(1);
    }

    /// The broker has taken a batch.
    pub(super) fn went_well(&mut self) {
        self.now = self.now.saturating_add(1).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_halves_when_throttled_and_comes_back_one_by_one() {
        let mut pace = Pace::new(16);
        pace.is_too_fast(15);
        assert_eq!(pace.max_in_flight(), 8);
        // Those that were in flight already say the same: each halves what is left, down to one.
        for in_flight in (0..8).rev() {
            pace.is_too_fast(in_flight);
        }
        assert_eq!(pace.max_in_flight(), 1);
        for _ in 0..40 {
            pace.went_well();
        }
        assert_eq!(pace.max_in_flight(), 16);
    }
}
