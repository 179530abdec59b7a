//! The mirrors database in a DynamoDB table.
//!
//! Owns the four requests and the reading of their answers. Building the client is [`client`]'s, the table [`layout`]'s,
//! failures are classified in [`failure`]. Only single-item conditional writes, consistent reads and queries are made: no
//! transactions, no expiry, no secondary indexes. So tables of one region, global tables and global tables with strong
//! consistency are used by the same code. The SDK repeats nothing: that is decided in [`attempts`](super::attempts).
//!
//! ```text
//! PartitionKey (B, hash)   lakemirror/<organization id>
//! ItemKey      (B, range)  the item's key
//! ItemValue    (B)         the value
//! ItemVersion  (N)         random, another one after each write
//! ```

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use lakemirror_core::secret::Secret;
use lakemirror_outbound::Proxies;
use lakemirror_outbound::aws::ClientError;
use lakemirror_ports::clock::{Clock, Entropy};
use lakemirror_ports::{Fault, FaultKind};

use super::attempts::{Access, Attempts, Failure, on_item};
use super::table::check_limits;
use super::{Expect, Item, Items, PAGE_BYTES, PAGE_ITEMS_MAX, Page, PutError};

mod client;
mod failure;
mod layout;

pub use layout::Guarantees;

const PARTITION_KEY: &str = "PartitionKey";
const ITEM_KEY: &str = "ItemKey";
const ITEM_VALUE: &str = "ItemValue";
const ITEM_VERSION: &str = "ItemVersion";

type Attributes = HashMap<String, AttributeValue>;

/// Where credentials come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Given in the configuration.
    Static {
        /// The access key's id.
        access_key_id: String,
        /// Its secret.
        secret_access_key: Secret,
    },
    /// A profile of the shared credentials files.
    Profile(String),
    /// AWS's default chain: environment, profile, web identity, container, instance.
    Chain,
}

/// `mirrors_database.dynamodb`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The table.
    pub table_name: String,
    /// The region in which this process uses it; `None`: what the default chain finds.
    pub region: Option<String>,
    /// Another endpoint than AWS's, such as `http://127.0.0.1:8000`.
    pub endpoint: Option<String>,
    /// See [`Credentials`].
    pub credentials: Credentials,
    /// Most items of one page of a query.
    pub scan_limit: usize,
    /// Tries of one request that is throttled.
    pub attempts_max: u32,
    /// Through which proxies the table is reached.
    pub proxies: Proxies,
}

impl Settings {
    /// Settings with the defaults: the credentials chain, pages of 1,000 items, 10 attempts.
    #[must_use]
    pub fn new(table_name: impl Into<String>) -> Self {
        Self {
            table_name: table_name.into(),
            region: None,
            endpoint: None,
            credentials: Credentials::Chain,
            scan_limit: PAGE_ITEMS_MAX,
            attempts_max: 10,
            proxies: Proxies::default(),
        }
    }
}

/// A table that cannot be used as it is configured, or as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No region is known.
    #[error("set mirrors_database.dynamodb.aws_region (or AWS_REGION): no region is known for table {table}")]
    Region {
        /// The table.
        table: String,
    },
    /// Certificates cannot be read or used.
    #[error("no connection can be made; correct AWS_CA_BUNDLE")]
    Client(#[from] ClientError),
    /// The table is there and has other keys.
    #[error("the mirrors database at {place} cannot be used: {what}")]
    Table {
        /// Where.
        place: String,
        /// What was found and what is needed.
        what: String,
    },
}

/// One partition of the table.
pub struct Dynamodb {
    client: Client,
    attempts: Attempts,
    table: String,
    partition: Blob,
    page_items: usize,
    place: String,
    guarantees: OnceLock<Guarantees>,
}

impl Dynamodb {
    /// Looks at the table and makes it if it is not there. A server that does not answer is no error: it is said in the
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
        let (client, region) = client::build(settings).await?;
        let table = settings.table_name.clone();
        let items = Self {
            place: format!(
                "DynamoDB table {table} {}",
                settings.endpoint.as_ref().map_or(region, |at| format!("at {at}"))
            ),
            client,
            attempts: Attempts::new(clock, entropy, settings.attempts_max.max(1)),
            table,
            partition: Blob::new(super::partition(organization_id)),
            page_items: settings.scan_limit.clamp(1, PAGE_ITEMS_MAX),
            guarantees: OnceLock::new(),
        };
        let contact = items.attempts.first_contact(&items.place, || items.prepare()).await;
        match contact {
            Ok(()) => Ok(items),
            Err(what) => Err(OpenError::Table { place: items.place, what }),
        }
    }

    /// What the table guarantees between regions; `None` before it has answered.
    #[must_use]
    pub fn guarantees(&self) -> Option<&Guarantees> {
        self.guarantees.get()
    }

    fn prepare(&self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async {
            let found = layout::ensure(&self.client, &self.table).await?;
            tracing::info!(place = self.place, "mirrors database: {found}");
            let _ = self.guarantees.set(found);
            Ok(())
        })
    }

    async fn call<'a, T>(
        &'a self,
        access: Access,
        attempt: impl FnMut() -> BoxFuture<'a, Result<T, Failure>> + Send,
    ) -> Result<T, Failure> {
        self.attempts.call(access, || self.prepare(), attempt).await
    }

    fn at(&self, key: &str) -> Attributes {
        HashMap::from([
            (PARTITION_KEY.to_owned(), AttributeValue::B(self.partition.clone())),
            (ITEM_KEY.to_owned(), AttributeValue::B(Blob::new(key))),
        ])
    }

    /// One page as the server gives it: at most 1 MB. The attributes of its items, and where the next one starts.
    async fn page(
        &self,
        prefix: &str,
        start: Option<&Attributes>,
        limit: usize,
    ) -> Result<(Vec<Attributes>, Option<Attributes>), Failure> {
        let mut query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .set_exclusive_start_key(start.cloned())
            .expression_attribute_values(":partition", AttributeValue::B(self.partition.clone()));
        // An empty value is no valid operand.
        query = if prefix.is_empty() {
            query.key_condition_expression("PartitionKey = :partition")
        } else {
            query
                .key_condition_expression("PartitionKey = :partition AND begins_with(ItemKey, :prefix)")
                .expression_attribute_values(":prefix", AttributeValue::B(Blob::new(prefix)))
        };
        let answer = query.send().await.map_err(|error| failure::of(&error))?;
        Ok((answer.items.unwrap_or_default(), answer.last_evaluated_key))
    }
}

#[async_trait]
impl Items for Dynamodb {
    fn place(&self) -> &str {
        &self.place
    }

    async fn get(&self, key: &str) -> Result<Option<Item>, Fault> {
        let call = || on_item("read", key, &self.place);
        let attempt = || -> BoxFuture<'_, _> {
            let get = self.client.get_item().table_name(&self.table).set_key(Some(self.at(key))).consistent_read(true);
            Box::pin(async { get.send().await.map_err(|error| failure::of(&error)) })
        };
        let answer = self.call(Access::Read, attempt).await.map_err(|failure| failure.into_fault(call()))?;
        answer.item.map(|mut attributes| item(&mut attributes).map_err(|what| unreadable(call(), what))).transpose()
    }

    async fn query(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, Fault> {
        let call = || format!("read items {prefix}… of the mirrors database at {}", self.place);
        let limit = limit.clamp(1, PAGE_ITEMS_MAX);
        // A start outside of the condition is an error to the server.
        let mut start = match after {
            Some(after) if after.starts_with(prefix) && !after.is_empty() => Some(self.at(after)),
            Some(after) if after > prefix => return Ok(Page::default()),
            _ => None,
        };
        let (mut found, mut bytes) = (Vec::new(), 0);
        // One item more than fits says whether there are more: the server's own mark may be followed by nothing.
        while found.len() <= limit && (bytes < PAGE_BYTES || found.len() < 2) {
            let wanted = (limit + 1 - found.len()).min(self.page_items);
            let attempt = || -> BoxFuture<'_, _> { Box::pin(self.page(prefix, start.as_ref(), wanted)) };
            let page = self.call(Access::Read, attempt).await;
            let (attributes, next) = page.map_err(|failure| failure.into_fault(call()))?;
            for mut attributes in attributes {
                let (key, item) = keyed_item(&mut attributes).map_err(|what| unreadable(call(), what))?;
                bytes += item.value.len();
                found.push((key, item));
            }
            start = next;
            if start.is_none() {
                let more = found.len() > limit;
                found.truncate(limit);
                return Ok(Page { items: found, more });
            }
        }
        let kept = limit.min(found.len().saturating_sub(1));
        found.truncate(kept);
        Ok(Page { items: found, more: true })
    }

    async fn put(&self, key: &str, value: Bytes, expect: Expect) -> Result<u64, PutError> {
        check_limits(&self.place, key, value.len())?;
        let version = self.attempts.new_version();
        let attempt = || -> BoxFuture<'_, _> {
            let mut put = self
                .client
                .put_item()
                .table_name(&self.table)
                .set_item(Some(self.at(key)))
                .item(ITEM_VALUE, AttributeValue::B(Blob::new(value.as_ref())))
                .item(ITEM_VERSION, number(version));
            put = match expect {
                Expect::Any => put,
                Expect::Absent => put.condition_expression("attribute_not_exists(ItemKey)"),
                Expect::Version(version) => put
                    .condition_expression("ItemVersion = :expected")
                    .expression_attribute_values(":expected", number(version)),
            };
            Box::pin(async { failure::unless_changed(put.send().await) })
        };
        let written = self.call(Access::Write, attempt).await;
        self.written(written, "write", key).map(|()| version)
    }

    async fn delete(&self, key: &str, version: u64) -> Result<(), PutError> {
        let attempt = || -> BoxFuture<'_, _> {
            let delete = self
                .client
                .delete_item()
                .table_name(&self.table)
                .set_key(Some(self.at(key)))
                .condition_expression("ItemVersion = :expected")
                .expression_attribute_values(":expected", number(version));
            Box::pin(async { failure::unless_changed(delete.send().await) })
        };
        let written = self.call(Access::Write, attempt).await;
        self.written(written, "delete", key)
    }
}

impl Dynamodb {
    /// From whether the condition held.
    fn written(&self, outcome: Result<bool, Failure>, verb: &str, key: &str) -> Result<(), PutError> {
        match outcome {
            Ok(true) => Ok(()),
            Ok(false) => Err(PutError::Conflict { key: key.to_owned() }),
            Err(failure) => Err(failure.into_fault(on_item(verb, key, &self.place)).into()),
        }
    }
}

fn number(version: u64) -> AttributeValue {
    AttributeValue::N(version.to_string())
}

fn keyed_item(attributes: &mut Attributes) -> Result<(String, Item), String> {
    let key = match attributes.remove(ITEM_KEY) {
        Some(AttributeValue::B(key)) => {
            String::from_utf8(key.into_inner()).map_err(|_| "an item's key is not UTF-8".to_owned())?
        }
        _ => return Err(format!("an item has no {ITEM_KEY}")),
    };
    let item = item(attributes).map_err(|what| format!("{what}, item {key}"))?;
    Ok((key, item))
}

fn item(attributes: &mut Attributes) -> Result<Item, String> {
    let value = match attributes.remove(ITEM_VALUE) {
        Some(AttributeValue::B(value)) => Bytes::from(value.into_inner()),
        _ => return Err(format!("no {ITEM_VALUE} (binary)")),
    };
    let version = match attributes.get(ITEM_VERSION) {
        Some(AttributeValue::N(version)) => version.parse().ok(),
        _ => None,
    };
    let version = version.ok_or_else(|| format!("no {ITEM_VERSION} (a whole number)"))?;
    Ok(Item { value, version })
}

fn unreadable(call: String, what: String) -> Fault {
    let message = format!("an item is not one that lakemirror writes: {what}");
    Fault { kind: FaultKind::Contradiction, call, status: None, message }
}
