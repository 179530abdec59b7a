//! How long a text from outside may be before it becomes part of a fact.
//!
//! A record of the journal has a bound, and one that is beyond it cannot be written. So whatever is read from a lakeFS, a
//! store or the mirrors database is bounded where it enters, by these numbers; what does not fit is a condition of the
//! branch or mirror that it is about. `decide` holds them again: it cuts texts for people, and refuses the rest.

use crate::commit::CommitRecord;

/// The longest name of a branch, and the longest storage namespace, in bytes. lakeFS itself keeps no longer branch names
/// in DynamoDB.
pub const NAME_BYTES_MAX: usize = 1024;

/// The longest text for people, in bytes; what is longer is cut.
pub const TEXT_BYTES_MAX: usize = 4096;

/// The bytes that a commit's message, metadata, committer and parents may have together.
pub const COMMIT_BYTES_MAX: usize = 128 * 1024;

/// What of [`COMMIT_BYTES_MAX`] a commit uses up.
#[must_use]
pub fn text_bytes(record: &CommitRecord) -> usize {
    let metadata: usize = record.metadata.iter().map(|(key, value)| key.len() + value.len() + 16).sum();
    metadata + record.message.len() + record.committer.len() + 32 * record.parents.len()
}

/// The text, cut to at most `max` bytes, with a mark where something is missing.
#[must_use]
pub fn clipped(mut text: String, max: usize) -> String {
    const MARK: &str = "…";
    if text.len() > max {
        let end = (0..=max.saturating_sub(MARK.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push_str(MARK);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(clipped("abc".into(), 3), "abc");
        assert_eq!(clipped("abcdef".into(), 5), "ab…");
        assert_eq!(clipped("üüü".into(), 6), "üüü");
        assert_eq!(clipped("üüüü".into(), 6), "ü…");
    }
}
