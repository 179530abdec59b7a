//! Keys and addresses of objects, where the range files are at hand: a directory of them, or a local blockstore.
//!
//! Owns finding a range's file by its id, and reading the entries that are asked for; the id of what is read is
//! recomputed. The journal itself has ordinals only.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lakemirror_core::ids::RangeId;

use lakemirror_graveler::range;

/// How deep below the directory `_lakefs/` is looked for.
const DEPTH_MAX: usize = 4;
/// How many directories are looked through.
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

/// Directories in which range files are looked for.
#[derive(Debug, Clone)]
pub struct Files {
    places: Vec<PathBuf>,
}

impl Files {
    /// The directory itself, and each `_lakefs` in it.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn new(dir: &Path) -> io::Result<Self> {
        fs::read_dir(dir)?;
        let mut places = vec![dir.to_owned()];
        let mut work = vec![(dir.to_owned(), 0)];
        let mut looked = 0;
        while let Some((at, depth)) = work.pop() {
            looked += 1;
            if looked > DIRECTORIES_MAX {
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

    /// The objects with these ordinals; all of the range for none. A range without a sound file has an empty answer
    /// with the reason.
    ///
    /// # Errors
    /// Why there is no sound file: a text for people.
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
