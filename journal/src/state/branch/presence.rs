//! Whether a branch is there. In a file of its own because what rkyv derives for it is nobody's business.

/// Where a branch stands at the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Presence {
    /// It is there.
    There,
    /// It was missed this often in succession, last by the run with this writer epoch.
    Missed {
        /// How often in succession within that run.
        times: u32,
        /// The run.
        writer_epoch: u64,
    },
}
