//! The hot store on sled, pinned to one release, with the precautions that this release needs.
//!
//! - One tree with keys `0x01 | first record's number, big endian`, so that the order is by number.
//! - No flusher thread: the one writer calls `flush`, once per frame.
//! - Opening runs on a thread with a deadline, because a damaged metadata log makes it spin forever. A spinning thread
//!   cannot be stopped, so the process has to end. Other damage makes sled panic, which ends a release build. Therefore
//!   a marker file counts the attempts before each open, and notes that an open that takes long may hang. A process that
//!   finds two attempts, or one that took long, does not open the store again but moves it aside, however the earlier
//!   process ended. The marker needs no sync: it has to survive a process, not the machine.
//! - A failed flush leaves its epoch open, and the next one waits for it forever; closing a store flushes. Therefore a
//!   store that has failed, or has changes that were not flushed, is never closed: its files and lock stay as they are
//!   until the process ends. Nothing that it holds beyond its last flush was acknowledged.
//! - Opening runs the external program `sync` (twice; sled does that). Without that program it only logs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::{HotError, HotOpener, HotStore};
use crate::ids::Seq;
use crate::log::disk::real::RealDisk;
use crate::log::disk::{Access, Disk, read_small};

/// Entries in a leaf. Small, because sled rewrites whole leaves and our values are whole frames. Fixed at creation.
const LEAF_FANOUT: usize = 4;
/// sled's read cache. It is small because we rarely read.
const CACHE_BYTES: usize = 1024 * 1024;
/// The fastest level: frames stay here for a short time, and compressing digests took a tenth of a commit's time.
const ZSTD_LEVEL: i32 = -7;
/// Each try takes some milliseconds.
const OPEN_TRIES: usize = 20;
const FRAME_PREFIX: u8 = 0x01;
const HOT_DIR: &str = "hot";
const NEW_DIR: &str = "hot.new";
const MARKER: &str = "hot.opening";
/// A key outside the keys of frames. A store that has it was created completely.
const MADE_KEY: &[u8] = &[0];
const ATTEMPTS_MAX: u8 = 2;
/// The marker's first byte if the last attempt took long or hung.
const HUNG: u8 = u8::MAX;
/// An open that takes longer than this may hang. An intact store takes milliseconds; moving one aside without need
/// costs its rebuild.
const SLOW_AFTER: Duration = Duration::from_secs(2);

type Db = sled::Db<LEAF_FANOUT>;

/// Opens `<journal>/hot`.
#[derive(Debug)]
pub struct SledOpener {
    disk: RealDisk,
    dir: PathBuf,
    open_seconds_max: u64,
}

impl SledOpener {
    /// For the journal in `journal_dir`. Opening times out after `open_seconds_max`.
    #[must_use]
    pub fn new(journal_dir: &Path, open_seconds_max: u64) -> Self {
        Self { disk: RealDisk::new(journal_dir), dir: journal_dir.join(HOT_DIR), open_seconds_max }
    }

    fn attempts(&self) -> io::Result<u8> {
        match read_small(&self.disk, MARKER, 1) {
            Ok(bytes) => Ok(bytes.first().copied().unwrap_or(0)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn mark(&self, attempts: u8) -> io::Result<()> {
        self.disk.open(MARKER, Access::Create)?.write_at(0, &[attempts])
    }

    fn unmark(&self) -> io::Result<()> {
        match self.disk.remove(MARKER) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Refuses symbolic links, which sled would follow, because it opens its files by name.
    fn refuse_links(&self) -> io::Result<()> {
        self.disk.refuse_links(HOT_DIR)?;
        self.disk.refuse_links(NEW_DIR)
    }

    /// Creates a store under another name and renames it when it is complete. A process that is killed during sled's
    /// first writes leaves a store on which sled panics ("had no minimum node").
    fn make(&self) -> Result<(), HotError> {
        let there = self.disk.list("")?;
        if there.iter().any(|name| name.trim_end_matches('/') == HOT_DIR) {
            return Ok(());
        }
        let new = self.dir.with_file_name(NEW_DIR);
        if there.iter().any(|name| name.trim_end_matches('/') == NEW_DIR) {
            std::fs::remove_dir_all(&new)?;
        }
        self.disk.make_dir(NEW_DIR)?;
        let mut store = SledStore::new(open_and_walk(&new)?);
        store.change(|db| db.insert(MADE_KEY, MADE_KEY).map(drop))?;
        store.flush()?;
        drop(store);
        self.disk.rename(NEW_DIR, HOT_DIR)?;
        Ok(self.disk.sync_dir("")?)
    }

    fn open_by_deadline(&self) -> Result<Db, HotError> {
        let (give, take) = mpsc::sync_channel(1);
        let dir = self.dir.clone();
        let open = move || {
            // A receiver that has timed out is no reason to fail: the process is about to end.
            let _ = give.send(open_and_walk(&dir));
        };
        thread::Builder::new().name("hot-open".to_owned()).spawn(open)?;
        let patience = Duration::from_secs(self.open_seconds_max);
        let mut opened = take.recv_timeout(patience.min(SLOW_AFTER));
        if matches!(opened, Err(RecvTimeoutError::Timeout)) {
            // Before the long wait: a supervisor that loses patience may kill the process during it.
            self.mark(HUNG)?;
            opened = take.recv_timeout(patience.saturating_sub(SLOW_AFTER));
        }
        match opened {
            Ok(opened) => Ok(opened.map_err(plain)?),
            Err(RecvTimeoutError::Timeout) => Err(HotError::Hung { seconds: self.open_seconds_max }),
            Err(RecvTimeoutError::Disconnected) => Err(HotError::Panicked),
        }
    }
}

/// We hold the journal's lock, so sled's own lock is held for a moment at most: a child process that another thread is
/// starting (sled itself starts one) shares the files of a store that was closed meanwhile.
fn open_unlocked(config: &sled::Config) -> io::Result<Db> {
    for _ in 1..OPEN_TRIES {
        match config.open() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::yield_now(),
            opened => return opened,
        }
    }
    config.open()
}

fn open_and_walk(dir: &Path) -> io::Result<Db> {
    let config = sled::Config::new()
        .path(dir)
        .flush_every_ms(None)
        .cache_capacity_bytes(CACHE_BYTES)
        .zstd_compression_level(ZSTD_LEVEL);
    let db = open_unlocked(&config)?;
    // Damage can also make reading spin, so everything is read once within the deadline.
    for entry in db.iter() {
        entry?;
    }
    Ok(db)
}

impl HotOpener for SledOpener {
    fn open(&mut self) -> Result<Box<dyn HotStore>, HotError> {
        let attempts = self.attempts()?;
        if attempts >= ATTEMPTS_MAX {
            return Err(HotError::Deadly { attempts: u32::from(if attempts == HUNG { 1 } else { attempts }) });
        }
        self.refuse_links()?;
        self.make()?;
        self.mark(attempts.saturating_add(1))?;
        let opened = self.open_by_deadline();
        match &opened {
            // The marker stays, so that the next process does not wait again.
            Err(HotError::Hung { .. }) => {}
            _ => self.unmark()?,
        }
        Ok(Box::new(SledStore::new(opened?)))
    }

    fn set_aside(&mut self, label: u64) -> io::Result<Option<String>> {
        let aside = format!("{HOT_DIR}.broken.{label}");
        let moved = match self.disk.rename(HOT_DIR, &aside) {
            Ok(()) => Some(aside),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        self.disk.sync_dir("")?;
        self.unmark()?;
        Ok(moved)
    }
}

/// An open store. It is closed only if everything is flushed and nothing has failed.
struct SledStore {
    /// Present until the drop.
    db: Option<Db>,
    is_flushed: bool,
}

impl SledStore {
    fn new(db: Db) -> Self {
        Self { db: Some(db), is_flushed: true }
    }

    fn db(&self) -> Result<&Db, HotError> {
        self.db.as_ref().ok_or_else(|| io::Error::other("the hot store is closed").into())
    }

    fn change(&mut self, change: impl FnOnce(&Db) -> io::Result<()>) -> Result<(), HotError> {
        self.is_flushed = false;
        Ok(change(self.db()?).map_err(plain)?)
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        if !self.is_flushed {
            std::mem::forget(self.db.take());
        }
    }
}

/// The operating system's error without sled's notes, which name its source files.
fn plain(error: io::Error) -> io::Error {
    if error.raw_os_error().is_some() { error } else { error.kind().into() }
}

fn key(first_seq: Seq) -> [u8; 9] {
    let mut key = [0; 9];
    let number = std::iter::once(FRAME_PREFIX).chain(first_seq.to_be_bytes());
    key.iter_mut().zip(number).for_each(|(to, from)| *to = from);
    key
}

fn number(key: &[u8]) -> Option<Seq> {
    let (&prefix, number) = key.split_first()?;
    let number = number.try_into().ok()?;
    (prefix == FRAME_PREFIX).then(|| Seq::from_be_bytes(number))
}

impl HotStore for SledStore {
    fn insert(&mut self, first_seq: Seq, frame: &[u8]) -> Result<(), HotError> {
        self.change(|db| db.insert(key(first_seq), frame).map(drop))
    }

    fn remove(&mut self, first_seq: Seq) -> Result<(), HotError> {
        self.change(|db| db.remove(key(first_seq)).map(drop))
    }

    fn flush(&mut self) -> Result<(), HotError> {
        self.change(|db| db.flush().map(drop))?;
        self.is_flushed = true;
        Ok(())
    }

    fn get(&self, first_seq: Seq) -> Result<Option<Vec<u8>>, HotError> {
        let found = self.db()?.get(key(first_seq)).map_err(plain)?;
        Ok(found.map(|value| value.to_vec()))
    }

    fn each(&self, visit: &mut dyn FnMut(Seq, &[u8])) -> Result<(), HotError> {
        for entry in self.db()?.range(key(0)..=key(Seq::MAX)) {
            let (key, frame) = entry.map_err(plain)?;
            if let Some(first_seq) = number(&key) {
                visit(first_seq, &frame);
            }
        }
        Ok(())
    }
}
