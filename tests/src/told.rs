//! What a piece of work tells the log of the process.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{
    Dispatch, Level, dispatcher,
    instrument::WithSubscriber as _,
    subscriber::{DefaultGuard, NoSubscriber},
};

/// Runs `work` and gives what it told as errors, one a line.
pub async fn errors_of<T>(work: impl Future<Output = T>) -> (T, Vec<String>) {
    let (told, listener, _second) = listener(Level::ERROR);
    let answer = work.with_subscriber(listener).await;
    (answer, told.lines())
}

/// Listens to what this thread tells at this level or above, for as long as the guard lives.
#[must_use]
pub fn listen(level: Level) -> (Written, Listening) {
    let (told, listener, second) = listener(level);
    (told, Listening { _guard: dispatcher::set_default(&listener), _second: second })
}

/// Ends the listening when it is dropped.
#[derive(Debug)]
pub struct Listening {
    _guard: DefaultGuard,
    _second: Dispatch,
}

/// A listener, and a second one that hears nothing. While there is one only, `tracing` asks the thread that first comes by a
/// place in the code whether anybody listens there, and keeps that answer for all threads: another test's would be no.
fn listener(level: Level) -> (Written, Dispatch, Dispatch) {
    let told = Written::default();
    let writer = told.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    (told, Dispatch::new(subscriber), Dispatch::new(NoSubscriber::new()))
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
