//! Statistics of a journal: records by kind and writer, rates, and the lifecycle of its segments.
//!
//! Counts every available record. The state is replayed at the same time, to count ignored events and for the
//! lifecycle; if the first records are not available, it starts from a snapshot. A kind that this version does not know
//! is counted under its number.

mod stages;

use std::collections::BTreeMap;
use std::time::Duration;

use lakemirror_journal::codec;
use lakemirror_journal::codec::CodecError;
use lakemirror_journal::event::Event;
use lakemirror_journal::log::{FrameInfo, RawRecord, Replay, ReplayRefused, ScanReport};
use lakemirror_journal::state::lifecycle::SegmentLifecycle;
use lakemirror_journal::state::transition::Change;
use lakemirror_journal::state::{State, checks_of};

pub use self::stages::{StageName, StageSum};
use super::begin::at_end;
use super::{EvidenceError, Source};

/// The statistics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// The report of the scan itself.
    pub scan: ScanReport,
    /// Number of available records.
    pub records: u64,
    /// Bytes of their frames.
    pub bytes: u64,
    /// Number of arrival checks in them, counted individually.
    pub checks: u64,
    /// Bytes of the records that hold arrival checks.
    pub check_bytes: u64,
    /// Wall time of the first and the last frame, milliseconds since 1970; none without frames.
    pub span_ms: Option<(u64, u64)>,
    /// How often the writer's clock went back from one frame to the next.
    pub clock_back: u64,
    /// Records by kind.
    pub kinds: BTreeMap<(u16, u16), Kind>,
    /// Writers of the journal, by epoch.
    pub writers: BTreeMap<u64, Writer>,
    /// Number of ignored events; `None` if neither the first record nor a snapshot is available.
    pub ignored_events: Option<u64>,
    /// Segments by stage.
    pub stages: Vec<StageSum>,
    /// The lifecycle according to the journal's records; `None` under the same condition as `ignored_events`.
    pub lifecycle: Option<SegmentLifecycle>,
    /// Number of frames that are checkpoints, and the last record of the last of them.
    pub checkpoints: (u64, u64),
}

/// Records of one kind and version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kind {
    /// Its name; `None` if this version does not know it.
    pub name: Option<&'static str>,
    /// Number of records.
    pub records: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
}

/// One opening of the journal by a writer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Writer {
    /// Its first record.
    pub first_seq: u64,
    /// Its last record.
    pub last_seq: u64,
    /// Wall time of its first frame, milliseconds since 1970.
    pub first_ms: u64,
    /// Wall time of its last frame, milliseconds since 1970.
    pub last_ms: u64,
    /// The version of its software, if it recorded one.
    pub software: Option<String>,
}

impl Stat {
    /// Time between the first and the last frame.
    #[must_use]
    pub fn span(&self) -> Duration {
        let (first, last) = self.span_ms.unwrap_or_default();
        Duration::from_millis(last.saturating_sub(first))
    }

    /// `count` per second over the journal's time; `None` if that is zero.
    #[must_use]
    pub fn rate(&self, count: u64) -> Option<f64> {
        let seconds = self.span().as_secs_f64();
        (seconds > 0.0).then(|| count as f64 / seconds)
    }

    /// Bytes of records per check; `None` without checks.
    #[must_use]
    pub fn bytes_per_check(&self) -> Option<f64> {
        (self.checks > 0).then(|| self.check_bytes as f64 / self.checks as f64)
    }
}

/// Counts the journal in `source`.
///
/// # Errors
/// As for every read.
pub fn stat(source: &Source) -> Result<Stat, EvidenceError> {
    let mut count = Count::default();
    let scan = source.read_oldest(&mut count)?;
    let Count { records, bytes, checks, check_bytes, span_ms, clock_back, kinds, writers, state, checkpoints } = count;
    let state = if scan.proven_from <= 1 { Some(state) } else { at_end(source)? };
    let (ignored_events, lifecycle) = state.map(|state| (state.ignored_events, state.lifecycle)).unzip();
    let stages = stages::stages(&scan, lifecycle.as_ref());
    Ok(Stat {
        scan,
        records,
        bytes,
        checks,
        check_bytes,
        span_ms,
        clock_back,
        kinds,
        writers,
        ignored_events,
        stages,
        lifecycle,
        checkpoints,
    })
}

#[derive(Default)]
struct Count {
    records: u64,
    bytes: u64,
    checks: u64,
    check_bytes: u64,
    span_ms: Option<(u64, u64)>,
    clock_back: u64,
    kinds: BTreeMap<(u16, u16), Kind>,
    writers: BTreeMap<u64, Writer>,
    state: State,
    checkpoints: (u64, u64),
}

impl Replay for Count {
    fn record(&mut self, seq: u64, record: RawRecord<'_>, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        let event = match codec::decode(record.kind, record.version, record.payload) {
            Ok(event) => Some(event),
            Err(CodecError::Unknown { .. }) => None,
            Err(error) => return Err(ReplayRefused(Box::new(error))),
        };
        if seq == frame.first_seq {
            self.frame(frame);
        }
        let kind = self.kinds.entry((record.kind, record.version)).or_default();
        kind.name = event.as_ref().map(Event::name);
        kind.records += 1;
        kind.bytes += record.payload.len() as u64;
        if let Some(event) = event {
            self.event(&event, record.payload.len() as u64, frame.writer_epoch);
        }
        Ok(())
    }
}

impl Count {
    fn frame(&mut self, frame: &FrameInfo) {
        self.bytes += u64::from(frame.bytes);
        self.records += frame.last_seq.saturating_sub(frame.first_seq).saturating_add(1);
        let (first, last) = self.span_ms.unwrap_or((frame.wall_ms, frame.wall_ms));
        self.clock_back += u64::from(frame.wall_ms < last);
        self.span_ms = Some((first, frame.wall_ms));
        if frame.state_digest != 0 {
            self.checkpoints = (self.checkpoints.0 + 1, frame.last_seq);
        }
        let writer = self.writers.entry(frame.writer_epoch).or_insert_with(|| Writer {
            first_seq: frame.first_seq,
            first_ms: frame.wall_ms,
            ..Writer::default()
        });
        (writer.last_seq, writer.last_ms) = (frame.last_seq, frame.wall_ms);
    }

    fn event(&mut self, event: &Event, bytes: u64, writer_epoch: u64) {
        match event.change() {
            Change::ArrivalsChecked(batch) => {
                self.check_bytes += bytes;
                self.checks += checks_of(batch);
            }
            Change::Started(started) => {
                if let Some(writer) = self.writers.get_mut(&writer_epoch) {
                    writer.software = Some(started.software.clone());
                }
            }
            _ => {}
        }
        self.state.apply(event);
    }
}
