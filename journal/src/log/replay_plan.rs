//! A walk from a chosen start: the first record, the oldest existing one, or a snapshot. A snapshot is proven to belong
//! to the chain before any record after it is handed out.
//!
//! This module owns what a start needs and when the consumer receives records. Following the chain: `walk`; the choice
//! of the start: `recovery` and `offline`.

use lakemirror_core::causes::chain;

use super::catalog::{Entry, SegmentDir, after_gaps, without_gaps};
use super::chain::Position;
use super::error::OpenError;
use super::footer::{Footer, FooterHash, NO_FOOTER};
use super::frame::Frame;
use super::hot::HotStore;
use super::replay::{Replay, ReplayRefused};
use super::segment::At;
use super::snapshot::SnapshotHeader;
use super::tally::{Ending, Tally};
use super::walk::{FrameInfo, Next, Walker, agrees};
use crate::ids::Seq;

/// A snapshot that may be a start.
pub(super) type Snapshot = (SnapshotHeader, Vec<u8>);

/// Where a walk begins.
pub(super) enum Start {
    /// With the first record, which follows this position.
    First(Position),
    /// With the first of the existing segments, whatever preceded it.
    Oldest,
    /// With a snapshot.
    Snapshot(Box<Snapshot>),
}

/// What a walk reads from.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) segments_dir: &'a SegmentDir<'a>,
    pub(super) hot: Option<&'a dyn HotStore>,
    pub(super) entries: &'a [Entry],
    /// The position in HEAD.
    pub(super) durable: Position,
}

/// One step.
pub(super) enum Step {
    Frame {
        info: FrameInfo,
        from_hot: bool,
    },
    Sealed {
        entry: Entry,
        ending: Ending,
    },
    /// Records up to this one cannot be read, but a snapshot contains their effect.
    Skipped {
        from: Seq,
        to: Seq,
        fault: String,
    },
    End,
    Fault(String),
}

/// Why a walk ended.
pub(super) enum Failed {
    /// The snapshot cannot be used; the consumer has received nothing.
    Unsound(String),
    /// The consumer does not use snapshots.
    NoSnapshots,
    /// The consumer stopped the walk.
    Stopped,
    Open(OpenError),
}

impl From<OpenError> for Failed {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

/// A walk under way.
pub(super) struct ReplayPlan<'a> {
    pub(super) walker: Walker<'a>,
    /// The first record that the walk could read.
    pub(super) from: Seq,
    durable: Position,
    /// A snapshot that the consumer has not received yet.
    pending: Option<Box<Snapshot>>,
    /// Something on the disk besides the snapshot itself contains its hash.
    linked: bool,
}

impl<'a> ReplayPlan<'a> {
    /// Begins at `start`.
    pub(super) fn begin(ground: Ground<'a>, start: Start) -> Result<Self, Failed> {
        match start {
            Start::First(genesis) => Self::first(ground, genesis),
            Start::Oldest => Self::oldest(ground),
            Start::Snapshot(snapshot) => Self::snapshot(ground, snapshot),
        }
    }

    fn new(ground: Ground<'a>, entries: Vec<Entry>, position: Position, tally: Tally) -> Result<Self, Failed> {
        let from = position.next_seq();
        let walker = Walker::new(ground.segments_dir, ground.hot, entries, position, tally)?;
        Ok(Self { walker, from, durable: ground.durable, pending: None, linked: false })
    }

    fn first(ground: Ground<'a>, genesis: Position) -> Result<Self, Failed> {
        let entries = without_gaps(ground.entries.to_vec(), genesis.next_seq());
        let replay_plan = Self::new(ground, entries, genesis, Tally::new(&genesis, Some(NO_FOOTER)))?;
        if ground.durable.last_seq == 0 && ground.durable.hash != genesis.hash {
            return Err(OpenError::HeadDisagrees { path: replay_plan.walker.path(), seq: 0 }.into());
        }
        Ok(replay_plan)
    }

    /// Starts with the first of the segments after the last gap.
    fn oldest(ground: Ground<'a>) -> Result<Self, Failed> {
        let mut entries = after_gaps(ground.entries).to_vec();
        let mut position = Position { last_seq: 0, hash: [0; 32], checks_total: 0, writer_epoch: 0 };
        if let Some(entry) = entries.first_mut() {
            position.last_seq = entry.first.saturating_sub(1);
            // The previous frame is known only from what the first frame says of it.
            let mut reader = ground.segments_dir.open(entry)?;
            let path = ground.segments_dir.show(entry);
            match reader.at(0).map_err(|error| OpenError::io("read", path, error))? {
                At::Frame(bytes) => {
                    position.hash = Frame::trusted(bytes).map_or([0; 32], |frame| frame.stamp.prev_hash)
                }
                At::End | At::Footer(_) | At::Fault(_) => {}
            }
        }
        Self::new(ground, without_gaps(entries, position.next_seq()), position, Tally::new(&position, None))
    }

    fn snapshot(ground: Ground<'a>, snapshot: Box<Snapshot>) -> Result<Self, Failed> {
        let header = snapshot.0;
        let Position { last_seq: durable, hash, checks_total, .. } = ground.durable;
        if header.seq > durable {
            return Err(Failed::Unsound("it is of records after those that HEAD acknowledges".to_owned()));
        }
        if header.seq == durable && (header.frame_hash, header.checks_total) != (hash, checks_total) {
            return Err(Failed::Unsound("HEAD acknowledges another frame".to_owned()));
        }
        let after = |entry: &&Entry| entry.last.is_none_or(|last| last > header.seq);
        let next = header.seq.saturating_add(1);
        let entries = without_gaps(ground.entries.iter().filter(after).cloned().collect(), next);
        let first = entries.first().map_or(next, |entry| entry.first);
        let (position, tally, linked) = if first == next {
            let (footer, linked) = footer_before(&ground, &header)?;
            (header.position(), Tally::new(&header.position(), footer), linked)
        } else if first == header.segment.first_seq {
            let (position, tally) = segment_start(&header);
            (position, tally, false)
        } else {
            return Err(Failed::Unsound("the segment that it names is not there".to_owned()));
        };
        let replay_plan = Self::new(ground, entries, position, tally)?;
        Ok(Self { pending: Some(snapshot), linked: linked || header.seq == durable, ..replay_plan })
    }

    /// Advances by one step.
    pub(super) fn next(&mut self, replay: &mut dyn Replay) -> Result<Step, Failed> {
        match self.walker.next()? {
            Next::Frame { info, from_hot } => {
                if !agrees(&self.durable, &info) {
                    return Err(
                        OpenError::HeadDisagrees { path: self.walker.path(), seq: self.durable.last_seq }.into()
                    );
                }
                if self.is_new(&info, replay)? {
                    self.walker.replay(&info, replay).map_err(refused)?;
                }
                Ok(Step::Frame { info, from_hot })
            }
            Next::Sealed { entry, ending } => Ok(Step::Sealed { entry, ending }),
            Next::End => self.at_stop(None, replay),
            Next::Fault(fault) => self.at_stop(Some(fault), replay),
        }
    }

    /// Whether the frame is new to the consumer. Restores the snapshot as soon as it is proven.
    fn is_new(&mut self, info: &FrameInfo, replay: &mut dyn Replay) -> Result<bool, Failed> {
        let Some((header, _)) = self.pending.as_deref() else { return Ok(true) };
        if info.first_seq > header.seq {
            // The frame's hash of its predecessor is the snapshot's; that links the walk to the snapshot.
            return self.restore(replay).map(|()| true);
        }
        if info.last_seq > header.seq {
            return Err(Failed::Unsound("it is of a part of a frame".to_owned()));
        }
        if info.last_seq == header.seq {
            if (info.hash, info.checks_total) != (header.frame_hash, header.checks_total) {
                return Err(Failed::Unsound("its frame is not the one on the chain".to_owned()));
            }
            self.restore(replay)?;
        }
        Ok(false)
    }

    fn restore(&mut self, replay: &mut dyn Replay) -> Result<(), Failed> {
        let Some(snapshot) = self.pending.take() else { return Ok(()) };
        replay.restore(&snapshot.0, &snapshot.1).map_err(|refused| match refused {
            refused if refused.is_without_snapshots() => Failed::NoSnapshots,
            refused => Failed::Unsound(chain(&*refused.0)),
        })
    }

    fn at_stop(&mut self, fault: Option<String>, replay: &mut dyn Replay) -> Result<Step, Failed> {
        let stop = |fault: Option<String>| fault.map_or(Step::End, Step::Fault);
        let Some((header, _)) = self.pending.as_deref() else { return Ok(stop(fault)) };
        let (header, here) = (*header, self.walker.position());
        if here.last_seq < header.seq {
            let fault = fault.unwrap_or_else(|| "the file ends".to_owned());
            let tally = Tally { frames: header.segment_frames, ..segment_start(&header).1 };
            let same = self.walker.entry().first == header.segment.first_seq;
            if !same || !self.walker.jump(header.position(), header.offset, tally)? {
                return Err(Failed::Unsound(format!("the segment cannot be read up to it: {fault}")));
            }
            return Ok(Step::Skipped { from: here.next_seq(), to: header.seq, fault });
        }
        if !self.linked {
            return Err(Failed::Unsound("nothing beside it shows that it belongs to this journal".to_owned()));
        }
        self.restore(replay)?;
        Ok(stop(fault))
    }
}

fn refused((seq, source): (Seq, ReplayRefused)) -> Failed {
    if source.is_stop() { Failed::Stopped } else { Failed::Open(OpenError::Refused { seq, source }) }
}

/// The start of the segment that holds the snapshot's frame, as recorded in the snapshot.
fn segment_start(header: &SnapshotHeader) -> (Position, Tally) {
    let start = header.segment;
    let (hash, checks_total) = (start.prev_hash, start.checks_before);
    let position = Position { last_seq: start.first_seq.saturating_sub(1), hash, checks_total, writer_epoch: 0 };
    let anchored = start.first_seq == 1 || start.prev_footer != NO_FOOTER;
    (position, Tally { anchored, ..Tally::new(&position, Some(start.prev_footer)) })
}

/// The hash of the footer right after the snapshot's frame, if it can be read, and whether it vouches for the frame.
fn footer_before(ground: &Ground<'_>, header: &SnapshotHeader) -> Result<(Option<FooterHash>, bool), OpenError> {
    let found =
        ground.entries.iter().find(|entry| entry.last == Some(header.seq) && entry.first == header.segment.first_seq);
    let Some(mut entry) = found.cloned() else { return Ok((None, false)) };
    let mut reader = ground.segments_dir.open(&mut entry)?;
    let footer = match reader.at(header.offset) {
        Ok(At::Footer(bytes)) => Footer::decode(bytes).ok(),
        Ok(At::End | At::Frame(_) | At::Fault(_)) => None,
        Err(error) => return Err(OpenError::io("read", ground.segments_dir.show(&entry), error)),
    };
    let linked = footer.is_some_and(|footer| footer.last_hash == header.frame_hash);
    Ok((footer.filter(|_| linked).map(|footer| footer.hash()), linked))
}
