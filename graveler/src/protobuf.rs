//! The part of the Protocol Buffers wire format that lakeFS's messages need, borrowed on the way in.
//! Owns fields and their wire types; does not know any message.

use super::varint;

const WIRE_VARINT: u64 = 0;
const WIRE_FIXED64: u64 = 1;
const WIRE_BYTES: u64 = 2;
const WIRE_FIXED32: u64 = 5;

/// A field's value as it is on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Of a type that no field of ours has; its bytes are skipped.
    Fixed,
}

/// Splits the next field off a message: its number, its value, the rest.
///
/// `None` when it is malformed. Fields of unknown numbers are for the caller to ignore, as Protocol Buffers wants.
#[inline]
pub(super) fn field(message: &[u8]) -> Option<(u32, Wire<'_>, &[u8])> {
    let (tag, rest) = varint::read(message)?;
    let number = u32::try_from(tag >> 3).ok().filter(|number| (1..1 << 29).contains(number))?;
    let (value, rest) = match tag & 7 {
        WIRE_BYTES => {
            let (len, rest) = varint::read_length(rest)?;
            let (bytes, rest) = rest.split_at_checked(len)?;
            (Wire::Bytes(bytes), rest)
        }
        WIRE_VARINT => {
            let (value, rest) = varint::read(rest)?;
            (Wire::Varint(value), rest)
        }
        WIRE_FIXED64 => (Wire::Fixed, rest.get(8..)?),
        WIRE_FIXED32 => (Wire::Fixed, rest.get(4..)?),
        _ => return None,
    };
    Some((number, value, rest))
}

/// Appends a field of bytes or text, empty or not.
pub(super) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    varint::write(out, u64::from(number) << 3 | WIRE_BYTES);
    varint::write(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a field of bytes or text unless it is empty, as proto3 does.
pub(super) fn put_bytes_unless_empty(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    if !bytes.is_empty() {
        put_bytes(out, number, bytes);
    }
}

/// Appends an integer field unless it is 0, as proto3 does. Negative ones go as their 64 bits.
pub(super) fn put_int_unless_zero(out: &mut Vec<u8>, number: u32, value: i64) {
    if value != 0 {
        varint::write(out, u64::from(number) << 3 | WIRE_VARINT);
        varint::write(out, value.cast_unsigned());
    }
}
