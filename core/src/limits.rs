//! Limits for texts from outside that become part of an event.
//!
//! A record of the journal has a size limit; a larger one cannot be written. Therefore everything that is read from a
//! lakeFS, a store or the mirrors database is checked against these limits where it enters. What exceeds them becomes a
//! condition of the branch or mirror concerned. `decide` enforces the limits again: it cuts texts meant for people and
//! refuses the rest.

use crate::commit::CommitRecord;

/// The longest branch name and the longest storage namespace, in bytes. lakeFS itself stores no longer branch names in
/// DynamoDB.
pub const NAME_BYTES_MAX: usize = 1024;

/// The longest text for people, in bytes; a longer one is cut.
pub const TEXT_BYTES_MAX: usize = 4096;

/// The maximum size of a commit's message, metadata, committer and parents together, in bytes.
pub const COMMIT_BYTES_MAX: usize = 128 * 1024;

/// How much of [`COMMIT_BYTES_MAX`] a commit uses.
#[must_use]
pub fn text_bytes(record: &CommitRecord) -> usize {
    let metadata: usize = record.metadata.iter().map(|(key, value)| key.len() + value.len() + 16).sum();
    metadata + record.message.len() + record.committer.len() + 32 * record.parents.len()
}

/// Cuts a text to at most `max` bytes and marks the cut.
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
