//! The journal's directory: its files, opening an existing one, creating a new one, and the lock.
//!
//! This module owns the file names and the order in which a new journal is created. `FORMAT` is written last, so a
//! crash before it leaves a directory that is recognized as unfinished and created again. Nothing is created in a
//! directory that holds something else. Records are not read here.

use super::chain::Position;
use super::disk::{Access, Disk, LockGuard, read_small, replace_file};
use super::error::OpenError;
use super::format_file::{FORMAT_BYTES_MAX, FORMAT_NAME, FORMAT_VERSION, Identity, Unusable};
use super::head;
use super::segment::{self, SEGMENT_DIR};
use crate::ids::Seq;

/// The lock, held as long as the journal is open for writing.
pub(super) const LOCK_NAME: &str = "LOCK";
/// The watermark.
pub(super) const HEAD_NAME: &str = "HEAD";
/// The first record's number.
pub(super) const FIRST_SEQ: Seq = 1;

/// The names that an unfinished new journal or a fresh volume may hold.
const HARMLESS: [&str; 9] =
    [LOCK_NAME, HEAD_NAME, "FORMAT.tmp", "seg/", "hot/", "hot.new/", "hot.opening", "lost+found/", "hot.broken.0/"];

/// A journal that exists, is ours, and that no other process has open.
pub(super) struct Entered {
    pub(super) lock: LockGuard,
    pub(super) identity: Identity,
    /// Whether it was created just now.
    pub(super) initialised: bool,
}

/// Enters the journal on `disk`. Creates it with the identity `new` if there is none.
///
/// # Errors
/// The type says what is in the way. Nothing has been created then, or what has been created is recognized as
/// unfinished.
pub(super) fn enter(disk: &dyn Disk, new: Identity) -> Result<Entered, OpenError> {
    if !look(disk)? {
        disk.make_dir("").map_err(|error| OpenError::io("make", disk.show(""), error))?;
    }
    let lock = lock(disk)?;
    // Under the lock, so that two processes that start at once do not both create it.
    if let Some(identity) = read_identity(disk)? {
        // The process that created it may have died just before this sync, and a power cut would then lose FORMAT.
        disk.sync_dir("").map_err(|error| OpenError::io("sync", disk.show(""), error))?;
        return Ok(Entered { lock, identity, initialised: false });
    }
    initialise(disk, new)?;
    Ok(Entered { lock, identity: new, initialised: true })
}

/// Takes the journal's lock.
///
/// # Errors
/// If another process holds it, or any error of the disk.
pub(super) fn lock(disk: &dyn Disk) -> Result<LockGuard, OpenError> {
    let taken = disk.try_lock(LOCK_NAME).map_err(|error| OpenError::io("lock", disk.show(LOCK_NAME), error))?;
    taken.ok_or_else(|| OpenError::InUse { path: disk.show("") })
}

/// Whether the directory exists. An error if nothing may be created in it.
fn look(disk: &dyn Disk) -> Result<bool, OpenError> {
    let names = match disk.list("") {
        Ok(names) => names,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            return Err(OpenError::NotAJournal { path: disk.show(""), found: "a file".to_owned() });
        }
        Err(error) => return Err(OpenError::io("list", disk.show(""), error)),
    };
    if names.iter().any(|name| name == FORMAT_NAME) {
        return Ok(true);
    }
    if let Some(foreign) = names.iter().find(|name| !HARMLESS.contains(&name.as_str())) {
        return Err(OpenError::NotAJournal { path: disk.show(""), found: foreign.clone() });
    }
    if has_records(disk)? {
        return Err(OpenError::FormatDamaged { path: disk.show(FORMAT_NAME) });
    }
    Ok(true)
}

/// Whether a directory without `FORMAT` holds more than an unfinished new journal.
fn has_records(disk: &dyn Disk) -> Result<bool, OpenError> {
    let acknowledged = match disk.open(HEAD_NAME, Access::Read) {
        Ok(file) => head::read(&*file).map_err(|error| OpenError::io("read", disk.show(HEAD_NAME), error))?.newest,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(OpenError::io("open", disk.show(HEAD_NAME), error)),
    };
    if acknowledged.is_some_and(|slot| slot.position.last_seq > 0) {
        return Ok(true);
    }
    match disk.list(SEGMENT_DIR) {
        Ok(names) if names.is_empty() => Ok(false),
        Ok(names) if names == [segment::open_path(FIRST_SEQ).trim_start_matches("seg/")] => {
            let path = segment::open_path(FIRST_SEQ);
            let size = disk.open(&path, Access::Read).and_then(|file| file.size());
            Ok(size.map_err(|error| OpenError::io("open", disk.show(&path), error))? > 0)
        }
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(OpenError::io("list", disk.show(SEGMENT_DIR), error)),
    }
}

/// What `FORMAT` says; `None` if it is missing.
///
/// # Errors
/// If it is damaged, from a newer version, or cannot be read.
pub(super) fn read_identity(disk: &dyn Disk) -> Result<Option<Identity>, OpenError> {
    let path = || disk.show(FORMAT_NAME);
    let bytes = match read_small(disk, FORMAT_NAME, FORMAT_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(OpenError::io("read", path(), error)),
    };
    match Identity::decode(&bytes) {
        Ok(identity) => Ok(Some(identity)),
        Err(Unusable::Damaged) => Err(OpenError::FormatDamaged { path: path() }),
        Err(Unusable::Newer(found)) => Err(OpenError::NewerFormat { path: path(), found, known: FORMAT_VERSION }),
    }
}

fn initialise(disk: &dyn Disk, new: Identity) -> Result<(), OpenError> {
    let failed = |path: &str| {
        let path = disk.show(path);
        move |error| OpenError::io("make", path, error)
    };
    disk.make_dir(SEGMENT_DIR).map_err(failed(SEGMENT_DIR))?;
    let segment = segment::open_path(FIRST_SEQ);
    let mut file = disk.open(&segment, Access::Create).map_err(failed(&segment))?;
    file.sync().and_then(|()| disk.sync_dir(SEGMENT_DIR)).map_err(failed(&segment))?;
    let mut file = disk.open(HEAD_NAME, Access::Create).map_err(failed(HEAD_NAME))?;
    let watermark = head::initial(Position::genesis(new.uuid));
    file.write_at(0, &watermark).and_then(|()| file.sync()).map_err(failed(HEAD_NAME))?;
    // Everything that FORMAT vouches for has to be durable first.
    disk.sync_dir("").map_err(failed(""))?;
    replace_file(disk, "", FORMAT_NAME, &new.encode()).map_err(failed(FORMAT_NAME))
}
