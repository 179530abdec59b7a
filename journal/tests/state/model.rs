//! A judge that knows nothing of counters, flags or completenesses: it reads the list of facts from the first one on and says
//! whether the last one was allowed (I1, I2, I6, age of evidence). Slow and plain on purpose.

use std::collections::{BTreeMap, BTreeSet};

use lakemirror_journal::event::{
    ArchivedShownV1, Event, MoveFinishedV1, MoveGivenUpV1, MoveStartedV1, SourceProbedV1, WrongSizesGoneV1,
};
use lakemirror_journal::ids::{CommitId, MetarangeId, RangeId};
use lakemirror_journal::state::archived::ARCHIVED;
use lakemirror_journal::state::policy::{ArchivedRule, HistoryRule, ImportsRule, Policy, SizeRule};
use lakemirror_journal::state::tree::WRONG_SIZE;

use super::model_files::Files;

/// What is known of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Missing,
    Present {
        since_ms: u64,
    },
    OtherSize {
        since_ms: u64,
    },
    /// Whether the mirror shows it.
    Archived {
        since_ms: u64,
        shown: bool,
    },
    Expired,
}

#[derive(Debug, Clone, Default)]
struct Commit {
    parents: Vec<CommitId>,
    tree: Option<MetarangeId>,
}

/// Where a branch goes, and the place in `seen` that this is; none where it is put back.
#[derive(Debug, Clone, Copy)]
struct Goal {
    to: CommitId,
    place: Option<usize>,
    /// How often the rules had been set when it was begun.
    rules: u32,
}

#[derive(Debug, Clone, Default)]
struct Branch {
    /// Heads in the order in which they were seen since the branch last came.
    seen: Vec<CommitId>,
    /// The place in `seen` up to which it has moved.
    moved: usize,
    mirror: Option<CommitId>,
    moving: Option<Goal>,
    diverged: bool,
    /// Misses of this run with nothing seen in between.
    misses: u32,
    tombstone_ms: Option<u64>,
    removing: bool,
}

impl Branch {
    /// The first place that a move to this head may mean; none where the branch is put back (number 0): that is no step
    /// forward, although the source may have shown that head again.
    fn place(&self, head: &CommitId, seen: u64) -> Option<usize> {
        (self.moved..self.seen.len()).find(|place| seen != 0 && self.seen[*place] == *head)
    }
}

/// Everything that the facts so far say, as plainly as possible.
#[derive(Debug, Default)]
pub struct Judge {
    policy: Policy,
    commits: BTreeMap<CommitId, Commit>,
    recorded: BTreeSet<CommitId>,
    trees: BTreeMap<MetarangeId, (u32, Vec<RangeId>)>,
    ranges: BTreeMap<RangeId, Vec<Entry>>,
    imports: BTreeMap<RangeId, BTreeSet<u32>>,
    /// How often in succession the source said that an object is gone.
    gone: BTreeMap<(RangeId, u32), u32>,
    /// The oldest that each range has seen since it was read or opened again, whatever was seen of the same entries later.
    oldest: BTreeMap<RangeId, u64>,
    rules: u32,
    branches: BTreeMap<String, Branch>,
    /// Branches whose deletion waits for an operator.
    held: BTreeSet<String>,
    pub files: Files,
    pub checks: u64,
    pub moves_started: u32,
    pub removals: u32,
}

impl Judge {
    /// Takes one fact; says what is wrong about it.
    pub fn take(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::ServiceStarted(_) => {
                for branch in self.branches.values_mut() {
                    (branch.misses, branch.removing) = (0, false);
                }
            }
            Event::MirrorTaken(e) if !e.resumed => {
                self.held.clear();
                for branch in self.branches.values_mut() {
                    (branch.mirror, branch.moving, branch.diverged, branch.removing) = (None, None, false, false);
                    (branch.misses, branch.moved) = (0, branch.seen.len());
                }
            }
            Event::PolicySet(set) => self.policy_set(Policy::from_version_1(set)),
            Event::PolicySetV2(set) => self.policy_set(Policy::from_event(set)),
            Event::ArchivedShown(e) => return self.archived_shown(e),
            Event::CommitObserved(e) => {
                let commit = Commit { parents: e.parents.clone(), tree: e.metarange };
                self.commits.entry(e.id).or_insert(commit);
            }
            Event::MoveStarted(e) => return self.move_started(e),
            _ if Files::is_about(event) => return self.files.take(event),
            Event::RecordsWritten(e) => return self.records_written(&e.commits, e.at_ms),
            Event::WrongSizesGone(e) => return self.wrong_sizes_gone(e),
            Event::MoveGivenUp(e) => return self.given_up(e),
            Event::BranchRemakeStarted(e) => return self.remade(&e.branch, e.at_ms),
            Event::DeletionsHeld(e) => self.held.extend(e.branches.iter().cloned()),
            Event::DeletionsApproved(e) => self.held.retain(|name| !e.branches.contains(name)),
            Event::DeletionsReleased(e) => self.held.retain(|name| !e.branches.contains(name)),
            Event::MoveFinished(e) => {
                self.carried_out(e)?;
                return self.branch_fact(event);
            }
            _ if event.branch().is_some() => return self.branch_fact(event),
            _ => self.content_fact(event),
        }
        Ok(())
    }

    /// What was found and said of imports under another rule for them does not count.
    fn policy_set(&mut self, new: Policy) {
        let others = self.policy.imports != new.imports;
        (self.policy, self.rules) = (new, self.rules + 1);
        for (range, ordinals) in self.imports.iter().filter(|_| others) {
            for ordinal in ordinals {
                self.gone.remove(&(*range, *ordinal));
                self.ranges.get_mut(range).unwrap()[*ordinal as usize] = Entry::Missing;
            }
        }
    }

    fn content_fact(&mut self, event: &Event) {
        match event {
            Event::MetarangeRead(e) => {
                let tree = self.trees.entry(e.metarange).or_default();
                if e.first == 0 {
                    *tree = (e.total, Vec::new());
                }
                tree.1.extend(e.ranges.iter().map(|(id, _)| *id));
            }
            Event::TreesTakenBack(e) => e.metaranges.iter().for_each(|id| drop(self.trees.remove(id))),
            Event::RangeRead(e) => {
                self.gone.retain(|(range, _), _| *range != e.range);
                self.oldest.insert(e.range, e.at_ms.min(e.inherited_oldest_ms));
                let inherited = e.inherited.decode().unwrap();
                let entry = |ordinal| match inherited.contains(ordinal) {
                    true => Entry::Present { since_ms: e.inherited_oldest_ms },
                    false => Entry::Missing,
                };
                self.ranges.insert(e.range, (0..e.entries).map(entry).collect());
                self.imports.insert(e.range, e.imports.decode().unwrap().iter().collect());
            }
            Event::ArrivalsChecked(e) => {
                let (asked, present) = (e.asked.decode().unwrap(), e.present.decode().unwrap());
                if !present.is_none() || e.exceptions.iter().any(|x| matches!(x.code, WRONG_SIZE | ARCHIVED)) {
                    self.oldest.entry(e.range).and_modify(|oldest| *oldest = e.started_ms.min(*oldest));
                }
                self.checks += u64::from(asked.count());
                let entries = self.ranges.get_mut(&e.range).unwrap();
                for (offset, rank) in asked.iter().zip(0u32..) {
                    let entry = &mut entries[(e.base + offset) as usize];
                    let size = e.exceptions.iter().any(|x| x.ordinal == e.base + offset && x.code == WRONG_SIZE);
                    let archived = e.exceptions.iter().any(|x| x.ordinal == e.base + offset && x.code == ARCHIVED);
                    // Where sizes are only reported, such an object is there.
                    let there = size && self.policy.size == SizeRule::Report
                        || archived && self.policy.archived == ArchivedRule::Report;
                    if present.contains(rank) || there {
                        self.gone.remove(&(e.range, e.base + offset));
                    }
                    *entry = match (present.contains(rank), size, *entry) {
                        _ if archived => Entry::Archived { since_ms: e.started_ms, shown: false },
                        (true, ..) => Entry::Present { since_ms: e.started_ms },
                        (false, true, _) => Entry::OtherSize { since_ms: e.started_ms },
                        (false, false, Entry::Expired) => Entry::Expired,
                        (false, false, _) => Entry::Missing,
                    };
                }
            }
            Event::SourceProbed(e) => self.probed(e),
            Event::RangesReopened(e) => {
                self.gone.retain(|(range, _), _| !e.ranges.contains(range));
                self.oldest.extend(e.ranges.iter().map(|range| (*range, u64::MAX)));
                for entry in e.ranges.iter().filter_map(|id| self.ranges.get_mut(id).map(|_| *id)).collect::<Vec<_>>() {
                    self.ranges.get_mut(&entry).unwrap().fill(Entry::Missing);
                }
            }
            _ => {}
        }
    }

    fn probed(&mut self, e: &SourceProbedV1) {
        let Some(entries) = self.ranges.get_mut(&e.range) else { return };
        let strict = self.policy.size == SizeRule::Strict;
        let block = self.policy.archived == ArchivedRule::Block;
        for (entry, ordinal) in entries.iter_mut().zip(0u32..) {
            let counts = *entry == Entry::Missing
                || strict && matches!(entry, Entry::OtherSize { .. })
                || block && matches!(entry, Entry::Archived { .. });
            if counts && e.there.contains(&ordinal) {
                self.gone.remove(&(e.range, ordinal));
            }
            if counts && e.gone.contains(&ordinal) {
                let said = self.gone.entry((e.range, ordinal)).or_default();
                *said += 1;
                if *said > 1 && *entry == Entry::Missing {
                    *entry = Entry::Expired;
                }
            }
        }
    }

    /// I1, I2, and the age of evidence.
    fn move_started(&mut self, e: &MoveStartedV1) -> Result<(), String> {
        self.moves_started += 1;
        // Back to where this journal moved it: it was complete then, and only somebody else took the branch away.
        let back = self.branches.get(&e.branch).is_some_and(|b| b.diverged && b.mirror == Some(e.to));
        if !(back && e.seen == 0 && self.recorded.contains(&e.to)) {
            self.complete(&e.to, true, e.at_ms).map_err(|why| format!("I1: head {:?}: {why}", e.to))?;
        }
        if self.policy.history == HistoryRule::Complete && !self.recorded.contains(&e.to) {
            for ancestor in self.unrecorded_ancestors(&e.to)? {
                self.complete(&ancestor, false, e.at_ms).map_err(|why| format!("I1: ancestor {ancestor:?}: {why}"))?;
            }
        }
        let branch = self.branches.get_mut(&e.branch).ok_or("I2: a branch that was never seen moves")?;
        if branch.moving.is_some() || branch.removing {
            return Err("a branch moves that moves already, or goes".to_owned());
        }
        let place = branch.place(&e.to, e.seen);
        if place.is_none() && !(back && e.seen == 0) {
            return Err(format!("I2: {:?} was not seen, or before what it moved to last", e.to));
        }
        branch.moving = Some(Goal { to: e.to, place, rules: self.rules });
        Ok(())
    }

    /// All that a move to `head` rests on; no range of it has seen anything that is too old.
    fn founded(&self, head: &CommitId, at_ms: u64) -> Result<(), String> {
        self.complete(head, true, at_ms)?;
        let mut commits = BTreeSet::from([*head]);
        if self.policy.history == HistoryRule::Complete && !self.recorded.contains(head) {
            commits.extend(self.unrecorded_ancestors(head)?);
        }
        let before = at_ms.saturating_sub(self.policy.evidence_age_ms_max);
        for id in commits {
            self.complete(&id, id == *head, at_ms)?;
            let tree = self.commits.get(&id).and_then(|commit| commit.tree).and_then(|tree| self.trees.get(&tree));
            let mut ranges = tree.into_iter().flat_map(|(_, ranges)| ranges);
            if ranges.any(|range| self.oldest.get(range).is_some_and(|oldest| *oldest < before)) {
                return Err("a range has seen something too long ago".to_owned());
            }
        }
        Ok(())
    }

    /// What is written for a move rests on evidence that counts when it is written.
    fn records_written(&mut self, commits: &[CommitId], at_ms: u64) -> Result<(), String> {
        for id in commits.iter().filter(|id| !self.recorded.contains(id)) {
            if self.policy.history == HistoryRule::Complete {
                self.complete(id, false, at_ms).map_err(|why| format!("I1: record {id:?}: {why}"))?;
            }
        }
        self.recorded.extend(commits);
        Ok(())
    }

    /// The same of a branch that was moved; one that was put back rests on what was proven before.
    fn carried_out(&self, e: &MoveFinishedV1) -> Result<(), String> {
        let goal = self.branches.get(&e.branch).and_then(|branch| branch.moving);
        match goal.filter(|goal| goal.place.is_some() && goal.to == e.to) {
            Some(goal) => {
                self.complete(&goal.to, true, e.at_ms).map_err(|why| format!("I1: moved to {:?}: {why}", e.to))
            }
            None => Ok(()),
        }
    }

    /// A branch is deleted and created again only where its head is proven, so that it can come back at once.
    fn remade(&mut self, name: &str, at_ms: u64) -> Result<(), String> {
        let branch = self.branches.get_mut(name).ok_or("a branch is made again that is not there")?;
        if branch.moving.is_some() || branch.removing || branch.diverged || branch.tombstone_ms.is_some() {
            return Err(format!("a branch is made again that does not rest: {branch:?}"));
        }
        branch.removing = true;
        let head = branch.mirror.ok_or("a branch is made again that the mirror does not show")?;
        self.complete(&head, true, at_ms).map_err(|why| format!("I1: made again at {head:?}: {why}"))
    }

    /// A move is given up only for a reason, and the branch stays where it was.
    fn given_up(&mut self, e: &MoveGivenUpV1) -> Result<(), String> {
        let goal = self.branches.get_mut(&e.branch).and_then(|branch| branch.moving.take());
        let goal = goal.filter(|goal| goal.to == e.to).ok_or("a move is given up that is not under way")?;
        if self.branches.get(&e.branch).is_some_and(|branch| branch.tombstone_ms.is_some()) {
            return Ok(());
        }
        if goal.place.is_none() {
            return Err("a branch that is put back needs no evidence".to_owned());
        }
        // Under other rules, what proved it is perhaps not even listed any more.
        match self.founded(&e.to, e.at_ms) {
            Ok(()) if goal.rules == self.rules => Err("a move is given up whose evidence is good".to_owned()),
            _ => Ok(()),
        }
    }

    /// An object of another size is no reason for less proof: the source said it twice, and not otherwise since.
    fn wrong_sizes_gone(&mut self, e: &WrongSizesGoneV1) -> Result<(), String> {
        for (ordinals, answers) in [(&e.once, 1), (&e.twice, 2)] {
            for ordinal in ordinals {
                let entry = self.ranges.get_mut(&e.range).and_then(|entries| entries.get_mut(*ordinal as usize));
                let entry = entry.filter(|entry| matches!(entry, Entry::OtherSize { .. } | Entry::Archived { .. }));
                let entry = entry.ok_or_else(|| format!("entry {ordinal} of {:?} has no other size", e.range))?;
                if self.gone.get(&(e.range, *ordinal)).is_none_or(|said| *said < answers) {
                    return Err(format!("I1: entry {ordinal} of {:?} counts as gone {answers} times", e.range));
                }
                if answers == 2 {
                    *entry = Entry::Expired;
                }
            }
        }
        Ok(())
    }

    /// Only what a branch of the mirror shows may be let pass.
    fn archived_shown(&mut self, e: &ArchivedShownV1) -> Result<(), String> {
        let shown = self.branches.values().filter_map(|branch| self.commits.get(&branch.mirror?)?.tree);
        let has = |tree: MetarangeId| self.trees.get(&tree).is_some_and(|(_, ranges)| ranges.contains(&e.range));
        if !shown.into_iter().any(has) {
            return Err(format!("I1: no branch shows {:?}", e.range));
        }
        for ordinal in &e.ordinals {
            match self.ranges.get_mut(&e.range).and_then(|entries| entries.get_mut(*ordinal as usize)) {
                Some(Entry::Archived { shown, .. }) => *shown = true,
                other => return Err(format!("{other:?} is not archived")),
            }
        }
        Ok(())
    }

    fn unrecorded_ancestors(&self, head: &CommitId) -> Result<BTreeSet<CommitId>, String> {
        let mut found = BTreeSet::new();
        let mut stack = vec![*head];
        while let Some(id) = stack.pop() {
            let commit = self.commits.get(&id).ok_or_else(|| format!("I1: ancestor {id:?} was never observed"))?;
            for parent in commit.parents.iter().filter(|parent| !self.recorded.contains(parent)) {
                if found.insert(*parent) {
                    stack.push(*parent);
                }
            }
        }
        Ok(found)
    }

    /// Whether every entry of every range of the commit's tree is proven, and recently enough.
    fn complete(&self, id: &CommitId, head: bool, at_ms: u64) -> Result<(), String> {
        let commit = self.commits.get(id).ok_or("it was never observed")?;
        let Some(tree) = commit.tree else { return Ok(()) };
        let (total, ranges) = self.trees.get(&tree).ok_or("its metarange was never read")?;
        if ranges.len() != *total as usize {
            return Err("its metarange was read in part".to_owned());
        }
        let oldest = at_ms.saturating_sub(self.policy.evidence_age_ms_max);
        for range in ranges {
            let entries = self.ranges.get(range).ok_or_else(|| format!("{range:?} was never read"))?;
            for (ordinal, entry) in entries.iter().enumerate() {
                let import = self.imports.get(range).is_some_and(|imports| imports.contains(&(ordinal as u32)));
                self.proven(*entry, import, head, oldest).map_err(|why| format!("{range:?} entry {ordinal}: {why}"))?;
            }
        }
        Ok(())
    }

    fn proven(&self, entry: Entry, import: bool, head: bool, oldest: u64) -> Result<(), String> {
        match (import, self.policy.imports) {
            (true, ImportsRule::Block) => return Err("an import, which blocks".to_owned()),
            (true, ImportsRule::Ignore) => return Ok(()),
            _ => {}
        }
        match entry {
            Entry::Present { since_ms } if since_ms >= oldest => Ok(()),
            Entry::OtherSize { since_ms } if self.policy.size == SizeRule::Report && since_ms >= oldest => Ok(()),
            Entry::Archived { since_ms, shown }
                if (shown || self.policy.archived == ArchivedRule::Report) && since_ms >= oldest =>
            {
                Ok(())
            }
            Entry::Expired if !head => Ok(()),
            other => Err(format!("{other:?}, oldest that counts {oldest}")),
        }
    }

    fn branch_fact(&mut self, event: &Event) -> Result<(), String> {
        let (grace, name) = (self.policy.deletion_grace_ms, event.branch().unwrap().to_owned());
        if let Event::BranchRemoved(_) = event {
            let branch = self.branches.get_mut(&name).ok_or("a branch goes that is not there")?;
            if !branch.removing {
                return Err("I6: a branch goes whose removal did not start in this run".to_owned());
            }
            if branch.tombstone_ms.is_some() {
                self.branches.remove(&name);
            } else {
                (branch.removing, branch.mirror, branch.diverged) = (false, None, false);
            }
            return Ok(());
        }
        match event {
            Event::BranchSeen(_) => self.held.retain(|held| *held != name),
            Event::BranchMissed(_) | Event::BranchRemovalStarted(_) if self.held.contains(&name) => {
                return Err(format!("I6: {name} goes without the operator that it waits for"));
            }
            _ => {}
        }
        let recorded = matches!(event, Event::MoveFinished(e) if self.recorded.contains(&e.to));
        let branch = self.branches.entry(name).or_default();
        match event {
            Event::BranchSeen(e) => {
                branch.seen.push(e.head);
                (branch.misses, branch.tombstone_ms) = (0, None);
            }
            Event::BranchMissed(_) => branch.misses += 1,
            Event::BranchTombstoned(e) => {
                if branch.misses < 2 {
                    return Err("I6: a tombstone without two misses of one run".to_owned());
                }
                (branch.tombstone_ms, branch.moved) = (Some(e.at_ms), branch.seen.len());
            }
            Event::BranchRemovalStarted(e) => {
                let since = branch.tombstone_ms.ok_or("I6: a removal without a tombstone")?;
                if branch.misses < 2 || e.at_ms.saturating_sub(since) < grace || branch.moving.is_some() {
                    return Err(format!("I6: a removal too early: {branch:?}"));
                }
                branch.removing = true;
                self.removals += 1;
            }
            Event::MoveFinished(e) => {
                let open = branch.moving.take();
                let arrived = open.map_or(branch.mirror == Some(e.to), |goal| goal.to == e.to);
                // The place that it set out for: the source may have shown the same head again meanwhile.
                let place = match open {
                    Some(goal) if arrived => goal.place,
                    _ => branch.place(&e.to, e.seen),
                };
                // Found where a move may have put it whose end was not written down.
                if !arrived && (!recorded || place.is_none()) {
                    return Err(format!("I2: finished at {:?}, which was not the goal", e.to));
                }
                branch.moved = branch.moved.max(place.unwrap_or(0));
                (branch.mirror, branch.diverged) = (Some(e.to), false);
            }
            Event::BranchDiverged(_) => (branch.diverged, branch.moving, branch.removing) = (true, None, false),
            Event::BranchForgotten(_) => {
                (branch.mirror, branch.moving, branch.diverged, branch.removing) = (None, None, false, false);
                (branch.misses, branch.moved) = (0, branch.seen.len());
            }
            Event::BranchAdopted(e) => (branch.mirror, branch.diverged) = (Some(e.found), false),
            _ => {}
        }
        Ok(())
    }
}
