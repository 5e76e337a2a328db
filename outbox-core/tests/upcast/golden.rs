//! A file for each version, as it was once written: the practice for a service's own events. A file is added with its
//! version and never changed, so a change of an old type, or of what serde makes of it, is noticed here.

use outbox_core::OutboxEvent as _;

use crate::orders::OrderPlaced;

const GOLDEN: [(u32, &str); 3] = [
    (1, include_str!("golden/order_placed.v1.json")),
    (2, include_str!("golden/order_placed.v2.json")),
    (3, include_str!("golden/order_placed.v3.json")),
];

#[test]
fn every_version_that_was_ever_written_is_read_as_the_newest() {
    for (version, payload) in GOLDEN {
        let read = OrderPlaced::decode("order.placed", version, payload);
        assert_eq!(read.expect("it is read"), OrderPlaced::in_euros(7, 1_900), "version {version}");
    }
}

#[test]
fn the_newest_is_written_as_its_file_has_it() {
    let event = OrderPlaced::in_euros(7, 1_900);
    let (version, payload) = GOLDEN[GOLDEN.len() - 1];
    assert_eq!(event.kind().version, version, "a new version needs a file of its own");
    assert_eq!(event.payload().expect("JSON"), payload.trim_end());
}
