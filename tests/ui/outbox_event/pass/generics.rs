//! Type and const parameters, with bounds in both places.

use outbox_seaorm::prelude::*;
use serde::Serialize;

#[derive(Serialize, OutboxEvent)]
#[outbox(event_type = "thing.changed", aggregate = "thing")]
struct Changed<T, Id = u64>
where
    Id: std::fmt::Display,
{
    #[outbox(aggregate_id)]
    id: Id,
    what: T,
}

#[derive(Serialize, OutboxEvent)]
#[outbox(topic = "blocks")]
enum Block<T: Clone, const N: usize> {
    #[outbox(event_type = "block.full")]
    Full(Vec<T>),
    #[outbox(event_type = "block.empty")]
    Empty,
}

fn is_event<E: OutboxEvent>(_: &E) {}

fn main() {
    let changed = Changed { id: "a", what: vec![1] };
    is_event(&changed);
    assert_eq!(changed.aggregate_id().as_deref(), Some("a"));
    let block = Block::<u8, 3>::Full(vec![1]);
    assert_eq!(block.payload().unwrap(), "[1]");
    assert_eq!(Block::<u8, 3>::Empty.kind().event_type, "block.empty");
}
