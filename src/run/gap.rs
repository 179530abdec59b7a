//! Detects a journal that is older than what this node published of it, as after its volume was restored from a copy.
//!
//! Every summary in the mirrors database has the journal's id and its head at that time. Records are numbered without
//! gaps and frames are chained by their hashes, so a journal that has the newest published frame has everything before
//! it. A journal without that frame has lost history: the gap is recorded, and the state of the branches is determined
//! again. The comparison is made once, when the database first answers and before any lease is acquired.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lakemirror_core::ids::{Incarnation, Seq};
use lakemirror_engine::recorder::Recorder;
use lakemirror_journal::command::{Command, UpkeepStep};
use lakemirror_journal::log::{
    FrameInfo, RawRecord, Replay, ReplayRefused, ScanOptions, ScanStart, SnapshotHeader, scan_with,
};
use lakemirror_ports::Owner;

use lakemirror_mirrors::records::Summary;

/// The journal as it was opened.
pub struct Continuity {
    /// Its directory.
    pub dir: PathBuf,
    /// Its id.
    pub node: String,
    /// Its last record, and the hash of that record's frame.
    pub opened: (Seq, [u8; 32]),
    /// Records the gap.
    pub recorder: Recorder,
    outcome: Mutex<Outcome>,
}

#[derive(Debug, Clone, Default)]
enum Outcome {
    #[default]
    NotCompared,
    Whole,
    Gap(Gap),
}

#[derive(Debug, Clone)]
struct Gap {
    text: String,
    /// Lease epochs up to which the journal lacks its own history.
    epochs: BTreeMap<Incarnation, u64>,
}

/// The newest head that this node published.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Published {
    seq: Seq,
    hash: [u8; 32],
    mirror: String,
}

impl Continuity {
    /// For the journal in `dir` with the id `node`, which ended with `opened` when it was opened.
    #[must_use]
    pub fn new(dir: PathBuf, node: String, opened: (Seq, [u8; 32]), recorder: Recorder) -> Self {
        Self { dir, node, opened, recorder, outcome: Mutex::default() }
    }

    /// Whether the comparison has not been made yet.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(*self.outcome(), Outcome::NotCompared)
    }

    /// Compares the journal with the published summaries and with the owners at that time, and records a gap.
    pub async fn compare(
        &self,
        summaries: &BTreeMap<Incarnation, Summary>,
        owners: &BTreeMap<Incarnation, Owner>,
        at_ms: u64,
    ) {
        let published = newest(&self.node, summaries, owners);
        let outcome = match published {
            Some(published) if self.lacks(&published).await => {
                let epochs = owners.iter().map(|(mirror, owner)| (*mirror, owner.epoch)).collect();
                match self.record(&published, at_ms).await {
                    true => Outcome::Gap(Gap { text: self.text(&published), epochs }),
                    false => Outcome::Whole,
                }
            }
            _ => Outcome::Whole,
        };
        if let Outcome::Gap(gap) = &outcome {
            tracing::error!("{}", gap.text);
        }
        *self.outcome() = outcome;
    }

    /// The problem to report while this process runs.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        match &*self.outcome() {
            Outcome::Gap(gap) => Some(gap.text.clone()),
            Outcome::NotCompared | Outcome::Whole => None,
        }
    }

    /// Adjusts the owners: what this node drove before the gap counts as driven by another node, whose history the
    /// journal does not have.
    pub fn mark(&self, owners: &mut BTreeMap<Incarnation, Owner>) {
        let outcome = self.outcome();
        let Outcome::Gap(gap) = &*outcome else { return };
        for (mirror, owner) in owners.iter_mut() {
            let before = gap.epochs.get(mirror).is_some_and(|epoch| owner.epoch <= *epoch);
            if before && owner.node == self.node {
                owner.node = format!("{}, before it was restored", self.node);
            }
        }
    }

    fn outcome(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn text(&self, published: &Published) -> String {
        format!(
            "the journal at {} was restored from an older copy: it ended with record {} when it was opened, and this node had published record {} of it; what happened in between is not in it, and where the branches of the mirrors are is found out again",
            self.dir.display(),
            self.opened.0,
            published.seq
        )
    }

    async fn lacks(&self, published: &Published) -> bool {
        match published.seq.cmp(&self.opened.0) {
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Equal => published.hash != self.opened.1,
            std::cmp::Ordering::Less => {
                let (dir, seq) = (self.dir.clone(), published.seq);
                let found = tokio::task::spawn_blocking(move || hash_of_frame(dir, seq)).await;
                // A frame that is no longer on the volume proves nothing.
                found.ok().flatten().is_some_and(|hash| hash != published.hash)
            }
        }
    }

    /// Whether the gap is new, or nothing has followed its record yet.
    async fn record(&self, published: &Published, at_ms: u64) -> bool {
        let Published { seq, hash, mirror } = published.clone();
        let after = self.opened.0.min(seq.saturating_sub(1));
        let step = UpkeepStep::GapFound { after, published: seq, hash, mirror };
        let recorded = self.recorder.command(Command::Upkeep { step, at_ms }).await;
        recorded.map_or(true, |facts| !facts.is_empty()) || self.opened.0 < seq
    }
}

/// The newest head that `node` published. A summary without a journal id belongs to the node that has the lease of its
/// epoch.
fn newest(
    node: &str,
    summaries: &BTreeMap<Incarnation, Summary>,
    owners: &BTreeMap<Incarnation, Owner>,
) -> Option<Published> {
    let of_node = summaries.values().filter_map(|summary| {
        let head = summary.status.journal_head.as_ref()?;
        let ours = match &head.journal {
            Some(journal) => journal == node,
            None => owners
                .get(&summary.incarnation)
                .is_some_and(|owner| owner.node == node && owner.epoch == summary.stamp.epoch),
        };
        let hash = hex::decode(&head.hash).ok()?.try_into().ok()?;
        ours.then(|| Published { seq: head.seq, hash, mirror: summary.name.clone() })
    });
    of_node.filter(|published| published.seq > 0).max_by_key(|published| published.seq)
}

/// The hash of the frame that ends with record `seq`; `None` if no frame ends there or the frame is not on the volume.
fn hash_of_frame(dir: PathBuf, seq: Seq) -> Option<[u8; 32]> {
    let options = ScanOptions {
        start: ScanStart::NewestSnapshotAtOrBefore(seq),
        stop_after: Some(seq),
        ..ScanOptions::default()
    };
    let mut find = Find { seq, end: None };
    scan_with(&dir, &options, &mut find).ok()?;
    // A frame that continues past `seq` is also different from the published one.
    find.end.map(|(last, hash)| if last == seq { hash } else { [0; 32] })
}

struct Find {
    seq: Seq,
    end: Option<(Seq, [u8; 32])>,
}

impl Replay for Find {
    fn record(&mut self, _: Seq, _: RawRecord<'_>, _: &FrameInfo) -> Result<(), ReplayRefused> {
        Ok(())
    }

    fn frame(&mut self, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        if frame.last_seq >= self.seq && self.end.is_none() {
            self.end = Some((frame.last_seq, frame.hash));
        }
        Ok(())
    }

    fn wants_records(&self) -> bool {
        false
    }

    fn restore(&mut self, snapshot: &SnapshotHeader, _: &[u8]) -> Result<(), ReplayRefused> {
        if snapshot.seq == self.seq {
            self.end = Some((snapshot.seq, snapshot.frame_hash));
        }
        Ok(())
    }
}
