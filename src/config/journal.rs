//! `journal`: where it is, when its segments are sealed, and how long they stay.

use std::path::PathBuf;
use std::time::Duration;

use super::blockstore::{self, S3Blockstore};
use super::committed::LocalCache;
use super::limits::{ANY_DURATION, INTERVAL};
use super::reader::Section;

const MIB: u64 = 1 << 20;
/// A segment: from what is worth a file to what can be read again in a minute.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = (64 << 10)..=(4 << 30);
/// Sealed segments on the volume: from one of the smallest to what no volume has.
const RETAINED_BYTES: std::ops::RangeInclusive<u64> = (64 << 10)..=(1 << 50);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// `journal.archive`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Archive {
    /// `path`: a directory.
    Directory(PathBuf),
    /// `s3`: a prefix of a bucket. What is not set comes from the credentials chain of the AWS SDK.
    S3 {
        /// `s3.bucket`.
        bucket: String,
        /// `s3.prefix`. Default empty.
        prefix: String,
        /// The other settings, as in `blockstore.s3`.
        store: Box<S3Blockstore>,
    },
}

/// `journal`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// `journal.path`, its directory. Default `journal` under `committed.local_cache.dir`.
    pub path: PathBuf,
    /// `journal.seal.max_bytes`: a segment that has so many bytes is sealed. 64 KiB to 4 GiB, default 128 MiB.
    pub seal_max_bytes: u64,
    /// `journal.seal.max_age`: a segment whose first record is so old is sealed. Default 24 h.
    pub seal_max_age: Duration,
    /// `journal.snapshot.interval`: how often the state is proven by a replay and written. 100 ms to 24 h, default 10 m.
    pub snapshot_interval: Duration,
    /// `journal.compress`: whether sealed segments are compressed. Default true.
    pub compress: bool,
    /// `journal.archive`: where sealed segments are copied to. Default none.
    pub archive: Option<Archive>,
    /// `journal.retain.max_age`: how long a sealed segment stays on the volume. Default 90 days.
    pub retain_max_age: Duration,
    /// `journal.retain.max_bytes`: how many bytes of sealed segments stay on the volume. From 64 KiB, default 10 GiB.
    pub retain_max_bytes: u64,
}

/// Reads the section `journal`: its directory is required unless the cache has one.
pub(super) fn read(section: &Section<'_>, cache: &LocalCache) -> Option<Journal> {
    let beside_cache = cache.dir.as_ref().map(|dir| dir.join("journal"));
    let path = section.path("path").or(beside_cache);
    let advice = "name a directory on a volume that outlives the process, for this process alone";
    let path = section.required("path", path, advice);
    let (seal_max_bytes, seal_max_age) = section.within("seal", |seal| {
        let bytes = seal.integer("max_bytes", SEGMENT_BYTES).unwrap_or(128 * MIB);
        (bytes, seal.duration("max_age", ANY_DURATION).unwrap_or(DAY))
    });
    let (retain_max_age, retain_max_bytes) = section.within("retain", |retain| {
        let age = retain.duration("max_age", ANY_DURATION).unwrap_or(90 * DAY);
        (age, retain.integer("max_bytes", RETAINED_BYTES).unwrap_or(10 * 1024 * MIB))
    });
    let every = section.within("snapshot", |snapshot| snapshot.duration("interval", INTERVAL));
    let compress = section.boolean("compress").unwrap_or(true);
    let archive = section.within("archive", read_archive);
    let snapshot_interval = every.unwrap_or(Duration::from_secs(600));
    let path = path?;
    let inside = |archive: &PathBuf| archive.starts_with(&path) || path.starts_with(archive);
    if matches!(&archive, Some(Archive::Directory(archive)) if inside(archive)) {
        section.problem("archive.path", "is the journal's own directory", "name one on another volume");
    }
    Some(Journal {
        path,
        seal_max_bytes,
        seal_max_age,
        snapshot_interval,
        compress,
        archive,
        retain_max_age,
        retain_max_bytes,
    })
}

fn read_archive(section: &Section<'_>) -> Option<Archive> {
    let path = section.path("path");
    let s3 = section.within("s3", |s3| {
        let (bucket, prefix, store) = (s3.text("bucket"), s3.text("prefix"), blockstore::read_s3(s3)?);
        let named = [&bucket, &prefix, &store.region].into_iter().any(Option::is_some);
        if !named && store.endpoint.is_none() && store.credentials.is_none() {
            return None;
        }
        let bucket = s3.required("bucket", bucket, "name the bucket in which the journal's segments are to be kept")?;
        Some(Archive::S3 { bucket, prefix: prefix.unwrap_or_default(), store: Box::new(store) })
    });
    match (path, s3) {
        (Some(_), Some(_)) => {
            section.problem("path", "stands beside archive.s3", "keep one of the two");
            None
        }
        (path, s3) => s3.or(path.map(Archive::Directory)),
    }
}
