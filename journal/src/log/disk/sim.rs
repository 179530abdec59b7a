//! A disk in memory that forgets: writes are visible at once but durable only when synced, names included.
//!
//! Test support, for this crate and others. [`SimDisk::reboot`] loses unsynced data as [`Survival`] specifies and
//! releases locks; faults come from the shared [`Faults`]. Directories are always durable, names in them are not.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Access, Disk, DiskFile, LockGuard};
use crate::log::fault::{Dice, Faults, Survival};

const SECTOR_BYTES: usize = 512;

#[derive(Debug, Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Truncate(size) => image.resize(*size, 0),
            Self::Write { at, bytes } => write_into(image, *at, bytes),
        }
    }
}

fn write_into(image: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at.saturating_add(bytes.len());
    if image.len() < end {
        image.resize(end, 0);
    }
    if let Some(place) = image.get_mut(at..end) {
        place.copy_from_slice(bytes);
    }
}

#[derive(Debug, Default, Clone)]
struct Inode {
    written: Vec<u8>,
    synced: Vec<u8>,
    pending: Vec<Change>,
}

impl Inode {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.written);
        self.pending.push(change);
    }

    fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.synced);
        }
    }

    fn reboot(&mut self, survival: Survival, dice: &mut Dice) {
        if survival == Survival::Everything {
            // Only the process died: the system still has the data in memory, unsynced.
            self.written = self.synced.clone();
            self.pending.iter().for_each(|change| change.apply(&mut self.written));
            return;
        }
        let pending = std::mem::take(&mut self.pending);
        let last = pending.len().saturating_sub(1);
        for (index, change) in pending.iter().enumerate() {
            match (survival, change) {
                (Survival::Nothing, _) => {}
                (Survival::LastWriteCutAt(cut), Change::Write { at, bytes }) if index == last => {
                    write_into(&mut self.synced, *at, bytes.get(..cut).unwrap_or(bytes));
                }
                (Survival::Everything | Survival::LastWriteCutAt(_), _) => change.apply(&mut self.synced),
                (Survival::Sectors(_), Change::Write { at, bytes }) => {
                    for (piece, start) in bytes.chunks(SECTOR_BYTES).zip((*at..).step_by(SECTOR_BYTES)) {
                        if dice.coin() {
                            write_into(&mut self.synced, start, piece);
                        }
                    }
                }
                (Survival::Sectors(_), Change::Truncate(_)) => {
                    if dice.coin() {
                        change.apply(&mut self.synced);
                    }
                }
            }
        }
        self.written = self.synced.clone();
    }
}

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    dirs: BTreeSet<String>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Renames since the directory was synced. A file system persists both names or neither.
    renames: Vec<(String, String)>,
    /// Held locks, with the boot in which each was taken: a lock from before a crash must not release a later one.
    locked: BTreeMap<String, u64>,
    boot: u64,
}

impl State {
    fn inode(&mut self, id: usize) -> io::Result<&mut Inode> {
        self.inodes.get_mut(id).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn reboot_names(&mut self, survival: Survival, dice: &mut Dice) {
        match survival {
            // Unsynced data stays unsynced: a later crash can lose it.
            Survival::Everything => return,
            Survival::Nothing => self.names = self.durable_names.clone(),
            Survival::LastWriteCutAt(_) => {}
            Survival::Sectors(_) => {
                let paths: BTreeSet<String> = self.names.keys().chain(self.durable_names.keys()).cloned().collect();
                let tied = |path: &String| self.renames.iter().any(|(from, to)| from == path || to == path);
                let mut lost: Vec<String> = Vec::new();
                lost.extend(paths.iter().filter(|path| !tied(path)).filter(|_| dice.coin()).cloned());
                for (from, to) in &self.renames {
                    if dice.coin() {
                        lost.extend([from.clone(), to.clone()]);
                    }
                }
                for path in lost {
                    match self.durable_names.get(&path) {
                        Some(&id) => self.names.insert(path, id),
                        None => self.names.remove(&path),
                    };
                }
            }
        }
        self.renames.clear();
        self.durable_names = self.names.clone();
    }

    fn used(&self) -> u64 {
        self.names.values().filter_map(|&id| self.inodes.get(id)).map(|inode| inode.written.len() as u64).sum()
    }
}

/// The simulated disk. Cloning shares it: a clone is another mount of the same disk.
#[derive(Debug, Clone, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    faults: Faults,
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

impl SimDisk {
    /// An empty disk whose faults come from `faults`.
    #[must_use]
    pub fn new(faults: &Faults) -> Self {
        Self { state: Arc::default(), faults: faults.clone() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Restarts the machine after it stopped or was switched off. Unsynced data is lost as `survival` specifies.
    pub fn reboot(&self, survival: Survival) {
        let mut state = self.state();
        let mut dice = Dice(if let Survival::Sectors(seed) = survival { seed } else { 0 });
        state.inodes.iter_mut().for_each(|inode| inode.reboot(survival, &mut dice));
        state.reboot_names(survival, &mut dice);
        state.locked.clear();
        state.boot += 1;
    }

    /// The bytes of a file that are visible now, if it exists.
    #[must_use]
    pub fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let mut state = self.state();
        let id = *state.names.get(path)?;
        state.inode(id).ok().map(|inode| inode.written.clone())
    }

    /// Sets a file's bytes durably, past all faults: damage, or a file that another process put there.
    pub fn put(&self, path: &str, bytes: Vec<u8>) {
        let mut state = self.state();
        state.inodes.push(Inode { written: bytes.clone(), synced: bytes, pending: Vec::new() });
        let id = state.inodes.len() - 1;
        state.names.insert(path.to_owned(), id);
        state.durable_names.insert(path.to_owned(), id);
    }

    /// Whether everything that was written to files is synced.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.state().inodes.iter().all(|inode| inode.pending.is_empty())
    }

    /// Paths of all files.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }
}

impl Disk for SimDisk {
    fn show(&self, path: &str) -> String {
        format!("sim:{path}")
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.faults.look()?;
        let state = self.state();
        if !dir.is_empty() && !state.dirs.contains(dir) {
            return Err(ErrorKind::NotFound.into());
        }
        let leaf = |path: &String| path.rsplit('/').next().unwrap_or_default().to_owned();
        let files = state.names.keys().filter(|path| parent(path) == dir).map(leaf);
        let dirs = state.dirs.iter().filter(|path| parent(path) == dir).map(|path| format!("{}/", leaf(path)));
        let mut all: Vec<String> = files.chain(dirs).collect();
        all.sort();
        Ok(all)
    }

    fn open(&self, path: &str, access: Access) -> io::Result<Box<dyn DiskFile>> {
        self.faults.look()?;
        let known = self.state().names.get(path).copied();
        let id = match (known, access) {
            (Some(id), _) => id,
            (None, Access::Create) => {
                self.faults.step("create", path)?;
                let mut state = self.state();
                if !parent(path).is_empty() && !state.dirs.contains(parent(path)) {
                    return Err(ErrorKind::NotFound.into());
                }
                state.inodes.push(Inode::default());
                let id = state.inodes.len() - 1;
                state.names.insert(path.to_owned(), id);
                id
            }
            (None, Access::Read | Access::Write) => return Err(ErrorKind::NotFound.into()),
        };
        Ok(Box::new(SimFile { disk: self.clone(), id, path: path.to_owned() }))
    }

    fn make_dir(&self, path: &str) -> io::Result<()> {
        self.faults.step("make directory", path)?;
        if !path.is_empty() {
            self.state().dirs.insert(path.to_owned());
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.faults.step("rename to", to)?;
        let mut state = self.state();
        let id = state.names.remove(from).ok_or(ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), id);
        state.renames.push((from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.faults.step("remove", path)?;
        self.state().names.remove(path).map(|_| ()).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.faults.step("sync directory", dir)?;
        let mut state = self.state();
        let State { names, durable_names, renames, .. } = &mut *state;
        renames.retain(|(from, _)| parent(from) != dir);
        durable_names.retain(|path, _| parent(path) != dir);
        durable_names
            .extend(names.iter().filter(|(path, _)| parent(path) == dir).map(|(path, id)| (path.clone(), *id)));
        Ok(())
    }

    fn try_lock(&self, path: &str) -> io::Result<Option<LockGuard>> {
        self.open(path, Access::Create)?;
        let mut state = self.state();
        if state.locked.contains_key(path) {
            return Ok(None);
        }
        let boot = state.boot;
        state.locked.insert(path.to_owned(), boot);
        Ok(Some(Box::new(SimLock { disk: self.clone(), path: path.to_owned(), boot })))
    }
}

struct SimLock {
    disk: SimDisk,
    path: String,
    boot: u64,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.locked.get(&self.path) == Some(&self.boot) {
            state.locked.remove(&self.path);
        }
    }
}

struct SimFile {
    disk: SimDisk,
    id: usize,
    /// The name under which the file was opened.
    path: String,
}

impl DiskFile for SimFile {
    fn size(&self) -> io::Result<u64> {
        self.disk.faults.look()?;
        Ok(self.disk.state().inode(self.id)?.written.len() as u64)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.disk.faults.look()?;
        let mut state = self.disk.state();
        let image = &state.inode(self.id)?.written;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let from = image.get(start..).unwrap_or_default();
        into.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        Ok(from.len().min(into.len()))
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(|_| ErrorKind::FileTooLarge)?;
        let stepped = self.disk.faults.step("write", &self.path);
        let mut state = self.disk.state();
        let grows = at.saturating_add(bytes.len()).saturating_sub(state.inode(self.id)?.written.len()) as u64;
        let full = self.disk.faults.capacity().is_some_and(|capacity| state.used().saturating_add(grows) > capacity);
        let inode = state.inode(self.id)?;
        match stepped {
            // A crash during a write: the write is pending, and `reboot` decides how much of it survives.
            Err(error) if self.disk.faults.crashed() => {
                inode.pending.push(Change::Write { at, bytes: bytes.to_vec() });
                Err(error)
            }
            Err(error) => {
                inode.change(Change::Write { at, bytes: bytes.get(..bytes.len() / 2).unwrap_or_default().to_vec() });
                Err(error)
            }
            Ok(()) if full => {
                self.disk.faults.count_failure();
                inode.change(Change::Write { at, bytes: bytes.get(..bytes.len() / 2).unwrap_or_default().to_vec() });
                Err(ErrorKind::StorageFull.into())
            }
            Ok(()) => {
                inode.change(Change::Write { at, bytes: bytes.to_vec() });
                Ok(())
            }
        }
    }

    fn truncate(&mut self, size: u64) -> io::Result<()> {
        self.disk.faults.step("truncate", &self.path)?;
        let size = usize::try_from(size).map_err(|_| ErrorKind::FileTooLarge)?;
        self.disk.state().inode(self.id)?.change(Change::Truncate(size));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.faults.step("sync", &self.path)?;
        self.disk.state().inode(self.id)?.sync();
        Ok(())
    }
}
