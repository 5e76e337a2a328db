//! What runs for an event, in its three forms.

use super::{Delivery, HandlerError};

/// Handles events of type `E`, writing in transactions of type `Tx`.
///
/// Implemented for every `Fn(Delivery<E>, Tx) -> impl Future<Output = Result<(), HandlerError>> + Send`: an async
/// function, or a closure that clones what its future needs
/// (`move |event: Delivery<E>, txn: Tx| { let stock = stock.clone(); async move { .. } }`). A type that carries
/// its own state implements the trait:
///
/// The visibility of messages is prolonged by a task of the same runtime. A handler that blocks its thread, or
/// computes for long without an await, takes that thread away from it, and from the other handlers; where all threads
/// are taken, messages are given to another consumer meanwhile, which waits for the commit and holds connections for
/// that. Put such work into
/// `tokio::task::spawn_blocking` and await it. For the same reason its [timeout](super::Consumer::handler_timeout)
/// can end it only at an await.
///
/// ```
/// # use outbox_core::consumer::{Delivery, Handler, HandlerError};
/// # struct OrderPlaced;
/// # struct Tx;
/// # struct Stock;
/// struct ReserveStock {
///     stock: Stock,
/// }
///
/// impl Handler<OrderPlaced, Tx> for ReserveStock {
///     async fn handle(&self, event: Delivery<OrderPlaced>, txn: Tx) -> Result<(), HandlerError> {
///         let _ = (&self.stock, event.into_event(), txn);
///         Ok(())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle `{E}`",
    label = "not a handler",
    note = "expected `async fn(Delivery<Event>, Tx) -> Result<(), HandlerError>`, a closure of that form with its \
            parameter types written out, or a type that implements `Handler<Event, Tx>`",
    note = "the future must be `Send`"
)]
pub trait Handler<E, Tx>: Send + Sync + 'static {
    /// Handles one event. `Ok` commits what was written in `txn`, together with the message's inbox row and the
    /// events that were raised; an error rolls all of it back.
    fn handle(&self, event: Delivery<E>, txn: Tx) -> impl Future<Output = Result<(), HandlerError>> + Send;
}

impl<E, Tx, F, Fut> Handler<E, Tx> for F
where
    F: Fn(Delivery<E>, Tx) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), HandlerError>> + Send,
{
    fn handle(&self, event: Delivery<E>, txn: Tx) -> impl Future<Output = Result<(), HandlerError>> + Send {
        self(event, txn)
    }
}
