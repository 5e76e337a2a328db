//! The commands that run in this process: a repeat of one is told so without asking the database.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

/// The keys of an inbox whose commands run here. A clone is the same set.
///
/// SQLite has one writer, so that a repeat could not find out that the first is under way: it would wait for its end. On
/// MySQL and MariaDB two first calls at the same moment would wait for each other.
#[derive(Debug, Clone, Default)]
pub(in crate::inbox) struct Running(Arc<Mutex<HashSet<String>>>);

/// A command that runs.
#[derive(Debug)]
pub(super) struct Run {
    all: Running,
    key: String,
}

impl Running {
    /// Notes that one begins; `None` where it runs already.
    pub(super) fn begin(&self, key: &str) -> Option<Run> {
        let is_new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned());
        is_new.then(|| Run { all: self.clone(), key: key.to_owned() })
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
