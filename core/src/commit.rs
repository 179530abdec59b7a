//! The lakeFS commit record as the journal keeps it: every field that lakeFS stores, none added.
//!
//! Inner type; the wire form is the lakeFS client's, the durable form the codec's. Its rkyv form stands in images of the
//! state only.

use std::collections::BTreeMap;

use crate::ids::{CommitId, MetarangeId};

/// A commit as lakeFS stores it. `version` and `generation` are not part of the id's hash, so they are copied exactly.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct CommitRecord {
    /// The commit's id, recomputed and found equal before a record is believed.
    pub id: CommitId,
    /// Parents in stored order; the first is the branch's own past (see `version`).
    pub parents: Vec<CommitId>,
    /// Who committed; empty for the automatic first commit.
    pub committer: String,
    /// The message, any text.
    pub message: String,
    /// Seconds since 1970, any value: set by clients, so never used for order or progress.
    pub creation_date: i64,
    /// The tree; `None` for the empty id, which has no file.
    pub metarange: Option<MetarangeId>,
    /// User metadata.
    #[rkyv(with = rkyv::with::AsVec)]
    pub metadata: BTreeMap<String, String>,
    /// 1 + the largest of the parents' in most repositories; 0 is unknown.
    pub generation: i64,
    /// 0 (merge commits list the source parent first) or 1.
    pub version: i32,
}
