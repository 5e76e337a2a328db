//! Why an operator's question or change came to nothing.

use outbox_core::{log::LogError, message::Seq};
use sea_orm::{DbErr, prelude::Uuid};

use super::EventRef;

/// Why an operator's question or change came to nothing. No change was then made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutboxError {
    /// A change names nobody, or no reason, or more than its column holds.
    #[error("expected {what} of 1 to {longest} characters for the audit, found {found}")]
    NobodyInCharge {
        /// Who or why.
        what: &'static str,
        /// The most characters.
        longest: usize,
        /// How many there were, white space at the ends not counted.
        found: usize,
    },
    /// No subscription has that name.
    #[error("expected the name of a subscription ({known}), found `{found}`")]
    UnknownSubscription {
        /// What was asked for.
        found: String,
        /// The names that there are.
        known: String,
    },
    /// The event is not on hold there.
    #[error(
        "expected an event on hold for subscription `{subscription}`, found none: event {event} is published or given \
         up there, or still to be read, or not in the log; ask for its state"
    )]
    NotHeld {
        /// Where it was to be.
        subscription: String,
        /// What was asked for.
        event: EventRef,
    },
    /// The event is on hold there, and goes out by itself.
    #[error(
        "expected a dead letter of subscription `{subscription}`, found event {event} on hold as `{found}`: it goes out \
         by itself"
    )]
    NotDead {
        /// Where it is.
        subscription: String,
        /// What was asked for.
        event: EventRef,
        /// The state it is in.
        found: String,
    },
    /// A relay leads the subscription that was to be dropped.
    #[error(
        "expected a subscription that nobody leads, found `{subscription}` led by {leader}: stop its relays, or take it \
         out of their configuration, and drop it when the lease has ended"
    )]
    Led {
        /// What was to be dropped.
        subscription: String,
        /// The process that leads it.
        leader: String,
    },
    /// A rewind to what was purged.
    #[error(
        "expected a seq that the log still reaches back to ({floor} or above), found {found}: what was stored before was \
         purged; rewind to the beginning to read all that is left"
    )]
    Purged {
        /// What was asked for.
        found: Seq,
        /// The last seq that was purged.
        floor: Seq,
    },
    /// A rewind that would skip events.
    #[error(
        "expected a place before the position of subscription `{subscription}` ({position}), found {found}: events would \
         be skipped"
    )]
    NotBack {
        /// What was to be rewound.
        subscription: String,
        /// Where it would have gone on.
        found: Seq,
        /// Where it is.
        position: Seq,
    },
    /// A change of one subscription names none.
    #[error("expected the name of one subscription, found none: say `.of(name)`")]
    WithoutSubscription,
    /// A question names more events than one statement can.
    #[error("expected up to {at_most} seqs at once, found {found}: ask for them in parts")]
    TooManySeqs {
        /// The most at once.
        at_most: usize,
        /// How many there were.
        found: usize,
    },
    /// A replay is meant for a subscription whose topics nobody knows yet.
    #[error(
        "expected a subscription that a relay has led, found that nobody has led `{subscription}` yet: which topics it \
         takes is not known before; start its relay first"
    )]
    NeverLed {
        /// Which subscription.
        subscription: String,
    },
    /// The id of a replay belongs to one of another kind or selection.
    #[error(
        "replay {id} has begun with another selection, or with the other of `redeliver` and `reprocess`: run it again as it \
         was, or take a new id"
    )]
    OtherReplay {
        /// The id.
        id: Uuid,
    },
    /// What is stored of a subscription cannot be understood.
    #[error("what is stored of subscription `{subscription}` cannot be read: {reason}")]
    Corrupt {
        /// Whose it is.
        subscription: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The log did not do it.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The database did not do it.
    #[error("the database did not do it")]
    Database(#[from] DbErr),
}
