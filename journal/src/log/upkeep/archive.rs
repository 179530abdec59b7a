//! Copies a sealed segment to an archive, which is a directory of the same form as a journal's: `FORMAT` and `seg/`.
//!
//! A copy counts only after it was synced, renamed, read back and found equal. The copy may be repeated: an equal copy
//! is kept, a different one is overwritten.

use std::io;

use super::{UpkeepError, failed, find, hash};
use crate::ids::Seq;
use crate::log::disk::{Access, Disk, DiskFile};
use crate::log::disk::{read_small, replace_file};
use crate::log::error::OpenError;
use crate::log::format_file::{FORMAT_BYTES_MAX, FORMAT_NAME};
use crate::log::segment::SEGMENT_DIR;

const COPY_BYTES: usize = 256 * 1024;

/// A copy that was read back and found equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// The name of the copy for messages.
    pub place: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// BLAKE3 of the file.
    pub file_hash: [u8; 32],
}

/// Copies the sealed segment of `disk` with these records, compressed or not, into the directory `archive`.
///
/// # Errors
/// Any error of either disk; [`UpkeepError::Differs`] if the copy does not read back as it was written. An archive that
/// holds another journal is refused. The segment itself is never changed.
pub fn archive_segment(disk: &dyn Disk, archive: &dyn Disk, first: Seq, last: Seq) -> Result<Archived, UpkeepError> {
    let path = find(disk, first, last)?.path();
    prepare(disk, archive)?;
    let from = disk.open(&path, Access::Read).map_err(failed(disk, "read", &path))?;
    let wanted = hash(&*from).map_err(failed(disk, "read", &path))?;
    let bytes = from.size().map_err(failed(disk, "read", &path))?;
    if hash_there(archive, &path)? != Some(wanted) {
        copy(&*from, archive, &path).map_err(failed(archive, "write", &path))?;
    }
    if hash_there(archive, &path)? != Some(wanted) {
        return Err(UpkeepError::Differs { path: archive.show(&path) });
    }
    Ok(Archived { place: archive.show(&path), bytes, file_hash: *wanted.as_bytes() })
}

/// Creates the archive's directories and its `FORMAT`, a copy of the journal's.
fn prepare(disk: &dyn Disk, archive: &dyn Disk) -> Result<(), UpkeepError> {
    let format = read_small(disk, FORMAT_NAME, FORMAT_BYTES_MAX).map_err(failed(disk, "read", FORMAT_NAME))?;
    for dir in ["", SEGMENT_DIR] {
        archive.make_dir(dir).map_err(failed(archive, "make", dir))?;
    }
    match read_small(archive, FORMAT_NAME, FORMAT_BYTES_MAX) {
        Ok(there) if there == format => Ok(()),
        Ok(_) => Err(UpkeepError::Unreadable(OpenError::NotAJournal {
            path: archive.show(""),
            found: "the FORMAT of another journal: give each journal an archive of its own".to_owned(),
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            replace_file(archive, "", FORMAT_NAME, &format).map_err(failed(archive, "write", FORMAT_NAME))
        }
        Err(error) => Err(failed(archive, "read", FORMAT_NAME)(error)),
    }
}

fn hash_there(archive: &dyn Disk, path: &str) -> Result<Option<blake3::Hash>, UpkeepError> {
    match archive.open(path, Access::Read) {
        Ok(file) => hash(&*file).map(Some).map_err(failed(archive, "read", path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(archive, "open", path)(error)),
    }
}

fn copy(from: &dyn DiskFile, archive: &dyn Disk, path: &str) -> io::Result<()> {
    let temporary = format!("{path}.tmp");
    let mut to = archive.open(&temporary, Access::Create)?;
    to.truncate(0)?;
    let mut buffer = vec![0; COPY_BYTES];
    let mut at = 0;
    loop {
        let got = from.read_at(at, &mut buffer)?;
        if got == 0 {
            break;
        }
        to.write_at(at, buffer.get(..got).unwrap_or_default())?;
        at = u64::saturating_add(at, got as u64);
    }
    to.sync()?;
    archive.rename(&temporary, path)?;
    archive.sync_dir(SEGMENT_DIR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::disk::real::RealDisk;
    use crate::log::upkeep::compress_segment;
    use crate::log::{Log, NewJournal, Options, RawRecord};

    struct Nothing;

    impl crate::log::Replay for Nothing {
        fn record(
            &mut self,
            _: Seq,
            _: RawRecord<'_>,
            _: &crate::log::FrameInfo,
        ) -> Result<(), crate::log::ReplayRefused> {
            Ok(())
        }
    }

    fn sealed(dir: &std::path::Path, uuid: u8) -> Log {
        let identity = NewJournal { uuid: [uuid; 16], wall_ms: 1 };
        let mut log = Log::open(dir, &Options::default(), identity, &mut Nothing).unwrap().0;
        log.commit(&[RawRecord { kind: 9, version: 1, payload: &[7; 5000] }], 0, 1, 0).unwrap();
        log.seal().unwrap();
        log
    }

    #[test]
    fn a_copy_is_equal_can_be_repeated_and_is_mended() {
        let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let _log = sealed(own.path(), 1);
        let (disk, archive) = (RealDisk::new(own.path()), RealDisk::new(&other.path().join("deep")));
        let archived = archive_segment(&disk, &archive, 1, 1).unwrap();
        assert_eq!(archive_segment(&disk, &archive, 1, 1).unwrap(), archived);
        let copy = std::path::PathBuf::from(&archived.place);
        let good = std::fs::read(&copy).unwrap();
        std::fs::write(&copy, &good[1..]).unwrap();
        assert_eq!(archive_segment(&disk, &archive, 1, 1).unwrap(), archived);
        assert_eq!(std::fs::read(&copy).unwrap(), good);
        compress_segment(&disk, 1, 1).unwrap();
        let packed = archive_segment(&disk, &archive, 1, 1).unwrap();
        assert!(packed.bytes < archived.bytes && packed.place.ends_with(".jseg.zst"), "{packed:?}");
    }

    #[test]
    fn an_archive_of_another_journal_is_refused() {
        let (one, two, other) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (_one, _two) = (sealed(one.path(), 1), sealed(two.path(), 2));
        let archive = RealDisk::new(other.path());
        archive_segment(&RealDisk::new(one.path()), &archive, 1, 1).unwrap();
        let refused = archive_segment(&RealDisk::new(two.path()), &archive, 1, 1).unwrap_err();
        assert!(matches!(refused, UpkeepError::Unreadable(OpenError::NotAJournal { .. })), "{refused}");
    }
}
