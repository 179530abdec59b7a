//! The id of a commit, recomputed from its record (lakeFS `pkg/graveler/graveler.go`, `Commit.Identity`).
//! Owns the recipe. Version and generation are not part of it, so nothing proves them.

use lakemirror_core::commit::CommitRecord;
use lakemirror_core::ids::CommitId;
use sha2::{Digest, Sha256};

use super::ident;

const KIND: &[u8] = b"commit:v1";

/// Computes the id of `commit` from its fields; `commit.id` is not looked at.
pub fn commit_id(commit: &CommitRecord) -> CommitId {
    let texts: Vec<String> = commit.parents.iter().map(ToString::to_string).collect();
    let mut parents = Sha256::new();
    ident::slice(&mut parents, texts.iter().map(String::as_str));
    let metarange = commit.metarange.map(|id| id.to_string()).unwrap_or_default();

    let mut hash = Sha256::new();
    ident::string(&mut hash, KIND);
    ident::string(&mut hash, commit.committer.as_bytes());
    ident::string(&mut hash, commit.message.as_bytes());
    ident::string(&mut hash, metarange.as_bytes());
    ident::int64(&mut hash, commit.creation_date);
    ident::map(&mut hash, commit.metadata.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes())));
    ident::embed(&mut hash, &parents.finalize().into());
    CommitId(hash.finalize().into())
}

#[cfg(test)]
mod tests;
