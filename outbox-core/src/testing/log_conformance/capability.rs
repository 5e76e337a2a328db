//! What a log and its fixture can do.

use std::fmt;

use crate::log::HoleProof;

/// What a log and its fixture can do: each switches cases on. A case that needs what is not there counts as switched
/// off, never as passed; an adapter's tests pin down which those are with
/// [`LogCase::switched_off_by`](super::LogCase::switched_off_by).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogCapabilities {
    /// By which proof the log forgets holes: what [`EventLog::hole_proof`](crate::log::EventLog::hole_proof) says.
    pub proof: HoleProof,
    /// A transaction can be begun, and stores an event, while another one is open: numbers are then not given out in the
    /// order of commits.
    pub several_writers: bool,
    /// The fixture can let [time pass](super::LogFixture::pass).
    pub moves_time: bool,
    /// The fixture can take committed events away and let their numbers be given out again.
    pub loses_events: bool,
    /// The fixture can show [what is stored](super::LogFixture::stored) of a subscription.
    pub shows_what_is_stored: bool,
    /// Purge can move events into an archive, and the fixture can show what is in it.
    pub archives: bool,
    /// An operator can pause and resume.
    pub pauses: bool,
    /// An operator can requeue and discard held events.
    pub requeues: bool,
    /// An operator can ask for events to be published again.
    pub replays: bool,
    /// A consumer's acknowledgement can be stored.
    pub acknowledges: bool,
    /// A subscription can be dropped.
    pub drops: bool,
}

impl LogCapabilities {
    /// Of a log with this proof whose fixture can do nothing but write. Several writers at once follow from the proof.
    #[must_use]
    pub fn only(proof: HoleProof) -> Self {
        Self {
            proof,
            several_writers: proof != HoleProof::SingleWriter,
            moves_time: false,
            loses_events: false,
            shows_what_is_stored: false,
            archives: false,
            pauses: false,
            requeues: false,
            replays: false,
            acknowledges: false,
            drops: false,
        }
    }

    /// Of a log with this proof whose fixture can do everything.
    #[must_use]
    pub fn all(proof: HoleProof) -> Self {
        Self {
            moves_time: true,
            loses_events: true,
            shows_what_is_stored: true,
            archives: true,
            pauses: true,
            requeues: true,
            replays: true,
            acknowledges: true,
            drops: true,
            ..Self::only(proof)
        }
    }

    pub(super) fn has(&self, capability: LogCapability) -> bool {
        match capability {
            LogCapability::WriterList => self.proof == HoleProof::WriterList,
            LogCapability::Tombstones => matches!(self.proof, HoleProof::Tombstones { .. }),
            LogCapability::SeveralWriters => self.several_writers,
            LogCapability::MovesTime => self.moves_time,
            LogCapability::LosesEvents => self.loses_events,
            LogCapability::ShowsWhatIsStored => self.shows_what_is_stored,
            LogCapability::Archives => self.archives,
            LogCapability::Pauses => self.pauses,
            LogCapability::Requeues => self.requeues,
            LogCapability::Replays => self.replays,
            LogCapability::Acknowledges => self.acknowledges,
            LogCapability::Drops => self.drops,
        }
    }
}

/// One of the [`LogCapabilities`], as a case asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LogCapability {
    /// [`HoleProof::WriterList`].
    WriterList,
    /// [`HoleProof::Tombstones`].
    Tombstones,
    /// [`LogCapabilities::several_writers`].
    SeveralWriters,
    /// [`LogCapabilities::moves_time`].
    MovesTime,
    /// [`LogCapabilities::loses_events`].
    LosesEvents,
    /// [`LogCapabilities::shows_what_is_stored`].
    ShowsWhatIsStored,
    /// [`LogCapabilities::archives`].
    Archives,
    /// [`LogCapabilities::pauses`].
    Pauses,
    /// [`LogCapabilities::requeues`].
    Requeues,
    /// [`LogCapabilities::replays`].
    Replays,
    /// [`LogCapabilities::acknowledges`].
    Acknowledges,
    /// [`LogCapabilities::drops`].
    Drops,
}

impl fmt::Display for LogCapability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WriterList => "a list of writers",
            Self::Tombstones => "tombstones",
            Self::SeveralWriters => "several writers",
            Self::MovesTime => "time that can be moved",
            Self::LosesEvents => "events that can be lost",
            Self::ShowsWhatIsStored => "a view of what is stored",
            Self::Archives => "an archive",
            Self::Pauses => "pause and resume",
            Self::Requeues => "requeue and discard",
            Self::Replays => "replay",
            Self::Acknowledges => "acknowledgements",
            Self::Drops => "dropping a subscription",
        })
    }
}
