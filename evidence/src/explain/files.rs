//! Finds keys and addresses of objects if range files are available, in a directory or a local blockstore.
//!
//! Finds a range's file by its id, reads the requested entries, and recomputes the id of what it read. The journal
//! itself contains only ordinals.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lakemirror_core::ids::RangeId;

use lakemirror_graveler::range;

/// Maximum depth at which `_lakefs/` is searched for.
const DEPTH_MAX: usize = 4;
/// Maximum number of directories that are searched.
const DIRECTORIES_MAX: usize = 10_000;

/// An object by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its logical path.
    pub key: String,
    /// Its physical address, as the entry has it.
    pub address: String,
    /// Its size in bytes.
    pub size: i64,
}

/// The directories that are searched for range files.
#[derive(Debug, Clone)]
pub struct Files {
    places: Vec<PathBuf>,
}

impl Files {
    /// Searches the directory itself and each `_lakefs` directory below it.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn new(dir: &Path) -> io::Result<Self> {
        fs::read_dir(dir)?;
        let mut places = vec![dir.to_owned()];
        let mut work = vec![(dir.to_owned(), 0)];
        let mut searched = 0;
        while let Some((at, depth)) = work.pop() {
            searched += 1;
            if searched > DIRECTORIES_MAX {
                break;
            }
            let Ok(list) = fs::read_dir(&at) else { continue };
            for entry in list.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
                match entry.file_name() == "_lakefs" {
                    true => places.push(entry.path()),
                    false if depth < DEPTH_MAX => work.push((entry.path(), depth + 1)),
                    false => {}
                }
            }
        }
        places.sort();
        Ok(Self { places })
    }

    /// The objects with these ordinals; with `None`, all objects of the range.
    ///
    /// # Errors
    /// A readable message, if no sound file of the range was found.
    pub fn names(&self, id: &RangeId, wanted: Option<&[u32]>) -> Result<BTreeMap<u32, Named>, String> {
        let name = id.to_string();
        let file = self.places.iter().map(|place| place.join(&name)).find(|path| path.is_file());
        let file = file.ok_or_else(|| format!("range file {name} is not there"))?;
        let bytes = fs::read(&file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        let mut names = BTreeMap::new();
        let read = range::scan(bytes.into(), *id, |ordinal, key, entry| {
            if wanted.is_none_or(|wanted| wanted.contains(&ordinal)) {
                let key = String::from_utf8_lossy(key).into_owned();
                names.insert(ordinal, Named { key, address: entry.address.to_owned(), size: entry.size });
            }
        });
        read.map(|_| names).map_err(|damage| format!("{} is damaged: {damage}", file.display()))
    }
}
