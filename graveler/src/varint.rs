//! Variable-length integers as Go and Protocol Buffers write them: unsigned LEB128, and zig-zag for signed ones.
//! Owns encoding and decoding of single integers; a decoder returns the rest of its input.

/// Splits an unsigned LEB128 integer off `input`. `None` when it is cut short or exceeds 64 bits.
#[inline]
pub(super) fn read(input: &[u8]) -> Option<(u64, &[u8])> {
    let (&first, rest) = input.split_first()?;
    if first < 0x80 {
        return Some((u64::from(first), rest));
    }
    read_long(u64::from(first & 0x7f), rest)
}

fn read_long(mut value: u64, mut rest: &[u8]) -> Option<(u64, &[u8])> {
    let mut shift = 7;
    loop {
        let (&byte, after) = rest.split_first()?;
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if shift > 63 || (shift == 63 && byte > 1) {
            return None;
        }
        value |= bits << shift;
        if byte < 0x80 {
            return Some((value, after));
        }
        shift += 7;
        rest = after;
    }
}

/// Splits a length off `input`: an unsigned integer that fits in memory's addresses and in 32 bits.
#[inline]
pub(super) fn read_length(input: &[u8]) -> Option<(usize, &[u8])> {
    let (value, rest) = read(input)?;
    Some((usize::try_from(u32::try_from(value).ok()?).ok()?, rest))
}

/// Splits a zig-zag encoded signed integer off `input`.
pub(super) fn read_signed(input: &[u8]) -> Option<(i64, &[u8])> {
    let (raw, rest) = read(input)?;
    Some(((raw >> 1).cast_signed() ^ -((raw & 1).cast_signed()), rest))
}

/// Appends `value` as unsigned LEB128.
pub(super) fn write(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends `value` zig-zag encoded.
pub(super) fn write_signed(out: &mut Vec<u8>, value: i64) {
    write(out, (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned());
}

/// How many bytes [`write`] appends.
pub(super) fn encoded_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn overlong_and_cut_short_integers_are_refused() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[0x80]), None);
        let mut eleven = vec![0x80; 10];
        eleven.push(0);
        assert_eq!(read(&eleven), None);
        let mut overflow = vec![0xff; 9];
        overflow.push(2);
        assert_eq!(read(&overflow), None);
        overflow[9] = 1;
        assert_eq!(read(&overflow), Some((u64::MAX, &[][..])));
        assert_eq!(read_length(&[0xff, 0xff, 0xff, 0xff, 0x1f]), None);
    }

    #[test]
    fn signed_integers_are_zig_zag() {
        assert_eq!(read_signed(&[0x40]), Some((32, &[][..])));
        assert_eq!(read_signed(&[0x80, 0x01]), Some((64, &[][..])));
        assert_eq!(read_signed(&[0x01]), Some((-1, &[][..])));
    }

    proptest! {
        #[test]
        fn every_integer_survives(value: u64, tail: Vec<u8>) {
            let mut bytes = Vec::new();
            write(&mut bytes, value);
            prop_assert_eq!(bytes.len(), encoded_len(value));
            bytes.extend(&tail);
            prop_assert_eq!(read(&bytes), Some((value, &tail[..])));
            let mut signed = Vec::new();
            write_signed(&mut signed, value.cast_signed());
            prop_assert_eq!(read_signed(&signed), Some((value.cast_signed(), &[][..])));
        }
    }
}
