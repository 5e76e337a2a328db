//! What a subscription has read and settled, as pure code.

mod ranges;

pub use ranges::SeqRanges;
