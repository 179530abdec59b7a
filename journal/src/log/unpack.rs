//! Compressed segments: reads one from front to back as if it were not compressed, and writes one.
//!
//! This module owns the use of zstd. Memory: the decoder's window of at most 8 MiB, and the encoder's window at the
//! default level. It does not know what the bytes mean; the hashes in them prove that the output is right.

use std::io::{self, BufReader, Read, Write};

use super::disk::DiskFile;

/// The largest window that is accepted, as in `FORMAT.md` (a power of two).
const WINDOW_LOG_MAX: u32 = 23;
/// The default level of zstd.
const LEVEL: i32 = 3;
const SKIP_BYTES: usize = 64 * 1024;

/// A compressed file that is decompressed while it is read.
pub(super) struct Unpacked {
    decoder: zstd::stream::read::Decoder<'static, BufReader<Forward>>,
    at: u64,
    /// The decoder has ended with an error; no more bytes follow.
    failed: bool,
}

/// A file that is read from front to back. It marks failures of the disk, to distinguish them from damage.
struct Forward {
    file: Box<dyn DiskFile>,
    at: u64,
}

impl Read for Forward {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let got = self.file.read_at(self.at, into).map_err(|error| io::Error::new(error.kind(), DiskFailed(error)))?;
        self.at = self.at.saturating_add(got as u64);
        Ok(got)
    }
}

/// Marks an error as the disk's and not the decoder's.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct DiskFailed(io::Error);

impl Unpacked {
    /// Decompresses `file`.
    ///
    /// # Errors
    /// If there is no memory for a decoder.
    pub(super) fn new(file: Box<dyn DiskFile>) -> io::Result<Self> {
        let mut decoder = zstd::stream::read::Decoder::new(Forward { file, at: 0 })?;
        decoder.window_log_max(WINDOW_LOG_MAX)?;
        Ok(Self { decoder, at: 0, failed: false })
    }

    /// Fills `into` with the decompressed bytes at `offset`, which is not before the end of the last read; fewer only
    /// at the end. Bytes before a damaged part are returned first.
    ///
    /// # Errors
    /// Any error of the disk, or damage to the file: see [`Unpacked::is_damage`].
    pub(super) fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut skip = vec![0; SKIP_BYTES.min(usize::try_from(offset.saturating_sub(self.at)).unwrap_or(SKIP_BYTES))];
        while self.at < offset {
            let want = usize::try_from(offset - self.at).unwrap_or(SKIP_BYTES).min(SKIP_BYTES);
            if self.read(skip.get_mut(..want).unwrap_or_default())? == 0 {
                return Ok(0);
            }
        }
        if self.at > offset {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "a compressed segment is read forward only"));
        }
        let mut filled = 0;
        while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read(rest) {
                Ok(0) => break,
                Ok(got) => filled += got,
                Err(_) if filled > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.failed {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let got = self.decoder.read(into).inspect_err(|_| self.failed = true)?;
        self.at = self.at.saturating_add(got as u64);
        Ok(got)
    }

    /// Whether reading failed because of the file's content and not because of the disk.
    pub(super) fn is_damage(error: &io::Error) -> bool {
        let disk = error.get_ref().is_some_and(|inner| inner.is::<DiskFailed>());
        let kind =
            matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::Other);
        kind && error.raw_os_error().is_none() && !disk
    }
}

/// Compresses all `bytes` bytes of `from` into `file`.
///
/// # Errors
/// Any error of the disk.
pub(super) fn pack(file: &mut dyn DiskFile, bytes: u64, from: &dyn DiskFile) -> io::Result<()> {
    let mut encoder = zstd::stream::write::Encoder::new(Append { file, at: 0 }, LEVEL)?;
    encoder.set_pledged_src_size(Some(bytes))?;
    encoder.include_contentsize(true)?;
    let mut buffer = vec![0; SKIP_BYTES];
    let mut at = 0;
    loop {
        let got = from.read_at(at, &mut buffer)?;
        if got == 0 {
            break;
        }
        encoder.write_all(buffer.get(..got).unwrap_or_default())?;
        at = at.saturating_add(got as u64);
    }
    encoder.finish()?;
    Ok(())
}

/// Appends to what was written.
struct Append<'a> {
    file: &'a mut dyn DiskFile,
    at: u64,
}

impl Write for Append<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(self.at, bytes)?;
        self.at = self.at.saturating_add(bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
