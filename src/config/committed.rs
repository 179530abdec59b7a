//! `committed`: the cache of metadata files, and their prefix at the store.
//!
//! The journal goes under the cache's directory where it has none of its own: that is what the vendor's chart sets.

use std::path::PathBuf;

use super::limits::CACHE_BYTES;
use super::reader::Section;

/// `committed`.
#[derive(Debug, Clone, PartialEq)]
pub struct Committed {
    /// `committed.local_cache`.
    pub local_cache: LocalCache,
    /// `committed.metadata_prefix`, lakeFS's `committed.block_storage_prefix`, without slashes at its ends.
    /// Default `_lakefs`.
    pub metadata_prefix: String,
}

/// `committed.local_cache`: metadata files kept on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalCache {
    /// Where; without it nothing is kept on disk.
    pub dir: Option<PathBuf>,
    /// How much, in bytes, from 1 MiB. Default 1 GiB.
    pub size_bytes: u64,
    /// The part of it for ranges. Default 0.9.
    pub range_proportion: f64,
    /// The part of it for metaranges. Default 0.1.
    pub metarange_proportion: f64,
}

/// Reads the section `committed`.
pub(super) fn read(section: &Section<'_>) -> Committed {
    let prefix = section.text("metadata_prefix").unwrap_or_else(|| "_lakefs/".to_owned());
    let metadata_prefix = prefix.trim_matches('/').to_owned();
    if metadata_prefix.is_empty() {
        section.problem("metadata_prefix", "names no directory", "set it to lakeFS's committed.block_storage_prefix");
    }
    Committed { local_cache: section.within("local_cache", read_cache), metadata_prefix }
}

fn read_cache(section: &Section<'_>) -> LocalCache {
    let cache = LocalCache {
        dir: section.path("dir"),
        size_bytes: section.integer("size_bytes", CACHE_BYTES).unwrap_or(1 << 30),
        range_proportion: section.fraction("range_proportion").unwrap_or(0.9),
        metarange_proportion: section.fraction("metarange_proportion").unwrap_or(0.1),
    };
    if cache.range_proportion + cache.metarange_proportion > 1.0 + f64::EPSILON {
        let what = "and metarange_proportion are more than 1 together";
        section.problem("range_proportion", what, "lower one of the two, such as to 0.9 and 0.1");
    }
    cache
}
