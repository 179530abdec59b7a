//! Newtypes for everything that has an identity: no bare `String` or `u64` crosses a boundary of this crate.
//!
//! Content ids are SHA-256 digests. They are kept as 32 bytes and printed as 64 lower-case hexadecimal digits, as in
//! lakeFS. This module parses and prints ids; `graveler` computes them.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A text that is not a content id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not 64 lower-case hexadecimal digits")]
pub struct NotAnId;

/// Parses exactly `2 * N` lower-case hexadecimal digits.
fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], NotAnId> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return Err(NotAnId);
    }
    let mut out = [0u8; N];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let &[high, low] = pair else { return Err(NotAnId) };
        *byte = nibble(high)? << 4 | nibble(low)?;
    }
    Ok(out)
}

fn nibble(digit: u8) -> Result<u8, NotAnId> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(NotAnId),
    }
}

fn digit(nibble: u8) -> u8 {
    nibble + if nibble < 10 { b'0' } else { b'a' - 10 }
}

/// The first eight bytes as a number that sorts as the bytes do.
#[inline]
fn first(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// Parses lower-case hexadecimal digits.
            ///
            /// # Errors
            /// [`NotAnId`] for any other length or digit.
            pub fn parse(text: &str) -> Result<Self, NotAnId> {
                parse_hex(text).map(Self)
            }
        }

        /// By bytes. A state consists mostly of maps of ids, and nearly all ids differ in their first eight bytes.
        impl Ord for $name {
            #[inline]
            fn cmp(&self, other: &Self) -> Ordering {
                first(&self.0).cmp(&first(&other.0)).then_with(|| self.0.cmp(&other.0))
            }
        }

        impl PartialOrd for $name {
            #[inline]
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        /// Hashes the first eight bytes, which are as good as random.
        impl Hash for $name {
            #[inline]
            fn hash<H: Hasher>(&self, state: &mut H) {
                state.write_u64(first(&self.0));
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut digits = [0; 2 * $bytes];
                for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
                    pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
                }
                f.write_str(str::from_utf8(&digits).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

hex_id!(
    /// A lakeFS commit id: SHA-256 over the commit's content (`docs/lakefs.md`, commit id).
    CommitId, 32
);
hex_id!(
    /// The id of a metarange file: it lists the ranges of a commit's tree.
    MetarangeId, 32
);
hex_id!(
    /// The id of a range file: it lists the entries between two keys.
    RangeId, 32
);
hex_id!(
    /// A mirror's incarnation: a random id created with the mirror, so that a recreated mirror shares nothing with its
    /// predecessor of the same name.
    Incarnation, 16
);

/// The number of a record in the journal, counted from 1 without gaps.
pub type Seq = u64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_sort_by_their_bytes(mut a: [u8; 32], b: [u8; 32], alike in 0usize..=32) {
            a[..alike].copy_from_slice(&b[..alike]);
            prop_assert_eq!(CommitId(a).cmp(&CommitId(b)), a.cmp(&b));
            let (a, b) = (Incarnation(a[..16].try_into().unwrap()), Incarnation(b[..16].try_into().unwrap()));
            prop_assert_eq!(a.cmp(&b), a.0.cmp(&b.0));
        }
    }
}
