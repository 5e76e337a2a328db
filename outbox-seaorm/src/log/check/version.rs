//! Products and versions that the protocol was written for.

use sea_orm::DbBackend;

use super::Unfit;

/// Products that speak PostgreSQL's or MySQL's protocol and keep another promise: their numbers come from caches
/// on several nodes, or no lock tells who is writing.
const OTHER_PRODUCTS: [(&str, &str); 6] = [
    ("cockroachdb", "CockroachDB"),
    ("-yb-", "YugabyteDB"),
    ("yugabyte", "YugabyteDB"),
    ("redshift", "Amazon Redshift"),
    ("tidb", "TiDB"),
    ("vitess", "Vitess"),
];

const OTHER_DATABASE: &str = "use one of the databases that the compatibility table names";

/// Judges by the text that the server gives of itself.
pub(super) fn check(backend: DbBackend, version: &str) -> Result<(), Unfit> {
    let lower = version.to_lowercase();
    let (product, oldest) = match backend {
        DbBackend::Sqlite => ("SQLite", (3, 35)),
        DbBackend::MySql if lower.contains("mariadb") => ("MariaDB", (10, 6)),
        DbBackend::MySql => ("MySQL", (8, 0)),
        _ => ("PostgreSQL", (13, 0)),
    };
    if let Some((_, other)) = OTHER_PRODUCTS.iter().find(|(mark, _)| lower.contains(mark)) {
        return Err(Unfit::new(product, format!("{other} (`{version}`)"), OTHER_DATABASE));
    }
    // Some MariaDB servers hide behind this number for the sake of old clients.
    let numbers = lower.strip_prefix("5.5.5-").unwrap_or(&lower);
    let found = number(numbers);
    if found.is_none_or(|found| found < oldest) {
        let (major, minor) = oldest;
        return Err(Unfit::new(
            format!("{product} {major}.{minor} or newer"),
            format!("`{version}`"),
            "upgrade the database",
        ));
    }
    Ok(())
}

/// The first version number of a text.
fn number(text: &str) -> Option<(u32, u32)> {
    let text = &text[text.find(|c: char| c.is_ascii_digit())?..];
    let mut parts = text.split(|c: char| !c.is_ascii_digit());
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next().and_then(|minor| minor.parse().ok()).unwrap_or(0);
    Some((major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PG15: &str =
        "PostgreSQL 15.20 (Debian 15.20-0+deb12u1) on x86_64-pc-linux-gnu, compiled by gcc 12.2.0";

    #[test]
    fn what_is_supported_passes() {
        for (backend, version) in [
            (DbBackend::Postgres, PG15),
            (DbBackend::Postgres, "PostgreSQL 13.0"),
            (DbBackend::Postgres, "PostgreSQL 18beta1 on aarch64"),
            (DbBackend::MySql, "10.11.19-MariaDB-0+deb12u1"),
            (DbBackend::MySql, "5.5.5-10.6.2-MariaDB"),
            (DbBackend::MySql, "8.0.36-0ubuntu0.22.04.1"),
            (DbBackend::MySql, "9.1.0"),
            (DbBackend::Sqlite, "3.35.0"),
            (DbBackend::Sqlite, "3.50.1"),
        ] {
            assert_eq!(check(backend, version), Ok(()), "{version}");
        }
    }

    #[test]
    fn what_only_looks_like_it_is_refused_by_name() {
        for (backend, version, named) in [
            (DbBackend::Postgres, "CockroachDB CCL v23.1.11 (x86_64-pc-linux-gnu)", "CockroachDB"),
            (DbBackend::Postgres, "PostgreSQL 11.2-YB-2.18.0.0-b0 on x86_64-pc-linux-gnu", "YugabyteDB"),
            (DbBackend::MySql, "5.7.25-TiDB-v7.1.0", "TiDB"),
            (DbBackend::MySql, "8.0.11-TiDB-v7.5.0", "TiDB"),
            (DbBackend::MySql, "8.0.30-Vitess", "Vitess"),
        ] {
            let unfit = check(backend, version).expect_err(version);
            assert!(unfit.found.starts_with(named), "{unfit:?}");
        }
    }

    #[test]
    fn what_is_too_old_is_refused_with_the_oldest_that_will_do() {
        for (backend, version, expected) in [
            (DbBackend::Postgres, "PostgreSQL 12.17", "PostgreSQL 13.0 or newer"),
            (DbBackend::MySql, "10.5.23-MariaDB", "MariaDB 10.6 or newer"),
            (DbBackend::MySql, "5.7.44-log", "MySQL 8.0 or newer"),
            (DbBackend::Sqlite, "3.34.1", "SQLite 3.35 or newer"),
            (DbBackend::Sqlite, "", "SQLite 3.35 or newer"),
        ] {
            assert_eq!(check(backend, version).expect_err(version).expected, expected);
        }
    }
}
