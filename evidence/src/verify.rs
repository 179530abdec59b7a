//! Is the journal what it says? Chain, checksums, snapshot files, and what is there against what the journal says that it
//! sealed and dropped, always; with `deep`, each record decoded and replayed, each check counted, each snapshot held
//! against the state; with anchors, heads that were published outside compared.
//!
//! Owns the verdict; what is found on the way is `verifier`'s, `snapshots`' and `ladder`'s. Damage is an answer here and not an error: the report says how far everything holds, and what is
//! wrong after that. Only what can not be looked at at all (no journal, a later version's, an unreadable file) is one.

mod lifecycle;
mod snapshots;
mod verifier;

use std::str::FromStr;

use lakemirror_core::causes::chain;
use lakemirror_journal::codec::CodecError;
use lakemirror_journal::log::{Footer, FrameHash, OpenError, ScanError, ScanReport};
use lakemirror_journal::state::lifecycle::{Gap, Loss, SegmentLifecycle};

pub use self::lifecycle::Dropped;
pub use self::snapshots::SnapshotSeen;
use self::verifier::Verifier;
use super::begin::{at_end, not_at_hand};
use super::{EvidenceError, Source};

/// After so many problems, further ones are only counted.
const PROBLEMS_MAX: usize = 20;

/// A head that was published outside of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// The last record that it covers.
    pub seq: u64,
    /// The hash of the frame that ends there.
    pub hash: FrameHash,
}

/// A text that is no anchor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no anchor: write the record's number, a colon, and the 64 hexadecimal digits of its frame's hash")]
pub struct NotAnAnchor(String);

impl FromStr for Anchor {
    type Err = NotAnAnchor;

    fn from_str(text: &str) -> Result<Self, NotAnAnchor> {
        let bad = || NotAnAnchor(text.to_owned());
        let (seq, digits) = text.split_once(':').ok_or_else(bad)?;
        let mut hash = [0; 32];
        hex::decode_to_slice(digits, &mut hash).map_err(|_| bad())?;
        Ok(Self { seq: seq.parse().map_err(|_| bad())?, hash })
    }
}

/// What to look at.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Decode and replay every record, count every check.
    pub deep: bool,
    /// Heads that have to be on the chain.
    pub anchors: Vec<Anchor>,
}

/// What holds, and what does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The scan's own findings; none where it could not go to the end.
    pub scan: Option<ScanReport>,
    /// How far everything was found right.
    pub proven: Proven,
    /// What decoding and replaying found; none if it was not asked for.
    pub deep: Option<Deep>,
    /// The snapshot files.
    pub snapshots: Vec<SnapshotSeen>,
    /// Segments that were dropped.
    pub dropped: Vec<Dropped>,
    /// Losses that were accepted.
    pub losses: Vec<Loss>,
    /// Gaps that were found: the journal was restored from an older copy.
    pub gaps: Vec<Gap>,
    /// A loss was accepted, and the next start of the service enters it into the journal.
    pub loss_noted: bool,
    /// How many of the anchors were found on the chain.
    pub anchors_found: usize,
    /// What is wrong, in the order found. Empty if all of it holds.
    pub problems: Vec<String>,
    /// Problems beyond those listed.
    pub problems_more: u64,
}

/// The part of the journal that was read and is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Proven {
    /// The first record; 0 if there is none.
    pub first_seq: u64,
    /// The last record; 0 if there is none.
    pub last_seq: u64,
    /// Hash of the frame that ends there.
    pub hash: FrameHash,
    /// Frames.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Arrival checks in the journal up to there, by the frames' totals.
    pub checks: u64,
    /// Wall time of the first frame, milliseconds since 1970.
    pub first_ms: u64,
    /// Wall time of the last frame, milliseconds since 1970.
    pub last_ms: u64,
    /// How often the writer's clock went back from one frame to the next.
    pub clock_back: u64,
}

/// What decoding and replaying found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deep {
    /// The first record that was replayed; what was before is from a snapshot. 0 for none.
    pub from: u64,
    /// Records decoded and applied.
    pub records: u64,
    /// Checks counted, one by one.
    pub checks: u64,
    /// Facts that made no sense where they stood, which replay leaves out in every version.
    pub ignored_events: u64,
    /// Checkpoints whose digest was compared with the state.
    pub checkpoints: u64,
}

impl Report {
    /// Whether all of it holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.problems.is_empty()
    }
}

/// What is wrong, as far as it is listed.
#[derive(Debug, Default)]
struct Problems {
    list: Vec<String>,
    more: u64,
}

impl Problems {
    fn add(&mut self, text: String) {
        if self.list.len() < PROBLEMS_MAX {
            self.list.push(text);
        } else {
            self.more += 1;
        }
    }

    fn take(&mut self, others: Self) {
        others.list.into_iter().for_each(|text| self.add(text));
        self.more += others.more;
    }
}

/// Looks at the journal in `source`.
///
/// # Errors
/// It cannot be looked at: it is none, a later version wrote it, or a file cannot be read.
pub fn verify(source: &Source, request: &Request) -> Result<Report, EvidenceError> {
    let mut verifier = Verifier::new(request, snapshots::look(source)?);
    let found = source.read_oldest(&mut verifier);
    let scan = told(found, &mut verifier.problems)?;
    if let Some(slot) = scan.as_ref().and_then(|scan| scan.bad_head_slot) {
        verifier.problems.add(format!(
            "slot {slot} of HEAD is damaged: what the other one says may be one commit old; the next start of the service writes both anew"
        ));
    }
    footers(scan.as_ref(), &mut verifier.problems);
    let deep = match request.deep {
        true => replay_rest(source, &mut verifier, scan.is_some())?,
        false => None,
    };
    let lifecycle = match &verifier.state {
        Some(state) => Some(state.lifecycle.clone()),
        None if scan.is_some() => at_end(source)?.map(|state| state.lifecycle),
        None => None,
    };
    let report = conclude(verifier, scan, deep, lifecycle);
    Ok(Report { loss_noted: source.dir().join("LOSS").exists(), ..report })
}

/// Damage as an answer.
fn told(
    found: Result<ScanReport, EvidenceError>,
    problems: &mut Problems,
) -> Result<Option<ScanReport>, EvidenceError> {
    match found {
        Ok(scan) => Ok(Some(scan)),
        Err(EvidenceError::Scan(ScanError::Unsound(error))) if !is_newer(&error) => {
            problems.add(chain(&error));
            Ok(None)
        }
        Err(EvidenceError::Record { seq, source }) if !matches!(source, CodecError::Unknown { .. }) => {
            problems.add(format!("record {seq} is whole, but its content is damaged: {source}"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn is_newer(error: &OpenError) -> bool {
    matches!(error, OpenError::NewerFormat { .. } | OpenError::NewerFrame { .. })
}

/// What replaying found; from the oldest snapshot on where the first record is not at hand.
fn replay_rest(source: &Source, verifier: &mut Verifier, ended: bool) -> Result<Option<Deep>, EvidenceError> {
    if verifier.is_replaying() || verifier.proven.frames == 0 {
        return Ok(Some(Deep { from: u64::from(verifier.is_replaying()), ..verifier.replayed }));
    }
    if !ended {
        return Ok(None);
    }
    let request = Request { deep: true, anchors: Vec::new() };
    let mut again = Verifier::new(&request, std::mem::take(&mut verifier.snapshots));
    let found = source.read(&mut again);
    verifier.snapshots = std::mem::take(&mut again.snapshots);
    if found.as_ref().is_err_and(EvidenceError::is_without_start) {
        let from = verifier.proven.first_seq;
        verifier
            .problems
            .add(format!("nothing was decoded or counted: no sound snapshot has the state before record {from}"));
        return Ok(None);
    }
    told(found, &mut again.problems)?;
    verifier.state = again.state.take();
    verifier.problems.take(again.problems);
    Ok(Some(again.replayed))
}

fn footers(scan: Option<&ScanReport>, problems: &mut Problems) {
    for seen in scan.iter().flat_map(|scan| &scan.footers) {
        if let Some(fault) = &seen.fault {
            let Footer { first_seq, last_seq, .. } = seen.footer;
            problems.add(format!(
                "the footer of the segment with records {first_seq} to {last_seq} is wrong, though its frames are right: {fault}"
            ));
        }
    }
}

fn conclude(
    mut verifier: Verifier,
    scan: Option<ScanReport>,
    deep: Option<Deep>,
    lifecycle: Option<SegmentLifecycle>,
) -> Report {
    beyond_the_end(&mut verifier, scan.as_ref());
    judge_snapshots(&mut verifier, scan.is_some(), lifecycle.as_ref());
    let mut dropped = Vec::new();
    if let Some(scan) = &scan {
        match &lifecycle {
            Some(lifecycle) => {
                let from = scan.proven_from.max(1);
                let faults = lifecycle::faults(lifecycle, scan, from, verifier.before);
                faults.into_iter().for_each(|fault| verifier.problems.add(fault));
                dropped = lifecycle::dropped(lifecycle, scan);
            }
            None => verifier.problems.add(format!(
                "{}: no sound snapshot is there that would say whether they were dropped",
                not_at_hand(scan.proven_from)
            )),
        }
    }
    let Problems { list, more } = verifier.problems;
    Report {
        scan,
        proven: verifier.proven,
        deep,
        snapshots: verifier.snapshots.into_values().collect(),
        dropped,
        gaps: lifecycle.as_ref().map(|lifecycle| lifecycle.gaps.clone()).unwrap_or_default(),
        losses: lifecycle.map(|lifecycle| lifecycle.losses).unwrap_or_default(),
        loss_noted: false,
        anchors_found: verifier.anchors_found,
        problems: list,
        problems_more: more,
    }
}

/// Anchors that were not met.
fn beyond_the_end(verifier: &mut Verifier, scan: Option<&ScanReport>) {
    let last = verifier.proven.last_seq;
    for (seq, hashes) in std::mem::take(&mut verifier.open) {
        match (seq, scan) {
            // A journal without records: its head is the hash of its id.
            (0, Some(scan)) if last == 0 && hashes.iter().all(|hash| *hash == scan.end.hash) => {
                verifier.anchors_found += hashes.len();
            }
            _ => verifier.problems.add(format!(
                "the anchor at record {seq} is beyond record {last}, where {}",
                if scan.is_some() { "the journal ends: it was cut short" } else { "reading ended" }
            )),
        }
    }
}

fn judge_snapshots(verifier: &mut Verifier, ended: bool, lifecycle: Option<&SegmentLifecycle>) {
    let last = verifier.proven.last_seq;
    let newest = lifecycle.and_then(|lifecycle| lifecycle.snapshot);
    for seen in verifier.snapshots.values_mut() {
        if ended && seen.seq > last && seen.fault.is_none() {
            seen.fault = Some(format!("the journal ends with record {last}, before it"));
        }
        let said = newest.filter(|newest| newest.seq == seen.seq).map(|newest| newest.digest);
        if let (Some(said), Some(header)) = (said, seen.header)
            && said != header.state_digest
        {
            seen.fault.get_or_insert("its digest is not the one that the journal says it had".to_owned());
        }
        if let Some(fault) = &seen.fault {
            verifier.problems.add(format!("the snapshot after record {} is not to be believed: {fault}", seen.seq));
        }
    }
}
