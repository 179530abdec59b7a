//! Is the journal what it says? Chain and checksums always; with `deep`, each record decoded and replayed, each check
//! counted; with anchors, heads that were published outside compared.
//!
//! Owns the verdict. Damage is an answer here and not an error: the report says how far everything holds, and what is
//! wrong after that. Only what can not be looked at at all (no journal, a later version's, an unreadable file) is one.

use std::collections::BTreeMap;
use std::str::FromStr;

use lakemirror_journal::codec::CodecError;
use lakemirror_journal::event::Event;
use lakemirror_journal::log::{
    Footer, FrameHash, FrameInfo, OpenError, RawRecord, Replay, ReplayRefused, ScanError, ScanReport,
};
use lakemirror_journal::state::image;
use lakemirror_journal::state::{State, checks_of};

use super::{EvidenceError, Source, decode, with_causes};

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
    /// Records decoded and applied.
    pub records: u64,
    /// Checks counted, one by one.
    pub checks: u64,
    /// Facts that made no sense where they stood, which replay leaves out in every version.
    pub strays: u64,
}

impl Report {
    /// Whether all of it holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Looks at the journal in `source`.
///
/// # Errors
/// It cannot be looked at: it is none, a later version wrote it, or a file cannot be read.
pub fn verify(source: &Source, request: &Request) -> Result<Report, EvidenceError> {
    let mut verifier = Verifier::new(request);
    let found = match request.deep {
        // A state can only be built from the first record on.
        true => source.read(&mut verifier),
        false => source.read_oldest(&mut verifier),
    };
    let scan = match found {
        Ok(scan) => Some(scan),
        Err(error) if error.is_without_start() => {
            verifier.deep = None;
            verifier.problem(format!("nothing was decoded or counted: {}", error.with_causes()));
            let scan = source.read_oldest(&mut verifier)?;
            return Ok(verifier.finish(Some(scan)));
        }
        Err(EvidenceError::Scan(ScanError::Unsound(error))) if !is_newer(&error) => {
            verifier.problem(with_causes(&error));
            None
        }
        Err(EvidenceError::Record { seq, source }) if !matches!(source, CodecError::Unknown { .. }) => {
            verifier.problem(format!("record {seq} is whole, but its content is damaged: {source}"));
            None
        }
        Err(error) => return Err(error),
    };
    Ok(verifier.finish(scan))
}

fn is_newer(error: &OpenError) -> bool {
    matches!(error, OpenError::NewerFormat { .. } | OpenError::NewerFrame { .. })
}

struct Verifier {
    deep: Option<(Deep, State)>,
    /// Anchors not yet met.
    open: BTreeMap<u64, Vec<FrameHash>>,
    anchors_found: usize,
    proven: Proven,
    /// Checks counted in the frame under way.
    frame_checks: u64,
    problems: Vec<String>,
    problems_more: u64,
}

impl Verifier {
    fn new(request: &Request) -> Self {
        let mut open: BTreeMap<u64, Vec<FrameHash>> = BTreeMap::new();
        for anchor in &request.anchors {
            open.entry(anchor.seq).or_default().push(anchor.hash);
        }
        Self {
            deep: request.deep.then(Default::default),
            open,
            anchors_found: 0,
            proven: Proven::default(),
            frame_checks: 0,
            problems: Vec::new(),
            problems_more: 0,
        }
    }

    fn problem(&mut self, text: String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(text);
        } else {
            self.problems_more += 1;
        }
    }

    fn look_into(&mut self, record: &RawRecord<'_>) -> Result<(), ReplayRefused> {
        let Some((deep, state)) = &mut self.deep else { return Ok(()) };
        let event = decode(record)?;
        if let Event::ArrivalsChecked(batch) = &event {
            let checks = checks_of(batch);
            deep.checks += checks;
            self.frame_checks += checks;
        }
        state.apply(&event);
        deep.records += 1;
        Ok(())
    }

    fn end_frame(&mut self, frame: &FrameInfo) {
        self.compare_checks(frame);
        let proven = &mut self.proven;
        if proven.frames == 0 {
            (proven.first_seq, proven.first_ms) = (frame.first_seq, frame.wall_ms);
        }
        proven.clock_back += u64::from(proven.frames > 0 && frame.wall_ms < proven.last_ms);
        (proven.last_seq, proven.hash, proven.checks) = (frame.last_seq, frame.hash, frame.checks_total);
        proven.last_ms = frame.wall_ms;
        proven.frames += 1;
        proven.bytes += u64::from(frame.bytes);
        self.compare_anchors(frame);
    }

    fn compare_checks(&mut self, frame: &FrameInfo) {
        let counted = std::mem::take(&mut self.frame_checks);
        let said = frame.checks_total.saturating_sub(self.proven.checks);
        if self.deep.is_some() && counted != said {
            let FrameInfo { first_seq, last_seq, .. } = frame;
            self.problem(format!(
                "the frame of records {first_seq} to {last_seq} says that it adds {said} checks, and its records hold {counted}"
            ));
        }
    }

    /// Anchors inside of a frame can never match: a head is always a frame's end.
    fn compare_anchors(&mut self, frame: &FrameInfo) {
        let later = self.open.split_off(&frame.last_seq.saturating_add(1));
        for (seq, hashes) in std::mem::replace(&mut self.open, later) {
            for hash in hashes {
                self.compare_anchor(seq, &hash, frame);
            }
        }
    }

    fn compare_anchor(&mut self, seq: u64, hash: &FrameHash, frame: &FrameInfo) {
        let FrameInfo { first_seq, last_seq, .. } = *frame;
        let here = match seq {
            _ if seq == last_seq => Some(frame.hash),
            // The first frame that is read names the one before it; the journal's first, the journal's id.
            _ if seq.checked_add(1) == Some(first_seq) => Some(frame.prev_hash),
            _ => None,
        };
        match here {
            Some(here) if here == *hash => self.anchors_found += 1,
            Some(here) => self.problem(format!(
                "the anchor at record {seq} is {}, and the journal has {} there: it was written anew since the anchor was published",
                hex::encode(hash),
                hex::encode(here)
            )),
            None if seq < first_seq => self.problem(format!(
                "the anchor at record {seq} is before record {first_seq}, with which what is at hand begins: add the archive that has it"
            )),
            None => self.problem(format!(
                "the anchor at record {seq} falls into the frame of records {first_seq} to {last_seq}: no head was ever there, so this is another journal or was written anew"
            )),
        }
    }

    fn finish(mut self, scan: Option<ScanReport>) -> Report {
        if let Some(slot) = scan.as_ref().and_then(|scan| scan.bad_head_slot) {
            self.problem(format!(
                "slot {slot} of HEAD is damaged: what the other one says may be one commit old; the next start of the service writes both anew"
            ));
        }
        for seen in scan.iter().flat_map(|scan| &scan.footers) {
            if let Some(fault) = &seen.fault {
                let Footer { first_seq, last_seq, .. } = seen.footer;
                self.problem(format!(
                    "the footer of the segment with records {first_seq} to {last_seq} is wrong, though its frames are right: {fault}"
                ));
            }
        }
        let last = self.proven.last_seq;
        for (seq, hashes) in std::mem::take(&mut self.open) {
            match (seq, &scan) {
                // A journal without records: its head is the hash of its id.
                (0, Some(scan)) if last == 0 && hashes.iter().all(|hash| *hash == scan.end.hash) => {
                    self.anchors_found += hashes.len();
                }
                _ => self.problem(format!(
                    "the anchor at record {seq} is beyond record {last}, where {}",
                    if scan.is_some() { "the journal ends: it was cut short" } else { "reading ended" }
                )),
            }
        }
        Report {
            scan,
            proven: self.proven,
            deep: self.deep.map(|(deep, state)| Deep { strays: state.strays, ..deep }),
            anchors_found: self.anchors_found,
            problems: self.problems,
            problems_more: self.problems_more,
        }
    }
}

impl Replay for Verifier {
    fn record(&mut self, seq: u64, record: RawRecord<'_>, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        self.look_into(&record)?;
        if seq == frame.last_seq {
            self.end_frame(frame);
        }
        Ok(())
    }

    fn frame(&mut self, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        if self.deep.is_none() {
            self.end_frame(frame);
        }
        Ok(())
    }

    /// What was live when the frame was written, against what its records come to.
    fn checkpoint(&mut self, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        let Some((_, state)) = &self.deep else { return Ok(()) };
        let mark = image::digest(state).map(|digest| image::mark(&digest));
        if !mark.is_ok_and(|mark| mark == frame.state_digest) {
            self.problem(format!(
                "the state after record {} is not the one that the frame's digest says was live: memory or this version of lakemirror is at fault",
                frame.last_seq
            ));
        }
        Ok(())
    }

    /// Chain and checksums need no record: without this, they are read as fast as they are hashed.
    fn wants_records(&self) -> bool {
        self.deep.is_some()
    }
}
