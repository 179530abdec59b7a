//! The inside of a block: prefix-compressed entries and their restart points.
//!
//! Owns the walk over one block's contents and the order of keys from block to block; knows nothing of files,
//! checksums or what keys mean. Layout (pebble's, the same as LevelDB's): entries of `shared`, `unshared` and
//! value lengths (varints), the key's unshared bytes and the value; then restart offsets and their number, u32 LE.

use super::damage::Problem;
use super::varint;

const WORD: usize = size_of::<u32>();
/// Bytes of sequence number and kind behind the user key in data and index blocks.
pub(super) const TRAILER: usize = 8;

/// A walk over blocks whose keys ascend strictly, within a block and from block to block.
///
/// The block's bytes are passed to every call, so that a caller may own them beside the cursor.
#[derive(Debug)]
pub(super) struct Cursor {
    key: Vec<u8>,
    trailer: usize,
    started: bool,
    at: usize,
    entry: usize,
    entries_end: usize,
    restart_at: usize,
    restarts_left: usize,
}

impl Cursor {
    /// For keys with a trailer of `trailer` bytes, which takes no part in their order.
    pub(super) fn new(trailer: usize) -> Self {
        Self {
            key: Vec::new(),
            trailer,
            started: false,
            at: 0,
            entry: 0,
            entries_end: 0,
            restart_at: 0,
            restarts_left: 0,
        }
    }

    /// Begins with the next block.
    pub(super) fn start(&mut self, block: &[u8]) -> Result<(), Problem> {
        let geometry = Problem::Expected("a block that ends with its restart offsets and their number");
        let (rest, count) = block.split_last_chunk::<WORD>().ok_or(geometry.clone())?;
        let restarts = usize::try_from(u32::from_le_bytes(*count)).map_err(|_| geometry.clone())?;
        let array = restarts.checked_mul(WORD).ok_or(geometry.clone())?;
        let entries_end = rest.len().checked_sub(array).ok_or(geometry)?;
        if restarts == 0 || word_at(block, entries_end) != Some(0) {
            return Err(Problem::Expected("a first restart offset of 0"));
        }
        if entries_end == 0 && restarts > 1 {
            return Err(Problem::Expected("a single restart offset in a block without entries"));
        }
        self.at = 0;
        self.entry = 0;
        self.entries_end = entries_end;
        self.restart_at = 0;
        self.restarts_left = restarts;
        Ok(())
    }

    /// Whether no entry is left in the block; [`Cursor::next`] then still checks its end.
    #[inline]
    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.entries_end
    }

    /// Where the entry that was read last begins, in bytes from the block's start.
    pub(super) fn entry_offset(&self) -> usize {
        self.entry
    }

    /// The whole key of the entry that was read last, trailer included.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// That key without its trailer.
    pub(super) fn user_key(&self) -> &[u8] {
        self.key.get(..self.key.len() - self.trailer.min(self.key.len())).unwrap_or_default()
    }

    /// Its trailer.
    pub(super) fn trailer(&self) -> Option<&[u8; TRAILER]> {
        self.key.last_chunk()
    }

    /// Steps to the next entry and returns its value; `None` at the end of the block.
    #[inline]
    pub(super) fn next<'b>(&mut self, block: &'b [u8]) -> Result<Option<&'b [u8]>, Problem> {
        self.entry = self.at;
        if self.at >= self.entries_end {
            return self.end().map(|()| None);
        }
        let (shared, suffix, value, next) =
            split_entry(block, self.at, self.entries_end).ok_or(Problem::Expected("an entry within its block"))?;
        if self.at >= self.restart_at {
            self.pass_restart(block, shared)?;
        }
        self.step_key(shared, suffix)?;
        self.at = next;
        Ok(Some(value))
    }

    fn end(&self) -> Result<(), Problem> {
        let empty = self.entries_end == 0 && self.restarts_left == 1;
        if empty || self.restarts_left == 0 {
            return Ok(());
        }
        Err(Problem::Expected("every restart offset to be that of an entry"))
    }

    #[cold]
    fn pass_restart(&mut self, block: &[u8], shared: usize) -> Result<(), Problem> {
        if self.at > self.restart_at {
            return Err(Problem::Expected("an entry at the restart offset"));
        }
        if shared != 0 {
            return Err(Problem::Expected("a whole key at the restart offset"));
        }
        self.restarts_left -= 1;
        let taken = block.len().saturating_sub(WORD * (self.restarts_left + 1));
        self.restart_at = match self.restarts_left {
            0 => usize::MAX,
            _ => word_at(block, taken).ok_or(Problem::Expected("a restart offset"))?,
        };
        if self.restart_at <= self.at {
            return Err(Problem::Expected("restart offsets in ascending order"));
        }
        Ok(())
    }

    fn step_key(&mut self, shared: usize, suffix: &[u8]) -> Result<(), Problem> {
        if shared > self.key.len() {
            return Err(Problem::Expected("a shared prefix no longer than the key before"));
        }
        let Some(unshared_user) = suffix.len().checked_sub(self.trailer).and_then(|end| suffix.get(..end)) else {
            return Err(Problem::Expected("a key with its own sequence number and kind"));
        };
        // A prefix may reach into the trailer of the key before, which is then wholly a prefix of this one.
        let ascends = match self.user_key().get(shared..) {
            Some(previous_rest) => previous_rest < unshared_user,
            None => true,
        };
        if self.started && !ascends {
            return Err(Problem::Expected("keys in strictly ascending order"));
        }
        self.started = true;
        self.key.truncate(shared);
        self.key.extend_from_slice(suffix);
        Ok(())
    }
}

/// Splits the entry at `at` into its shared length, unshared key, value, and the offset behind it.
#[inline]
fn split_entry(block: &[u8], at: usize, end: usize) -> Option<(usize, &[u8], &[u8], usize)> {
    let entry = block.get(at..end)?;
    let (shared, rest) = varint::read_length(entry)?;
    let (unshared, rest) = varint::read_length(rest)?;
    let (value_len, rest) = varint::read_length(rest)?;
    let (suffix, rest) = rest.split_at_checked(unshared)?;
    let (value, rest) = rest.split_at_checked(value_len)?;
    Some((shared, suffix, value, end - rest.len()))
}

fn word_at(block: &[u8], at: usize) -> Option<usize> {
    let (word, _) = block.get(at..)?.split_first_chunk::<WORD>()?;
    usize::try_from(u32::from_le_bytes(*word)).ok()
}
