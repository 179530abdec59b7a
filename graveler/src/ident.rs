//! lakeFS's canonical encoders, which its content hashes are made of (lakeFS `pkg/ident`).
//!
//! Owns how a value is fed to SHA-256, with a tag and a length for each; does not know what is hashed.

use sha2::{Digest, Sha256};

const TAG_BYTES: u8 = 0;
const TAG_STRING: u8 = 1;
const TAG_INT64: u8 = 2;
const TAG_SLICE: u8 = 3;
const TAG_MAP: u8 = 4;
const TAG_EMBED: u8 = 5;

/// Takes the encoded bytes: a hash, or a buffer in tests.
pub trait Sink {
    /// Takes the next bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Sha256 {
    fn put(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// A 64-bit integer: tag, its own length, big-endian two's complement.
pub fn int64(sink: &mut impl Sink, value: i64) {
    sink.put(&[TAG_INT64, size_of::<i64>() as u8]);
    // Big-endian is the hash recipe's choice, not ours.
    sink.put(&value.to_be_bytes());
}

fn length(sink: &mut impl Sink, len: usize) {
    // No slice is longer than isize::MAX.
    int64(sink, i64::try_from(len).unwrap_or(i64::MAX));
}

/// A byte string.
pub fn bytes(sink: &mut impl Sink, value: &[u8]) {
    sink.put(&[TAG_BYTES]);
    length(sink, value.len());
    sink.put(value);
}

/// A text; given as bytes, because property values are texts of any bytes to lakeFS.
pub fn string(sink: &mut impl Sink, value: &[u8]) {
    sink.put(&[TAG_STRING]);
    length(sink, value.len());
    sink.put(value);
}

/// A list of texts in the order given.
pub fn slice<'a>(sink: &mut impl Sink, values: impl ExactSizeIterator<Item = &'a str>) {
    sink.put(&[TAG_SLICE]);
    length(sink, values.len());
    values.for_each(|value| string(sink, value.as_bytes()));
}

/// A map; `pairs` must come sorted by key, bytewise, as from a `BTreeMap`.
pub fn map<'a>(sink: &mut impl Sink, pairs: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])>) {
    sink.put(&[TAG_MAP]);
    length(sink, pairs.len());
    for (key, value) in pairs {
        string(sink, key);
        string(sink, value);
    }
}

/// The identity (a digest) of another object.
pub fn embed(sink: &mut impl Sink, identity: &[u8; 32]) {
    sink.put(&[TAG_EMBED]);
    bytes(sink, identity);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        encode(&mut out);
        hex::encode(out)
    }

    #[test]
    fn encodings_are_those_of_lakefs() {
        assert_eq!(encoded(|out| int64(out, -1)), "0208ffffffffffffffff");
        assert_eq!(encoded(|out| string(out, b"ab")), "01020800000000000000026162");
        assert_eq!(
            encoded(|out| slice(out, ["a"].into_iter())),
            "03020800000000000000010102080000000000000001".to_owned() + "61"
        );
        assert_eq!(encoded(|out| map(out, [].into_iter())), "0402080000000000000000");
        assert!(encoded(|out| embed(out, &[7; 32])).starts_with("050002080000000000000020"));
    }

    #[test]
    fn the_empty_list_has_the_known_digest() {
        let mut hash = Sha256::new();
        slice(&mut hash, [].into_iter());
        let known = "c05d0ae027f29a4a5776bafad29a3b776473f1da64ad40219803783b75286a6d";
        assert_eq!(hex::encode(hash.finalize()), known);
    }
}
