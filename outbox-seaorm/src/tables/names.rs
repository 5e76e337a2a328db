//! Where the tables are: one setting for the process, because a hook knows a connection and nothing else.

use std::sync::OnceLock;

static NAMES: OnceLock<TableNames> = OnceLock::new();

/// The schema and the names of all tables.
///
/// ```
/// # use outbox_seaorm::TableNames;
/// // before the first query, for example first thing in `main`
/// TableNames::with_prefix("billing_")?.in_schema("messaging")?.install()?;
/// # Ok::<(), outbox_seaorm::TableNamesError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableNames {
    /// The schema that holds the tables; `None` for the connection's own.
    pub schema: Option<&'static str>,
    /// The log. Default `outbox_event`.
    pub event: &'static str,
    /// Progress of the subscriptions. Default `outbox_subscription`.
    pub subscription: &'static str,
    /// Events on hold. Default `outbox_hold`.
    pub hold: &'static str,
    /// Receipts. Default `outbox_receipt`.
    pub receipt: &'static str,
    /// What operators did. Default `outbox_audit`.
    pub audit: &'static str,
    /// Events past their retention. Default `outbox_archive`.
    pub archive: &'static str,
    /// The purge floor. Default `outbox_meta`.
    pub meta: &'static str,
    /// The inbox. Default `inbox_message`.
    pub inbox_message: &'static str,
    /// The commands that were run once. Default `inbox_command`.
    pub inbox_command: &'static str,
}

/// A name that a table cannot have, or one that comes too late.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableNamesError {
    /// Not an identifier.
    #[error("expected 1 to 40 characters `a-z A-Z 0-9 _` that do not begin with a digit, found `{0}`")]
    NotAnIdentifier(String),
    /// The names are in use or set already.
    #[error("the table names are in use already: install them once, before the first query")]
    TooLate,
}

impl Default for TableNames {
    fn default() -> Self {
        Self {
            schema: None,
            event: "outbox_event",
            subscription: "outbox_subscription",
            hold: "outbox_hold",
            receipt: "outbox_receipt",
            audit: "outbox_audit",
            archive: "outbox_archive",
            meta: "outbox_meta",
            inbox_message: "inbox_message",
            inbox_command: "inbox_command",
        }
    }
}

impl TableNames {
    /// The default names with `prefix` before each.
    ///
    /// # Errors
    /// Where the prefix is not an identifier.
    pub fn with_prefix(prefix: &str) -> Result<Self, TableNamesError> {
        let prefix = identifier(prefix)?;
        let named = |name: &str| -> &'static str { Box::leak(format!("{prefix}{name}").into_boxed_str()) };
        let plain = Self::default();
        Ok(Self {
            schema: None,
            event: named(plain.event),
            subscription: named(plain.subscription),
            hold: named(plain.hold),
            receipt: named(plain.receipt),
            audit: named(plain.audit),
            archive: named(plain.archive),
            meta: named(plain.meta),
            inbox_message: named(plain.inbox_message),
            inbox_command: named(plain.inbox_command),
        })
    }

    /// The same names in a schema (PostgreSQL) or database (MySQL).
    ///
    /// # Errors
    /// Where the schema is not an identifier.
    pub fn in_schema(self, schema: &str) -> Result<Self, TableNamesError> {
        Ok(Self { schema: Some(Box::leak(identifier(schema)?.to_owned().into_boxed_str())), ..self })
    }

    /// Makes these the names for the whole process. Call it once, before the first query.
    ///
    /// # Errors
    /// [`TableNamesError::TooLate`] where other names are in use already.
    pub fn install(self) -> Result<(), TableNamesError> {
        if *NAMES.get_or_init(|| self) == self { Ok(()) } else { Err(TableNamesError::TooLate) }
    }

    /// The names in use: those installed, else the default ones from now on.
    #[must_use]
    pub fn current() -> &'static Self {
        NAMES.get_or_init(Self::default)
    }
}

fn identifier(name: &str) -> Result<&str, TableNamesError> {
    let fits = (1..=40).contains(&name.len())
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if fits { Ok(name) } else { Err(TableNamesError::NotAnIdentifier(name.to_owned())) }
}
