//! Whether an object can be read at once, by the headers of a HEAD.
//!
//! `x-amz-storage-class` names the class, `x-amz-archive-status` the tier of `INTELLIGENT_TIERING` (only the archive
//! tiers), `x-amz-restore` whether a restored copy is there. A listing has the class alone.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html>.

use lakemirror_core::archived::{ARCHIVE_ACCESS, DEEP_ARCHIVE, DEEP_ARCHIVE_ACCESS, GLACIER};

/// What `x-amz-restore` says once a restored copy can be read.
const RESTORED: &str = "ongoing-request=\"false\"";

/// The class that keeps the object from being read; none where it can be.
pub(super) fn class(storage: Option<&str>, restore: Option<&str>, status: Option<&str>) -> Option<u8> {
    let restored = || restore.is_some_and(|restore| restore.contains(RESTORED));
    match (status, storage) {
        (Some("ARCHIVE_ACCESS"), _) => Some(ARCHIVE_ACCESS),
        (Some("DEEP_ARCHIVE_ACCESS"), _) => Some(DEEP_ARCHIVE_ACCESS),
        (_, Some("GLACIER")) if !restored() => Some(GLACIER),
        (_, Some("DEEP_ARCHIVE")) if !restored() => Some(DEEP_ARCHIVE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archived_object_can_be_read_once_its_copy_is_restored() {
        let ongoing = Some("ongoing-request=\"true\"");
        let restored = Some("ongoing-request=\"false\", expiry-date=\"Fri, 23 Dec 2012 00:00:00 GMT\"");
        for (storage, restore, status, expected) in [
            (None, None, None, None),
            (Some("STANDARD_IA"), None, None, None),
            (Some("GLACIER_IR"), None, None, None),
            (Some("GLACIER"), None, None, Some(GLACIER)),
            (Some("GLACIER"), ongoing, None, Some(GLACIER)),
            (Some("GLACIER"), restored, None, None),
            (Some("DEEP_ARCHIVE"), None, None, Some(DEEP_ARCHIVE)),
            (Some("DEEP_ARCHIVE"), restored, None, None),
            (Some("INTELLIGENT_TIERING"), None, None, None),
            (Some("INTELLIGENT_TIERING"), None, Some("ARCHIVE_ACCESS"), Some(ARCHIVE_ACCESS)),
            (Some("INTELLIGENT_TIERING"), ongoing, Some("DEEP_ARCHIVE_ACCESS"), Some(DEEP_ARCHIVE_ACCESS)),
        ] {
            assert_eq!(class(storage, restore, status), expected, "{storage:?} {restore:?} {status:?}");
        }
    }
}
