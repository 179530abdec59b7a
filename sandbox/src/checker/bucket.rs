//! Reads the destination bucket as files: is every file and object of a tree there?
//!
//! Walks from a metarange through its ranges to each object and its size, and recomputes every id. A file that arrived
//! only after the mirror had answered counts as missing; this is decided by file times.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use lakemirror_core::ids::MetarangeId;

use lakemirror_graveler::entry::AddressType;
use lakemirror_graveler::{metarange, range};

/// Where metadata files are in a namespace.
const METADATA: &str = "_lakefs";
/// Maximum number of faults that are listed for one tree.
const NAMED_MAX: usize = 20;

/// What was found of a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tree {
    /// Number of ranges.
    pub ranges: usize,
    /// Number of objects in the namespace that are there with the right size.
    pub objects: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Number of entries with a full address, which are not checked.
    pub outside: usize,
    /// When its last file arrived in the bucket, milliseconds since 1970.
    pub last_arrival_ms: u64,
}

/// A storage namespace as a directory.
#[derive(Debug)]
pub struct Bucket {
    root: PathBuf,
}

struct Walk<'a> {
    bucket: &'a Bucket,
    deadline_ms: u64,
    tree: Tree,
    wrong: Vec<String>,
}

impl Bucket {
    /// The namespace in this directory.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Checks a tree. Files that arrived after `deadline_ms` (since 1970) do not count. Blocks on files.
    ///
    /// # Errors
    /// What is missing or wrong, at most a few dozen lines.
    pub fn tree(&self, metarange: &str, deadline_ms: u64) -> Result<Tree, Vec<String>> {
        let mut walk = Walk { bucket: self, deadline_ms, tree: Tree::default(), wrong: Vec::new() };
        if !metarange.is_empty() {
            walk.metarange(metarange);
        }
        if walk.wrong.is_empty() { Ok(walk.tree) } else { Err(walk.wrong) }
    }
}

impl Walk<'_> {
    fn wrong(&mut self, text: String) {
        if self.wrong.len() < NAMED_MAX {
            self.wrong.push(text);
        }
    }

    fn metarange(&mut self, id: &str) {
        let Ok(expected) = MetarangeId::parse(id) else { return self.wrong(format!("metarange {id:?} is not an id")) };
        let Some(bytes) = self.file(&format!("{METADATA}/{id}")) else { return };
        match metarange::read(bytes, expected) {
            Ok(ranges) => ranges.iter().for_each(|info| self.range(info)),
            Err(damage) => self.wrong(format!("metarange {id}: {damage}")),
        }
    }

    fn range(&mut self, info: &metarange::RangeInfo) {
        let Some(bytes) = self.file(&format!("{METADATA}/{}", info.id)) else { return };
        let mut objects = Vec::new();
        let scanned = range::scan(bytes, info.id, |_, path, entry| {
            let relative = match entry.address_type {
                AddressType::Relative => true,
                AddressType::ByPrefixDeprecated => !entry.address.contains("://"),
                AddressType::Full | AddressType::Unknown(_) => false,
            };
            let address = relative.then(|| entry.address.to_owned());
            objects.push((String::from_utf8_lossy(path).into_owned(), address, entry.size));
        });
        match scanned {
            Ok(file) if u64::from(file.count()) == info.count => self.tree.ranges += 1,
            Ok(file) => self.wrong(format!("range {} has {} entries, not {}", info.id, file.count(), info.count)),
            Err(damage) => return self.wrong(format!("range {}: {damage}", info.id)),
        }
        for (path, address, size) in objects {
            match address {
                Some(address) => self.object(&path, &address, size),
                None => self.tree.outside += 1,
            }
        }
    }

    fn object(&mut self, path: &str, address: &str, size: i64) {
        let Some(found) = self.arrived(address) else { return };
        if i64::try_from(found) == Ok(size) {
            self.tree.objects += 1;
            self.tree.bytes += found;
        } else {
            self.wrong(format!("{address} (of {path}) has {found} bytes, not {size}"));
        }
    }

    /// The size of a file that exists and arrived in time.
    fn arrived(&mut self, key: &str) -> Option<u64> {
        match fs::metadata(self.bucket.root.join(key)) {
            Ok(found) if found.is_file() => {
                let came_ms = changed_ms(&found);
                self.tree.last_arrival_ms = self.tree.last_arrival_ms.max(came_ms);
                if came_ms > self.deadline_ms {
                    let late = came_ms - self.deadline_ms;
                    self.wrong(format!("{key} came {late} ms after the mirror had shown its commit"));
                }
                Some(found.len())
            }
            Ok(_) => {
                self.wrong(format!("{key} is not a file"));
                None
            }
            Err(error) => {
                self.wrong(missing(&self.bucket.root, key, &error));
                None
            }
        }
    }

    fn file(&mut self, key: &str) -> Option<Bytes> {
        self.arrived(key)?;
        match fs::read(self.bucket.root.join(key)) {
            Ok(bytes) => Some(bytes.into()),
            Err(error) => {
                self.wrong(missing(&self.bucket.root, key, &error));
                None
            }
        }
    }
}

fn missing(root: &Path, key: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("{key} is not in {}", root.display()),
        _ => format!("{key} in {} cannot be read: {error}", root.display()),
    }
}

/// When a file got its name: a rename changes this time, and nothing later does.
fn changed_ms(found: &fs::Metadata) -> u64 {
    let ms = found.ctime().saturating_mul(1000).saturating_add(found.ctime_nsec() / 1_000_000);
    u64::try_from(ms).unwrap_or_default()
}
