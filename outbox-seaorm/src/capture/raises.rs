//! Events that were raised on one save, in order.

use outbox_core::event::{IntoEvents, NewEvent};

use super::{CaptureError, record::erased};

/// The events raised on one save of a row of type `M`.
pub(super) struct Raises<M>(Vec<Part<M>>);

/// Makes the events from the row as it was stored.
type OfRow<M> = Box<dyn FnOnce(&M) -> Result<Vec<NewEvent>, CaptureError> + Send>;

enum Part<M> {
    Ready(Result<Vec<NewEvent>, CaptureError>),
    OfRow(OfRow<M>),
}

impl<M> Raises<M> {
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    pub(super) fn add(&mut self, events: impl IntoEvents) {
        self.0.push(Part::Ready(erased(events)));
    }

    pub(super) fn add_with<F, E>(&mut self, events: F)
    where
        F: FnOnce(&M) -> E + Send + 'static,
        E: IntoEvents,
    {
        self.0.push(Part::OfRow(Box::new(|row| erased(events(row)))));
    }

    /// Gives the error of an event that is no JSON before anything is written.
    pub(super) fn checked(self) -> Result<Self, CaptureError> {
        let parts = self.0.into_iter().map(|part| match part {
            Part::Ready(events) => events.map(|events| Part::Ready(Ok(events))),
            Part::OfRow(events) => Ok(Part::OfRow(events)),
        });
        Ok(Self(parts.collect::<Result<_, _>>()?))
    }

    /// Whether there will be an event, as far as that is known before the write.
    pub(super) fn any(&self) -> bool {
        self.0.iter().any(|part| match part {
            Part::Ready(events) => events.as_ref().is_ok_and(|events| !events.is_empty()),
            Part::OfRow(_) => true,
        })
    }

    /// Whether an event is made from the stored row.
    pub(super) fn need_row(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::OfRow(_)))
    }

    /// The events, made from the row where one is needed.
    pub(super) fn of(self, row: &M) -> Result<Vec<NewEvent>, CaptureError> {
        self.collect(|events| events(row))
    }

    /// The events of a write that has no row to show; those made from a row fall away.
    pub(super) fn without_row(self) -> Result<Vec<NewEvent>, CaptureError> {
        self.collect(|_| Ok(Vec::new()))
    }

    fn collect(
        self,
        mut of_row: impl FnMut(
            Box<dyn FnOnce(&M) -> Result<Vec<NewEvent>, CaptureError> + Send>,
        ) -> Result<Vec<NewEvent>, CaptureError>,
    ) -> Result<Vec<NewEvent>, CaptureError> {
        self.0.into_iter().try_fold(Vec::new(), |mut all, part| {
            all.extend(match part {
                Part::Ready(events) => events?,
                Part::OfRow(events) => of_row(events)?,
            });
            Ok(all)
        })
    }
}
