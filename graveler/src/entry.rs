//! Entries: what a range file says of one object (lakeFS `pkg/catalog/catalog.proto`, message `Entry`).
//!
//! Owns the message, borrowed ([`EntryRef`]) and owned ([`Entry`]), and the entry's identity. Where the object is, is
//! [`super::address`]'s matter. The borrowed form exists because a verifier reads millions of entries and wants three
//! fields of each.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::damage::Problem;
use super::protobuf::{self, Wire};
use super::{ident, value::Value};

const FIELD_ADDRESS: u32 = 1;
const FIELD_LAST_MODIFIED: u32 = 2;
const FIELD_SIZE: u32 = 3;
const FIELD_E_TAG: u32 = 4;
const FIELD_METADATA: u32 = 5;
const FIELD_ADDRESS_TYPE: u32 = 6;
const FIELD_CONTENT_TYPE: u32 = 7;
const FIELD_SECONDS: u32 = 1;
const FIELD_NANOS: u32 = 2;
const FIELD_MAP_KEY: u32 = 1;
const FIELD_MAP_VALUE: u32 = 2;

/// How an entry's address is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressType {
    /// A full URI if it parses as one of a known scheme, else relative. Written before 2021 only.
    #[default]
    ByPrefixDeprecated,
    /// Relative to the repository's storage namespace.
    Relative,
    /// A full URI, independent of the repository.
    Full,
    /// A number that lakeFS does not use.
    Unknown(i32),
}

impl AddressType {
    /// The number on the wire.
    pub fn number(self) -> i32 {
        match self {
            Self::ByPrefixDeprecated => 0,
            Self::Relative => 1,
            Self::Full => 2,
            Self::Unknown(number) => number,
        }
    }

    /// The name in lakeFS's protocol, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::ByPrefixDeprecated => "BY_PREFIX_DEPRECATED",
            Self::Relative => "RELATIVE",
            Self::Full => "FULL",
            Self::Unknown(_) => "UNKNOWN",
        }
    }

    /// The type of a number on the wire.
    pub fn from_number(number: i32) -> Self {
        match number {
            0 => Self::ByPrefixDeprecated,
            1 => Self::Relative,
            2 => Self::Full,
            other => Self::Unknown(other),
        }
    }
}

/// A point in time as the object store told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timestamp {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds within the second.
    pub nanos: i32,
}

/// An entry, owned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// The object's address, read by `address_type`.
    pub address: String,
    /// When it was modified last; absent in few old entries.
    pub last_modified: Option<Timestamp>,
    /// Its size in bytes, as claimed by whoever linked or staged it; negative is possible on the wire.
    pub size: i64,
    /// The store's ETag, without quotes.
    pub e_tag: String,
    /// User metadata.
    pub metadata: BTreeMap<String, String>,
    /// How to read the address.
    pub address_type: AddressType,
    /// The content type; empty for imported objects.
    pub content_type: String,
}

impl Entry {
    /// The identity that goes with the entry: address, address type and time are not part of it.
    pub fn identity(&self) -> [u8; 32] {
        let metadata = self.metadata.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes()));
        identity(self.size, &self.e_tag, metadata, &self.content_type)
    }

    /// Appends the message, fields in order and metadata sorted by key.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut nested = Vec::new();
        protobuf::put_bytes_unless_empty(out, FIELD_ADDRESS, self.address.as_bytes());
        if let Some(Timestamp { seconds, nanos }) = self.last_modified {
            protobuf::put_int_unless_zero(&mut nested, FIELD_SECONDS, seconds);
            protobuf::put_int_unless_zero(&mut nested, FIELD_NANOS, nanos.into());
            protobuf::put_bytes(out, FIELD_LAST_MODIFIED, &nested);
        }
        protobuf::put_int_unless_zero(out, FIELD_SIZE, self.size);
        protobuf::put_bytes_unless_empty(out, FIELD_E_TAG, self.e_tag.as_bytes());
        for (key, value) in &self.metadata {
            nested.clear();
            // Go writes both fields of a map's pair, empty or not.
            protobuf::put_bytes(&mut nested, FIELD_MAP_KEY, key.as_bytes());
            protobuf::put_bytes(&mut nested, FIELD_MAP_VALUE, value.as_bytes());
            protobuf::put_bytes(out, FIELD_METADATA, &nested);
        }
        protobuf::put_int_unless_zero(out, FIELD_ADDRESS_TYPE, self.address_type.number().into());
        protobuf::put_bytes_unless_empty(out, FIELD_CONTENT_TYPE, self.content_type.as_bytes());
    }

    /// The record's value for this entry: identity and message.
    pub fn to_value(&self) -> Vec<u8> {
        let (mut data, mut out) = (Vec::with_capacity(192), Vec::with_capacity(256));
        self.encode(&mut data);
        Value { identity: &self.identity(), data: &data }.encode(&mut out);
        out
    }
}

/// An entry, borrowed from its record. All texts are valid UTF-8, as lakeFS demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryRef<'a> {
    /// See [`Entry::address`].
    pub address: &'a str,
    /// See [`Entry::last_modified`].
    pub last_modified: Option<Timestamp>,
    /// See [`Entry::size`].
    pub size: i64,
    /// See [`Entry::e_tag`].
    pub e_tag: &'a str,
    /// See [`Entry::address_type`].
    pub address_type: AddressType,
    /// See [`Entry::content_type`].
    pub content_type: &'a str,
    /// The identity stored beside the entry: 32 bytes in all but damaged or very old files.
    pub stored_identity: &'a [u8],
    metadata_pairs: u32,
    message: &'a [u8],
}

impl<'a> EntryRef<'a> {
    /// Reads an entry from a record's value.
    ///
    /// # Errors
    /// The wrapper or the message is malformed, or a text is not UTF-8.
    #[inline]
    pub fn decode(value: &'a [u8]) -> Result<Self, Problem> {
        let Value { identity, data } = Value::decode(value)?;
        Self::decode_message(identity, data).ok_or(Problem::Expected("an entry in the record's data"))
    }

    fn decode_message(stored_identity: &'a [u8], message: &'a [u8]) -> Option<Self> {
        let mut entry = Self {
            address: "",
            last_modified: None,
            size: 0,
            e_tag: "",
            address_type: AddressType::default(),
            content_type: "",
            stored_identity,
            metadata_pairs: 0,
            message,
        };
        let mut rest = message;
        while !rest.is_empty() {
            let (number, wire, after) = protobuf::field(rest)?;
            entry.take(number, wire)?;
            rest = after;
        }
        Some(entry)
    }

    #[inline]
    fn take(&mut self, number: u32, wire: Wire<'a>) -> Option<()> {
        match (number, wire) {
            (FIELD_ADDRESS, Wire::Bytes(bytes)) => self.address = str::from_utf8(bytes).ok()?,
            (FIELD_LAST_MODIFIED, Wire::Bytes(bytes)) => self.take_time(bytes)?,
            (FIELD_SIZE, Wire::Varint(value)) => self.size = value.cast_signed(),
            (FIELD_E_TAG, Wire::Bytes(bytes)) => self.e_tag = str::from_utf8(bytes).ok()?,
            (FIELD_METADATA, Wire::Bytes(bytes)) => {
                pair(bytes)?;
                self.metadata_pairs += 1;
            }
            // Enumerations are the low 32 bits of the integer.
            (FIELD_ADDRESS_TYPE, Wire::Varint(value)) => self.address_type = AddressType::from_number(value as i32),
            (FIELD_CONTENT_TYPE, Wire::Bytes(bytes)) => self.content_type = str::from_utf8(bytes).ok()?,
            (FIELD_ADDRESS..=FIELD_CONTENT_TYPE, _) => return None,
            _ => {}
        }
        Some(())
    }

    fn take_time(&mut self, message: &[u8]) -> Option<()> {
        // A repeated message field is merged into what came before.
        let mut time = self.last_modified.unwrap_or_default();
        let mut rest = message;
        while !rest.is_empty() {
            let (number, wire, after) = protobuf::field(rest)?;
            match (number, wire) {
                (FIELD_SECONDS, Wire::Varint(value)) => time.seconds = value.cast_signed(),
                (FIELD_NANOS, Wire::Varint(value)) => time.nanos = value as i32,
                (FIELD_SECONDS | FIELD_NANOS, _) => return None,
                _ => {}
            }
            rest = after;
        }
        self.last_modified = Some(time);
        Some(())
    }

    /// The user metadata in stored order; of a repeated key the last one counts.
    pub fn metadata(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut rest = if self.metadata_pairs == 0 { &[] } else { self.message };
        std::iter::from_fn(move || {
            loop {
                // Decoding has walked the same bytes before, so that every step succeeds up to the end.
                let (number, wire, after) = protobuf::field(rest)?;
                rest = after;
                if let (FIELD_METADATA, Wire::Bytes(bytes)) = (number, wire) {
                    return pair(bytes);
                }
            }
        })
    }

    /// The identity recomputed from the entry's fields.
    pub fn computed_identity(&self) -> [u8; 32] {
        let metadata: BTreeMap<&str, &str> = self.metadata().collect();
        let pairs = metadata.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes()));
        identity(self.size, self.e_tag, pairs, self.content_type)
    }

    /// Whether the stored identity is the one of the entry's fields. Files of January 2021 and before may differ
    /// without being damaged.
    pub fn identity_matches(&self) -> bool {
        self.stored_identity == self.computed_identity()
    }

    /// A copy that owns its texts.
    pub fn to_owned(&self) -> Entry {
        Entry {
            address: self.address.to_owned(),
            last_modified: self.last_modified,
            size: self.size,
            e_tag: self.e_tag.to_owned(),
            metadata: self.metadata().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            address_type: self.address_type,
            content_type: self.content_type.to_owned(),
        }
    }
}

/// One pair of a map; an absent key or value is empty.
fn pair(message: &[u8]) -> Option<(&str, &str)> {
    let (mut key, mut value) = ("", "");
    let mut rest = message;
    while !rest.is_empty() {
        let (number, wire, after) = protobuf::field(rest)?;
        match (number, wire) {
            (FIELD_MAP_KEY, Wire::Bytes(bytes)) => key = str::from_utf8(bytes).ok()?,
            (FIELD_MAP_VALUE, Wire::Bytes(bytes)) => value = str::from_utf8(bytes).ok()?,
            (FIELD_MAP_KEY | FIELD_MAP_VALUE, _) => return None,
            _ => {}
        }
        rest = after;
    }
    Some((key, value))
}

fn identity<'a>(
    size: i64,
    e_tag: &str,
    metadata: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])>,
    content_type: &str,
) -> [u8; 32] {
    let mut hash = Sha256::new();
    ident::int64(&mut hash, size);
    ident::string(&mut hash, e_tag.as_bytes());
    ident::map(&mut hash, metadata);
    if !content_type.is_empty() {
        ident::string(&mut hash, content_type.as_bytes());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests;
