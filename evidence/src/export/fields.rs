//! The fields of an event as JSON, for people and scripts. The same event gives the same JSON.
//!
//! Defines how each type of field is shown: ids and hashes as hexadecimal digits, times in milliseconds, sets of
//! ordinals as their length, count and first runs (both ends included). Sets with many runs are truncated, so this is
//! not an encoding; the payload next to it is exact.

use std::iter::Peekable;

use lakemirror_core::ids::{CommitId, Incarnation, MetarangeId, RangeId};
use lakemirror_journal::bits::EncodedBits;
use lakemirror_journal::event::{ArrivalExceptionV1, Event};
use serde_json::{Map, Value, json};

/// Maximum number of runs of a set that are shown.
const RUNS_MAX: usize = 256;

/// A type of field in an event.
trait Field {
    fn show(&self) -> Value;
}

macro_rules! plain {
    ($($type:ty),*) => { $(impl Field for $type {
        fn show(&self) -> Value {
            Value::from(self.clone())
        }
    })* };
}

macro_rules! digits {
    ($($type:ty),*) => { $(impl Field for $type {
        fn show(&self) -> Value {
            Value::from(self.to_string())
        }
    })* };
}

plain!(u8, u16, u32, u64, i32, i64, bool, String);
digits!(CommitId, MetarangeId, RangeId, Incarnation);

impl Field for [u8; 32] {
    fn show(&self) -> Value {
        hex::encode(self).into()
    }
}

impl<T: Field> Field for Option<T> {
    fn show(&self) -> Value {
        self.as_ref().map_or(Value::Null, Field::show)
    }
}

impl<T: Field> Field for Vec<T> {
    fn show(&self) -> Value {
        self.iter().map(Field::show).collect()
    }
}

impl<A: Field, B: Field> Field for (A, B) {
    fn show(&self) -> Value {
        Value::Array(vec![self.0.show(), self.1.show()])
    }
}

impl Field for ArrivalExceptionV1 {
    fn show(&self) -> Value {
        let Self { ordinal, code, found } = self;
        json!({ "ordinal": ordinal, "code": code, "found": found })
    }
}

impl Field for EncodedBits {
    fn show(&self) -> Value {
        let Ok(bits) = self.decode() else {
            return json!({ "len": self.len, "encoding": self.encoding, "unreadable": true });
        };
        let mut runs = Runs { ordinals: bits.iter().peekable() };
        let shown: Vec<(u32, u32)> = runs.by_ref().take(RUNS_MAX).collect();
        let more = runs.next().is_some();
        json!({ "len": self.len, "count": bits.count(), "runs": shown, "more": more })
    }
}

/// A set as its runs, both ends included.
struct Runs<I: Iterator<Item = u32>> {
    ordinals: Peekable<I>,
}

impl<I: Iterator<Item = u32>> Iterator for Runs<I> {
    type Item = (u32, u32);

    fn next(&mut self) -> Option<(u32, u32)> {
        let first = self.ordinals.next()?;
        let mut last = first;
        while let Some(next) = self.ordinals.next_if(|next| last.checked_add(1) == Some(*next)) {
            last = next;
        }
        Some((first, last))
    }
}

macro_rules! fields {
    ($event:expr, { $($variant:ident { $($field:ident),* }),* $(,)? }) => {
        match $event {
            $(Event::$variant(e) => {
                let mut map = Map::new();
                $(map.insert(stringify!($field).to_owned(), e.$field.show());)*
                Value::Object(map)
            })*
        }
    };
}

/// The fields of an event, by name.
#[must_use]
pub fn fields(event: &Event) -> Value {
    fields!(event, {
        ServiceStarted { writer_epoch, software, at_ms },
        PolicySet {
            history, size, imports, on_divergence, evidence_age_ms_max, deletion_grace_ms, deletion_permille_max
        },
        PolicySetV2 {
            history, size, archived, imports, on_divergence, evidence_age_ms_max, deletion_grace_ms, deletion_permille_max
        },
        JournalRecovered { text, at_ms },
        SegmentSealed { first, last, frames, bytes, checks, hash, last_frame, at_ms },
        SegmentArchived { first, last, hash, bytes, file_hash, place, at_ms },
        SegmentDropped { first, last, hash, archived, at_ms },
        SnapshotTaken { seq, digest, bytes, at_ms },
        LossAcknowledged { from, to, reason, who, at_ms },
        JournalGapFound { after, published, hash, mirror, writer_epoch, at_ms },
        DatabaseItemWritten { generation, key, value, removed, at_ms },
        DatabaseRebuilt { found, generation, items, reason, at_ms },
        MirrorDefined { mirror, name, source_repository, source_region, region, storage_namespace, at_ms },
        SourceIdentified { mirror, storage_namespace, default_branch, creation_date, at_ms },
        RepositoryIntended { mirror, at_ms },
        RepositoryReady { mirror, adopted, at_ms },
        TroubleNoted { mirror, text, at_ms },
        ConditionRaised { mirror, condition, text, at_ms },
        ConditionResolved { mirror, condition, at_ms },
        MirrorDeletionStarted { mirror, at_ms },
        MirrorGone { mirror, at_ms },
        MirrorTaken { mirror, epoch, resumed, before, at_ms },
        DeletionsApproved { mirror, branches, by, at_ms },
        BranchSeen { mirror, branch, head, hidden, at_ms },
        BranchMissed { mirror, branch, writer_epoch, at_ms },
        BranchTombstoned { mirror, branch, at_ms },
        BranchRemovalStarted { mirror, branch, at_ms },
        BranchRemoved { mirror, branch, at_ms },
        BranchDiverged { mirror, branch, expected, found, at_ms },
        BranchAdopted { mirror, branch, found, at_ms },
        BranchForgotten { mirror, branch, at_ms },
        BranchVisibilityChanged { mirror, branch, hidden, at_ms },
        BranchRemakeStarted { mirror, branch, hidden, at_ms },
        DeletionsHeld { mirror, branches, reason, vanished, live, at_ms },
        DeletionsReleased { mirror, branches, at_ms },
        CommitObserved {
            mirror, id, parents, committer, message, creation_date, metarange, metadata, generation, version, at_ms
        },
        MetarangeRead { mirror, metarange, total, first, ranges, at_ms },
        RangeRead { mirror, range, entries, imports, inherited, inherited_from, inherited_oldest_ms, at_ms },
        ArrivalsChecked { mirror, range, base, asked, present, exceptions, started_ms, finished_ms },
        SourceProbed { mirror, range, gone, there, at_ms },
        RangesReopened { mirror, ranges, at_ms },
        ArchivedShown { mirror, range, ordinals, at_ms },
        WrongSizesGone { mirror, range, once, twice, at_ms },
        TreesTakenBack { mirror, metaranges, at_ms },
        MoveStarted { mirror, branch, from, to, seen, ranges, entries, oldest_evidence_ms, at_ms },
        RecordsWritten { mirror, commits, at_ms },
        MoveFinished { mirror, branch, from, to, seen, at_ms },
        MoveGivenUp { mirror, branch, to, seen, at_ms },
        SummaryPublished { mirror, number, at_ms },
    })
}
