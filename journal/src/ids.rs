//! Newtypes for everything that has an identity: no bare `String` or `u64` crosses a boundary of this crate.
//!
//! Content ids are SHA-256 digests, kept as 32 bytes and shown as 64 lower-case hexadecimal digits, as lakeFS shows
//! them. This file owns parsing and printing; it computes no id (that is `graveler`'s work).

use std::fmt;

/// Why a text is not a content id.
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

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
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
    /// A mirror's incarnation: random, minted at creation, so that a recreated mirror shares nothing with its
    /// predecessor of the same name.
    Incarnation, 16
);

/// The number of a record in the journal: 1 for the first, without gaps.
pub type Seq = u64;
