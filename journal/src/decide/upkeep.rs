//! Decisions about the journal's own files: a segment climbs from sealed to archived to dropped, never past a rung.
//!
//! The caller did the work that a step says (or, for a drop, is about to do it); here it is held against the ladder.
//! Steps may be repeated: one that the ladder has already gives no facts.

use super::Refused;
use crate::command::UpkeepStep;
use crate::event::{Event, LossAcknowledgedV1, SegmentArchivedV1, SegmentDroppedV1, SegmentSealedV1, SnapshotTakenV1};
use crate::ids::Seq;
use crate::state::ladder::{Ladder, Segment, Stage};

pub(super) fn step(ladder: &Ladder, step: UpkeepStep, at_ms: u64) -> Result<Vec<Event>, Refused> {
    let event = match step {
        UpkeepStep::Sealed { first, last, frames, bytes, checks, hash, last_frame } => {
            let sealed = SegmentSealedV1 { first, last, frames, bytes, checks, hash, last_frame, at_ms };
            seal(ladder, sealed)?.map(Event::SegmentSealed)
        }
        UpkeepStep::Archived { first, last, hash, bytes, file_hash, place } => {
            let archived = SegmentArchivedV1 { first, last, hash, bytes, file_hash, place, at_ms };
            archive(ladder, archived)?.map(Event::SegmentArchived)
        }
        UpkeepStep::Dropped { first, last, hash } => {
            drop_segment(ladder, first, last, hash, at_ms)?.map(Event::SegmentDropped)
        }
        UpkeepStep::SnapshotTaken { seq, digest, bytes } => {
            snapshot(ladder, SnapshotTakenV1 { seq, digest, bytes, at_ms })?.map(Event::SnapshotTaken)
        }
        UpkeepStep::LossAcknowledged { from, to, reason, who } => {
            lose(ladder, LossAcknowledgedV1 { from, to, reason, who, at_ms })?.map(Event::LossAcknowledged)
        }
    };
    Ok(event.into_iter().collect())
}

fn rule<T>(text: String) -> Result<T, Refused> {
    Err(Refused::Rule(text))
}

fn seal(ladder: &Ladder, sealed: SegmentSealedV1) -> Result<Option<SegmentSealedV1>, Refused> {
    let SegmentSealedV1 { first, last, hash, .. } = sealed;
    if let Some(known) = ladder.segments.get(&first) {
        if known.last == last && known.hash == hash {
            return Ok(None);
        }
        return rule(format!("segment {first} to {last} is not the one that was sealed: that ends at {}", known.last));
    }
    let next = ladder.open_from();
    if first != next || last < first || sealed.frames == 0 {
        return rule(format!("a segment of records {first} to {last} was sealed where record {next} follows"));
    }
    Ok(Some(sealed))
}

fn archive(ladder: &Ladder, archived: SegmentArchivedV1) -> Result<Option<SegmentArchivedV1>, Refused> {
    let SegmentArchivedV1 { first, last, hash, .. } = archived;
    match &find(ladder, first, last, &hash)?.stage {
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
    ladder: &Ladder,
    first: Seq,
    last: Seq,
    hash: [u8; 32],
    at_ms: u64,
) -> Result<Option<SegmentDroppedV1>, Refused> {
    let segment = find(ladder, first, last, &hash)?;
    let archived = match segment.stage {
        Stage::Dropped { .. } => return Ok(None),
        Stage::Archived(_) => true,
        Stage::Sealed => false,
    };
    if ladder.snapshot.is_none_or(|snapshot| snapshot.seq < last) {
        return rule(format!("segment {first} to {last} cannot be dropped: no snapshot stands for it"));
    }
    if let Some((older, _)) = ladder.oldest_kept().filter(|(oldest, _)| *oldest != first) {
        return rule(format!("segment {first} to {last} cannot be dropped before the one of record {older}"));
    }
    if last.saturating_add(1) == ladder.open_from() {
        return rule(format!("segment {first} to {last} cannot be dropped: it is the newest sealed one"));
    }
    Ok(Some(SegmentDroppedV1 { first, last, hash, archived, at_ms }))
}

fn find<'a>(ladder: &'a Ladder, first: Seq, last: Seq, hash: &[u8; 32]) -> Result<&'a Segment, Refused> {
    let Some(segment) = ladder.segments.get(&first).filter(|segment| segment.last == last) else {
        return rule(format!("segment {first} to {last} was not sealed in this journal"));
    };
    if segment.hash != *hash {
        return rule(format!("segment {first} to {last} has another hash than when it was sealed"));
    }
    Ok(segment)
}

fn snapshot(ladder: &Ladder, taken: SnapshotTakenV1) -> Result<Option<SnapshotTakenV1>, Refused> {
    match ladder.snapshot {
        Some(known) if known.seq == taken.seq && known.digest != taken.digest => {
            rule(format!("the snapshot of record {} has another digest than the one before", taken.seq))
        }
        Some(known) if known.seq >= taken.seq => Ok(None),
        _ => Ok(Some(taken)),
    }
}

fn lose(ladder: &Ladder, lost: LossAcknowledgedV1) -> Result<Option<LossAcknowledgedV1>, Refused> {
    if lost.from == 0 || lost.to < lost.from || lost.reason.trim().is_empty() {
        return rule("a loss is of records, from the first to the last, and has a reason".to_owned());
    }
    let last = ladder.losses.last();
    let same = last.is_some_and(|last| {
        (last.from, last.to, &last.reason, &last.who) == (lost.from, lost.to, &lost.reason, &lost.who)
    });
    Ok((!same).then_some(lost))
}
