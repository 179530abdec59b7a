//! The table: made when it is not there, refused when it is another one.
//!
//! Owns its definition. Processes of all regions may start at once: on PostgreSQL they queue at an advisory lock, on
//! CockroachDB, which has none, `IF NOT EXISTS` and another look are enough.

use lakemirror_ports::FaultKind;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use super::super::attempts::{Effect, Failure};
use super::pool::Pool;

/// What lakemirror locks while it makes its table: "lakemirr" as a number.
const LOCK: i64 = 0x6c61_6b65_6d69_7272;
const CREATE: &str = "CREATE TABLE IF NOT EXISTS lakemirror_kv (\
     partition_key BYTEA NOT NULL, item_key BYTEA NOT NULL, value BYTEA NOT NULL, version BIGINT NOT NULL, \
     PRIMARY KEY (partition_key, item_key))";
/// The columns of the table that unqualified names mean, in alphabetical order: name, type, part of the primary key.
const COLUMNS: &str = "SELECT a.attname::text, format_type(a.atttypid, NULL), \
     COALESCE((SELECT bool_or(a.attnum = ANY (i.indkey)) FROM pg_catalog.pg_index i \
     WHERE i.indrelid = a.attrelid AND i.indisprimary), false) \
     FROM pg_catalog.pg_attribute a \
     WHERE a.attrelid = to_regclass('lakemirror_kv')::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attname";

/// What is needed, in the order of [`COLUMNS`].
const NEEDED: [(&str, &str, bool); 4] = [
    ("item_key", "bytea", true),
    ("partition_key", "bytea", true),
    ("value", "bytea", false),
    ("version", "bigint", false),
];

/// Makes the table unless it is there, and checks it.
pub(super) async fn ensure(pool: &Pool) -> Result<(), Failure> {
    let found = columns(pool).await?;
    if !found.is_empty() {
        return check(&found);
    }
    create(pool).await?;
    check(&columns(pool).await?)
}

async fn create(pool: &Pool) -> Result<(), Failure> {
    // Both statements in one message are one transaction, which ends the lock.
    let locked = pool.batch(&format!("SELECT pg_advisory_xact_lock({LOCK}); {CREATE}")).await;
    match locked {
        Err((Some(code), _)) if code == SqlState::UNDEFINED_FUNCTION || code == SqlState::FEATURE_NOT_SUPPORTED => {}
        other => return made(other),
    }
    made(pool.batch(CREATE).await)
}

fn made(outcome: Result<(), (Option<SqlState>, Failure)>) -> Result<(), Failure> {
    match outcome {
        Ok(()) => Ok(()),
        // Somebody else made it at the same moment.
        Err((Some(code), _)) if code == SqlState::DUPLICATE_TABLE || code == SqlState::UNIQUE_VIOLATION => Ok(()),
        Err((_, mut failure)) => {
            failure.message = format!("table lakemirror_kv cannot be made: {}", failure.message);
            Err(failure)
        }
    }
}

async fn columns(pool: &Pool) -> Result<Vec<(String, String, bool)>, Failure> {
    let rows = pool.rows(COLUMNS, &[]).await?;
    let read = |row: &Row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
    rows.iter().map(read).collect::<Result<_, tokio_postgres::Error>>().map_err(|error| super::failure::of(&error))
}

fn check(found: &[(String, String, bool)]) -> Result<(), Failure> {
    let fits = found.len() == NEEDED.len()
        && found.iter().zip(NEEDED).all(|(found, needed)| (found.0.as_str(), found.1.as_str(), found.2) == needed);
    if fits {
        return Ok(());
    }
    if found.is_empty() {
        // Made, and yet no unqualified name finds it.
        let message = "table lakemirror_kv is not found after it was made; correct the user's search_path";
        return Err(Failure::new(FaultKind::Denied, Effect::None, message));
    }
    let message = format!(
        "table lakemirror_kv has ({}), needed is ({}); rename or drop it, or give another database or search_path",
        list(found.iter().map(|(name, kind, key)| (name.as_str(), kind.as_str(), *key))),
        list(NEEDED)
    );
    Err(Failure::new(FaultKind::Refused, Effect::WrongTable, message))
}

fn list<'a>(columns: impl IntoIterator<Item = (&'a str, &'a str, bool)>) -> String {
    let one = |(name, kind, key)| format!("{name} {kind}{}", if key { " primary key" } else { "" });
    columns.into_iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(of: &[(&str, &str, bool)]) -> Vec<(String, String, bool)> {
        of.iter().map(|(name, kind, key)| ((*name).to_owned(), (*kind).to_owned(), *key)).collect()
    }

    #[test]
    fn only_our_own_columns_fit() {
        check(&columns(&NEEDED)).unwrap();
        let mut other = NEEDED;
        other[3].1 = "integer";
        let failure = check(&columns(&other)).unwrap_err();
        assert_eq!(failure.effect, Effect::WrongTable);
        assert!(failure.message.contains("version integer), needed is (item_key bytea primary key,"), "{failure:?}");
        let mut no_key = NEEDED;
        no_key[0].2 = false;
        assert!(check(&columns(&no_key)).is_err(), "without the key a second item of the same key gets in");
        assert!(check(&columns(&NEEDED[..3])).is_err());
        assert_eq!(check(&[]).unwrap_err().kind, FaultKind::Denied);
    }
}
