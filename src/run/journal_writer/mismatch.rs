//! Images of states that are not what they should be, for those who look for the reason.

use std::io;
use std::path::Path;

use lakemirror_core::ids::Seq;
use lakemirror_journal::log::disk::real::RealDisk;
use lakemirror_journal::log::disk::{Access, Disk};
use lakemirror_journal::state::State;
use lakemirror_journal::state::image;

/// Where they are, in the journal's directory.
const MISMATCH_DIR: &str = "mismatch";

/// Path of the image of the state after record `seq`; `which` says how it came to be.
pub(in crate::run) fn image_path(seq: Seq, which: &str) -> String {
    format!("{MISMATCH_DIR}/{seq:016}.{which}.image")
}

/// Writes a state's image to `path` in the journal's directory, for its owner only; returns what the file is called.
pub(in crate::run) fn write_image(dir: &Path, path: &str, state: &State) -> io::Result<String> {
    let disk = RealDisk::new(dir);
    disk.make_dir(MISMATCH_DIR)?;
    disk.sync_dir("")?;
    let mut file = disk.open(path, Access::Create)?;
    file.truncate(0)?;
    let (mut at, mut failed) = (0u64, None);
    let written = image::write(state, |bytes| {
        if failed.is_none() {
            failed = file.write_at(at, bytes).err();
            at = at.saturating_add(bytes.len() as u64);
        }
    });
    written.map_err(io::Error::other)?;
    failed.map_or(Ok(()), Err)?;
    file.sync()?;
    disk.sync_dir(MISMATCH_DIR)?;
    Ok(disk.show(path))
}
