//! The arithmetic of progress against a model of a database: writers draw numbers, commit late, roll back and
//! crash, numbers are given out again, histories are lost. Nothing may be lost or come out of order.

mod reader;
mod rules;
mod world;

use std::time::Duration;

use outbox_core::log::HoleProof;
use proptest::prelude::*;

use reader::Reader;
use world::{AGGREGATES, World};

#[derive(Debug, Clone, Copy)]
enum Step {
    Write { slot: usize, aggregate: usize },
    Commit(usize),
    RollBack(usize),
    Crash,
    QuietCrash,
    Remember,
    GoBack,
    Read { limit: usize },
    Settle { count: usize, from_the_back: bool },
    SendFlush,
    FinishFlush,
    ReadBarrier,
    ListWriters,
    Fill,
    TakeOver,
}

fn step(loses_history: bool) -> impl Strategy<Value = Step> {
    let go_back = if loses_history { Step::GoBack } else { Step::Remember };
    prop_oneof![
        12 => (0..4usize, 0..AGGREGATES).prop_map(|(slot, aggregate)| Step::Write { slot, aggregate }),
        6 => (0..4usize).prop_map(Step::Commit),
        2 => (0..4usize).prop_map(Step::RollBack),
        1 => Just(Step::Crash),
        1 => Just(Step::QuietCrash),
        1 => Just(Step::Remember),
        1 => Just(go_back),
        8 => (1..5usize).prop_map(|limit| Step::Read { limit }),
        4 => (1..6usize, any::<bool>()).prop_map(|(count, from_the_back)| Step::Settle { count, from_the_back }),
        4 => Just(Step::SendFlush),
        4 => Just(Step::FinishFlush),
        4 => Just(Step::ReadBarrier),
        4 => Just(Step::ListWriters),
        2 => Just(Step::Fill),
        1 => Just(Step::TakeOver),
    ]
}

fn proof() -> impl Strategy<Value = HoleProof> {
    prop_oneof![
        3 => Just(HoleProof::WriterList),
        1 => Just(HoleProof::Tombstones { grace: Duration::ZERO }),
        1 => Just(HoleProof::SingleWriter),
    ]
}

/// Runs the steps, then lets everything come to rest, and checks what was delivered.
fn run(proof: HoleProof, steps: Vec<Step>) {
    let single_writer = proof == HoleProof::SingleWriter;
    let mut world = World::new(single_writer);
    let mut reader = Reader::new(proof, &world);
    let (mut replica, mut take_overs) = (world.remember(), 0);
    let mut lost_history = false;
    for step in steps {
        match step {
            Step::Write { slot, aggregate } => world.write(slot, aggregate),
            Step::Commit(slot) => world.commit(slot),
            Step::RollBack(slot) => world.roll_back(slot),
            Step::Crash => world.crash(),
            Step::QuietCrash if reader.would_notice() => world.crash(),
            Step::QuietCrash => world.crash_unnoticed(),
            Step::Remember => replica = world.remember(),
            Step::GoBack => {
                world.go_back(&replica);
                // What was delivered of the lost history says nothing of the order of this one.
                reader.forget_order();
                lost_history = true;
            }
            Step::Read { limit } => {
                reader.read(&world, limit);
            }
            Step::Settle { count, from_the_back } => reader.settle(count, from_the_back),
            Step::SendFlush => reader.send_flush(),
            Step::FinishFlush => reader.finish_flush(&mut world),
            Step::ReadBarrier => reader.read_barrier(&world),
            Step::ListWriters => reader.list_writers(&world),
            Step::Fill => reader.fill(&mut world),
            Step::TakeOver => {
                reader.reload(&world);
                take_overs += 1;
            }
        }
    }
    for slot in (0..4).rev() {
        world.commit(slot);
    }
    reader.finish_flush(&mut world);
    let mut turns = 0;
    while reader.read(&world, 3) || reader.has_pending() || !reader.progress().unseen().is_empty() {
        reader.settle(10, false);
        reader.read_barrier(&world);
        reader.send_flush();
        reader.finish_flush(&mut world);
        reader.list_writers(&world);
        reader.fill(&mut world);
        turns += 1;
        assert!(turns < 500, "holes do not close: {:?}", reader.progress());
    }
    let committed: Vec<_> = world.rows.iter().filter_map(|(seq, row)| Some((seq, row.as_ref()?))).collect();
    let missing: Vec<_> =
        committed.iter().filter(|(_, event)| !reader.delivered.contains(&event.id)).collect();
    assert!(missing.is_empty(), "lost: {missing:?}");
    if !lost_history {
        assert_eq!(reader.delivered.len(), committed.len(), "delivered what was not committed");
        // A crash ends a flush on its way, and with it the term.
        assert!(take_overs > 0 || world.connections > 0 || reader.second_deliveries == 0, "came twice");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_doubled_or_disordered(
        proof in proof(),
        steps in proptest::collection::vec(step(false), 0..160),
    ) {
        run(proof, steps);
    }

    #[test]
    fn a_database_that_loses_history_hides_nothing_of_the_new_one(
        proof in proof(),
        steps in proptest::collection::vec(step(true), 0..160),
    ) {
        run(proof, steps);
    }
}

/// What the flush between the barrier and the list of writers is for.
#[test]
fn a_barrier_that_is_not_durable_does_not_close_numbers_that_are_given_out_again() {
    let mut world = World::new(false);
    let mut reader = Reader::new(HoleProof::WriterList, &world);
    world.write(0, 0);
    world.commit(0);
    reader.read(&world, 10);
    world.write(0, 0);
    world.write(1, 1);
    reader.read_barrier(&world);
    // Both are gone, and so are their numbers: nothing made them durable.
    world.crash_unnoticed();
    reader.list_writers(&world);
    world.write(0, 0);
    world.write(1, 1);
    world.commit(1);
    reader.read(&world, 10);
    world.commit(0);
    reader.read(&world, 10);
    assert_eq!(reader.delivered.len(), 3, "number 2 was given out a second time and committed late");
}
