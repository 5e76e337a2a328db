//! One save at a time in one transaction, as each takes a savepoint.
//!
//! Savepoints nest, and SeaORM numbers them by depth. Two saves that interleave in one transaction (`join!`) would
//! roll back, or release, each other's.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use sea_orm::ConnectionTrait;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::tx::identity_of;

type Waiting = HashMap<usize, Arc<AsyncMutex<()>>>;

/// Transactions that a save is under way in, by their identity, which clones of a `Tx` share.
static UNDER_WAY: LazyLock<Mutex<Waiting>> = LazyLock::new(Mutex::default);

/// The right to use savepoints in one transaction, until it is dropped.
pub(super) struct Turn {
    identity: usize,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turn {
    /// Waits until no other save is under way in `transaction`.
    pub(super) async fn wait<C: ConnectionTrait>(transaction: &C) -> Self {
        let identity = identity_of(transaction);
        let mutex = Arc::clone(locked().entry(identity).or_default());
        // The entry goes with its last user, also when this future is dropped while it waits.
        let mut turn = Self { identity, guard: None };
        turn.guard = Some(mutex.lock_owned().await);
        turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut under_way = locked();
        self.guard = None;
        // One reference is the map's own.
        if under_way.get(&self.identity).is_some_and(|mutex| Arc::strong_count(mutex) == 1) {
            under_way.remove(&self.identity);
        }
    }
}

fn locked() -> std::sync::MutexGuard<'static, Waiting> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}
