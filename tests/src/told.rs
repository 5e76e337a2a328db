//! What a piece of work tells the log of the process.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{Level, instrument::WithSubscriber as _, subscriber, subscriber::DefaultGuard};

/// Runs `work` and gives what it told as errors, one a line.
pub async fn errors_of<T>(work: impl Future<Output = T>) -> (T, Vec<String>) {
    let told = Written::default();
    let writer = told.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::ERROR)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let answer = work.with_subscriber(subscriber).await;
    (answer, told.lines())
}

/// Listens to what this thread tells at this level or above, for as long as the guard lives.
#[must_use]
pub fn listen(level: Level) -> (Written, DefaultGuard) {
    let told = Written::default();
    let writer = told.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    (told, subscriber::set_default(subscriber))
}

/// What was told so far.
#[derive(Debug, Clone, Default)]
pub struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let text =
            String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
        text.lines().map(ToOwned::to_owned).collect()
    }
}

impl io::Write for Written {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
