//! The file that persists a sandbox's state: one line per acknowledged change, appended before the response. [`Kept`]
//! defines the state.
//!
//! ```text
//! 8 hexadecimal digits (CRC-32C of what follows the space) SP JSON array of changes LF
//! ```
//!
//! A process that is killed while it appends leaves a last line without its end or with a wrong checksum: that change
//! was not acknowledged, and the next start truncates it. An invalid line anywhere else is damage and an error. At each
//! start the file is replaced by a compacted one through a temporary file and a rename. Nothing is synced unless
//! [`Durability::Disk`] is set: the state survives the end of the process, not of the machine.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::model::State;
use super::mutation::Mutation;

/// Maximum length of a line. A larger change is refused.
const LINE_BYTES_MAX: usize = 64 << 20;
/// Number of changes in one line of a compacted log.
const CHANGES_PER_LINE: usize = 1000;

/// A state that a log persists.
pub trait Kept: Default {
    /// One change; a line has one or more.
    type Change: Serialize + DeserializeOwned;

    /// Applies one change.
    fn apply(&mut self, change: Self::Change);

    /// The changes that lead to this state from an empty one.
    fn changes(&self) -> Vec<Self::Change>;
}

impl Kept for State {
    type Change = Mutation;

    fn apply(&mut self, change: Mutation) {
        Self::apply(self, change);
    }

    fn changes(&self) -> Vec<Mutation> {
        self.mutations()
    }
}

/// What an acknowledged change survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The end of the process at any time.
    #[default]
    Process,
    /// Power loss as well: every change waits for the disk.
    Disk,
}

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// A file could not be read or written.
    #[error("sandbox state in {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A line before the last one is damaged.
    #[error(
        "sandbox state in {path} is damaged at byte {offset}: restore the file from a copy, or start over in an empty directory"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damaged line begins.
        offset: usize,
    },
    /// A change is too large for a line.
    #[error("a change of {bytes} bytes is more than the {LINE_BYTES_MAX} that one line of {path} holds")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The size of the change.
        bytes: usize,
    },
    /// An earlier write failed; nothing is written until the next start.
    #[error("an earlier write to {path} failed: restart the sandbox")]
    Poisoned {
        /// The file.
        path: PathBuf,
    },
}

/// The open log.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    durability: Durability,
    poisoned: bool,
}

impl Log {
    /// Reads the log at `path` (empty if it does not exist), compacts it and opens it for appending.
    ///
    /// # Errors
    /// [`LogError::Io`], and [`LogError::Damaged`] for anything other than a torn last line.
    #[expect(clippy::disallowed_methods, reason = "the sandbox survives its process, not the machine, unless asked to")]
    pub fn open<S: Kept>(path: &Path, durability: Durability) -> Result<(Self, S), LogError> {
        let io = |source| LogError::Io { path: path.to_owned(), source };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(io(error)),
        };
        let state: S = replay(&bytes).map_err(|offset| LogError::Damaged { path: path.to_owned(), offset })?;
        drop(bytes);
        let fresh = path.with_extension("new");
        write_compacted(&fresh, &state).map_err(io)?;
        fs::rename(&fresh, path).map_err(io)?;
        if let Some(folder) = path.parent() {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
        }
        let file = OpenOptions::new().append(true).open(path).map_err(io)?;
        Ok((Self { path: path.to_owned(), file, durability, poisoned: false }, state))
    }

    /// Appends one change atomically.
    ///
    /// # Errors
    /// After a failed write, every later one fails, too.
    pub fn append<C: Serialize>(&mut self, changes: &[C]) -> Result<(), LogError> {
        if self.poisoned {
            return Err(LogError::Poisoned { path: self.path.clone() });
        }
        let line = line(changes).map_err(|error| self.failed(error))?;
        if line.len() > LINE_BYTES_MAX {
            return Err(LogError::TooLarge { path: self.path.clone(), bytes: line.len() });
        }
        self.file.write_all(&line).map_err(|error| self.failed(error))?;
        if self.durability == Durability::Disk {
            self.file.sync_data().map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    fn failed(&mut self, source: io::Error) -> LogError {
        self.poisoned = true;
        LogError::Io { path: self.path.clone(), source }
    }
}

fn line<C: Serialize>(changes: &[C]) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(changes)?;
    let mut line = format!("{:08x} ", crc32c::crc32c(&json)).into_bytes();
    line.extend_from_slice(&json);
    line.push(b'\n');
    Ok(line)
}

fn write_compacted<S: Kept>(path: &Path, state: &S) -> io::Result<()> {
    let mut out = io::BufWriter::new(File::create(path)?);
    for chunk in state.changes().chunks(CHANGES_PER_LINE) {
        out.write_all(&line(chunk)?)?;
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// Applies every line. The error is the offset of a damaged line that is not the last.
fn replay<S: Kept>(bytes: &[u8]) -> Result<S, usize> {
    let mut state = S::default();
    let mut offset = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let last = offset + line.len() == bytes.len();
        match parse::<S::Change>(line) {
            Some(changes) => changes.into_iter().for_each(|change| state.apply(change)),
            None if last => break,
            None => return Err(offset),
        }
        offset += line.len();
    }
    Ok(state)
}

fn parse<C: DeserializeOwned>(line: &[u8]) -> Option<Vec<C>> {
    let line = line.strip_suffix(b"\n")?;
    let (checksum, json) = line.split_at_checked(9)?;
    let checksum = std::str::from_utf8(checksum.strip_suffix(b" ")?).ok()?;
    let checksum = u32::from_str_radix(checksum, 16).ok()?;
    (checksum == crc32c::crc32c(json)).then(|| serde_json::from_slice(json).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::model::{Addressing, Entry, Repository};
    use crate::sandbox::mutation::Forget;

    fn history() -> Vec<Vec<Mutation>> {
        let uid = || "u1".to_owned();
        let entry = Entry {
            address: "data/a/b".into(),
            addressing: Addressing::Relative,
            mtime: 5,
            mtime_nanos: 6,
            size: 7,
            checksum: "c".into(),
            content_type: "text/plain".into(),
            metadata: [("k".to_owned(), "v\n".to_owned())].into(),
        };
        let repository = Repository {
            name: "r".into(),
            uid: uid(),
            storage_namespace: "local://r".into(),
            default_branch: "main".into(),
            creation_date: 1,
            read_only: false,
            in_deletion: false,
        };
        let branch = || "main".to_owned();
        vec![
            vec![Mutation::Install { installation: "i".into(), created: 1 }],
            vec![
                Mutation::PutRepository(repository),
                Mutation::PutBranch { uid: uid(), name: branch(), head: "c0".into(), hidden: true },
            ],
            vec![Mutation::Stage { uid: uid(), branch: branch(), path: "ü".into(), entry: Some(entry) }],
            vec![Mutation::Seal { uid: uid(), branch: branch() }],
            vec![Mutation::Stage { uid: uid(), branch: branch(), path: "gone".into(), entry: None }],
            vec![Mutation::MoveBranch { uid: uid(), name: branch(), head: "c1".into(), forget: Forget::Nothing }],
            vec![Mutation::PutTag { uid: uid(), name: "t".into(), commit: "c1".into() }],
        ]
    }

    #[test]
    fn log_truncated_at_any_byte_opens_with_complete_changes_only() {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = Vec::new();
        let mut states = vec![(0, State::default())];
        let mut state = State::default();
        for change in history() {
            bytes.extend(line(&change).unwrap());
            change.into_iter().for_each(|mutation| state.apply(mutation));
            states.push((bytes.len(), state.clone()));
        }
        for cut in 0..=bytes.len() {
            let path = dir.path().join("state");
            fs::write(&path, &bytes[..cut]).unwrap();
            let (_, found) = Log::open::<State>(&path, Durability::Process).unwrap();
            let wanted = &states.iter().rev().find(|(end, _)| *end <= cut).unwrap().1;
            assert_eq!(&found, wanted, "cut at {cut}");
        }
    }

    #[test]
    fn compacted_log_and_appended_changes_read_back_equal() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let mut state = State::default();
        for change in history() {
            let (mut log, found) = Log::open::<State>(&path, Durability::Disk).unwrap();
            assert_eq!(found, state);
            log.append(&change).unwrap();
            change.into_iter().for_each(|mutation| state.apply(mutation));
        }
        assert_eq!(Log::open::<State>(&path, Durability::Process).unwrap().1, state);
    }

    #[test]
    fn damage_before_the_last_line_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let mut bytes: Vec<u8> = history().iter().flat_map(|change| line(change).unwrap()).collect();
        bytes[20] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert!(matches!(Log::open::<State>(&path, Durability::Process), Err(LogError::Damaged { offset: 0, .. })));
    }
}
