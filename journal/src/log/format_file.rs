//! `FORMAT`: the identity of the journal and the version of its format. Its presence makes a directory a journal.
//!
//! The file is one line of JSON with fixed keys in fixed order, so that a person and any program can read it. Only what
//! this module writes is read back, byte for byte. A higher `format` is recognized before anything else is read.

use super::bytes::hex;

/// Name of the file.
pub(super) const FORMAT_NAME: &str = "FORMAT";
/// An upper bound of the file's length.
pub(super) const FORMAT_BYTES_MAX: usize = 4096;
/// The version of everything in `FORMAT.md`.
pub const FORMAT_VERSION: u64 = 1;
/// The hot store's engine and its geometry. Another engine cannot open our `hot` directory.
pub(super) const ENGINE: &str = "sled-1.0.0-alpha.124/F4";

/// The content of `FORMAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    /// The journal's random id. The hash chain starts from it.
    pub(super) uuid: [u8; 16],
    /// The time of creation in milliseconds since 1970; informational.
    pub(super) created_ms: u64,
}

/// Why `FORMAT` cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unusable {
    /// No version wrote this.
    Damaged,
    /// Written by this higher version.
    Newer(u64),
}

impl Identity {
    fn body(&self) -> String {
        let uuid = hex(&self.uuid);
        let created = self.created_ms;
        format!(
            "\"format\":{FORMAT_VERSION},\"journal_uuid\":\"{uuid}\",\"created_ms\":{created},\"engine\":\"{ENGINE}\""
        )
    }

    /// The file's bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let body = self.body();
        format!("{{{body},\"crc32\":\"{:08x}\"}}\n", crc32fast::hash(body.as_bytes())).into_bytes()
    }

    /// Reads the file's bytes.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Unusable> {
        let text = std::str::from_utf8(bytes).map_err(|_| Unusable::Damaged)?;
        match number_after(text, "{\"format\":") {
            Some(version) if version > FORMAT_VERSION => return Err(Unusable::Newer(version)),
            Some(FORMAT_VERSION) => {}
            _ => return Err(Unusable::Damaged),
        }
        let found = Self::fields(text).ok_or(Unusable::Damaged)?;
        // The comparison of all bytes also proves that the checksum is right and that nothing else is in the file.
        if found.encode() == bytes { Ok(found) } else { Err(Unusable::Damaged) }
    }

    fn fields(text: &str) -> Option<Self> {
        let (_, after) = text.split_once("\"journal_uuid\":\"")?;
        let digits = u128::from_str_radix(after.get(..32)?, 16).ok()?;
        let created_ms = number_after(text, "\"created_ms\":")?;
        // The digits read left to right, so the most significant byte comes first.
        let mut uuid = digits.to_le_bytes();
        uuid.reverse();
        Some(Self { uuid, created_ms })
    }
}

fn number_after(text: &str, key: &str) -> Option<u64> {
    let (_, after) = text.split_once(key)?;
    let end = after.find(|letter: char| !letter.is_ascii_digit())?;
    after.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: Identity = Identity { uuid: *b"0123456789abcdef", created_ms: 1_700_000_000_123 };

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let bytes = IDENTITY.encode();
        assert_eq!(Identity::decode(&bytes), Ok(IDENTITY));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(Identity::decode(&flipped).is_err(), "byte {at} bit {bit}");
            }
            assert!(Identity::decode(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_higher_format_is_told_apart_from_damage() {
        let newer = b"{\"format\":2,\"something\":\"else\"}\n";
        assert_eq!(Identity::decode(newer), Err(Unusable::Newer(2)));
        assert_eq!(Identity::decode(b""), Err(Unusable::Damaged));
    }
}
