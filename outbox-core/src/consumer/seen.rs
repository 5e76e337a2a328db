//! What has been told already.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, PoisonError},
};

/// How many things are remembered. What is forgotten is told again.
const REMEMBERED: usize = 1_000;

/// The last things that were told.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<State>);

type Key = (&'static str, String);

#[derive(Debug, Default)]
struct State {
    known: HashSet<Key>,
    by_age: VecDeque<Key>,
}

impl Seen {
    /// Whether it is new among what is remembered. It is remembered from now on.
    pub(super) fn is_first(&self, kind: &'static str, name: &str) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (kind, name.to_owned());
        if !state.known.insert(key.clone()) {
            return false;
        }
        state.by_age.push_back(key);
        if state.by_age.len() > REMEMBERED
            && let Some(oldest) = state.by_age.pop_front()
        {
            state.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_first_once_and_many_take_no_more_memory_than_few() {
        let seen = Seen::default();
        assert!(seen.is_first("type", "a") && !seen.is_first("type", "a"));
        assert!(seen.is_first("message", "a"), "another kind");
        for number in 0..5_000 {
            assert!(seen.is_first("message", &number.to_string()));
        }
        let state = seen.0.lock().expect("nothing panics with the lock held");
        assert_eq!((state.known.len(), state.by_age.len()), (REMEMBERED, REMEMBERED));
    }
}
