//! The wrapper of every record's value: an identity and the data (lakeFS `pkg/graveler/committed/value.go`).
//! Owns its two length-prefixed fields; does not know what the data are.

use super::damage::Problem;
use super::varint;

/// A record's value, borrowed. Bytes behind the data are allowed and ignored, as lakeFS does; the content id covers
/// them all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    /// 32 raw bytes in a range, 64 hexadecimal digits in a metarange.
    pub identity: &'a [u8],
    /// A Protocol Buffers message.
    pub data: &'a [u8],
}

impl<'a> Value<'a> {
    /// Splits a stored value.
    ///
    /// # Errors
    /// A length is malformed, negative, or longer than what follows it.
    pub fn decode(stored: &'a [u8]) -> Result<Self, Problem> {
        let (identity, rest) = field(stored).ok_or(Problem::Expected("an identity with its length in the value"))?;
        let (data, _) = field(rest).ok_or(Problem::Expected("data with their length in the value"))?;
        Ok(Self { identity, data })
    }

    /// Appends the value as lakeFS stores it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for part in [self.identity, self.data] {
            varint::write_signed(out, i64::try_from(part.len()).unwrap_or(i64::MAX));
            out.extend_from_slice(part);
        }
    }
}

#[inline]
fn field(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = varint::read_signed(input)?;
    rest.split_at_checked(usize::try_from(len).ok()?)
}
