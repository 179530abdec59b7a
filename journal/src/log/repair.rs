//! Repairs a journal after a loss that an operator has accepted. This is the only place that gives up acknowledged
//! records.
//!
//! This module owns what an opening refuses to do: cutting the chain where both copies end, and rebuilding HEAD.
//! Nothing is deleted; whatever is cut or in the way is kept as `.broken`. The caller provides the record of the loss.
//! It is written to the disk (`loss`) before anything is cut, and the next opening commits it before anything else.
//! After a crash at any step a second call does the rest. HEAD is written last, so until then an opening refuses as
//! before.

use std::io;
use std::path::Path;

use super::catalog::{Entry, SegmentDir, Stage};
use super::chain::Position;
use super::disk::real::RealDisk;
use super::disk::{Access, Disk};
use super::error::OpenError;
use super::frame::RECORD_BYTES_LIMIT;
use super::head::{self, HEAD_BYTES, Slot};
use super::hot::sled_store::SledOpener;
use super::layout::{self, HEAD_NAME};
use super::loss::{self, Acknowledgement, Note, Noted};
use super::recovery::{Scanned, save, survey};
use super::replay::Replay;
use super::segment::{self, At, SEGMENT_DIR};
use super::snapshot::{self, SNAPSHOT_DIR};
use super::{Options, Ports};
use crate::ids::Seq;

/// What was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The first and the last record that were acknowledged and are lost; `None` if only HEAD was lost.
    pub lost: Option<(Seq, Seq)>,
    /// Both slots of HEAD were bad. All records that exist now count as acknowledged.
    pub head_rebuilt: bool,
    /// The last record that exists.
    pub end: Seq,
    /// Copies of what was cut, and files that were moved aside.
    pub saved_as: Vec<String>,
}

/// Why nothing was given up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// There is no journal.
    #[error("{path} holds no journal: give the directory that `run` uses")]
    NoJournal {
        /// The directory.
        path: String,
    },
    /// The fault cannot be repaired by giving up records.
    #[error(transparent)]
    Unsound(#[from] OpenError),
    /// The caller has no record of the loss.
    #[error("the record of the loss cannot be made: nothing was changed")]
    Record(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Creates the record of the loss. `saved_as` is not known yet.
pub type MakeRecord<'a> = dyn Fn(&Accepted) -> Result<Acknowledgement, Box<dyn std::error::Error + Send + Sync>> + 'a;

/// Repairs the journal in `dir` so that it opens, if the reason is that acknowledged records or HEAD are lost. `None`
/// if there is nothing to accept; nothing was changed then. `replay` judges the snapshots, as at an opening. The next
/// opening commits the record that `record` creates; after a crash it is that of the first call.
///
/// # Errors
/// If the journal is in use, or the fault is another one.
pub fn accept_loss(
    dir: &Path,
    options: &Options,
    replay: &mut dyn Replay,
    record: &MakeRecord<'_>,
) -> Result<Option<Accepted>, RepairError> {
    let hot = SledOpener::new(dir, options.hot_open_seconds_max);
    let mut ports = Ports { disk: Box::new(RealDisk::new(dir)), hot: Box::new(hot) };
    accept_loss_on(&mut ports, options, replay, record)
}

/// As [`accept_loss`], on other ports.
///
/// # Errors
/// As [`accept_loss`].
pub fn accept_loss_on(
    ports: &mut Ports,
    options: &Options,
    replay: &mut dyn Replay,
    record: &MakeRecord<'_>,
) -> Result<Option<Accepted>, RepairError> {
    let no_journal = || RepairError::NoJournal { path: ports.disk.show("") };
    let identity = layout::read_identity(&*ports.disk)?.ok_or_else(no_journal)?;
    let _lock = layout::lock(&*ports.disk)?;
    let slot = read_slot(&*ports.disk)?;
    let noted = loss::read(&*ports.disk)?;
    let genesis = Position::genesis(identity.uuid);
    let found = look(ports, options, slot, genesis, replay)?;
    let disk = &*ports.disk;
    let label = slot.map_or(0, |slot| slot.generation);
    let Some((scanned, lost)) = found else { return only_noted(disk, slot, noted, record) };
    let mut saved_as = Vec::new();
    if matches!(noted, Noted::Damaged) {
        saved_as.push(loss::copy_aside(disk, label)?);
    }
    let note = match noted {
        // A previous call came this far and knew more: the files that it moved aside are no longer in place.
        Noted::Note(note) if note.is_next_after(&scanned.end) => note,
        _ => take_note(disk, &scanned.end, lost, slot.is_none(), record)?,
    };
    if lost.is_some() || scanned.entry.last.is_some() {
        saved_as.extend(Cut { disk, label, scanned: &scanned }.all()?);
    }
    write_head(disk, slot, scanned.end)?;
    Ok(Some(Accepted { saved_as, ..accepted(&note) }))
}

fn accepted(note: &Note) -> Accepted {
    let Note { after, lost, head_rebuilt, .. } = *note;
    Accepted { lost, head_rebuilt, end: after, saved_as: Vec::new() }
}

/// Writes down durably what is about to be given up.
fn take_note(
    disk: &dyn Disk,
    end: &Position,
    lost: Lost,
    head_rebuilt: bool,
    record: &MakeRecord<'_>,
) -> Result<Note, RepairError> {
    let giving_up = Accepted { lost, head_rebuilt, end: end.last_seq, saved_as: Vec::new() };
    let record = record(&giving_up).map_err(RepairError::Record)?;
    if record.payload.len() > RECORD_BYTES_LIMIT {
        // No opening could ever commit it.
        return Err(RepairError::Record(format!("it has more than {RECORD_BYTES_LIMIT} bytes").into()));
    }
    let note = Note { after: end.last_seq, frame_hash: end.hash, lost, head_rebuilt, record };
    note.write(disk)?;
    Ok(note)
}

/// Nothing is missing, but the loss that a previous call accepted may still have no record.
fn only_noted(
    disk: &dyn Disk,
    slot: Option<Slot>,
    noted: Noted,
    record: &MakeRecord<'_>,
) -> Result<Option<Accepted>, RepairError> {
    let Some(Slot { generation, position }) = slot else { return Ok(None) };
    match noted {
        Noted::Note(note) if note.is_next_after(&position) => Ok(Some(accepted(&note))),
        Noted::Note(_) | Noted::Nothing => Ok(None),
        Noted::Damaged => {
            let saved_as = vec![loss::copy_aside(disk, generation)?];
            let note = take_note(disk, &position, None, false, record)?;
            Ok(Some(Accepted { saved_as, ..accepted(&note) }))
        }
    }
}

fn read_slot(disk: &dyn Disk) -> Result<Option<Slot>, OpenError> {
    let failed = |error| OpenError::io("read", disk.show(HEAD_NAME), error);
    match disk.open(HEAD_NAME, Access::Read) {
        Ok(file) => Ok(head::read(&*file).map_err(failed)?.newest),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

type Lost = Option<(Seq, Seq)>;

/// How far the chain goes and what is missing behind it; `None` if nothing is.
fn look(
    ports: &mut Ports,
    options: &Options,
    slot: Option<Slot>,
    genesis: Position,
    replay: &mut dyn Replay,
) -> Result<Option<(Scanned, Lost)>, OpenError> {
    // Without HEAD, everything that exists counts as acknowledged, and no frame can disagree.
    let unknown = Position { last_seq: Seq::MAX, ..genesis };
    let Some(slot) = slot else {
        let scanned = survey(ports, options, unknown, genesis, replay)?;
        let last = SegmentDir::new(&*ports.disk, &[]).list()?.iter().filter_map(|entry| entry.last).max().unwrap_or(0);
        let lost = (last > scanned.end.last_seq).then(|| (scanned.end.next_seq(), last));
        return Ok(Some((scanned, lost)));
    };
    let durable = slot.position;
    match survey(ports, options, durable, genesis, replay) {
        Ok(scanned) if scanned.end.last_seq < durable.last_seq => {
            let lost = Some((scanned.end.next_seq(), durable.last_seq));
            Ok(Some((scanned, lost)))
        }
        Ok(_) => Ok(None),
        // The record that was acknowledged under this number is not the one that exists.
        Err(OpenError::HeadDisagrees { seq: 1.., .. }) => {
            let scanned = survey(ports, options, unknown, genesis, replay)?;
            Ok(Some((scanned, Some((durable.last_seq, durable.last_seq)))))
        }
        Err(error) => Err(error),
    }
}

/// Writes both slots, so that neither keeps the previous end.
fn write_head(disk: &dyn Disk, old: Option<Slot>, end: Position) -> Result<(), OpenError> {
    let failed = |error| OpenError::io("write", disk.show(HEAD_NAME), error);
    let mut file = disk.open(HEAD_NAME, Access::Create).map_err(failed)?;
    if file.size().map_err(failed)? != HEAD_BYTES as u64 {
        file.truncate(HEAD_BYTES as u64).map_err(failed)?;
    }
    let generation = old.map_or(0, |slot| slot.generation);
    let writer_epoch = end.writer_epoch.max(old.map_or(0, |slot| slot.position.writer_epoch));
    for ahead in [1, 2] {
        let position = Position { writer_epoch, ..end };
        Slot { generation: generation.saturating_add(ahead), position }.write(&mut *file).map_err(failed)?;
    }
    disk.sync_dir("").map_err(failed)
}

/// Cuts the chain at its end.
struct Cut<'a> {
    disk: &'a dyn Disk,
    label: u64,
    scanned: &'a Scanned,
}

impl Cut<'_> {
    fn failed(&self, action: &'static str, path: &str) -> impl Fn(io::Error) -> OpenError + use<> {
        let path = self.disk.show(path);
        move |error| OpenError::io(action, path.clone(), error)
    }

    fn all(&self) -> Result<Vec<String>, OpenError> {
        let mut saved_as = self.later_segments()?;
        saved_as.extend(self.segment()?);
        saved_as.extend(self.snapshots()?);
        Ok(saved_as)
    }

    /// Moves the newest segment first, so that a crash never leaves a new gap.
    fn later_segments(&self) -> Result<Vec<String>, OpenError> {
        let mut saved_as = Vec::new();
        let entries = SegmentDir::new(self.disk, &[]).list()?;
        for entry in entries.iter().rev().filter(|entry| entry.first > self.scanned.entry.first) {
            // Both forms exist while a segment is compressed.
            let packed = entry.last.map(|last| segment::compressed_path(entry.first, last));
            for path in [Some(entry.path()), packed].iter().flatten() {
                saved_as.extend(self.set_aside(path)?);
            }
        }
        Ok(saved_as)
    }

    /// Makes the segment in which the chain ends the open one.
    fn segment(&self) -> Result<Vec<String>, OpenError> {
        let mut entry = self.scanned.entry.clone();
        let mut saved_as = Vec::new();
        if entry.stage == Stage::Compressed {
            self.unpack(&entry)?;
            entry.stage = Stage::Sealed;
        }
        if let Some(last) = entry.last {
            saved_as.extend(self.set_aside(&segment::compressed_path(entry.first, last))?);
        }
        let (path, end) = (entry.path(), self.scanned.segment_end);
        let mut file = self.disk.open(&path, Access::Create).map_err(self.failed("open", &path))?;
        let size = file.size().map_err(self.failed("read", &path))?;
        if end < size {
            saved_as.push(save(self.disk, &*file, entry.first, (end, size), self.label)?);
            file.truncate(end).map_err(self.failed("cut", &path))?;
        }
        file.sync().map_err(self.failed("sync", &path))?;
        let open = segment::open_path(entry.first);
        if path != open {
            self.disk.rename(&path, &open).map_err(self.failed("rename", &path))?;
        }
        self.disk.sync_dir(SEGMENT_DIR).map_err(self.failed("sync", &path))?;
        Ok(saved_as)
    }

    /// Renames a file, if it exists, so that it is no longer read.
    fn set_aside(&self, path: &str) -> Result<Option<String>, OpenError> {
        let aside = segment::aside_path(path, self.label);
        match self.disk.rename(path, &aside) {
            Ok(()) => self.disk.sync_dir(SEGMENT_DIR).map_err(self.failed("rename", path)).map(|()| Some(aside)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed("rename", path)(error)),
        }
    }

    /// Writes the usable part of a compressed segment uncompressed beside it.
    fn unpack(&self, entry: &Entry) -> Result<(), OpenError> {
        let mut plain = entry.clone();
        plain.stage = Stage::Sealed;
        let (packed, sealed) = (entry.path(), plain.path());
        let temporary = format!("{sealed}.tmp");
        let mut file = self.disk.open(&temporary, Access::Create).map_err(self.failed("unpack", &packed))?;
        file.truncate(0).map_err(self.failed("unpack", &packed))?;
        let mut reader = SegmentDir::new(self.disk, &[]).open(&mut entry.clone())?;
        let mut at = 0;
        while at < self.scanned.segment_end {
            let At::Frame(bytes) = reader.at(at).map_err(self.failed("read", &packed))? else { break };
            file.write_at(at, bytes).map_err(self.failed("unpack", &packed))?;
            at = at.saturating_add(bytes.len() as u64);
        }
        let steps = file.sync().and_then(|()| self.disk.rename(&temporary, &sealed));
        steps.and_then(|()| self.disk.sync_dir(SEGMENT_DIR)).map_err(self.failed("unpack", &packed))
    }

    /// Moves the snapshots of the given-up records aside.
    fn snapshots(&self) -> Result<Vec<String>, OpenError> {
        let listed = snapshot::list(self.disk).map_err(self.failed("list", SNAPSHOT_DIR))?;
        let mut saved_as = Vec::new();
        for seq in listed.into_iter().filter(|&seq| seq > self.scanned.end.last_seq) {
            let path = snapshot::path(seq);
            let aside = segment::aside_path(&path, self.label);
            let renamed = self.disk.rename(&path, &aside).and_then(|()| self.disk.sync_dir(SNAPSHOT_DIR));
            renamed.map_err(self.failed("rename", &path))?;
            saved_as.push(aside);
        }
        Ok(saved_as)
    }
}
