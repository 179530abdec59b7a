//! A branch of a mirror: what was seen of it at the source, what it is on the mirror, and the move between the two.

use crate::ids::CommitId;

mod presence;

pub use presence::Presence;

/// How many heads are kept that were seen and not yet promoted; beyond it every second of the older half is let go.
pub const PENDING_MAX: usize = 256;

/// A head that was seen at the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct SeenHead {
    /// Its number among the heads seen of this branch, from 1.
    pub seen: u64,
    /// The commit.
    pub commit: CommitId,
    /// When it was seen first, milliseconds since 1970.
    pub at_ms: u64,
}

/// A move that was started and not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Move {
    /// Where the branch was, as far as the journal knew.
    pub from: Option<CommitId>,
    /// Where it goes.
    pub to: CommitId,
    /// The number of the seen head.
    pub seen: u64,
    /// When it was started, milliseconds since 1970.
    pub at_ms: u64,
}

/// The mirror's branch is not where the journal left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Divergence {
    /// Where it was expected.
    pub expected: Option<CommitId>,
    /// Where it was found.
    pub found: Option<CommitId>,
    /// Since when, milliseconds since 1970.
    pub since_ms: u64,
}

/// One branch.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Branch {
    /// The head last seen at the source.
    pub head: CommitId,
    /// Whether it is hidden at the source, as last seen.
    pub hidden: bool,
    /// Whether it is there at the source.
    pub presence: Presence,
    /// Since when it is a tombstone, milliseconds since 1970.
    pub tombstone_ms: Option<u64>,
    /// Whether its removal from the mirror is under way.
    pub removing: bool,
    /// How many heads were seen.
    pub seen: u64,
    /// Heads seen and not yet promoted, in the order in which they were seen.
    pub pending: Vec<SeenHead>,
    /// Where it is on the mirror, by this journal.
    pub mirror: Option<CommitId>,
    /// When it last moved there, milliseconds since 1970.
    pub moved_ms: u64,
    /// The move under way.
    pub moving: Option<Move>,
    /// Whether somebody else moved it.
    pub divergence: Option<Divergence>,
}

impl Branch {
    pub(crate) fn new(head: CommitId, hidden: bool) -> Self {
        Self {
            head,
            hidden,
            presence: Presence::There,
            tombstone_ms: None,
            removing: false,
            seen: 0,
            pending: Vec::new(),
            mirror: None,
            moved_ms: 0,
            moving: None,
            divergence: None,
        }
    }

    /// The number that a head gets which is seen now; none for the one that was seen last and waits.
    pub(crate) fn number_of(&self, head: CommitId) -> Option<u64> {
        let is_last = self.pending.last().is_some_and(|last| last.commit == head);
        (!is_last).then(|| self.seen.saturating_add(1))
    }

    pub(crate) fn see(&mut self, head: CommitId, at_ms: u64) {
        (self.presence, self.tombstone_ms, self.head) = (Presence::There, None, head);
        let Some(number) = self.number_of(head) else { return };
        self.seen = number;
        self.pending.push(SeenHead { seen: self.seen, commit: head, at_ms });
        if self.pending.len() > PENDING_MAX {
            let half = self.pending.len() / 2;
            let mut place = 0usize;
            self.pending.retain(|_| {
                place += 1;
                place > half || place % 2 == 1
            });
        }
    }

    /// Where the branch is, on the mirror and at the source, is not known any more: another process may have promoted
    /// what came after all that was seen here. Misses are counted anew.
    pub(crate) fn begin_anew(&mut self) {
        (self.mirror, self.moving, self.removing, self.divergence) = (None, None, false, None);
        self.pending.clear();
        if let Presence::Missed { times, .. } = &mut self.presence {
            *times = 0;
        }
    }

    /// The mirror's branch is to be removed and created again at its head, which waits from here on as if it had just
    /// been seen.
    pub(crate) fn begin_remake(&mut self, hidden: bool, at_ms: u64) {
        (self.hidden, self.removing) = (hidden, true);
        if let Some(commit) = self.mirror.filter(|_| self.pending.is_empty()) {
            self.pending.push(SeenHead { seen: self.seen, commit, at_ms });
        }
    }

    /// Whether its head at the source, although it was seen, is to be seen again.
    #[must_use]
    pub fn is_unplaced(&self) -> bool {
        self.mirror.is_none() && self.moving.is_none() && self.pending.is_empty()
    }

    pub(crate) fn finish(&mut self, to: CommitId, seen: u64, at_ms: u64) {
        (self.mirror, self.moving, self.divergence, self.moved_ms) = (Some(to), None, None, at_ms);
        self.pending.retain(|head| head.seen > seen);
    }

    /// Whether somebody else has it: it was found elsewhere than this journal left it. What others made where this
    /// journal has made nothing is over once it was found to be away again.
    #[must_use]
    pub fn diverged(&self) -> Option<Divergence> {
        self.divergence.filter(|divergence| divergence.found != self.mirror)
    }

    /// The move under way is not carried out: its head waits again. It still stands among those seen, unless a long list
    /// of them was thinned out meanwhile; then it comes back to its place. Nothing that was seen before it is there only
    /// where the branch was gone since: what it showed before that is over. False where that is not the move under way.
    pub(crate) fn give_up(&mut self, to: CommitId, seen: u64) -> bool {
        let Some(under_way) = self.moving.filter(|moving| (moving.to, moving.seen) == (to, seen)) else { return false };
        self.moving = None;
        let place = self.pending.partition_point(|head| head.seen < seen);
        if place > 0 && self.pending.get(place).is_none_or(|head| head.seen != seen) {
            self.pending.insert(place, SeenHead { seen, commit: to, at_ms: under_way.at_ms });
        }
        true
    }

    /// Whether the mirror shows what the source shows.
    #[must_use]
    pub fn is_in_sync(&self) -> bool {
        self.pending.is_empty() && self.moving.is_none() && self.mirror == Some(self.head)
    }
}
