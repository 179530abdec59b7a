//! The tables: their keys, their items ordered by the bytes of the keys, and pages of them.
//!
//! Validates table definitions and keys. Changes are validated by [`requests`](super::requests) first; they are applied
//! here both for requests and when the log is replayed.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::failure::Failure;
use super::value::{Attributes, Value, size};
use crate::sandbox::log::Kept;

/// Maximum size of one page, unless a single item is larger.
const PAGE_BYTES_MAX: usize = 1 << 20;
const HASH_BYTES_MAX: usize = 2048;
const RANGE_BYTES_MAX: usize = 1024;

/// A table definition from a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Definition {
    pub(super) table_name: String,
    pub(super) key_schema: Vec<KeyElement>,
    pub(super) attribute_definitions: Vec<Attribute>,
    pub(super) billing_mode: Billing,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stream_specification: Option<Stream>,
}

/// Which attribute is which key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct KeyElement {
    attribute_name: String,
    key_type: KeyType,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum KeyType {
    Hash,
    Range,
}

/// An attribute's type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Attribute {
    attribute_name: String,
    attribute_type: KeyKind,
}

/// The supported key types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum KeyKind {
    S,
    B,
}

impl KeyKind {
    fn name(self) -> &'static str {
        match self {
            Self::S => "S",
            Self::B => "B",
        }
    }
}

/// The only billing mode that needs no numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Billing {
    PayPerRequest,
}

/// The stream, which is described and has no content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Stream {
    stream_enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stream_view_type: Option<String>,
}

/// A change of the tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Change {
    /// A new table.
    Create { definition: Definition, created: u64 },
    /// Writes an item, whether or not it exists.
    Put { table: String, item: Attributes },
    /// Deletes an item.
    Delete { table: String, key: Attributes },
}

/// An item's position: the bytes of its hash key and of its range key, which is empty if the table has none.
pub(super) type Address = (Vec<u8>, Vec<u8>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: String,
    kind: KeyKind,
}

/// The items that a query covers.
#[derive(Debug)]
pub(super) struct Range {
    pub(super) hash: Vec<u8>,
    /// The value or prefix of the range key.
    pub(super) range: Vec<u8>,
    /// Whether it is the value.
    pub(super) equal: bool,
}

impl Range {
    pub(super) fn has(&self, (hash, range): &Address) -> bool {
        *hash == self.hash && if self.equal { *range == self.range } else { range.starts_with(&self.range) }
    }
}

/// All tables.
#[derive(Debug, Default)]
pub(super) struct Tables(BTreeMap<String, Table>);

impl Tables {
    pub(super) fn table(&self, name: &str) -> Result<&Table, Failure> {
        self.0.get(name).ok_or_else(|| Failure::no_table(name))
    }
}

impl Kept for Tables {
    type Change = Change;

    fn apply(&mut self, change: Change) {
        match change {
            // An invalid table was never created.
            Change::Create { definition, created } => {
                if let Ok(table) = Table::new(definition, created) {
                    self.0.insert(table.definition.table_name.clone(), table);
                }
            }
            Change::Put { table, item } => {
                if let Some(table) = self.0.get_mut(&table)
                    && let Ok(address) = table.address(&item)
                {
                    table.items.insert(address, item);
                }
            }
            Change::Delete { table, key } => {
                if let Some(table) = self.0.get_mut(&table)
                    && let Ok(address) = table.address(&key)
                {
                    table.items.remove(&address);
                }
            }
        }
    }

    fn changes(&self) -> Vec<Change> {
        let mut all = Vec::new();
        for (name, table) in &self.0 {
            all.push(Change::Create { definition: table.definition.clone(), created: table.created });
            all.extend(table.items.values().map(|item| Change::Put { table: name.clone(), item: item.clone() }));
        }
        all
    }
}

/// One table.
#[derive(Debug)]
pub(super) struct Table {
    definition: Definition,
    created: u64,
    pub(super) hash: Part,
    pub(super) range: Option<Part>,
    items: BTreeMap<Address, Attributes>,
}

impl Table {
    /// An empty table, if the definition is valid.
    pub(super) fn new(definition: Definition, created: u64) -> Result<Self, Failure> {
        let name = &definition.table_name;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if !(3..=255).contains(&name.len()) || !name.bytes().all(plain) {
            return Err(Failure::invalid(format!(
                "TableName must be 3 to 255 letters, digits, '_', '-' and '.', not {name:?}"
            )));
        }
        let part = |wanted: KeyType| {
            let element = definition.key_schema.iter().find(|element| element.key_type == wanted)?;
            let named = |attribute: &&Attribute| attribute.attribute_name == element.attribute_name;
            let kind = definition.attribute_definitions.iter().find(named)?.attribute_type;
            Some(Part { name: element.attribute_name.clone(), kind })
        };
        let (hash, range) = (part(KeyType::Hash), part(KeyType::Range));
        let parts = usize::from(hash.is_some()) + usize::from(range.is_some());
        let keys = (definition.key_schema.len(), definition.attribute_definitions.len());
        match hash {
            Some(hash) if keys == (parts, parts) && range.as_ref().is_none_or(|range| range.name != hash.name) => {
                Ok(Self { definition, created, hash, range, items: BTreeMap::new() })
            }
            _ => Err(Failure::invalid(
                "One or more parameter values were invalid: the KeySchema must name one HASH and at most one RANGE key, and AttributeDefinitions the types of just these",
            )),
        }
    }

    /// The table as DescribeTable returns it.
    pub(super) fn describe(&self) -> serde_json::Value {
        let bytes: usize = self.items.values().map(size).sum();
        let name = &self.definition.table_name;
        let mut described = json!({
            "TableName": name,
            "TableStatus": "ACTIVE",
            "TableArn": format!("arn:aws:dynamodb:sandbox:000000000000:table/{name}"),
            "KeySchema": self.definition.key_schema,
            "AttributeDefinitions": self.definition.attribute_definitions,
            "BillingModeSummary": {"BillingMode": self.definition.billing_mode},
            "CreationDateTime": self.created,
            "ItemCount": self.items.len(),
            "TableSizeBytes": bytes,
        });
        if let (Some(stream), Some(fields)) = (&self.definition.stream_specification, described.as_object_mut()) {
            fields.insert("StreamSpecification".to_owned(), json!(stream));
        }
        described
    }

    pub(super) fn get(&self, address: &Address) -> Option<&Attributes> {
        self.items.get(address)
    }

    /// The position of an item, if its keys are valid.
    pub(super) fn address(&self, item: &Attributes) -> Result<Address, Failure> {
        let hash = key(&self.hash, item, HASH_BYTES_MAX, "hashkey")?;
        let range = match &self.range {
            Some(part) => key(part, item, RANGE_BYTES_MAX, "rangekey")?,
            None => Vec::new(),
        };
        Ok((hash, range))
    }

    /// The position of a key.
    pub(super) fn address_of_key(&self, key: &Attributes) -> Result<Address, Failure> {
        let named = |part: &Part| key.get(&part.name).is_some_and(|value| value.kind() == part.kind.name());
        let parts = 1 + usize::from(self.range.is_some());
        if key.len() != parts || !named(&self.hash) || !self.range.as_ref().is_none_or(named) {
            return Err(Failure::invalid("The provided key element does not match the schema"));
        }
        self.address(key)
    }

    /// Items of a range in order, after a position if there is one. Also returns the key of the last item, if the page
    /// ended before the range or with its `limit`.
    pub(super) fn page(
        &self,
        range: &Range,
        after: Option<Address>,
        limit: usize,
    ) -> (Vec<Attributes>, Option<Attributes>) {
        let start = match after {
            Some(after) => Bound::Excluded(after),
            None => Bound::Included((range.hash.clone(), range.range.clone())),
        };
        let (mut found, mut bytes) = (Vec::new(), 0);
        let within = self.items.range((start, Bound::Unbounded)).take_while(|(address, _)| range.has(address));
        for (_, item) in within {
            bytes += size(item);
            if found.len() == limit || (bytes > PAGE_BYTES_MAX && !found.is_empty()) {
                let last = found.last().map(|item| self.key_of(item));
                return (found, last);
            }
            found.push(item.clone());
        }
        // The server does not check whether anything follows a full page.
        let last = found.last().filter(|_| found.len() == limit).map(|item| self.key_of(item));
        (found, last)
    }

    fn key_of(&self, item: &Attributes) -> Attributes {
        let names = std::iter::once(&self.hash).chain(&self.range).map(|part| &part.name);
        names.filter_map(|name| Some((name.clone(), item.get(name)?.clone()))).collect()
    }
}

/// The bytes of one key of an item.
fn key(part: &Part, item: &Attributes, bytes_max: usize, which: &str) -> Result<Vec<u8>, Failure> {
    let Part { name, .. } = part;
    let Some(value) = item.get(name) else {
        return Err(Failure::invalid(format!(
            "One or more parameter values were invalid: Missing the key {name} in the item"
        )));
    };
    let bytes = part.bytes(value).map_err(|actual| {
        Failure::invalid(format!(
            "One or more parameter values were invalid: Type mismatch for key {name} expected: {} actual: {actual}",
            part.kind.name()
        ))
    })?;
    if bytes.is_empty() {
        let kind = if part.kind == KeyKind::B { "binary" } else { "string" };
        return Err(Failure::invalid(format!(
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty {kind} value. Key: {name}"
        )));
    }
    if bytes.len() > bytes_max {
        return Err(Failure::invalid(format!(
            "One or more parameter values were invalid: Size of {which} has exceeded the maximum size limit of{bytes_max} bytes"
        )));
    }
    Ok(bytes.to_vec())
}

impl Part {
    /// A value's bytes if it has this key's type; otherwise its type.
    pub(super) fn bytes<'a>(&self, value: &'a Value) -> Result<&'a [u8], &'static str> {
        let bytes = value.bytes().filter(|_| value.kind() == self.kind.name());
        bytes.ok_or_else(|| value.kind())
    }
}
