//! Metadata files of the destination: read, verified, and told apart from what is not there yet.
//!
//! That a file is readable there and is what its id says is part of the evidence. What is read is kept for a while in
//! memory, by count, because children are compared with their parents.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use lakemirror_journal::ids::{MetarangeId, RangeId};

use crate::engine::mirror::Site;
use crate::engine::ports::{Fault, FaultKind, Fetched, Location};
use crate::graveler::address::{Namespace, Reach};
use crate::graveler::metarange::RangeInfo;
use crate::graveler::{metarange, range};

/// The largest metadata file that is read, in bytes. lakeFS closes ranges near 20 MiB; a metarange has some 150 bytes
/// a range.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Metaranges kept in memory.
const METARANGES_KEPT: usize = 8;

/// An entry of a range, as far as its arrival goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its logical path.
    pub path: Box<[u8]>,
    /// Where its object is; `Err` says why it cannot be looked for.
    pub place: Result<Location, String>,
    /// The size that it records, in bytes.
    pub size: u64,
    /// Whether its address is a full one.
    pub import: bool,
}

/// What reading a file came to.
pub enum FileRead<T> {
    /// It is there and is what its id says.
    There(T),
    /// It is not there, or not whole yet; the text says what was found.
    NotYet(String),
}

/// Reader of one mirror's metadata files.
pub struct Files {
    namespace: Namespace,
    metaranges: Mutex<VecDeque<(MetarangeId, Arc<Vec<RangeInfo>>)>>,
}

impl Files {
    /// For files below a namespace.
    #[must_use]
    pub fn new(namespace: Namespace) -> Self {
        Self { namespace, metaranges: Mutex::default() }
    }

    async fn fetch(&self, site: &Site, id: &impl std::fmt::Display) -> Result<FileRead<bytes::Bytes>, Fault> {
        let prefix = site.settings.metadata_prefix.trim_end_matches('/');
        let at = Location { bucket: Arc::clone(self.namespace.bucket()), key: self.namespace.metadata_key(prefix, id) };
        match site.destination.read(&at, FILE_BYTES_MAX).await {
            Ok(Fetched::Bytes(bytes)) => Ok(FileRead::There(bytes)),
            Ok(Fetched::Absent) => Ok(FileRead::NotYet("not there yet".to_owned())),
            Ok(Fetched::Deleted) => Ok(FileRead::NotYet("deleted".to_owned())),
            Err(fault) if fault.kind == FaultKind::Absent => Ok(FileRead::NotYet(fault.to_string())),
            Err(fault) => Err(fault),
        }
    }

    /// The ranges of a metarange.
    ///
    /// # Errors
    /// The store's fault.
    pub async fn metarange(&self, site: &Site, id: MetarangeId) -> Result<FileRead<Arc<Vec<RangeInfo>>>, Fault> {
        if let Some(known) = self.kept(id) {
            return Ok(FileRead::There(known));
        }
        let bytes = match self.fetch(site, &id).await? {
            FileRead::There(bytes) => bytes,
            FileRead::NotYet(why) => return Ok(FileRead::NotYet(why)),
        };
        match metarange::read(bytes, id) {
            Ok(ranges) => {
                let ranges = Arc::new(ranges);
                let mut kept = self.metaranges.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push_back((id, Arc::clone(&ranges)));
                if kept.len() > METARANGES_KEPT {
                    kept.pop_front();
                }
                Ok(FileRead::There(ranges))
            }
            Err(damage) => Ok(FileRead::NotYet(format!("damaged: {damage}"))),
        }
    }

    fn kept(&self, id: MetarangeId) -> Option<Arc<Vec<RangeInfo>>> {
        let kept = self.metaranges.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(known, _)| *known == id).map(|(_, ranges)| Arc::clone(ranges))
    }

    /// The entries of a range, in key order.
    ///
    /// # Errors
    /// The store's fault.
    pub async fn range(&self, site: &Site, id: RangeId) -> Result<FileRead<Vec<Item>>, Fault> {
        let bytes = match self.fetch(site, &id).await? {
            FileRead::There(bytes) => bytes,
            FileRead::NotYet(why) => return Ok(FileRead::NotYet(why)),
        };
        let (namespace, scheme) = (self.namespace.clone(), site.scheme);
        let decoded = tokio::task::spawn_blocking(move || decode(&namespace, scheme, bytes, id)).await;
        match decoded {
            Ok(Ok(items)) => Ok(FileRead::There(items)),
            Ok(Err(damage)) => Ok(FileRead::NotYet(format!("damaged: {damage}"))),
            Err(crash) => Ok(FileRead::NotYet(format!("could not be decoded: {crash}"))),
        }
    }
}

fn decode(
    namespace: &Namespace,
    scheme: &str,
    bytes: bytes::Bytes,
    id: RangeId,
) -> Result<Vec<Item>, crate::graveler::Damage> {
    let mut items = Vec::new();
    range::scan(bytes, id, |_, key, entry| {
        let (place, import) = match namespace.resolve(entry.address, entry.address_type) {
            Ok(at) if at.scheme.to_string() != scheme => (
                Err(format!("its address {} is of another kind of store than the mirror's", entry.address)),
                at.reach == Reach::Full,
            ),
            Ok(at) => (Ok(Location { bucket: at.bucket, key: at.key }), at.reach == Reach::Full),
            Err(error) => (Err(error.to_string()), true),
        };
        items.push(Item { path: key.into(), place, size: u64::try_from(entry.size).unwrap_or(0), import });
    })?;
    Ok(items)
}
