//! Metarange files: the ranges that make up a commit's tree.
//!
//! Owns the `RangeData` message (lakeFS `pkg/graveler/committed/committed.proto`) and reading a whole metarange.

use bytes::Bytes;
use lakemirror_core::ids::{MetarangeId, RangeId};

use super::content::ContentHash;
use super::damage::{Damage, Problem};
use super::protobuf::{self, Wire};
use super::table::{Record, Table};
use super::value::Value;

/// The `type` property of a metarange file.
pub const KIND: &str = "metaranges";

const FIELD_MIN_KEY: u32 = 1;
const FIELD_MAX_KEY: u32 = 2;
const FIELD_ESTIMATED_SIZE: u32 = 3;
const FIELD_COUNT: u32 = 4;

/// One range of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeInfo {
    /// The range file's id.
    pub id: RangeId,
    /// Its first key.
    pub min_key: Vec<u8>,
    /// Its last key; also the key of its record in the metarange.
    pub max_key: Vec<u8>,
    /// The writer's running estimate of the file's size in bytes; never its real size, but part of the metarange's id.
    pub estimated_size: u64,
    /// Entries in it.
    pub count: u64,
}

impl RangeInfo {
    /// The record's value for this range.
    pub fn to_value(&self) -> Vec<u8> {
        let (mut data, mut out) = (Vec::new(), Vec::new());
        protobuf::put_bytes_unless_empty(&mut data, FIELD_MIN_KEY, &self.min_key);
        protobuf::put_bytes_unless_empty(&mut data, FIELD_MAX_KEY, &self.max_key);
        protobuf::put_int_unless_zero(&mut data, FIELD_ESTIMATED_SIZE, self.estimated_size.cast_signed());
        protobuf::put_int_unless_zero(&mut data, FIELD_COUNT, self.count.cast_signed());
        Value { identity: self.id.to_string().as_bytes(), data: &data }.encode(&mut out);
        out
    }

    /// Reads a range from a metarange's record.
    ///
    /// # Errors
    /// The wrapper, the id or the message is malformed, or the record's key is not the range's last key.
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Self, Problem> {
        let Value { identity, data } = Value::decode(value)?;
        let id = str::from_utf8(identity).ok().and_then(|text| RangeId::parse(text).ok());
        let id = id.ok_or(Problem::Expected("a range id of 64 hexadecimal digits"))?;
        let range = Self::decode_message(id, data).ok_or(Problem::Expected("a range's keys, size and count"))?;
        if range.max_key != key {
            return Err(Problem::Expected("the range's last key to be the record's key"));
        }
        if range.min_key > range.max_key {
            return Err(Problem::Expected("a first key not above the last"));
        }
        Ok(range)
    }

    fn decode_message(id: RangeId, message: &[u8]) -> Option<Self> {
        let mut range = Self { id, min_key: Vec::new(), max_key: Vec::new(), estimated_size: 0, count: 0 };
        let mut rest = message;
        while !rest.is_empty() {
            let (number, wire, after) = protobuf::field(rest)?;
            match (number, wire) {
                (FIELD_MIN_KEY, Wire::Bytes(bytes)) => range.min_key = bytes.to_vec(),
                (FIELD_MAX_KEY, Wire::Bytes(bytes)) => range.max_key = bytes.to_vec(),
                (FIELD_ESTIMATED_SIZE, Wire::Varint(value)) => range.estimated_size = value,
                // Signed on the wire; a negative count is nonsense.
                (FIELD_COUNT, Wire::Varint(value)) => range.count = u64::try_from(value.cast_signed()).ok()?,
                (FIELD_MIN_KEY..=FIELD_COUNT, _) => return None,
                _ => {}
            }
            rest = after;
        }
        Some(range)
    }
}

/// Checks that ranges follow one another: sorted and without overlap.
#[derive(Debug, Default)]
pub struct RangeOrder {
    last: Option<Vec<u8>>,
}

impl RangeOrder {
    /// Takes the next range.
    ///
    /// # Errors
    /// It begins at or below the end of the one before.
    pub fn take(&mut self, range: &RangeInfo) -> Result<(), Problem> {
        if self.last.as_ref().is_some_and(|last| range.min_key <= *last) {
            return Err(Problem::Expected("a range that begins above the end of the one before"));
        }
        self.last = Some(range.max_key.clone());
        Ok(())
    }
}

/// Verifies a whole metarange file and returns its ranges in key order.
///
/// # Errors
/// Damage, with its place; [`Problem::WrongId`] when the file is intact but another one.
pub fn read(file: Bytes, expected: MetarangeId) -> Result<Vec<RangeInfo>, Damage> {
    let table = Table::open(file)?;
    table.properties().expect_kind(KIND)?;
    let (mut hash, mut ranges, mut order) = (ContentHash::new(), Vec::new(), RangeOrder::default());
    let mut records = table.records();
    while let Some(record) = records.next()? {
        ranges.push(decode_next(&record, &mut order).map_err(|problem| record.damage(problem))?);
        hash.record(record.key, record.value);
    }
    let computed = MetarangeId(hash.finish(&table.properties().user));
    if computed != expected {
        let problem = Problem::WrongId { computed: computed.to_string(), expected: expected.to_string() };
        return Err(Damage::at(0, problem));
    }
    Ok(ranges)
}

fn decode_next(record: &Record<'_>, order: &mut RangeOrder) -> Result<RangeInfo, Problem> {
    let range = RangeInfo::decode(record.key, record.value)?;
    order.take(&range)?;
    Ok(range)
}
