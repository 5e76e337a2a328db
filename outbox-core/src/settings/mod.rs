//! What settings have in common: how durations are written, and an error that names the field.

pub mod duration_text;

/// A setting that is out of range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` must be {expected}, found {found}")]
pub struct ConfigError {
    /// The field.
    pub field: &'static str,
    /// What it must be.
    pub expected: String,
    /// What it is.
    pub found: String,
}

/// # Errors
/// Where the value of this field is below `least`.
pub(crate) fn at_least<T: PartialOrd + Copy + std::fmt::Debug>(
    field: &'static str,
    found: T,
    least: T,
) -> Result<(), ConfigError> {
    if found >= least {
        return Ok(());
    }
    Err(ConfigError { field, expected: format!("at least {least:?}"), found: format!("{found:?}") })
}

/// # Errors
/// Where the value of this field is above `most`.
pub(crate) fn at_most<T: PartialOrd + Copy + std::fmt::Debug>(
    field: &'static str,
    found: T,
    most: T,
) -> Result<(), ConfigError> {
    if found <= most {
        return Ok(());
    }
    Err(ConfigError { field, expected: format!("at most {most:?}"), found: format!("{found:?}") })
}
