//! The mirrors database in a directory of one process, for installations without a shared one.
//!
//! Owns the directory, its lock, and the order "durable, then visible": a write goes to sled and is flushed to disk on a
//! blocking thread, then appears in the table that answers reads. Reads never touch the disk. It does not share the
//! directory with a second process: who needs that needs a real database.
//!
//! ```text
//! <path>/LOCK    held exclusively while open
//! <path>/items/  sled; key = partition, 0x00, item key; value = see `stored`
//! ```

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use async_trait::async_trait;
use bytes::Bytes;

use super::table::Table;
use super::{Expect, Item, Items, OPEN_TIMEOUT, Page, PutError};
use crate::engine::ports::{Fault, FaultKind};

mod stored;

/// Entries of one sled leaf. Small, because a flush writes whole leaves and summaries are big.
const FANOUT: usize = 4;
/// sled's cache: the table holds everything already.
const CACHE_BYTES: usize = 1 << 20;
/// The zstd level: what is stored is small.
const COMPRESSION: i32 = 1;

type Db = sled::Db<FANOUT>;

/// Why the directory cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory cannot be made, read or written.
    #[error(
        "the mirrors database {path} cannot be used; mirrors_database.local.path must be a directory that this user can \
         write, on a volume that is not read-only"
    )]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Another process has it open.
    #[error(
        "the mirrors database {path} is in use by another process; stop that one, or give this one a \
         mirrors_database.local.path of its own"
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The store in it does not open or holds what cannot be read.
    #[error(
        "the mirrors database {path} is damaged ({what}); restore the directory from a copy, or move it away and create the mirrors again"
    )]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// The store did not open in time.
    #[error("the mirrors database {path} did not open within {seconds} s; its files are damaged or the disk hangs")]
    TimedOut {
        /// The directory.
        path: PathBuf,
        /// The time allowed, in seconds.
        seconds: u64,
    },
}

/// One partition in a sled store.
pub struct Embedded {
    shared: Arc<Shared>,
    place: String,
}

/// What the blocking threads need.
struct Shared {
    partition: Vec<u8>,
    place: String,
    table: RwLock<Table>,
    writer: Mutex<Writer>,
    /// Released by the system when the process ends.
    _lock: File,
}

/// The one writer at a time.
struct Writer {
    db: Db,
    /// The message of the first failed write. After it nothing is written any more: what is on disk is not known.
    failed: Option<String>,
}

impl Embedded {
    /// Opens or makes the store in the directory `path`, for one organization. Blocking work is done elsewhere.
    ///
    /// # Errors
    /// [`OpenError`], which says what to change.
    pub async fn open(path: &Path, organization_id: &str) -> Result<Self, OpenError> {
        let (done, opened) = tokio::sync::oneshot::channel();
        let (path, owned) = (path.to_owned(), path.to_owned());
        let partition = super::partition(organization_id);
        // A thread of its own, not the runtime's: damaged sled files can make it hang for ever, and the runtime would
        // wait for it at its end.
        let thread = std::thread::Builder::new().name("mirrors-open".to_owned());
        let started = thread.spawn(move || drop(done.send(open(&owned, &partition))));
        started.map_err(|source| OpenError::Unusable { path: path.clone(), source })?;
        match tokio::time::timeout(OPEN_TIMEOUT, opened).await {
            Err(_) => Err(OpenError::TimedOut { path, seconds: OPEN_TIMEOUT.as_secs() }),
            Ok(Err(_)) => Err(OpenError::Damaged { path, what: "its store failed while opening".to_owned() }),
            Ok(Ok(opened)) => opened.map(|shared| Self { place: shared.place.clone(), shared: Arc::new(shared) }),
        }
    }

    /// Runs a change on a blocking thread and waits for it. The change goes on if the caller goes away.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Shared) -> Result<T, PutError> + Send + 'static,
    ) -> Result<T, PutError> {
        let shared = Arc::clone(&self.shared);
        match tokio::task::spawn_blocking(move || change(&shared)).await {
            Ok(result) => result,
            Err(error) => Err(PutError::Fault(fault(&self.place, "write to", format!("the write failed: {error}")))),
        }
    }

    fn read<T>(&self, read: impl FnOnce(&Table) -> T) -> T {
        read(&self.shared.table.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Items for Embedded {
    fn place(&self) -> &str {
        &self.place
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn get(&self, key: &str) -> Result<Option<Item>, Fault> {
        Ok(self.read(|table| table.get(key)))
    }

    async fn query(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, Fault> {
        Ok(self.read(|table| table.query(prefix, after, limit)))
    }

    async fn put(&self, key: &str, value: Bytes, expect: Expect) -> Result<u64, PutError> {
        let key = key.to_owned();
        self.change(move |shared| shared.put(key, value, expect)).await
    }

    async fn delete(&self, key: &str, version: u64) -> Result<(), PutError> {
        let key = key.to_owned();
        self.change(move |shared| shared.delete(&key, version)).await
    }
}

impl Shared {
    fn put(&self, key: String, value: Bytes, expect: Expect) -> Result<u64, PutError> {
        let mut writer = self.writer()?;
        let item = self.read().plan_put(&self.place, &key, value, expect)?;
        let stored = stored::encode(&item);
        writer.durably(&self.place, |db| db.insert(self.stored_key(&key), stored).map(|_| ()))?;
        let version = item.version;
        self.table.write().unwrap_or_else(PoisonError::into_inner).load(key, item);
        Ok(version)
    }

    fn delete(&self, key: &str, version: u64) -> Result<(), PutError> {
        let mut writer = self.writer()?;
        self.read().plan_delete(key, version)?;
        writer.durably(&self.place, |db| db.remove(self.stored_key(key)).map(|_| ()))?;
        self.table.write().unwrap_or_else(PoisonError::into_inner).remove(key);
        Ok(())
    }

    /// The writer, unless a write has failed or panicked before.
    fn writer(&self) -> Result<MutexGuard<'_, Writer>, PutError> {
        let failed = match self.writer.lock() {
            Ok(writer) => match &writer.failed {
                None => return Ok(writer),
                Some(failed) => failed.clone(),
            },
            Err(_) => "the store panicked".to_owned(),
        };
        let message = format!("an earlier write failed ({failed}); restart this process once the disk is in order");
        Err(PutError::Fault(fault(&self.place, "write to", message)))
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn stored_key(&self, key: &str) -> Vec<u8> {
        let mut stored = self.partition.clone();
        stored.extend_from_slice(key.as_bytes());
        stored
    }
}

impl Writer {
    fn durably(&mut self, place: &str, change: impl FnOnce(&Db) -> std::io::Result<()>) -> Result<(), PutError> {
        let done = change(&self.db).and_then(|()| self.db.flush().map(|_| ()));
        done.map_err(|error| {
            self.failed = Some(error.to_string());
            PutError::Fault(fault(place, "write to", error.to_string()))
        })
    }
}

fn fault(place: &str, verb: &str, message: String) -> Fault {
    Fault { kind: FaultKind::Retry, call: format!("{verb} the mirrors database at {place}"), status: None, message }
}

fn open(path: &Path, partition: &str) -> Result<Shared, OpenError> {
    let lock = lock(path)?;
    let config = sled::Config::new()
        .path(path.join("items"))
        .cache_capacity_bytes(CACHE_BYTES)
        .zstd_compression_level(COMPRESSION)
        // Every write is flushed by its writer; sled's own flusher would end the process at its first failure.
        .flush_every_ms(None);
    let db: Db = config.open().map_err(|source| unusable(path, source))?;
    let mut prefix = partition.as_bytes().to_vec();
    prefix.push(0);
    let mut table = Table::default();
    for entry in db.scan_prefix(&prefix) {
        let (key, value) = entry.map_err(|source| unusable(path, source))?;
        let (key, item) = stored::decode(key.get(prefix.len()..).unwrap_or_default(), &value)
            .map_err(|what| OpenError::Damaged { path: path.to_owned(), what: what.to_string() })?;
        table.load(key, item);
    }
    Ok(Shared {
        partition: prefix,
        place: path.display().to_string(),
        table: RwLock::new(table),
        writer: Mutex::new(Writer { db, failed: None }),
        _lock: lock,
    })
}

/// Makes the directory and takes its lock, before sled writes anything into it.
fn lock(path: &Path) -> Result<File, OpenError> {
    std::fs::create_dir_all(path).map_err(|source| unusable(path, source))?;
    let mut options = File::options();
    let file = options.create(true).truncate(false).write(true).open(path.join("LOCK"));
    let file = file.map_err(|source| unusable(path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(unusable(path, source)),
    }
}

fn unusable(path: &Path, source: std::io::Error) -> OpenError {
    match source.kind() {
        std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof => {
            OpenError::Damaged { path: path.to_owned(), what: source.to_string() }
        }
        _ => OpenError::Unusable { path: path.to_owned(), source },
    }
}

#[cfg(test)]
mod tests;
