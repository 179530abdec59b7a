//! Verifies a journal. Always: the chain, checksums, snapshot files, and the available segments against the records
//! about sealed and dropped segments. With `deep`: each record is decoded and replayed, each check counted, and each
//! snapshot compared with the state. With anchors: heads that were published outside are compared with the chain.
//!
//! This module decides the verdict; `verifier`, `snapshots` and `lifecycle` collect the findings. Damage is a result
//! and not an error: the report says how far everything is right, and what is wrong after that. An error means that
//! verification is not possible: there is no journal, a later version wrote it, or a file cannot be read.

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

/// Maximum number of problems that are listed; further ones are counted.
const PROBLEMS_MAX: usize = 20;

/// A head that was published outside the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// The last record that it covers.
    pub seq: u64,
    /// The hash of the frame that ends with this record.
    pub hash: FrameHash,
}

/// A text that is not an anchor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an anchor: write the record's number, a colon, and the 64 hexadecimal digits of its frame's hash"
)]
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

/// What to verify.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Decode and replay every record, and count every check.
    pub deep: bool,
    /// Heads that must be on the chain.
    pub anchors: Vec<Anchor>,
}

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The report of the scan; `None` if it did not reach the end.
    pub scan: Option<ScanReport>,
    /// How far everything is right.
    pub proven: Proven,
    /// The result of decoding and replaying; `None` if it was not requested.
    pub deep: Option<Deep>,
    /// The snapshot files.
    pub snapshots: Vec<SnapshotSeen>,
    /// Segments that were dropped.
    pub dropped: Vec<Dropped>,
    /// Losses that were acknowledged by the operator.
    pub losses: Vec<Loss>,
    /// Gaps: the journal was restored from an older copy.
    pub gaps: Vec<Gap>,
    /// A loss was acknowledged, and the next start of the service records it in the journal.
    pub loss_noted: bool,
    /// How many of the anchors were found on the chain.
    pub anchors_found: usize,
    /// Problems, in the order in which they were found. Empty if there are none.
    pub problems: Vec<String>,
    /// Number of problems that are not listed.
    pub problems_more: u64,
}

/// The part of the journal that was read and is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Proven {
    /// The first record; 0 if there is none.
    pub first_seq: u64,
    /// The last record; 0 if there is none.
    pub last_seq: u64,
    /// Hash of the frame that ends with this record.
    pub hash: FrameHash,
    /// Number of frames.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Arrival checks in the journal up to this record, by the totals of the frames.
    pub checks: u64,
    /// Wall time of the first frame, milliseconds since 1970.
    pub first_ms: u64,
    /// Wall time of the last frame, milliseconds since 1970.
    pub last_ms: u64,
    /// How often the writer's clock went back from one frame to the next.
    pub clock_back: u64,
}

/// The result of decoding and replaying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deep {
    /// The first record that was replayed; the state before it came from a snapshot. 0 if none was.
    pub from: u64,
    /// Number of records that were decoded and applied.
    pub records: u64,
    /// Number of checks, counted individually.
    pub checks: u64,
    /// Number of ignored events, which replay skips in every version.
    pub ignored_events: u64,
    /// Number of checkpoints whose digest was compared with the state.
    pub checkpoints: u64,
}

impl Report {
    /// Whether no problem was found.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.problems.is_empty()
    }
}

/// The problems, up to the maximum number.
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

/// Verifies the journal in `source`.
///
/// # Errors
/// Verification is not possible: there is no journal, a later version wrote it, or a file cannot be read.
pub fn verify(source: &Source, request: &Request) -> Result<Report, EvidenceError> {
    let mut verifier = Verifier::new(request, snapshots::look(source)?);
    let found = source.read_oldest(&mut verifier);
    let scan = told(found, &mut verifier.problems)?;
    if let Some(slot) = scan.as_ref().and_then(|scan| scan.bad_head_slot) {
        verifier.problems.add(format!(
            "slot {slot} of HEAD is damaged: the other one may be one commit old; the next start of the service rewrites both"
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

/// Turns damage into a result.
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

/// The result of replaying; it starts at the oldest snapshot if the first record is not available.
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
            None => verifier
                .problems
                .add(format!("{}: no sound snapshot shows whether they were dropped", not_at_hand(scan.proven_from))),
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

/// Reports anchors that were not found.
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
