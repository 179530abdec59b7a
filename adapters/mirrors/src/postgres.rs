//! The mirrors database in PostgreSQL or CockroachDB.
//!
//! Owns the statements and what their answers mean. Reading the connection string is [`address`]'s, encryption [`tls`]'s,
//! connections are [`pool`]'s, the table [`layout`]'s, failures are classified in [`failure`], failovers noticed in
//! [`generation`]. Every change is one
//! statement on one row, so no transaction stays open and nothing has to be undone; statements are not prepared by name,
//! so that a connection pooler in between is no obstacle.
//!
//! ```text
//! lakemirror_kv (partition_key BYTEA, item_key BYTEA, value BYTEA, version BIGINT, PRIMARY KEY (partition_key, item_key))
//! ```

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use lakemirror_core::secret::Secret;
use lakemirror_ports::clock::{Clock, Entropy};
use lakemirror_ports::{Fault, FaultKind};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::attempts::{Access, Attempts, Failure, on_item};
use super::table::check_limits;
use super::{Expect, Item, Items, PAGE_BYTES, PAGE_ITEMS_MAX, Page, PutError};

mod address;
mod failure;
mod generation;
mod layout;
mod pool;
mod tls;

pub use generation::{Resolve, SystemResolver};
use pool::Pool;

/// Tries of one statement that the server asks to repeat.
const TRIES_MAX: u32 = 10;

const GET: &str = "SELECT value, version FROM lakemirror_kv WHERE partition_key = $1 AND item_key = $2";
/// Bounded in bytes by the server: the sum of the values before a row says whether it is still part of the page.
const QUERY: &str = "SELECT item_key, value, version, total FROM (\
     SELECT item_key, value, version, count(*) OVER () AS total, \
     sum(octet_length(value)) OVER (ORDER BY item_key ROWS UNBOUNDED PRECEDING) - octet_length(value) AS before FROM (\
     SELECT item_key, value, version FROM lakemirror_kv \
     WHERE partition_key = $1 AND item_key >= $2 AND item_key < $3 ORDER BY item_key LIMIT $4) AS found) AS page \
     WHERE before < $5 ORDER BY item_key";
const PUT_ABSENT: &str = "INSERT INTO lakemirror_kv (partition_key, item_key, value, version) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (partition_key, item_key) DO NOTHING RETURNING version";
const PUT_VERSION: &str = "UPDATE lakemirror_kv SET value = $3, version = $4 \
     WHERE partition_key = $1 AND item_key = $2 AND version = $5 RETURNING version";
const PUT_ANY: &str = "INSERT INTO lakemirror_kv (partition_key, item_key, value, version) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (partition_key, item_key) DO UPDATE SET value = excluded.value, version = excluded.version \
     RETURNING version";
const DELETE: &str = "DELETE FROM lakemirror_kv WHERE partition_key = $1 AND item_key = $2 AND version = $3 \
     RETURNING version";

/// One parameter of a statement with its type, so that the server need not be asked for it.
type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// `mirrors_database.postgres`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// A `postgres://` URL or `key=value` pairs, as libpq and lakeFS take them.
    pub connection_string: Secret,
    /// Most connections at a time, at least 1.
    pub connections_max: usize,
    /// Most of them kept while they have nothing to do.
    pub idle_max: usize,
    /// A connection is not used for longer than this.
    pub lifetime: Duration,
}

impl Settings {
    /// Settings with the defaults: 10 connections, all kept idle, for 5 minutes.
    #[must_use]
    pub fn new(connection_string: Secret) -> Self {
        Self { connection_string, connections_max: 10, idle_max: 10, lifetime: Duration::from_mins(5) }
    }
}

/// A database that cannot be used as it is configured, or as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The connection string cannot be read.
    #[error("mirrors_database.postgres.connection_string cannot be used: {what}")]
    ConnectionString {
        /// Why, without the string itself.
        what: String,
    },
    /// The certificates that the connection string names cannot be used.
    #[error("mirrors_database.postgres.connection_string: TLS cannot be set up with {what}")]
    Tls {
        /// The parameter and its file.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is a table of our name with other columns.
    #[error("the mirrors database at {place} cannot be used: {what}")]
    Table {
        /// Where.
        place: String,
        /// What was found and what is needed.
        what: String,
    },
}

/// One partition of the table.
pub struct Postgres {
    pool: Pool,
    attempts: Attempts,
    partition: Vec<u8>,
    place: String,
}

impl Postgres {
    /// Connects, and makes the table if it is not there. A database that does not answer is no error: it is said in the
    /// log, and every call tries again.
    ///
    /// # Errors
    /// [`OpenError`], for what needs an operator.
    pub async fn open(
        settings: &Settings,
        organization_id: &str,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, OpenError> {
        Self::open_with(settings, organization_id, Arc::new(SystemResolver), clock, entropy).await
    }

    /// As [`Postgres::open`], with a resolver of the caller's that says when a host name has moved. Connections
    /// themselves are made with the operating system's.
    ///
    /// # Errors
    /// [`OpenError`], for what needs an operator.
    pub async fn open_with(
        settings: &Settings,
        organization_id: &str,
        resolver: Arc<dyn Resolve>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, OpenError> {
        let address = address::parse(settings.connection_string.expose())?;
        let place = address.place();
        let tls = tls::connector(&address.tls)?;
        let pool = Pool::new(address.config, tls, settings, resolver, Arc::clone(&clock));
        let partition = super::partition(organization_id).into_bytes();
        let items = Self { pool, attempts: Attempts::new(clock, entropy, TRIES_MAX), partition, place };
        let contact = items.attempts.first_contact(&items.place, || items.prepare()).await;
        match contact {
            Ok(()) => Ok(items),
            Err(what) => Err(OpenError::Table { place: items.place, what }),
        }
    }

    fn prepare(&self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async {
            layout::ensure(&self.pool).await?;
            tracing::info!(
                place = self.place,
                "mirrors database: one SQL database; what one region has written all regions read"
            );
            Ok(())
        })
    }

    async fn rows(
        &self,
        access: Access,
        call: impl FnOnce() -> String,
        statement: &'static str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Fault> {
        let rows =
            self.attempts.call(access, || self.prepare(), || Box::pin(self.pool.rows(statement, parameters))).await;
        rows.map_err(|failure| failure.into_fault(call()))
    }

    /// A statement that changes the item or finds that it may not.
    async fn change(
        &self,
        verb: &str,
        key: &str,
        statement: &'static str,
        parameters: &[Parameter<'_>],
    ) -> Result<(), PutError> {
        let rows = self.rows(Access::Write, || on_item(verb, key, &self.place), statement, parameters).await?;
        if rows.is_empty() { Err(PutError::Conflict { key: key.to_owned() }) } else { Ok(()) }
    }
}

#[async_trait]
impl Items for Postgres {
    fn place(&self) -> &str {
        &self.place
    }

    async fn get(&self, key: &str) -> Result<Option<Item>, Fault> {
        let call = || on_item("read", key, &self.place);
        let at = [(&self.partition as _, Type::BYTEA), (&key.as_bytes() as _, Type::BYTEA)];
        let rows = self.rows(Access::Read, call, GET, &at).await?;
        rows.first().map(|row| item(row, 0).map_err(|error| unreadable(call(), &error))).transpose()
    }

    async fn query(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, Fault> {
        let call = || format!("read items {prefix}… of the mirrors database at {}", self.place);
        let limit = limit.clamp(1, PAGE_ITEMS_MAX);
        let (from, to) = range(prefix, after);
        let (limit_sql, bytes_sql) =
            (i64::try_from(limit).unwrap_or(i64::MAX), i64::try_from(PAGE_BYTES).unwrap_or(i64::MAX));
        // One more than asked for says whether there are more.
        let parameters: [Parameter<'_>; 5] = [
            (&self.partition, Type::BYTEA),
            (&from, Type::BYTEA),
            (&to, Type::BYTEA),
            (&(limit_sql + 1), Type::INT8),
            (&bytes_sql, Type::INT8),
        ];
        let rows = self.rows(Access::Read, call, QUERY, &parameters).await?;
        page(&rows, limit).map_err(|error| unreadable(call(), &*error))
    }

    async fn put(&self, key: &str, value: Bytes, expect: Expect) -> Result<u64, PutError> {
        check_limits(&self.place, key, value.len())?;
        let version = self.attempts.new_version();
        let (key_bytes, value, version_sql) = (key.as_bytes(), value.as_ref(), version.cast_signed());
        let mut parameters: Vec<Parameter<'_>> = vec![
            (&self.partition, Type::BYTEA),
            (&key_bytes, Type::BYTEA),
            (&value, Type::BYTEA),
            (&version_sql, Type::INT8),
        ];
        let expected;
        let statement = match expect {
            Expect::Absent => PUT_ABSENT,
            Expect::Any => PUT_ANY,
            Expect::Version(version) => {
                expected = version.cast_signed();
                parameters.push((&expected, Type::INT8));
                PUT_VERSION
            }
        };
        self.change("write", key, statement, &parameters).await?;
        Ok(version)
    }

    async fn delete(&self, key: &str, version: u64) -> Result<(), PutError> {
        let parameters: [Parameter<'_>; 3] =
            [(&self.partition, Type::BYTEA), (&key.as_bytes(), Type::BYTEA), (&version.cast_signed(), Type::INT8)];
        self.change("delete", key, DELETE, &parameters).await
    }
}

/// The keys of a query: from the first one, inclusive, to the last one, exclusive. No key of ours has a byte above 0xf4,
/// for they are UTF-8, so a prefix has an end that is one byte higher.
fn range(prefix: &str, after: Option<&str>) -> (Vec<u8>, Vec<u8>) {
    let mut from = prefix.as_bytes().to_vec();
    if let Some(after) = after.filter(|after| *after >= prefix) {
        from = after.as_bytes().to_vec();
        from.push(0);
    }
    let mut to = prefix.as_bytes().to_vec();
    match to.last_mut() {
        Some(last) => *last = last.saturating_add(1),
        None => to.push(u8::MAX),
    }
    (from, to)
}

fn page(rows: &[Row], limit: usize) -> Result<Page, Box<dyn std::error::Error + Send + Sync>> {
    let mut page = Page::default();
    let mut total = 0;
    for row in rows {
        let key = String::from_utf8(row.try_get::<_, Vec<u8>>(0)?)?;
        total = usize::try_from(row.try_get::<_, i64>(3)?)?;
        page.items.push((key, item(row, 1)?));
    }
    page.items.truncate(limit);
    page.more = total > page.items.len();
    Ok(page)
}

/// The value and the version in the columns from `first`.
fn item(row: &Row, first: usize) -> Result<Item, tokio_postgres::Error> {
    let value: &[u8] = row.try_get(first)?;
    let version: i64 = row.try_get(first + 1)?;
    Ok(Item { value: Bytes::copy_from_slice(value), version: version.cast_unsigned() })
}

fn unreadable(call: String, error: &dyn std::fmt::Display) -> Fault {
    let message = format!("a row is not one that lakemirror writes: {error}");
    Fault { kind: FaultKind::Contradiction, call, status: None, message }
}

#[cfg(test)]
mod tests;
