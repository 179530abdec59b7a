//! Converts between the sandbox's records and the committed form of `graveler`: entries, identities, commit ids.
//!
//! The commit id is computed from strings here: lakeFS accepts commits whose parents and tree are any string, which
//! `graveler`'s typed record cannot represent.

use lakemirror_graveler::entry::{self, AddressType, EntryRef, Timestamp};
use lakemirror_graveler::ident;
use sha2::{Digest, Sha256};

use super::failure::{Failure, Outcome};
use super::model::{Addressing, Commit, Entry};

/// The content id of a commit; its `id` field is ignored.
pub(super) fn commit_id(commit: &Commit) -> String {
    let mut parents = Sha256::new();
    ident::slice(&mut parents, commit.parents.iter().map(String::as_str));
    let mut hash = Sha256::new();
    ident::string(&mut hash, b"commit:v1");
    for text in [&commit.committer, &commit.message, &commit.metarange] {
        ident::string(&mut hash, text.as_bytes());
    }
    ident::int64(&mut hash, commit.seconds);
    ident::map(&mut hash, commit.metadata.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes())));
    ident::embed(&mut hash, &parents.finalize().into());
    hex::encode(hash.finalize())
}

/// The committed form of an entry.
pub(super) fn committed(entry: &Entry) -> entry::Entry {
    entry::Entry {
        address: entry.address.clone(),
        last_modified: Some(Timestamp { seconds: entry.mtime, nanos: entry.mtime_nanos }),
        size: entry.size,
        e_tag: entry.checksum.clone(),
        metadata: entry.metadata.clone(),
        address_type: match entry.addressing {
            Addressing::ByPrefix => AddressType::ByPrefixDeprecated,
            Addressing::Relative => AddressType::Relative,
            Addressing::Full => AddressType::Full,
        },
        content_type: entry.content_type.clone(),
    }
}

/// An entry from its committed form.
///
/// # Errors
/// `Internal` if it is not an entry.
pub(super) fn decoded(value: &[u8]) -> Outcome<Entry> {
    let found = EntryRef::decode(value).map_err(Failure::internal)?;
    let modified = found.last_modified.unwrap_or(Timestamp { seconds: 0, nanos: 0 });
    Ok(Entry {
        address: found.address.to_owned(),
        addressing: match found.address_type {
            AddressType::Relative => Addressing::Relative,
            AddressType::Full => Addressing::Full,
            _ => Addressing::ByPrefix,
        },
        mtime: modified.seconds,
        mtime_nanos: modified.nanos,
        size: found.size,
        checksum: found.e_tag.to_owned(),
        content_type: found.content_type.to_owned(),
        metadata: found.metadata().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commit_id_of_lakefs_s_own_test_is_computed() {
        let commit = Commit {
            id: String::new(),
            committer: "Committer".into(),
            message: "message".into(),
            seconds: 1_000_000_000,
            nanos: 7,
            metarange: "metarangeId".into(),
            metadata: [("key".to_owned(), "value".to_owned())].into(),
            parents: vec!["parent1".into(), "parent2".into()],
            version: 1,
            generation: 5,
        };
        assert_eq!(commit_id(&commit), "0c5f9d6fde638a6aa82840caf2485bdbe6ad0fc3f220ea88884df9ed99d7cf19");
    }
}
