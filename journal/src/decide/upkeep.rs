//! Decisions about the journal's own files: a segment climbs from sealed to archived to dropped, never past a stage.
//!
//! The caller did the work that a step says (or, for a drop, is about to do it); here it is held against the lifecycle.
//! Steps may be repeated: one that the lifecycle has already gives no facts.

use super::Refused;
use crate::command::{DATABASE_KEY_BYTES_MAX, DATABASE_VALUE_BYTES_MAX, UpkeepStep};
use crate::event::{
    DatabaseItemWrittenV1, DatabaseRebuiltV1, Event, JournalGapFoundV1, LossAcknowledgedV1, SegmentArchivedV1,
    SegmentDroppedV1, SegmentSealedV1, SnapshotTakenV1,
};
use crate::ids::Seq;
use crate::state::State;
use crate::state::database::Database;
use crate::state::lifecycle::{Segment, SegmentLifecycle, Stage};

pub(super) fn step(state: &State, step: UpkeepStep, at_ms: u64) -> Result<Vec<Event>, Refused> {
    let lifecycle = &state.lifecycle;
    let event = match step {
        UpkeepStep::Sealed { first, last, frames, bytes, checks, hash, last_frame } => {
            let sealed = SegmentSealedV1 { first, last, frames, bytes, checks, hash, last_frame, at_ms };
            seal(lifecycle, sealed)?.map(Event::SegmentSealed)
        }
        UpkeepStep::Archived { first, last, hash, bytes, file_hash, place } => {
            let archived = SegmentArchivedV1 { first, last, hash, bytes, file_hash, place, at_ms };
            archive(lifecycle, archived)?.map(Event::SegmentArchived)
        }
        UpkeepStep::Dropped { first, last, hash } => {
            drop_segment(lifecycle, first, last, hash, at_ms)?.map(Event::SegmentDropped)
        }
        UpkeepStep::SnapshotTaken { seq, digest, bytes } => {
            snapshot(lifecycle, SnapshotTakenV1 { seq, digest, bytes, at_ms })?.map(Event::SnapshotTaken)
        }
        UpkeepStep::LossAcknowledged { from, to, reason, who } => {
            lose(lifecycle, LossAcknowledgedV1 { from, to, reason, who, at_ms })?.map(Event::LossAcknowledged)
        }
        UpkeepStep::GapFound { after, published, hash, mirror } => {
            let writer_epoch = state.writer_epoch;
            let gap = JournalGapFoundV1 { after, published, hash, mirror, writer_epoch, at_ms };
            find_gap(lifecycle, gap)?.map(Event::JournalGapFound)
        }
        UpkeepStep::DatabaseItem { generation, key, value } => {
            let (removed, value) = (value.is_none(), value.unwrap_or_default());
            let written = DatabaseItemWrittenV1 { generation, key, value, removed, at_ms };
            write_item(&state.database, written)?.map(Event::DatabaseItemWritten)
        }
        UpkeepStep::DatabaseRebuilt { found, items, reason } => {
            let generation = state.database.generation.max(found).saturating_add(1);
            Some(Event::DatabaseRebuilt(DatabaseRebuiltV1 { found, generation, items, reason, at_ms }))
        }
    };
    Ok(event.into_iter().collect())
}

fn rule<T>(text: String) -> Result<T, Refused> {
    Err(Refused::Rule(text))
}

fn seal(lifecycle: &SegmentLifecycle, sealed: SegmentSealedV1) -> Result<Option<SegmentSealedV1>, Refused> {
    let SegmentSealedV1 { first, last, hash, .. } = sealed;
    if let Some(known) = lifecycle.segments.get(&first) {
        if known.last == last && known.hash == hash {
            return Ok(None);
        }
        return rule(format!("segment {first} to {last} is not the one that was sealed: that ends at {}", known.last));
    }
    let next = lifecycle.open_from();
    if first != next || last < first || sealed.frames == 0 {
        return rule(format!("a segment of records {first} to {last} was sealed where record {next} follows"));
    }
    Ok(Some(sealed))
}

fn archive(lifecycle: &SegmentLifecycle, archived: SegmentArchivedV1) -> Result<Option<SegmentArchivedV1>, Refused> {
    let SegmentArchivedV1 { first, last, hash, .. } = archived;
    match &find(lifecycle, first, last, &hash)?.stage {
        Stage::Sealed => Ok(Some(archived)),
        Stage::Archived(known) | Stage::Dropped { archive: Some(known), .. }
            if known.file_hash == archived.file_hash && known.place == archived.place =>
        {
            Ok(None)
        }
        Stage::Archived(_) => Ok(Some(archived)),
        Stage::Dropped { .. } => rule(format!("segment {first} to {last} was dropped: it cannot be archived any more")),
    }
}

/// The oldest one goes first, and only when a snapshot stands for it; the newest one's footer is what the next
/// segment's is chained to.
fn drop_segment(
    lifecycle: &SegmentLifecycle,
    first: Seq,
    last: Seq,
    hash: [u8; 32],
    at_ms: u64,
) -> Result<Option<SegmentDroppedV1>, Refused> {
    let segment = find(lifecycle, first, last, &hash)?;
    let archived = match segment.stage {
        Stage::Dropped { .. } => return Ok(None),
        Stage::Archived(_) => true,
        Stage::Sealed => false,
    };
    if lifecycle.snapshot.is_none_or(|snapshot| snapshot.seq < last) {
        return rule(format!("segment {first} to {last} cannot be dropped: no snapshot stands for it"));
    }
    if let Some((older, _)) = lifecycle.oldest_kept().filter(|(oldest, _)| *oldest != first) {
        return rule(format!("segment {first} to {last} cannot be dropped before the one of record {older}"));
    }
    if last.saturating_add(1) == lifecycle.open_from() {
        return rule(format!("segment {first} to {last} cannot be dropped: it is the newest sealed one"));
    }
    Ok(Some(SegmentDroppedV1 { first, last, hash, archived, at_ms }))
}

fn find<'a>(lifecycle: &'a SegmentLifecycle, first: Seq, last: Seq, hash: &[u8; 32]) -> Result<&'a Segment, Refused> {
    let Some(segment) = lifecycle.segments.get(&first).filter(|segment| segment.last == last) else {
        return rule(format!("segment {first} to {last} was not sealed in this journal"));
    };
    if segment.hash != *hash {
        return rule(format!("segment {first} to {last} has another hash than when it was sealed"));
    }
    Ok(segment)
}

fn snapshot(lifecycle: &SegmentLifecycle, taken: SnapshotTakenV1) -> Result<Option<SnapshotTakenV1>, Refused> {
    match lifecycle.snapshot {
        Some(known) if known.seq == taken.seq && known.digest != taken.digest => {
            rule(format!("the snapshot of record {} has another digest than the one before", taken.seq))
        }
        Some(known) if known.seq >= taken.seq => Ok(None),
        _ => Ok(Some(taken)),
    }
}

fn find_gap(lifecycle: &SegmentLifecycle, gap: JournalGapFoundV1) -> Result<Option<JournalGapFoundV1>, Refused> {
    if gap.published == 0 {
        return rule("a gap is of records that were there".to_owned());
    }
    let known = lifecycle.gaps.iter().any(|known| (known.published, known.hash) == (gap.published, gap.hash));
    Ok((!known).then_some(gap))
}

fn write_item(database: &Database, written: DatabaseItemWrittenV1) -> Result<Option<DatabaseItemWrittenV1>, Refused> {
    let DatabaseItemWrittenV1 { generation, key, value, removed, .. } = &written;
    if key.is_empty() || key.len() > DATABASE_KEY_BYTES_MAX || value.len() > DATABASE_VALUE_BYTES_MAX {
        return rule(format!("an item of the mirrors database with {} bytes is too large to be copied", value.len()));
    }
    if *generation < database.generation {
        let newest = database.generation;
        return rule(format!("an item of generation {generation} comes after generation {newest}"));
    }
    let same = database.items.get(key) == Some(value).filter(|_| !removed);
    Ok((!same || *generation > database.generation).then_some(written))
}

fn lose(lifecycle: &SegmentLifecycle, lost: LossAcknowledgedV1) -> Result<Option<LossAcknowledgedV1>, Refused> {
    if lost.from == 0 || lost.to < lost.from || lost.reason.trim().is_empty() {
        return rule("a loss is of records, from the first to the last, and has a reason".to_owned());
    }
    let last = lifecycle.losses.last();
    let same = last.is_some_and(|last| {
        (last.from, last.to, &last.reason, &last.who) == (lost.from, lost.to, &lost.reason, &lost.who)
    });
    Ok((!same).then_some(lost))
}
