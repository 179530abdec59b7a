//! Builds the graph of one mirror from a snapshot, as if it had been read from records that are not available. All of
//! these records get the number 0.
//!
//! What the state has evicted is missing: trees of commits that nothing points to, messages of commits that are on the
//! mirror, moves before the last one.

use lakemirror_journal::state::branch::Branch as BranchState;
use lakemirror_journal::state::mirror::Mirror;

use super::{At, Branch, Commit, Graph, MESSAGE_LETTERS_MAX, Move, Seen, Tree};

fn at(at_ms: u64) -> At {
    At { seq: 0, at_ms }
}

/// The graph of a mirror in a snapshot.
pub(super) fn graph(mirror: &Mirror) -> Graph {
    let mut graph = Graph { name: mirror.definition.name.clone(), ..Graph::default() };
    for (id, found) in &mirror.graph.commits {
        let (committer, message, creation_date) = found.record.as_ref().map_or_else(Default::default, |record| {
            let message = record.message.lines().next().unwrap_or_default();
            (record.committer.clone(), message.chars().take(MESSAGE_LETTERS_MAX).collect(), record.creation_date)
        });
        let (parents, metarange) = (found.parents.clone(), found.metarange);
        let written = found.recorded.then_some(at(0));
        graph.commits.insert(*id, Commit { at: at(0), parents, metarange, committer, message, creation_date, written });
    }
    for (index, range) in (0u32..).zip(&mirror.trees.ranges) {
        graph.ranges.push((range.id, range.entries));
        graph.index.insert(range.id, index);
    }
    for (id, found) in &mirror.trees.metaranges {
        if found.is_read() && !found.evicted {
            let (readings, ranges) = (vec![(at(found.read_ms), 0)], found.ranges.clone());
            graph.trees.insert(*id, Tree { readings, ranges, under_way: None });
        }
    }
    graph.branches = mirror.branches.iter().map(|(name, found)| (name.clone(), branch(found))).collect();
    graph
}

fn branch(found: &BranchState) -> Branch {
    let one = |to, nth| Move { from: None, to, nth, started: None, finished: None, adopted: false, diverged: None };
    let mut moves = Vec::new();
    if let Some(to) = found.mirror {
        let diverged = found.diverged().map(|divergence| at(divergence.since_ms));
        // A branch that never moved was adopted where it was found.
        let adopted = found.moved_ms == 0;
        moves.push(Move { finished: Some(at(found.moved_ms)), diverged, adopted, ..one(to, 0) });
    }
    if let Some(under_way) = found.moving {
        moves.push(Move { from: under_way.from, ..one(under_way.to, under_way.seen) });
    }
    let seen = found.pending.iter().map(|head| Seen { at: at(head.at_ms), commit: head.commit, nth: head.seen });
    Branch { seen: seen.collect(), moves, tombstoned: found.tombstone_ms.map(at), away: None }
}
