//! The task-local scope that capture stores with each event: correlation, causation, trace, headers.

mod trace_parent;

use crate::message::Headers;

pub use trace_parent::TraceParent;

/// What surrounds the work in progress. An HTTP layer or a consumer enters it; capture reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    headers: Headers,
}

tokio::task_local! {
    static CURRENT: Context;
}

impl Context {
    /// The headers of the current scope; empty outside of one.
    #[must_use]
    pub fn current_headers() -> Headers {
        CURRENT.try_with(|context| context.headers.clone()).unwrap_or_default()
    }

    /// Runs `work` with this context as the current one.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }
}
