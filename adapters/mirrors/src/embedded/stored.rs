//! The bytes of one item in sled. Little-endian.
//!
//! ```text
//! 0      1           9
//! | 0x01 | version u64 | value …
//! ```
//! The first byte is the format; sled itself guards the whole with a checksum.

use bytes::Bytes;

use super::super::Item;

/// This format's number.
const FORMAT: u8 = 1;
const VERSION_BYTES: usize = size_of::<u64>();

/// Why bytes are not an item.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum StoredError {
    /// The key is not text.
    #[error("an item's key is not UTF-8")]
    Key,
    /// A format that this program does not know.
    #[error("item {key} has format {format}, this program reads {FORMAT}: use a newer lakemirror")]
    Format { key: String, format: u8 },
    /// Too few bytes.
    #[error("item {key} is cut short")]
    Short { key: String },
}

pub(super) fn encode(item: &Item) -> Vec<u8> {
    let mut stored = Vec::with_capacity(1 + VERSION_BYTES + item.value.len());
    stored.push(FORMAT);
    stored.extend_from_slice(&item.version.to_le_bytes());
    stored.extend_from_slice(&item.value);
    stored
}

pub(super) fn decode(key: &[u8], stored: &[u8]) -> Result<(String, Item), StoredError> {
    let key = String::from_utf8(key.to_vec()).map_err(|_| StoredError::Key)?;
    match stored.split_first() {
        None => Err(StoredError::Short { key }),
        Some((&FORMAT, rest)) => match rest.split_first_chunk::<VERSION_BYTES>() {
            Some((version, value)) => {
                let version = u64::from_le_bytes(*version);
                Ok((key, Item { value: Bytes::copy_from_slice(value), version }))
            }
            None => Err(StoredError::Short { key }),
        },
        Some((&format, _)) => Err(StoredError::Format { key, format }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_these() {
        let item = Item { value: Bytes::from_static(b"ab"), version: 0x0102 };
        let golden = [1, 2, 1, 0, 0, 0, 0, 0, 0, b'a', b'b'];
        assert_eq!(encode(&item), golden);
        assert_eq!(decode(b"k", &golden), Ok(("k".to_owned(), item)));
    }

    #[test]
    fn what_is_not_an_item_is_an_error() {
        assert_eq!(decode(b"k", &[]), Err(StoredError::Short { key: "k".to_owned() }));
        assert_eq!(decode(b"k", &[1, 0, 0]), Err(StoredError::Short { key: "k".to_owned() }));
        assert_eq!(decode(b"k", &[9, 0]), Err(StoredError::Format { key: "k".to_owned(), format: 9 }));
        assert_eq!(decode(&[0xff], &[1]), Err(StoredError::Key));
    }
}
