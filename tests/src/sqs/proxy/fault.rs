//! What can go wrong with one request.

use std::time::Duration;

/// The requests of SQS that something can go wrong with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Send,
    Receive,
    Delete,
    Change,
    ChangeBatch,
    /// What sets queues up and asks after them: always passed on as it is.
    Other,
}

impl Operation {
    /// By the name in the protocol, without its prefix.
    #[must_use]
    pub fn of(name: &str) -> Self {
        match name {
            "SendMessageBatch" => Self::Send,
            "ReceiveMessage" => Self::Receive,
            "DeleteMessageBatch" => Self::Delete,
            "ChangeMessageVisibility" => Self::Change,
            "ChangeMessageVisibilityBatch" => Self::ChangeBatch,
            _ => Self::Other,
        }
    }
}

/// What goes wrong with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: it is passed on, and so is the answer.
    None,
    /// The connection is reset, and the server hears nothing of the request.
    Reset,
    /// An error is answered, and the server hears nothing of the request.
    Refuse(Refusal),
    /// The server does it, and the connection is closed without an answer.
    LoseAnswer,
    /// The server does it, and the connection is closed in the middle of the answer's body.
    CutAnswer,
    /// The server does it, and half of its answer comes as if that were all of it, under HTTP 200.
    BreakAnswer,
    /// The server does it, and the answer is `{}` under HTTP 200: it mentions nothing.
    EmptyAnswer,
    /// The server does it at once, and answers after this long.
    DelayAnswer(Duration),
    /// The network holds the request for this long; then the server does it, though nobody may wait for it any more.
    HoldRequest(Duration),
    /// Single entries of a batch go wrong, by their places; what is not named goes well.
    Entries(Vec<EntryFault>),
    /// A receive gives messages that were given before, and the server hears nothing of it.
    Repeat,
}

impl Fault {
    /// What it is called in a count.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Reset => "reset",
            Self::Refuse(refusal) => refusal.name(),
            Self::LoseAnswer => "answer lost",
            Self::CutAnswer => "answer cut",
            Self::BreakAnswer => "answer broken",
            Self::EmptyAnswer => "answer empty",
            Self::DelayAnswer(_) => "answer delayed",
            Self::HoldRequest(_) => "request held",
            Self::Entries(_) => "entries",
            Self::Repeat => "repeated",
        }
    }
}

/// An error in the place of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// As SQS throttles, with the pause that it asks for, if it asks for one.
    Throttled(Option<Duration>),
    /// 500 of SQS.
    Internal,
    /// 503 of SQS.
    Unavailable,
    /// 502 of something in between, in HTML.
    BadGateway,
}

impl Refusal {
    fn name(self) -> &'static str {
        match self {
            Self::Throttled(_) => "throttled",
            Self::Internal => "internal error",
            Self::Unavailable => "unavailable",
            Self::BadGateway => "bad gateway",
        }
    }
}

/// What goes wrong with one entry of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryFault {
    /// Nothing.
    None,
    /// The server hears nothing of it, and the answer says that it failed.
    Refuse(EntryError),
    /// The server hears nothing of it, and the answer does not mention it.
    Forget,
    /// The server does it, and the answer says that it failed.
    Deny(EntryError),
    /// The server does it, and the answer does not mention it.
    Omit,
}

impl EntryFault {
    /// Whether the server gets the entry.
    #[must_use]
    pub fn reaches_server(self) -> bool {
        !matches!(self, Self::Refuse(_) | Self::Forget)
    }

    /// What it is called in a count.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Refuse(_) => "entry refused",
            Self::Forget => "entry forgotten",
            Self::Deny(_) => "entry denied",
            Self::Omit => "entry omitted",
        }
    }
}

/// What the answer says of an entry that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryError {
    pub code: &'static str,
    pub sender_fault: bool,
}

impl EntryError {
    /// A failure of the service itself.
    pub const INTERNAL: Self = Self { code: "InternalError", sender_fault: false };
}
