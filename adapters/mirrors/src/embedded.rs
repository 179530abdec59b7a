//! The mirrors database in a directory of one process, for installations without a shared one.
//!
//! Owns the directory, its lock, and the order "durable, then visible": a write goes to sled and is flushed to disk on a
//! blocking thread, then appears in the table that answers reads. Reads never touch the disk. It does not share the
//! directory with a second process: who needs that needs a real database. A store that does not open is set aside
//! (`opening`); what was in it is for whoever has a copy to put back ([`Embedded::lost`]).
//!
//! ```text
//! <path>/LOCK            held exclusively while open
//! <path>/items/          sled; key = partition, 0x00, item key; value = see `stored`
//! <path>/items.opening   there while `items` is being opened: what opening it came to, see `opening`
//! <path>/items.broken.N/ a store that was set aside
//! <path>/items.lost      there from then on until the content was put back: why it was set aside
//! ```

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use lakemirror_ports::{Alarm, Fault, FaultKind};

use super::table::Table;
use super::{Expect, Item, Items, Page, PutError};

mod opening;
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
    /// The store in it was damaged, and there is no copy of what it held.
    #[error(
        "the mirrors database {path} is damaged ({what}), and the journal has no copy of it; restore the directory from a copy, or move it away and create the mirrors again"
    )]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// The store did not open in time.
    #[error(
        "the mirrors database {path} did not open within {seconds} s: start the process again, the next start sets it aside and rebuilds it from the journal"
    )]
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
    path: PathBuf,
    lost: Option<String>,
}

/// What the blocking threads need.
struct Shared {
    partition: Vec<u8>,
    place: String,
    table: RwLock<Table>,
    writer: Mutex<Writer>,
    alarm: Alarm,
    /// Released by the system when the process ends.
    _lock: File,
}

/// The one writer at a time.
struct Writer {
    /// There until it is dropped.
    db: Option<Db>,
    /// The message of the first failed write. After it nothing is written any more: what is on disk is not known.
    failed: Option<String>,
}

impl Embedded {
    /// Opens or makes the store in the directory `path`, for one organization. Blocking work is done elsewhere. A write
    /// that fails later raises `alarm`.
    ///
    /// # Errors
    /// [`OpenError`], which says what to change.
    pub async fn open(path: &Path, organization_id: &str, alarm: Alarm) -> Result<Self, OpenError> {
        let opening::Opened { db, table, partition, lock, lost } =
            opening::open(path, super::partition(organization_id)).await?;
        let place = path.display().to_string();
        let writer = Mutex::new(Writer { db: Some(db), failed: None });
        let shared = Shared { partition, place: place.clone(), table: RwLock::new(table), writer, alarm, _lock: lock };
        Ok(Self { shared: Arc::new(shared), place, path: path.to_owned(), lost })
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why the store was set aside, if it was and its content was not put back yet: what is here now is not all.
    #[must_use]
    pub fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    /// The content is here again: the next opening finds a store like any other.
    ///
    /// # Errors
    /// [`OpenError::Unusable`].
    pub fn restored(&self) -> Result<(), OpenError> {
        opening::forget_loss(&self.path)
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
        writer.durably(self, |db| db.insert(self.stored_key(&key), stored).map(|_| ()))?;
        let version = item.version;
        self.table.write().unwrap_or_else(PoisonError::into_inner).load(key, item);
        Ok(version)
    }

    fn delete(&self, key: &str, version: u64) -> Result<(), PutError> {
        let mut writer = self.writer()?;
        self.read().plan_delete(key, version)?;
        writer.durably(self, |db| db.remove(self.stored_key(key)).map(|_| ()))?;
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
    fn durably(&mut self, shared: &Shared, change: impl FnOnce(&Db) -> std::io::Result<()>) -> Result<(), PutError> {
        let place = &shared.place;
        let db = self.db.as_ref().ok_or_else(|| std::io::Error::other("the store is closed"));
        let done = db.and_then(|db| change(db).and_then(|()| db.flush().map(|_| ())));
        done.map_err(|error| {
            let why = plain(&error);
            shared.alarm.raise(&format!(
                "the mirrors database at {place} cannot be written ({why}): see to the volume, then start again; nothing acknowledged is lost"
            ));
            let message = why.clone();
            self.failed = Some(why);
            PutError::Fault(fault(place, "write to", message))
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Closing flushes, and after a flush that failed the next one waits for ever: the files are left as they are.
        if self.failed.is_some() {
            std::mem::forget(self.db.take());
        }
    }
}

/// What the system said, without sled's own notes, which name its source files.
fn plain(error: &std::io::Error) -> String {
    if error.raw_os_error().is_some() { error.to_string() } else { std::io::Error::from(error.kind()).to_string() }
}

fn fault(place: &str, verb: &str, message: String) -> Fault {
    Fault { kind: FaultKind::Retry, call: format!("{verb} the mirrors database at {place}"), status: None, message }
}

#[cfg(test)]
mod tests;
