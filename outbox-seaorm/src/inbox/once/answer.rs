//! What a command answers, and whether it has just been run for it.

/// The answer of a command. Its caller gets the same either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<T> {
    /// The command ran, and what it wrote is committed.
    First(T),
    /// It had been run before under the same key; this is what it answered then, and nothing ran.
    Repeated(T),
}

impl<T> Answer<T> {
    /// The answer itself.
    pub fn into_inner(self) -> T {
        match self {
            Self::First(answer) | Self::Repeated(answer) => answer,
        }
    }

    /// Whether it is that of an earlier call.
    #[must_use]
    pub const fn is_repeated(&self) -> bool {
        matches!(self, Self::Repeated(_))
    }
}
