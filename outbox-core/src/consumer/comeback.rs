//! Groups of which one failed, until it comes again and passes.
//!
//! A broker with groups gives many of one group with one answer, gives nothing of a group while one of it is out, and
//! counts each delivery. So those that stand behind a message that fails would come along with it each time, be given
//! back unseen, and be moved away as poison with it. Where the message is asked for alone, the others keep their count:
//! it locks them.
//!
//! A request that waits for something to come may be answered with it, whenever that is: all such requests ask for one
//! message. Where there is a backlog, requests are answered without a wait: they ask for as many as else, but when it is
//! due. How long that slows others down has a bound. A backlog is told by what came: as many as were asked for, however
//! long the way to the broker is. Where it ends, the first request that has to wait may still have asked for more. What was under way when the message failed had asked for more: so each receiver may bring the
//! others along once, and so may other processes, which know nothing of the failure.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// An answer that took less was not waited for.
const AT_ONCE: Duration = Duration::from_millis(100);

/// One message that was asked for alone and took less lay there: it took the round trip. One that took longer may be the
/// first that came.
const LONGEST_ROUND_TRIP: Duration = Duration::from_secs(1);

/// The last answer to a receiver.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LastAnswer {
    took: Duration,
    waited: bool,
}

impl LastAnswer {
    /// `came` of `asked` after `took`. Of more than `most_at_once` that were asked for, a broker may give only so many.
    pub(super) fn new(took: Duration, came: usize, asked: usize, most_at_once: usize) -> Self {
        let is_full = came >= asked.min(most_at_once);
        let is_backlog = is_full && (came > 1 || took < LONGEST_ROUND_TRIP);
        Self { took, waited: took > AT_ONCE && !is_backlog }
    }
}

/// How long a message is asked for alone once it is due, where others come meanwhile. Brokers may round its delay up to
/// a whole second.
const WINDOW: Duration = Duration::from_secs(2);

/// The most groups that are remembered. The messages of others come again with those behind them.
const REMEMBERED: usize = 1_000;

/// The groups of which one failed.
#[derive(Debug, Default)]
pub(super) struct Comebacks(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    groups: HashMap<String, Stage>,
    /// Since when one that is due is asked for while others come.
    since: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its message comes again then.
    Awaited(Instant),
    /// Its message is here again.
    Here,
}

impl Comebacks {
    /// One of the group failed and comes again then.
    pub(super) fn failed(&self, group: &str, due: Instant) {
        let mut state = self.state();
        if let Some(stage) = state.groups.get_mut(group) {
            *stage = Stage::Awaited(due);
        } else if state.groups.len() < REMEMBERED {
            state.groups.insert(group.to_owned(), Stage::Awaited(due));
        }
    }

    /// What is awaited comes only then. Where it came meanwhile, it is not awaited again.
    pub(super) fn postponed(&self, group: &str, due: Instant) {
        if let Some(stage @ Stage::Awaited(_)) = self.state().groups.get_mut(group) {
            *stage = Stage::Awaited(due);
        }
    }

    /// Whether one of the group failed and none has passed since.
    pub(super) fn is_known(&self, group: &str) -> bool {
        self.state().groups.contains_key(group)
    }

    /// Something of the group came.
    pub(super) fn came(&self, group: &str) {
        if let Some(stage) = self.state().groups.get_mut(group) {
            *stage = Stage::Here;
        }
    }

    /// One of the group is done with: those behind it are not held up any more.
    pub(super) fn passed(&self, group: &str) {
        self.state().groups.remove(group);
    }

    /// Whether the next request is to ask for one message, by the last answer.
    pub(super) fn is_alone(&self, now: Instant, last: LastAnswer) -> bool {
        let mut state = self.state();
        // Moved away by the broker, or given to another process.
        state.groups.retain(|_, stage| !matches!(stage, Stage::Awaited(due) if now > *due + WINDOW));
        if state.groups.is_empty() {
            return false;
        }
        if last.waited {
            return true;
        }
        // The broker decides what it gives before its answer is here.
        let ahead = last.took.clamp(AT_ONCE, WINDOW);
        let is_due = |stage: &Stage| matches!(stage, Stage::Awaited(due) if now + ahead >= *due);
        if !state.groups.values().any(is_due) {
            state.since = None;
            return false;
        }
        // However many groups fail, others have at least half of the time.
        let since = *state.since.get_or_insert(now);
        ((now - since).as_millis() / WINDOW.as_millis()).is_multiple_of(2)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: LastAnswer = LastAnswer { took: Duration::from_millis(20), waited: false };
    const IDLE: LastAnswer = LastAnswer { took: Duration::from_secs(3), waited: true };

    #[test]
    fn a_backlog_is_told_by_what_came_and_not_by_the_way_to_the_broker() {
        let waited =
            |millis, came, asked| LastAnswer::new(Duration::from_millis(millis), came, asked, 10).waited;
        for (millis, came, asked) in [(20, 0, 10), (100, 3, 10), (120, 10, 10), (5_000, 10, 100), (120, 1, 1)]
        {
            assert!(!waited(millis, came, asked), "{came} of {asked} after {millis} ms");
        }
        for (millis, came, asked) in
            [(120, 0, 1), (120, 9, 10), (120, 9, 100), (1_000, 1, 1), (20_000, 0, 10)]
        {
            assert!(waited(millis, came, asked), "{came} of {asked} after {millis} ms");
        }
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[tokio::test(start_paused = true)]
    async fn where_nothing_failed_nothing_is_asked_for_alone() {
        let comebacks = Comebacks::default();
        let now = Instant::now();
        comebacks.came("a");
        comebacks.passed("a");
        assert!(!comebacks.is_alone(now, IDLE) && !comebacks.is_alone(now, BUSY));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_may_wait_asks_for_one_from_the_failure_until_one_has_passed() {
        let comebacks = Comebacks::default();
        let now = Instant::now();
        comebacks.failed("a", now + secs(60));
        assert!(comebacks.is_alone(now, IDLE) && comebacks.is_alone(now + secs(59), IDLE));
        comebacks.came("a");
        assert!(comebacks.is_alone(now + secs(600), IDLE), "its handler may take long and fail again");
        comebacks.failed("a", now + secs(700));
        assert!(comebacks.is_alone(now + secs(601), IDLE));
        comebacks.came("a");
        comebacks.passed("a");
        assert!(!comebacks.is_alone(now + secs(701), IDLE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_answered_at_once_asks_for_one_only_when_it_is_due() {
        let comebacks = Comebacks::default();
        let now = Instant::now();
        comebacks.failed("a", now + secs(60));
        for (after, expected) in [(0, false), (59_899, false), (59_900, true), (60_500, true)] {
            let at = now + Duration::from_millis(after);
            assert_eq!(comebacks.is_alone(at, BUSY), expected, "after {after} ms");
        }
        comebacks.came("a");
        assert!(!comebacks.is_alone(now + secs(61), BUSY), "it is here");
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_or_passed_meanwhile_is_not_awaited_again() {
        let comebacks = Comebacks::default();
        let now = Instant::now();
        for group in ["awaited", "here", "passed"] {
            comebacks.failed(group, now);
        }
        comebacks.came("here");
        comebacks.passed("passed");
        for group in ["awaited", "here", "passed"] {
            comebacks.postponed(group, now + secs(1));
        }
        let state = comebacks.state();
        assert_eq!(state.groups.get("awaited"), Some(&Stage::Awaited(now + secs(1))));
        assert_eq!(state.groups.get("here"), Some(&Stage::Here));
        assert_eq!(state.groups.get("passed"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_come_is_not_waited_for_for_ever() {
        for last_answer in [BUSY, IDLE] {
            let comebacks = Comebacks::default();
            let now = Instant::now();
            comebacks.failed("a", now);
            assert!(comebacks.is_alone(now, last_answer));
            assert!(!comebacks.is_alone(now + WINDOW + BUSY.took, last_answer));
            assert!(comebacks.state().groups.is_empty(), "it is forgotten");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_groups_fail_others_have_half_of_the_time_and_memory_has_a_bound() {
        let comebacks = Comebacks::default();
        let began = Instant::now();
        let mut alone = 0;
        for step in 0..1_000 {
            let now = began + BUSY.took * step;
            (0..3).for_each(|group| comebacks.failed(&format!("{step}/{group}"), now));
            alone += u32::from(comebacks.is_alone(now, BUSY));
            assert!(comebacks.state().groups.len() <= REMEMBERED);
        }
        assert!((400..=600).contains(&alone), "found {alone} of 1,000");
        for group in 0..2 * REMEMBERED {
            comebacks.failed(&group.to_string(), began + secs(1_000));
        }
        assert_eq!(comebacks.state().groups.len(), REMEMBERED);
    }
}
