//! The ledger on a journal in a directory of its own: when checkpoints come, segments end, and states are refused.

use lakemirror_engine::recorder::RecordError;
use lakemirror_journal::codec;
use lakemirror_journal::command::Command;
use lakemirror_journal::decide::{Refused, decide};
use lakemirror_journal::event::{Event, ServiceStartedV1};
use lakemirror_journal::log::{FrameInfo, Replay, ReplayRefused, scan};

use super::*;

const NEVER: SealPolicy = SealPolicy {
    seal_bytes_max: u64::MAX,
    seal_age_ms_max: u64::MAX,
    checkpoint_bytes_max: u64::MAX,
    checkpoint_age_ms_max: u64::MAX,
};

/// A journal and its state, as the recorder has them.
struct Reducer {
    journal: Journal,
    state: State,
}

impl Reducer {
    fn open(dir: &Path, seal_policy: SealPolicy) -> Self {
        let (journal, state, _) = Journal::open(dir, [7; 16], 1000).unwrap();
        Self { journal: journal.with_seal_policy(seal_policy), state }
    }

    /// Commits facts of `bytes` bytes each, one for each number.
    fn commit(&mut self, epochs: std::ops::Range<u64>, bytes: usize, wall_ms: u64) -> Option<UpkeepStep> {
        let software = "x".repeat(bytes);
        let started = |writer_epoch| ServiceStartedV1 { writer_epoch, software: software.clone(), at_ms: wall_ms };
        self.take(&epochs.map(|epoch| Event::ServiceStarted(started(epoch))).collect::<Vec<_>>(), wall_ms)
    }

    fn take(&mut self, events: &[Event], wall_ms: u64) -> Option<UpkeepStep> {
        events.iter().for_each(|event| self.state.apply(event));
        let entry = |event| Entry { payload: codec::encode(event).unwrap(), checks: 0 };
        let entries: Vec<Entry> = events.iter().map(entry).collect();
        let state = &self.state;
        self.journal.commit(&entries, wall_ms, &|| Ok(image::digest(state).unwrap())).unwrap()
    }

    fn mark(&self) -> u64 {
        image::mark(&image::digest(&self.state).unwrap())
    }
}

#[derive(Default)]
struct Frames(Vec<FrameInfo>);

impl Replay for Frames {
    fn record(&mut self, _: Seq, _: RawRecord<'_>, _: &FrameInfo) -> Result<(), ReplayRefused> {
        Ok(())
    }

    fn frame(&mut self, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        self.0.push(*frame);
        Ok(())
    }
}

fn frames(dir: &Path) -> Vec<FrameInfo> {
    let mut frames = Frames::default();
    scan(dir, &mut frames).unwrap();
    frames.0
}

fn marks(dir: &Path) -> Vec<u64> {
    frames(dir).iter().map(|frame| frame.state_digest).collect()
}

#[test]
fn frames_are_filled_and_never_empty() {
    let entry = |bytes| Entry { payload: Payload { kind: 1, version: 1, bytes: vec![0; bytes] }, checks: 0 };
    assert_eq!(frame_length(&[entry(10_000)], 1000), 1);
    assert_eq!(frame_length(&vec![entry(100); 50], 1000), (1000 - HEADER_BYTES) / 132);
    assert_eq!(frame_length(&vec![entry(1); 3], 1 << 20), 3);
}

#[test]
fn what_was_committed_is_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let mut reducer = Reducer::open(dir.path(), NEVER);
    assert_eq!(reducer.state, State::default());
    assert_eq!(reducer.commit(0..5000, 4, 2), None);
    assert_eq!(reducer.take(&[], 2), None);
    drop(reducer);
    let reducer = Reducer::open(dir.path(), NEVER);
    assert_eq!(reducer.state.writer_epoch, 4999);
    assert_eq!(reducer.journal.head().0, 5000);
    assert!(marks(dir.path()).iter().all(|mark| *mark == 0));
}

#[test]
fn checkpoints_come_by_bytes_and_by_time_and_with_the_last_frame_only() {
    let dir = tempfile::tempdir().unwrap();
    let seal_policy = SealPolicy { checkpoint_bytes_max: 1000, checkpoint_age_ms_max: 500, ..NEVER };
    let mut reducer = Reducer::open(dir.path(), seal_policy);
    let mut wanted = Vec::new();
    // The first is too early and too small, the second is large, the third late, the fourth neither.
    for (epoch, bytes, wall_ms, checks) in
        [(1, 20, 1010, false), (2, 1000, 1020, true), (3, 20, 1519, false), (4, 20, 1520, true), (5, 20, 1530, false)]
    {
        reducer.commit(epoch..epoch + 1, bytes, wall_ms);
        wanted.push(if checks { reducer.mark() } else { 0 });
    }
    // Several frames: the state of the first ones is not known any more.
    reducer.commit(10..20, 60_000, 1540);
    let many = marks(dir.path());
    assert_eq!(many[..5], wanted);
    assert!(many.len() > 7 && many[5..many.len() - 1].iter().all(|mark| *mark == 0), "{many:?}");
    assert_eq!(many.last(), Some(&reducer.mark()));
    drop(reducer);
    // What was written since the last checkpoint counts after a restart as well.
    let mut reducer = Reducer::open(dir.path(), seal_policy);
    reducer.commit(30..31, 400, 1541);
    drop(reducer);
    let mut reducer = Reducer::open(dir.path(), seal_policy);
    reducer.commit(31..32, 400, 1542);
    assert_eq!(marks(dir.path()).last(), Some(&reducer.mark()));
    assert_eq!(marks(dir.path())[many.len()], 0);
}

#[test]
fn a_segment_ends_by_size_or_age_with_a_checkpoint_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let seal_policy = SealPolicy { seal_bytes_max: 1, seal_age_ms_max: 100_000, ..NEVER };
    let mut reducer = Reducer::open(dir.path(), seal_policy);
    assert_eq!(reducer.commit(1..2, 100, 1000), None, "a segment has at least 4 KiB");
    let by_size = reducer.commit(2..3, 5000, 1001).unwrap();
    let mark = reducer.mark();
    assert_eq!(reducer.commit(3..4, 100, 2000), None);
    assert_eq!(reducer.commit(4..5, 100, 101_999), None);
    let by_age = reducer.commit(5..6, 100, 102_000).unwrap();
    let infos = frames(dir.path());
    assert_eq!(infos.iter().map(|frame| frame.segment.first_seq).collect::<Vec<_>>(), [1, 1, 3, 3, 3]);
    assert_eq!(infos.iter().map(|frame| frame.state_digest).collect::<Vec<_>>(), [0, mark, 0, 0, reducer.mark()]);
    for (step, range) in [(by_size, 1..3), (by_age, 3..6)] {
        let UpkeepStep::Sealed { first, last, frames, last_frame, .. } = step else { panic!("{step:?}") };
        assert_eq!((first, last, frames), (range.start, range.end - 1, range.end - range.start));
        assert_eq!(last_frame, infos[last as usize - 1].hash);
    }
}

#[test]
fn segments_of_which_a_crash_left_no_fact_are_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let seal_policy = SealPolicy { seal_bytes_max: 1, ..NEVER };
    let mut reducer = Reducer::open(dir.path(), seal_policy);
    let mut told = Vec::new();
    for epoch in 1..4 {
        told.extend(reducer.commit(epoch..epoch + 1, 5000, 1000));
    }
    drop(reducer);
    let mut reducer = Reducer::open(dir.path(), seal_policy);
    let unrecorded = reducer.journal.unrecorded(&reducer.state.lifecycle).unwrap();
    assert_eq!((unrecorded.len(), &unrecorded), (3, &told));
    for step in unrecorded {
        let facts = decide(&reducer.state, Command::Upkeep { step, at_ms: 5 }).unwrap();
        reducer.take(&facts, 1001);
    }
    assert_eq!(reducer.journal.unrecorded(&reducer.state.lifecycle).unwrap(), []);
    assert_eq!(reducer.state.lifecycle.open_from(), 4);
    assert_eq!(reducer.state.ignored_events, 0);
}

#[test]
fn a_state_that_is_not_the_sum_of_its_records_is_refused_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut reducer = Reducer::open(dir.path(), SealPolicy { checkpoint_bytes_max: 1, ..NEVER });
    reducer.commit(1..3, 10, 1000);
    reducer.state.checks += 1;
    reducer.commit(3..4, 10, 1000);
    let live = reducer.mark();
    drop(reducer);
    let Err(error) = Journal::open(dir.path(), [7; 16], 1) else { panic!("a journal that was opened") };
    let text = chain(&error);
    assert!(text.contains("after record 3"), "{text}");
    assert!(text.contains(&hex::encode(live.to_le_bytes())) && text.contains("fault of lakemirror"), "{text}");
    let replayed = std::fs::read(dir.path().join(mismatch::image_path(3, "replayed"))).unwrap();
    let replayed = image::read(&replayed).unwrap();
    assert_eq!((replayed.writer_epoch, replayed.checks), (3, 0));
    assert!(text.contains(&hex::encode(image::digest(&replayed).unwrap())), "{text}");
}

#[test]
fn names_of_sealed_segments() {
    assert_eq!(segment_name("0000000000000001-0000000000000009.jseg"), Some((1, 9)));
    assert_eq!(segment_name("0000000000000010-0000000000000019.jseg.zst"), Some((10, 19)));
    for other in ["0000000000000001.jseg.open", "0000000000000001-0000000000000009.jseg.tmp", "a-b.jseg", ""] {
        assert_eq!(segment_name(other), None);
    }
}

#[test]
fn a_segment_ends_by_age_also_when_nothing_happens_and_upkeep_alone_ends_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut reducer = Reducer::open(dir.path(), SealPolicy { seal_age_ms_max: 1000, ..NEVER });
    assert_eq!(reducer.journal.rest(u64::MAX).unwrap(), None, "an empty journal has nothing to end");
    assert_eq!(reducer.commit(1..2, 10, 5000), None);
    assert_eq!(reducer.journal.rest(5999).unwrap(), None);
    let sealed = reducer.journal.rest(6000).unwrap().unwrap();
    assert!(matches!(sealed, UpkeepStep::Sealed { first: 1, last: 1, .. }), "{sealed:?}");
    let facts = decide(&reducer.state, Command::Upkeep { step: sealed, at_ms: 6000 }).unwrap();
    assert_eq!(reducer.take(&facts, 6000), None);
    assert_eq!(marks(dir.path()), [0, reducer.mark()], "the fact of the seal is a checkpoint");
    assert_eq!(reducer.journal.rest(60_000).unwrap(), None, "a day of rest makes one segment, not one a day");
    assert_eq!(reducer.commit(2..3, 10, 60_500).map(|_| ()), Some(()), "by its first frame's age");
}

#[tokio::test]
async fn a_fact_that_no_record_holds_is_refused_and_the_journal_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, state, _) = Journal::open(dir.path(), [7; 16], 1000).unwrap();
    let clock = std::sync::Arc::new(lakemirror_ports::clock::system::SystemClock::new());
    let (recorder, _thread) = lakemirror_engine::recorder::start(state, Box::new(journal), clock).unwrap();
    let acknowledged = |reason: String| {
        let step = UpkeepStep::LossAcknowledged { from: 1, to: 2, reason, who: "somebody".into() };
        recorder.command(Command::Upkeep { step, at_ms: 1 })
    };
    let refused = acknowledged("x".repeat(300_000)).await.unwrap_err();
    assert!(matches!(refused, RecordError::Refused(Refused::TooLarge { .. })), "{refused}");
    assert!(recorder.read(|state| *state == State::default()).await.unwrap(), "nothing of it is in the state");
    assert_eq!(acknowledged("short".into()).await.unwrap().len(), 1);
}
