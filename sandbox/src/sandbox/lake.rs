//! One lakeFS installation without its HTTP side: the state, its log, the blockstore, and lakeFS's rules.
//!
//! This module reads and changes the state; the operations are in the modules of `lake/`. All calls are synchronous and
//! may block on files: the HTTP side runs them on blocking threads. A change is decided under the state's lock, written
//! to the log, applied, and only then acknowledged.

mod branches;
mod changes;
mod commits;
mod conditions;
mod dumps;
mod listing;
mod logs;
mod merges;
mod objects;
mod repositories;
mod staging;
mod tags;

pub use branches::{CreateBranch, ResetWhat};
pub use changes::{Change, ChangeKind};
pub use commits::{CommitRecordCreation, NewCommit};
pub use conditions::Condition;
pub use dumps::Dump;
use lakemirror_ports::clock::{Clock, Entropy};
pub use listing::{Listed, Listing, Page, page_of_changes};
pub use logs::LogQuery;
pub use merges::{CherryPick, Merge, MergeBase, Overrides, Revert};
pub use objects::{Attributes, OCTET_STREAM, Upload};
pub use repositories::CreateRepository;
pub use staging::DELETES_MAX;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard};

use super::blocks::Blocks;
use super::caches::Caches;
use super::failure::{Failure, Kind, Outcome};
use super::log::Log;
use super::model::{Branch, Commit, Partition, Repository, State};
use super::mutation::Mutation;
use super::names::Names;
use super::tree::Trees;

/// The name of the only user.
pub const USER: &str = "admin";

/// A point in time as lakeFS stores it: whole seconds, and nanoseconds within.
pub type Stamp = (i64, u32);

type ArcCommit = Arc<Commit>;

struct Store {
    state: State,
    log: Log,
}

/// One lakeFS installation.
pub struct Lake {
    store: RwLock<Store>,
    blocks: Blocks,
    trees: Trees,
    names: Names,
    caches: Caches,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    latest: Mutex<u64>,
    branch_locks: Mutex<HashMap<String, Arc<Mutex<()>>>>,
    dumps: Mutex<BTreeMap<String, (Dump, i64)>>,
    signing_key: Vec<u8>,
}

/// What a [`Lake`] is made of.
pub struct Parts {
    /// The open log.
    pub log: Log,
    /// The state that was read from the log.
    pub state: State,
    /// The blockstore.
    pub blocks: Blocks,
    /// The caches.
    pub caches: Caches,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The key with which upload addresses for clients are signed.
    pub signing_key: Vec<u8>,
}

impl Lake {
    /// Creates an installation; the first start gives it an id and its user.
    ///
    /// # Errors
    /// Errors of the log.
    pub fn new(parts: Parts) -> Outcome<Self> {
        let Parts { log, state, blocks, caches, clock, entropy, signing_key } = parts;
        let names = Names::new(&*entropy);
        let fresh = state.installation.is_empty();
        let lake = Self {
            store: RwLock::new(Store { state, log }),
            blocks,
            trees: Trees::default(),
            names,
            caches,
            clock,
            entropy,
            latest: Mutex::new(0),
            branch_locks: Mutex::default(),
            dumps: Mutex::default(),
            signing_key,
        };
        if fresh {
            let (created, _) = lake.now();
            lake.change(vec![Mutation::Install { installation: lake.uuid(), created }])?;
        }
        Ok(lake)
    }

    /// The directory of the blockstore.
    pub fn blocks_root(&self) -> &Path {
        self.blocks.root()
    }

    /// The installation's id, and when its user was created (seconds since 1970).
    pub fn installation(&self) -> (String, i64) {
        self.read(|state| (state.installation.clone(), state.created))
    }

    /// The time by the wall clock, in whole seconds since 1970.
    pub fn seconds(&self) -> i64 {
        i64::try_from(self.clock.wall_ms() / 1000).unwrap_or(i64::MAX)
    }

    /// A random UUID.
    pub fn uuid(&self) -> String {
        let high = self.entropy.random_u64() & 0xffff_ffff_ffff_0fff | 0x4000;
        let low = self.entropy.random_u64() & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
        let hex = format!("{high:016x}{low:016x}");
        let (a, rest) = hex.split_at(8);
        let (b, rest) = rest.split_at(4);
        let (c, rest) = rest.split_at(4);
        let (d, e) = rest.split_at(4);
        format!("{a}-{b}-{c}-{d}-{e}")
    }

    /// The current time, later than every time returned before: consecutive commits are ordered, as on a real server,
    /// even within one millisecond.
    fn now(&self) -> Stamp {
        let mut latest = super::lock(&self.latest);
        let nanos = (self.clock.wall_ms().saturating_mul(1_000_000)).max(latest.saturating_add(1000));
        *latest = nanos;
        let seconds = i64::try_from(nanos / 1_000_000_000).unwrap_or(i64::MAX);
        (seconds, u32::try_from(nanos % 1_000_000_000).unwrap_or_default())
    }

    fn stored(&self) -> RwLockReadGuard<'_, Store> {
        self.store.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn read<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.stored().state)
    }

    /// Decides on a change under the lock, and applies it.
    fn decide<R>(&self, decide: impl FnOnce(&State) -> Outcome<(Vec<Mutation>, R)>) -> Outcome<R> {
        let mut store = self.store.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (mutations, answer) = decide(&store.state)?;
        if !mutations.is_empty() {
            store.log.append(&mutations)?;
            mutations.into_iter().for_each(|mutation| store.state.apply(mutation));
        }
        Ok(answer)
    }

    fn change(&self, mutations: Vec<Mutation>) -> Outcome<()> {
        self.decide(|_| Ok((mutations, ())))
    }

    /// Runs `work` while no other update of the same branch runs. Staging is not blocked, as on a real server.
    fn exclusively<R>(&self, repository: &Repository, branch: &str, work: impl FnOnce() -> Outcome<R>) -> Outcome<R> {
        let key = format!("{}/{branch}", repository.uid);
        let lock = Arc::clone(super::lock(&self.branch_locks).entry(key).or_default());
        let _held = super::lock(&lock);
        work()
    }

    /// A repository's record, possibly from the cache.
    ///
    /// # Errors
    /// `repository not found`; `InDeletion`; `Invalid` for an invalid name.
    pub fn repository(&self, name: &str) -> Outcome<Repository> {
        check_repository_name(name).map_err(|failure| failure.within("argument repository"))?;
        self.caches.repository(name, || self.active_repository(name))
    }

    fn active_repository(&self, name: &str) -> Outcome<Repository> {
        let repository = self.stored_repository(name)?;
        match repository.in_deletion {
            true => Err(Failure::new(Kind::InDeletion, "repository in deletion")),
            false => Ok(repository),
        }
    }

    fn stored_repository(&self, name: &str) -> Outcome<Repository> {
        self.read(|state| state.repositories.get(name).cloned())
            .ok_or_else(|| Failure::new(Kind::RepositoryNotFound, "repository not found"))
    }

    /// Reads a repository's partition; a missing one is empty.
    fn look<R>(&self, repository: &Repository, look: impl FnOnce(&Partition) -> R) -> R {
        self.read(|state| match state.partitions.get(&repository.uid) {
            Some(partition) => look(partition),
            None => look(&Partition::default()),
        })
    }

    fn branch(&self, repository: &Repository, name: &str) -> Outcome<Branch> {
        self.look(repository, |partition| partition.branches.get(name).cloned()).ok_or_else(Failure::branch_not_found)
    }

    /// The commit at a branch's head.
    ///
    /// # Errors
    /// `branch not found`.
    pub fn branch_head(&self, repository: &Repository, name: &str) -> Outcome<String> {
        self.look(repository, |partition| partition.branches.get(name).map(|branch| branch.head.clone()))
            .ok_or_else(Failure::branch_not_found)
    }

    /// The commit that a tag names.
    ///
    /// # Errors
    /// `tag not found`.
    pub fn tag(&self, repository: &Repository, name: &str) -> Outcome<String> {
        self.look(repository, |partition| partition.tags.get(name).cloned())
            .ok_or_else(|| Failure::new(Kind::NotFound, "tag not found"))
    }

    /// A commit by its full id, possibly from the cache (which may contain what the repository no longer has).
    ///
    /// # Errors
    /// `commit not found`.
    pub fn commit(&self, repository: &Repository, id: &str) -> Outcome<Arc<Commit>> {
        self.caches.commit(&repository.name, id, || {
            self.look(repository, |partition| partition.commits.get(id).cloned()).ok_or_else(Failure::commit_not_found)
        })
    }

    /// The only commit whose id starts with this prefix.
    pub(super) fn commit_by_prefix(&self, repository: &Repository, prefix: &str) -> Option<String> {
        self.look(repository, |partition| {
            let mut with = partition.commits.range(prefix.to_owned()..).map(|(id, _)| id);
            let first = with.next().filter(|id| id.starts_with(prefix))?;
            match with.next() {
                Some(second) if second.starts_with(prefix) => None,
                _ => Some(first.clone()),
            }
        })
    }
}

/// Read-only repositories accept writes with force only.
fn check_writable(repository: &Repository, force: bool) -> Outcome<()> {
    match repository.read_only && !force {
        true => Err(Failure::read_only()),
        false => Ok(()),
    }
}

/// Checks a repository name: lower-case letters, digits and dashes, 3 to 63 of them, not starting with a dash.
fn check_repository_name(name: &str) -> Outcome<()> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    match name.as_bytes() {
        [] => Err(Failure::required_value()),
        [first, rest @ ..]
            if plain(*first)
                && (2..=62).contains(&rest.len())
                && rest.iter().all(|byte| plain(*byte) || *byte == b'-') =>
        {
            Ok(())
        }
        _ => Err(Failure::invalid_value("repository id")),
    }
}

/// Checks a branch name: letters, digits, underscores and dashes, not starting with a dash.
fn check_branch_name(name: &str) -> Outcome<()> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match name.as_bytes() {
        [] => Err(Failure::required_value()),
        [first, rest @ ..] if word(*first) && rest.iter().all(|byte| word(*byte) || *byte == b'-') => Ok(()),
        _ => Err(Failure::invalid_value("branch id")),
    }
}

/// Checks a ref: no white space.
fn check_ref(text: &str) -> Outcome<()> {
    match text {
        "" => Err(Failure::required_value()),
        _ if text.bytes().any(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c')) => {
            Err(Failure::invalid_value("ref"))
        }
        _ => Ok(()),
    }
}

/// Checks a path: 1 to 1024 bytes.
fn check_path(path: &str) -> Outcome<()> {
    match path.len() {
        0 => Err(Failure::new(Kind::Invalid, "missing path: required value: validation error")),
        1..=1024 => Ok(()),
        long => Err(Failure::new(
            Kind::Invalid,
            format!("invalid value: validation error: {long} is above maximum length (1024)"),
        )),
    }
}

/// Adds the name of the invalid argument.
fn argument<T>(name: &str, outcome: Outcome<T>) -> Outcome<T> {
    outcome.map_err(|failure| failure.within(format!("argument {name}")))
}
