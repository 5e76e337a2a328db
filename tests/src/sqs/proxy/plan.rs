//! What goes wrong next: what a test has ordered, else what the weather brings.

use std::collections::{BTreeMap, VecDeque};

use super::{
    fault::{Fault, Operation},
    storm::{Storm, Weather},
};

/// The faults to come.
#[derive(Debug, Default)]
pub(super) struct Plan {
    ordered: BTreeMap<Operation, VecDeque<Fault>>,
    weather: Option<Weather>,
}

impl Plan {
    /// The next request of an operation for which nothing was ordered yet goes wrong like this.
    pub(super) fn order(&mut self, operation: Operation, fault: Fault) {
        self.ordered.entry(operation).or_default().push_back(fault);
    }

    pub(super) fn storm(&mut self, storm: Storm) {
        self.weather = Some(Weather::new(storm));
    }

    /// Forgets all faults to come.
    pub(super) fn calm(&mut self) {
        *self = Self::default();
    }

    /// What goes wrong with a request that is here now.
    pub(super) fn next(&mut self, operation: Operation, entries: usize) -> Fault {
        let ordered = self.ordered.get_mut(&operation).and_then(VecDeque::pop_front);
        ordered.or_else(|| Some(self.weather.as_mut()?.next(operation, entries))).unwrap_or(Fault::None)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const STORM: Storm = Storm {
        seed: 7,
        requests: 2_000,
        refused: 20,
        lost: 20,
        late: 10,
        lateness: Duration::from_millis(1),
        partial: 30,
        repeated: 30,
    };

    fn faults(operation: Operation, storm: Storm, count: usize) -> Vec<Fault> {
        let mut plan = Plan::default();
        plan.storm(storm);
        (0..count).map(|_| plan.next(operation, 10)).collect()
    }

    #[test]
    fn what_was_ordered_comes_first_and_for_its_operation_alone() {
        let mut plan = Plan::default();
        plan.order(Operation::Send, Fault::Reset);
        plan.order(Operation::Send, Fault::LoseAnswer);
        assert_eq!(plan.next(Operation::Delete, 1), Fault::None);
        assert_eq!(plan.next(Operation::Send, 1), Fault::Reset);
        assert_eq!(plan.next(Operation::Send, 1), Fault::LoseAnswer);
        assert_eq!(plan.next(Operation::Send, 1), Fault::None);
    }

    #[test]
    fn a_seed_repeats_its_storm() {
        assert_eq!(faults(Operation::Send, STORM, 500), faults(Operation::Send, STORM, 500));
        let other = Storm { seed: 8, ..STORM };
        assert_ne!(faults(Operation::Send, STORM, 500), faults(Operation::Send, other, 500));
    }

    #[test]
    fn a_storm_brings_each_fault_about_as_often_as_it_was_asked_for_and_ends() {
        let faults = faults(Operation::Send, STORM, 2_500);
        assert!(faults[2_000..].iter().all(|fault| *fault == Fault::None), "it is over");
        let share = |is: fn(&Fault) -> bool| faults[..2_000].iter().filter(|fault| is(fault)).count();
        let refused = share(|fault| matches!(fault, Fault::Reset | Fault::Refuse(_)));
        let late = share(|fault| matches!(fault, Fault::DelayAnswer(_) | Fault::HoldRequest(_)));
        let partial = share(|fault| matches!(fault, Fault::Entries(_)));
        let well = share(|fault| *fault == Fault::None);
        for (name, found, percent) in
            [("refused", refused, 20), ("late", late, 10), ("partial", partial, 30), ("well", well, 20)]
        {
            let expected = percent * 20;
            assert!(found.abs_diff(expected) < 80, "{name}: expected about {expected}, found {found}");
        }
    }

    #[test]
    fn requests_that_set_a_queue_up_are_spared() {
        assert!(faults(Operation::Other, STORM, 500).iter().all(|fault| *fault == Fault::None));
    }

    #[test]
    fn only_a_receive_is_repeated_and_only_a_batch_has_entries_that_fail() {
        let is = |operation, matches: fn(&Fault) -> bool| faults(operation, STORM, 500).iter().any(matches);
        assert!(is(Operation::Receive, |fault| *fault == Fault::Repeat));
        assert!(!is(Operation::Receive, |fault| matches!(fault, Fault::Entries(_))));
        assert!(!is(Operation::Delete, |fault| *fault == Fault::Repeat));
        assert!(is(Operation::Delete, |fault| matches!(fault, Fault::Entries(_))));
        assert!(!is(Operation::Change, |fault| matches!(fault, Fault::Entries(_))));
    }

    #[test]
    fn calm_ends_a_storm() {
        let mut plan = Plan::default();
        plan.storm(STORM);
        plan.order(Operation::Send, Fault::Reset);
        plan.calm();
        assert!((0..200).all(|_| plan.next(Operation::Send, 10) == Fault::None));
    }
}
