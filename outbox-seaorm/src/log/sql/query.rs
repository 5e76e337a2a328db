//! One statement: written with named placeholders, so that the three databases share the code that binds.

use sea_orm::{DbBackend, Statement, Value};

use crate::tables::TableNames;

/// A statement of the log, ready to be bound.
#[derive(Debug)]
pub(crate) struct Query {
    backend: DbBackend,
    text: String,
    /// The placeholders in the order in which the database wants their values.
    order: Vec<&'static str>,
}

impl Query {
    /// Compiles a text: `{event}` becomes the quoted name of that table, `:name` a placeholder. PostgreSQL
    /// numbers its placeholders, so a repeated name is sent once; the others get a value for each.
    pub(super) fn new(backend: DbBackend, text: &'static str) -> Self {
        let mut query = Self { backend, text: String::with_capacity(text.len()), order: Vec::new() };
        let mut rest = text;
        while let Some(at) = rest.find(['{', ':']) {
            query.text.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(table) = rest.strip_prefix('{') {
                let (name, after) = table.split_once('}').expect("the texts are ours: braces are in pairs");
                query.text.push_str(&quoted(backend, table_named(name)));
                rest = after;
            } else if let Some(after) = rest.strip_prefix("::") {
                query.text.push_str("::");
                rest = after;
            } else {
                let name = &rest[1..];
                let name =
                    &name[..name.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(name.len())];
                if name.is_empty() {
                    query.text.push(':');
                } else {
                    query.placeholder(name);
                }
                rest = &rest[1 + name.len()..];
            }
        }
        query.text.push_str(rest);
        query
    }

    fn placeholder(&mut self, name: &'static str) {
        if self.backend != DbBackend::Postgres {
            self.order.push(name);
            self.text.push('?');
            return;
        }
        let number = self.order.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.order.push(name);
            self.order.len() - 1
        });
        self.text.push_str(&format!("${}", number + 1));
    }

    /// Binds the values by name. A value that this database's text does not ask for is left out.
    pub(crate) fn with(&self, values: &[(&str, Value)]) -> Statement {
        let value = |wanted: &&str| {
            let (_, value) = values
                .iter()
                .find(|(name, _)| name == wanted)
                .expect("a statement is bound in one place, with all values that its texts name");
            value.clone()
        };
        Statement::from_sql_and_values(self.backend, &self.text, self.order.iter().map(value))
    }

    /// The text, with what follows it.
    pub(crate) fn followed_by(&self, rest: &str) -> String {
        format!("{}{rest}", self.text)
    }
}

/// The table that a text means.
fn table_named(name: &str) -> &'static str {
    let names = TableNames::current();
    match name {
        "event" => names.event,
        "subscription" => names.subscription,
        "hold" => names.hold,
        "receipt" => names.receipt,
        "archive" => names.archive,
        "meta" => names.meta,
        other => unreachable!("the texts are ours: no table `{other}`"),
    }
}

/// A table's name with its schema, quoted. [`TableNames`] lets no quotation mark in.
pub(crate) fn quoted(backend: DbBackend, table: &str) -> String {
    let mark = if backend == DbBackend::MySql { '`' } else { '"' };
    match TableNames::current().schema {
        Some(schema) => format!("{mark}{schema}{mark}.{mark}{table}{mark}"),
        None => format!("{mark}{table}{mark}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "SELECT :a::text, '12:30' FROM {event} WHERE seq > :b_c AND id = :a";

    #[test]
    fn a_repeated_placeholder_is_numbered_once() {
        let query = Query::new(DbBackend::Postgres, TEXT);
        assert_eq!(query.text, "SELECT $1::text, '12:30' FROM \"outbox_event\" WHERE seq > $2 AND id = $1");
        assert_eq!(query.order, ["a", "b_c"]);
    }

    #[test]
    fn mysql_gets_a_value_for_each_placeholder() {
        let query = Query::new(DbBackend::MySql, TEXT);
        assert_eq!(query.text, "SELECT ?::text, '12:30' FROM `outbox_event` WHERE seq > ? AND id = ?");
        assert_eq!(query.order, ["a", "b_c", "a"]);
        let bound = query.with(&[("a", 1.into()), ("unused", 9.into()), ("b_c", 2.into())]);
        assert_eq!(bound.values.map(|values| values.0), Some(vec![1.into(), 2.into(), 1.into()]));
    }
}
