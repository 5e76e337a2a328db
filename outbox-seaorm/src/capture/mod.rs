//! Capture: the event is stored in the transaction of the row that it tells of, or the save fails.
//!
//! The row is written first and its event after it. So the row's lock makes the order of the events of one
//! aggregate the order of their commits; everything that is promised of order rests on that.

mod atomic;
mod connection;
mod error;
mod graph;
mod guard;
pub(crate) mod hooks;
pub(crate) mod insert;
mod raise;
mod raises;
mod record;
mod row;
mod scope;
mod steps;
mod turn;
pub(crate) mod update;

pub use connection::SaveConnection;
pub use error::CaptureError;
pub use graph::{Graph, RaiseGraph, RaisedGraph};
pub use guard::{InTransaction, register};
pub use raise::{Raise, Raised};
pub use record::{Record, record_all};
pub use update::{Before, Unread, Update, UpdateWithBefore};
