//! The bounds of settings that several sections share, each with its reason.

use std::ops::RangeInclusive;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How often something is done. Faster than ten times a second is load without use; slower than a day is a slip.
pub(super) const INTERVAL: RangeInclusive<Duration> = Duration::from_millis(100)..=DAY;
/// How long something is waited for or kept: up to a year.
pub(super) const ANY_DURATION: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(366 * 24 * 60 * 60);
/// Workers and requests at a time: each holds memory and a connection.
pub(super) const WORKERS: RangeInclusive<u64> = 1..=1000;
/// What lakeFS answers at most in one page.
pub(super) const PAGE_MAX: u64 = 1000;
/// Entries of a cache, items of a scan.
pub(super) const COUNT_MAX: u64 = 1_000_000_000;
/// A cache of files: from one file's size to what no volume has.
pub(super) const CACHE_BYTES: RangeInclusive<u64> = (1 << 20)..=(1 << 50);
/// The longest region id, organization id or user name. They are parts of database keys.
pub(super) const ID_BYTES_MAX: usize = 256;
