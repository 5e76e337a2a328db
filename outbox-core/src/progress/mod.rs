//! What a subscription has read and settled, as pure code.
//!
//! The numbers of a log are given out in one order and committed in another. So a read that shows 9 but
//! not 7 says nothing of 7: it is a *hole*, asked for again on every read until its row shows or until there
//! is a proof that none ever will. [`Progress`] is the bookkeeping, [`HoleClosing`] and [`Ripening`] are the
//! two ways to a proof.

mod absence;
mod closing;
mod ranges;
mod ripening;
mod state;

pub use absence::Absence;
pub use closing::{HoleClosing, NextStep};
pub use ranges::{RangesError, SeqRanges};
pub use ripening::Ripening;
pub use state::{Absorbed, AnchorLost, Progress, ReadEvent};
