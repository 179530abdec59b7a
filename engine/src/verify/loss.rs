//! What is gone of a file or range that the mirror shows: by what the store itself answered, never by its silence.
//!
//! Owns the rule when something counts as lost. Nothing on the mirror follows from it: it is said, and looked for.

use lakemirror_core::archived::class_name;

use super::check::{Looked, Missing};
use super::files::Miss;
use super::status::{SAMPLES_MAX, Sample};
use crate::ports::Outcome;

/// What the last looks that were answered did not find.
#[derive(Debug, Clone, Default)]
pub(super) struct Gone {
    /// Why the file itself does not count, in words.
    file: Option<String>,
    objects: u32,
    samples: Vec<Sample>,
}

impl Gone {
    /// Whether the file itself is not there.
    pub(super) fn has_no_file(&self) -> bool {
        self.file.is_some()
    }

    /// The file was read, or not.
    pub(super) fn file_read(&mut self, miss: Option<&Miss>) {
        match miss {
            None => self.file = None,
            Some(Miss::Absent(what) | Miss::Damaged(what)) => self.file = Some(what.clone()),
            // Nobody said that it is not there, or that it is.
            Some(Miss::Fault(_) | Miss::Record(_) | Miss::Broken(_)) => {}
        }
    }

    /// Objects were asked for. Where the store said nothing of some of them, what was gone before stays so.
    pub(super) fn checked(&mut self, looked: &Looked) {
        self.file_read(looked.miss.as_ref());
        let all_answered = looked.miss.is_none() && looked.unknown == 0 && looked.forbidden == 0;
        if all_answered || looked.gone > 0 {
            self.objects = looked.gone;
            self.samples = looked.samples.iter().map(Sample::of).collect();
        }
    }
}

/// What is lost of a tree that the mirror shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Loss {
    /// Files of it that are not there or not what they should be, in words: the first few.
    pub files: Vec<String>,
    /// Objects that are not there, or there with another size.
    pub objects: u64,
    /// Some of those.
    pub samples: Vec<Sample>,
}

impl Loss {
    /// Takes in what is gone of one file or range of which `wanted` entries are open.
    pub(super) fn add(&mut self, gone: &Gone, wanted: u32) {
        let room = |full: usize| SAMPLES_MAX.saturating_sub(full);
        self.files.extend(gone.file.iter().take(room(self.files.len())).cloned());
        let objects = gone.objects.min(wanted);
        self.objects += u64::from(objects);
        self.samples.extend(gone.samples.iter().take(room(self.samples.len()).min(objects as usize)).cloned());
    }

    /// Whether anything is lost.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.files.is_empty() && self.objects == 0
    }
}

impl Sample {
    /// One entry that was not found as it should be, and the answer.
    pub(super) fn of((missing, answer): &(Missing, Option<Outcome>)) -> Self {
        let place = missing.place.as_ref();
        Self {
            path: missing.shown(),
            object: place.map(|(bucket, key)| (bucket.to_string(), key.to_string())).map_err(ToString::to_string),
            size: missing.size,
            found: match answer {
                Some(Outcome::WrongSize { found }) => Some(*found),
                _ => None,
            },
            archived: match answer {
                Some(Outcome::Archived { class }) => Some(class_name(*class)),
                _ => None,
            },
            source: None,
        }
    }
}
