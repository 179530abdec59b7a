//! `commit_sensor`, `mirrors_manager`, `validator` and page sizes: how often and how wide the work is done.
//!
//! Where the file is silent, lakemirror has a pace of its own that is faster than the vendor's. So what was not set
//! stays visible as `None` here, and the methods say what then holds.

use std::time::Duration;

use super::limits::{ANY_DURATION, COUNT_MAX, INTERVAL, PAGE_MAX, WORKERS};
use super::reader::Section;

/// `commit_sensor`: looking for new commits at the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitSensor {
    /// How often branches are scanned, where set: 100 ms to 24 h.
    pub process_branches_duration: Option<Duration>,
    /// Repositories scanned at a time, 1..=1000. Default 10.
    pub branches_scanner_concurrency_limit: u64,
    /// Branches of one page, 1..=1000. Default 1000.
    pub list_branch_page_size: u64,
    /// Commits of one page, 1..=1000. Default 1000.
    pub log_commit_page_size: u64,
}

impl CommitSensor {
    /// How often branches are scanned: as set, else every 5 s.
    pub fn scan_interval(&self) -> Duration {
        self.process_branches_duration.unwrap_or(Duration::from_secs(5))
    }
}

/// `mirrors_manager`: creating and removing mirrors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MirrorsManager {
    /// How often, where set: 100 ms to 24 h. The process that took the call acts at once in any case.
    pub process_mirrors_interval_duration: Option<Duration>,
}

impl MirrorsManager {
    /// How often definitions made by other processes are looked for: as set, else every 5 s.
    pub fn interval(&self) -> Duration {
        self.process_mirrors_interval_duration.unwrap_or(Duration::from_secs(5))
    }
}

/// `validator`: looking for objects at the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validator {
    /// How often what is missing is looked for again, where set: 100 ms to 24 h.
    pub run_interval: Option<Duration>,
    /// Commits verified at a time, 1..=1000. Default 3.
    pub num_workers: u64,
    /// Least time before a missing object is asked for again, where set.
    pub cooldown_on_missing: Option<Duration>,
    /// Least time before a failed check is repeated, where set.
    pub cooldown_on_error: Option<Duration>,
    /// `metarange_presence_cache`.
    pub metarange_presence_cache: PresenceCache,
    /// `range_presence_cache`.
    pub range_presence_cache: PresenceCache,
    /// `object_presence_cache`; its `expiry` is the default of `verification.evidence_max_age`.
    pub object_presence_cache: PresenceCache,
    /// `storage_namespace_cache.size`. Default 1000.
    pub storage_namespace_cache_size: u64,
    /// `storage_namespace_cache.expiry`. Default 17 s.
    pub storage_namespace_cache_expiry: Duration,
}

/// When what is missing is looked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recheck {
    /// At a fixed interval, as set in the file.
    Every(Duration),
    /// Our own: at first after `first`, then ever more rarely, at last every `last`.
    BackOff {
        /// 1 s.
        first: Duration,
        /// 60 s.
        last: Duration,
    },
}

impl Validator {
    /// When what is missing is looked for again: as set by `run_interval`, else with a back-off from 1 s to 60 s.
    pub fn recheck(&self) -> Recheck {
        match self.run_interval {
            Some(interval) => Recheck::Every(interval),
            None => Recheck::BackOff { first: Duration::from_secs(1), last: Duration::from_secs(60) },
        }
    }
}

/// One of the validator's caches of what was seen; every value as set, else nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PresenceCache {
    /// Entries.
    pub size: Option<u64>,
    /// How long an entry counts.
    pub expiry: Option<Duration>,
    /// How long until an absence is asked about again.
    pub cooldown: Option<Duration>,
}

/// Reads the section `commit_sensor`.
pub(super) fn read_commit_sensor(section: &Section<'_>) -> CommitSensor {
    CommitSensor {
        process_branches_duration: section.duration("process_branches_duration", INTERVAL),
        branches_scanner_concurrency_limit: section
            .integer("branches_scanner_concurrency_limit", WORKERS)
            .unwrap_or(10),
        list_branch_page_size: read_page_size(section, "list_branch_page_size"),
        log_commit_page_size: read_page_size(section, "log_commit_page_size"),
    }
}

/// Reads the section `mirrors_manager`.
pub(super) fn read_mirrors_manager(section: &Section<'_>) -> MirrorsManager {
    let name = "process_mirrors_interval_duration";
    MirrorsManager { process_mirrors_interval_duration: section.duration(name, INTERVAL) }
}

/// Reads the section `validator`.
pub(super) fn read_validator(section: &Section<'_>) -> Validator {
    let (storage_namespace_cache_size, storage_namespace_cache_expiry) =
        section.within("storage_namespace_cache", |cache| {
            let size = cache.integer("size", 0..=COUNT_MAX).unwrap_or(1000);
            (size, cache.duration("expiry", ANY_DURATION).unwrap_or(Duration::from_secs(17)))
        });
    Validator {
        run_interval: section.duration("run_interval", INTERVAL),
        num_workers: section.integer("num_workers", WORKERS).unwrap_or(3),
        cooldown_on_missing: section.duration("cooldown_on_missing", ANY_DURATION),
        cooldown_on_error: section.duration("cooldown_on_error", ANY_DURATION),
        metarange_presence_cache: section.within("metarange_presence_cache", read_presence_cache),
        range_presence_cache: section.within("range_presence_cache", read_presence_cache),
        object_presence_cache: section.within("object_presence_cache", read_presence_cache),
        storage_namespace_cache_size,
        storage_namespace_cache_expiry,
    }
}

fn read_presence_cache(section: &Section<'_>) -> PresenceCache {
    PresenceCache {
        size: section.integer("size", 0..=COUNT_MAX),
        expiry: section.duration("expiry", ANY_DURATION),
        cooldown: section.duration("cooldown", ANY_DURATION),
    }
}

/// A page size; lakeFS answers at most 1000, so more is a wish that is not granted rather than a fault.
pub(super) fn read_page_size(section: &Section<'_>, name: &str) -> u64 {
    let size = section.integer(name, 1..=COUNT_MAX).unwrap_or(PAGE_MAX);
    if size > PAGE_MAX {
        section.warning(name, format!("{size} is more than lakeFS answers at once"), format!("{PAGE_MAX} is used"));
    }
    size.min(PAGE_MAX)
}
