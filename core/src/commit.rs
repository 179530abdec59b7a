//! The lakeFS commit record as the journal keeps it: every field that lakeFS stores, and no other.
//!
//! This is the inner type. The lakeFS client owns the wire form and the codec owns the durable form. The rkyv form
//! appears only in images of the state.

use std::collections::BTreeMap;

use crate::ids::{CommitId, MetarangeId};

/// A commit as lakeFS stores it. The id's hash does not cover `version` and `generation`, so they are copied exactly.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct CommitRecord {
    /// The commit's id. It is recomputed and compared before a record is accepted.
    pub id: CommitId,
    /// Parents in stored order. The first is the branch's own history (see `version`).
    pub parents: Vec<CommitId>,
    /// The committer; empty for the automatic first commit.
    pub committer: String,
    /// The commit message; any text.
    pub message: String,
    /// Seconds since 1970. Clients set it to any value, so it is never used for order or progress.
    pub creation_date: i64,
    /// The commit's tree; `None` for the empty id, which has no file.
    pub metarange: Option<MetarangeId>,
    /// User metadata.
    #[rkyv(with = rkyv::with::AsVec)]
    pub metadata: BTreeMap<String, String>,
    /// In most repositories, 1 + the largest generation of the parents; 0 means unknown.
    pub generation: i64,
    /// 0 (merge commits list the source parent first) or 1.
    pub version: i32,
}
