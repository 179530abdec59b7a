//! How records become the bytes of an item: JSON with a version.
//!
//! Owns `{"v": 1, …}` and the text forms of ids. Fields that this program does not know are ignored (the definitions keep
//! them); a larger `v` means that their meaning has changed, so the item is refused rather than misread.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The version that this program writes and the largest that it reads.
pub(super) const VERSION: u32 = 1;

#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

#[derive(Serialize)]
struct Sealed<'a, T> {
    v: u32,
    #[serde(flatten)]
    record: &'a T,
}

/// The bytes of a record.
///
/// # Errors
/// A text that says why it has no JSON form; none of our records is such.
pub(super) fn seal<T: Serialize>(record: &T) -> Result<Bytes, String> {
    serde_json::to_vec(&Sealed { v: VERSION, record }).map(Bytes::from).map_err(|error| error.to_string())
}

/// The record in bytes.
///
/// # Errors
/// A text that says what is wrong with them and what to do.
pub(super) fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let Versioned { v } =
        serde_json::from_slice(bytes).map_err(|error| format!("not a record of lakemirror: {error}"))?;
    if v != VERSION {
        return Err(format!(
            "written in version {v} of its format, this program knows version {VERSION}: upgrade lakemirror here"
        ));
    }
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

/// Serde's form of an id: its hexadecimal text.
macro_rules! text_form {
    ($name:ident, $id:ty) => {
        pub(super) mod $name {
            use serde::{Deserialize, Deserializer, Serializer, de::Error};

            pub(in crate::records) fn serialize<S: Serializer>(id: &$id, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(id)
            }

            pub(in crate::records) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<$id, D::Error> {
                <$id>::parse(&String::deserialize(from)?).map_err(D::Error::custom)
            }
        }
    };
}

text_form!(incarnation, lakemirror_ports::Incarnation);
text_form!(commit_id, lakemirror_ports::CommitId);

/// Serde's form of a commit id that may be missing.
pub(super) mod commit {
    use lakemirror_ports::CommitId;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in crate::records) fn serialize<S: Serializer>(id: &Option<CommitId>, to: S) -> Result<S::Ok, S::Error> {
        match id {
            Some(id) => to.collect_str(id),
            None => to.serialize_none(),
        }
    }

    pub(in crate::records) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<CommitId>, D::Error> {
        let text: Option<String> = Option::deserialize(from)?;
        text.map(|text| CommitId::parse(&text)).transpose().map_err(D::Error::custom)
    }
}
