//! The judge's part about the journal's own files: a plain list of what was said of each segment.

use std::collections::BTreeSet;

use lakemirror_journal::event::Event;

/// What was said of a segment: its records and its hash.
type Name = (u64, u64, [u8; 32]);

/// Everything that the facts so far say of the journal's files.
#[derive(Debug, Default)]
pub struct Files {
    pub sealed: Vec<Name>,
    pub archived: BTreeSet<Name>,
    pub dropped: BTreeSet<Name>,
    /// The newest record that a snapshot stands for.
    pub snapshot: u64,
    pub losses: usize,
}

impl Files {
    pub fn is_about(event: &Event) -> bool {
        matches!(event.kind().0, 4..=11)
    }

    /// Takes one fact; says what is wrong about it.
    pub fn take(&mut self, event: &Event) -> Result<(), String> {
        let must = |holds: bool, why: &str| if holds { Ok(()) } else { Err(format!("files: {why}")) };
        match event {
            Event::SegmentSealed(e) => {
                must(e.first == self.sealed.last().map_or(1, |last| last.1 + 1), "a segment does not follow")?;
                must(e.last >= e.first, "a segment without records")?;
                self.sealed.push((e.first, e.last, e.hash));
            }
            Event::SegmentArchived(e) => {
                let name = (e.first, e.last, e.hash);
                must(self.sealed.contains(&name), "archived before it was sealed")?;
                must(!self.dropped.contains(&name), "archived after it was dropped")?;
                self.archived.insert(name);
            }
            Event::SegmentDropped(e) => {
                let name = (e.first, e.last, e.hash);
                let place = self.sealed.iter().position(|sealed| *sealed == name);
                must(place == Some(self.dropped.len()), "dropped out of its turn")?;
                must(place.is_some_and(|place| place + 1 < self.sealed.len()), "dropped as the newest")?;
                must(e.last <= self.snapshot, "dropped without a snapshot")?;
                must(e.archived == self.archived.contains(&name), "not what is known of its archive")?;
                self.dropped.insert(name);
            }
            Event::SnapshotTaken(e) => {
                must(e.seq > self.snapshot || self.snapshot == 0, "a snapshot older than the last one")?;
                self.snapshot = e.seq;
            }
            Event::LossAcknowledged(e) => {
                must(e.from > 0 && e.to >= e.from && !e.reason.is_empty(), "a loss of nothing, or without a reason")?;
                self.losses += 1;
            }
            _ => {}
        }
        Ok(())
    }
}
