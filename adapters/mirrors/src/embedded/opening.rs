//! Opening the directory: its lock, a bound on the time that sled may take, and what becomes of a store that does not
//! open.
//!
//! Damaged files can make sled spin for ever, and a spinning thread cannot be stopped. So a marker file counts the
//! attempts before each open, and says while one takes long that it may hang: a process that finds two attempts, or one
//! that took long, sets the store aside instead of opening it, however the other one ended. So does one that finds the
//! store damaged. The reason stays in a file of its own until the content was put back, so that an empty store is never
//! taken for one without mirrors. The marker needs no sync: it has to outlive a process, not the machine.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tokio::sync::oneshot;

use super::super::table::Table;
use super::super::{OPEN_SLOW_AFTER, OPEN_TIMEOUT};
use super::{CACHE_BYTES, COMPRESSION, Db, OpenError, stored};

const ITEMS: &str = "items";
const MARKER: &str = "items.opening";
const LOST: &str = "items.lost";
const ATTEMPTS_MAX: u8 = 2;
/// In the marker: the last attempt took long or hung.
const HUNG: u8 = u8::MAX;
/// Stores that are set aside beside each other; further ones replace the last.
const ASIDE_MAX: u32 = 100;
/// Bytes of the reason that are read.
const REASON_BYTES_MAX: usize = 4096;

/// What was opened.
pub(super) struct Opened {
    pub(super) db: Db,
    pub(super) table: Table,
    /// What the stored keys begin with.
    pub(super) partition: Vec<u8>,
    pub(super) lock: File,
    /// Why an earlier store was set aside, while its content was not put back.
    pub(super) lost: Option<String>,
}

/// Opens or makes the store in `path`, for the items of `partition`.
pub(super) async fn open(path: &Path, partition: String) -> Result<Opened, OpenError> {
    let (done, mut opened) = oneshot::channel();
    let (path, owned) = (path.to_owned(), path.to_owned());
    // A thread of its own, not the runtime's: it may never end, and the runtime would wait for it at its end.
    let thread = std::thread::Builder::new().name("mirrors-open".to_owned());
    let started = thread.spawn(move || drop(done.send(open_blocking(&owned, &partition))));
    started.map_err(|source| unusable(&path, source))?;
    let mut outcome = tokio::time::timeout(OPEN_SLOW_AFTER, &mut opened).await;
    if outcome.is_err() {
        // Before the long wait: whoever loses patience with this process first may kill it. Without a marker the
        // opening has not begun.
        if path.join(MARKER).exists() {
            mark(&path, HUNG)?;
        }
        outcome = tokio::time::timeout(OPEN_TIMEOUT.saturating_sub(OPEN_SLOW_AFTER), &mut opened).await;
    }
    match outcome {
        Err(_) => Err(OpenError::TimedOut { path, seconds: OPEN_TIMEOUT.as_secs() }),
        Ok(Err(_)) => Err(OpenError::Damaged { path, what: "its store failed while opening".to_owned() }),
        Ok(Ok(opened)) => {
            unmark(&path)?;
            opened
        }
    }
}

fn open_blocking(path: &Path, partition: &str) -> Result<Opened, OpenError> {
    let lock = lock(path)?;
    let mut prefix = partition.as_bytes().to_vec();
    prefix.push(0);
    let attempts = attempts(path)?;
    if attempts >= ATTEMPTS_MAX {
        set_aside(path, "opening it did not end")?;
    } else {
        mark(path, attempts.saturating_add(1))?;
    }
    let (db, table) = match open_store(path, &prefix) {
        Err(OpenError::Damaged { what, .. }) => {
            set_aside(path, &what)?;
            open_store(path, &prefix)?
        }
        opened => opened?,
    };
    Ok(Opened { db, table, partition: prefix, lock, lost: loss(path)? })
}

fn open_store(path: &Path, prefix: &[u8]) -> Result<(Db, Table), OpenError> {
    let config = sled::Config::new()
        .path(path.join(ITEMS))
        .cache_capacity_bytes(CACHE_BYTES)
        .zstd_compression_level(COMPRESSION)
        // Every write is flushed by its writer; sled's own flusher would end the process at its first failure.
        .flush_every_ms(None);
    let db: Db = config.open().map_err(|source| unusable(path, source))?;
    let mut table = Table::default();
    for entry in db.scan_prefix(prefix) {
        let (key, value) = entry.map_err(|source| unusable(path, source))?;
        let (key, item) = stored::decode(key.get(prefix.len()..).unwrap_or_default(), &value)
            .map_err(|what| OpenError::Damaged { path: path.to_owned(), what: what.to_string() })?;
        table.load(key, item);
    }
    Ok((db, table))
}

/// Makes the directory and takes its lock, before sled writes anything into it.
fn lock(path: &Path) -> Result<File, OpenError> {
    fs::create_dir_all(path).map_err(|source| unusable(path, source))?;
    let mut options = File::options();
    let file = options.create(true).truncate(false).write(true).open(path.join("LOCK"));
    let file = file.map_err(|source| unusable(path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(unusable(path, source)),
    }
}

/// Puts the store out of the way. The reason comes first: a crash in between leaves a store that is set aside again.
fn set_aside(path: &Path, why: &str) -> Result<(), OpenError> {
    let failed = |source| unusable(path, source);
    let items = path.join(ITEMS);
    if !items.try_exists().map_err(failed)? {
        return unmark(path);
    }
    let aside = (0..ASIDE_MAX).map(|number| path.join(format!("{ITEMS}.broken.{number}")));
    let aside: Vec<PathBuf> = aside.collect();
    let free = aside.iter().find(|aside| !aside.exists()).or(aside.last()).cloned().unwrap_or_default();
    if free.exists() {
        fs::remove_dir_all(&free).map_err(failed)?;
    }
    let text = format!("{why}; the damaged files are in {}", free.display());
    let reason = File::create(path.join(LOST)).and_then(|mut file| {
        io::Write::write_all(&mut file, text.as_bytes())?;
        file.sync_all()
    });
    reason.map_err(failed)?;
    rename(&items, &free).and_then(|()| File::open(path)?.sync_all()).map_err(failed)?;
    unmark(path)
}

#[expect(clippy::disallowed_methods, reason = "nothing is replaced, and the caller syncs the directory")]
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

fn loss(path: &Path) -> Result<Option<String>, OpenError> {
    match fs::read(path.join(LOST)) {
        Ok(mut reason) => {
            reason.truncate(REASON_BYTES_MAX);
            Ok(Some(String::from_utf8_lossy(&reason).into_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(path, error)),
    }
}

/// What was lost is here again.
pub(super) fn forget_loss(path: &Path) -> Result<(), OpenError> {
    let removed = remove(&path.join(LOST)).and_then(|()| File::open(path)?.sync_all());
    removed.map_err(|source| unusable(path, source))
}

fn attempts(path: &Path) -> Result<u8, OpenError> {
    match fs::read(path.join(MARKER)) {
        Ok(bytes) => Ok(bytes.first().copied().unwrap_or(0)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(unusable(path, error)),
    }
}

fn mark(path: &Path, attempts: u8) -> Result<(), OpenError> {
    fs::write(path.join(MARKER), [attempts]).map_err(|source| unusable(path, source))
}

fn unmark(path: &Path) -> Result<(), OpenError> {
    remove(&path.join(MARKER)).map_err(|source| unusable(path, source))
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn unusable(path: &Path, source: io::Error) -> OpenError {
    match source.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            OpenError::Damaged { path: path.to_owned(), what: super::plain(&source) }
        }
        _ => OpenError::Unusable { path: path.to_owned(), source },
    }
}
