//! The invariants, observed from outside: an independent model of the sources, of what was found in the destination's
//! bucket, and of the mirrors. It is told what happens and what was answered, and depends on neither the engine nor the
//! journal.
//!
//! | | asserted |
//! |---|---|
//! | I1 | a commit record is only written, and a branch only moved, if each file and object of the commit was reported
//! present to the very journal that acts; an object that does not exist at the source either excuses an ancestor, never
//! a head; parents before children |
//! | I2 | a mirror's branch only moves to heads that the source reported for that branch, in the order of the reports |
//! | I3 | no changing call is sent while something written by its process is not synced |
//! | I4 | the state after a replay is the live state (checked by the runner) |
//! | I5, I8 | in the end, every branch that can be in sync is (checked by the runner) |
//! | I6 | a branch is only deleted if the source reported twice, in the same run and in succession, that it does not
//! exist, and not while its repository is being deleted; a repository only if its mirror was deleted; what other
//! writers created or moved is not touched |
//! | I7 | a changing call is only executed for the process that the mirrors database names as the driver; a mirror that
//! changes owner gets a higher epoch |
//! | I9, I10, I11 | checked by the runner (`ending.rs`): everything except what waits for one object gets in sync; what
//! was observed before a source was lost is shown; summaries are true |

#[path = "judge/level.rs"]
mod level;
#[path = "judge/others.rs"]
mod others;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use others::Shown;

use crate::agenda::{Micros, SECOND};

pub(crate) type Id = [u8; 32];

/// Time after which a running process has recorded an answer.
const WRITTEN_AFTER: Micros = 10 * SECOND;

/// A violated invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) invariant: &'static str,
    pub(crate) what: String,
}

/// The caller: a process, its run, and its journal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Who {
    pub(crate) name: String,
    pub(crate) run: u64,
    pub(crate) node: u64,
}

#[derive(Debug, Clone, Default)]
struct Commit {
    parents: Vec<Id>,
    /// Keys (by number) and sizes; metadata files have no size to compare.
    needs: Vec<u32>,
}

#[derive(Debug, Clone, Default)]
struct Source {
    branches: BTreeMap<String, Id>,
    /// The reported heads of each branch, in order, without repetitions in succession.
    answered: BTreeMap<String, Vec<Id>>,
    /// When a branch was last deleted.
    deleted: BTreeMap<String, Micros>,
}

#[derive(Debug, Clone, Default)]
struct MirrorBranch {
    head: Id,
    /// The term in which it was last moved.
    term: u64,
}

/// The repository of a mirror.
#[derive(Debug, Clone, Default)]
struct Copy {
    incarnation: Option<String>,
    records: BTreeSet<Id>,
    /// Commits that an earlier journal wrote and the present one did not yet.
    inherited: BTreeSet<Id>,
    branches: BTreeMap<String, MirrorBranch>,
    /// Branches that other writers created, and their heads.
    foreign: BTreeMap<String, Id>,
    /// Branches that other writers moved, and their heads; `None` if they were deleted.
    moved: BTreeMap<String, Option<Id>>,
    /// Branches that other writers deleted and that no longer existed at the source, as they were.
    forgotten: BTreeMap<String, MirrorBranch>,
    /// Branches that other writers ever moved.
    touched: BTreeSet<String>,
    /// Whether other writers replaced a mirror's repository with this one.
    replaced: bool,
    /// Number of the current journal among those that drive it one after another, and that journal.
    term: u64,
    node: Option<u64>,
}

#[derive(Debug, Clone)]
struct Mirror {
    name: String,
    source: String,
    deleted: bool,
    /// By branch: the position of its last head among the reported ones, kept after its deletion.
    reached: BTreeMap<String, usize>,
}

/// Reports to one run of a process that a branch does not exist.
#[derive(Debug, Clone, Default)]
struct Missed {
    streak: u32,
    proven: bool,
    /// Time of the last report.
    at: Micros,
}

/// The judge.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    pub(crate) now: Micros,
    /// Maximum age of evidence when a call that rests on it is executed; `None` if clocks jump.
    pub(crate) evidence_age: Option<Micros>,
    keys: HashMap<String, u32>,
    /// The keys by their numbers.
    names: Vec<String>,
    commits: BTreeMap<Id, Commit>,
    gone: BTreeSet<u32>,
    sources: BTreeMap<String, Source>,
    mirrors: BTreeMap<String, Mirror>,
    copies: BTreeMap<String, Copy>,
    /// When a journal was last told that a key is present.
    evidence: BTreeMap<(u64, u32), Micros>,
    missed: BTreeMap<(Who, String, String), Missed>,
    /// By mirror: its driver, and the epoch.
    holders: BTreeMap<String, (Option<String>, u64)>,
    /// Commit records that were returned to a journal, and when.
    told: BTreeMap<(u64, Id), Micros>,
    /// Whether branches of sources were hidden in any listing.
    visibility: BTreeMap<(String, String), BTreeSet<bool>>,
    /// Heads that were last returned to a run of a process, by source and branch.
    heads_told: BTreeMap<(String, String, String), Id>,
    /// Sources that were deleted or replaced: their mirrors keep their content.
    vanished: BTreeSet<String>,
    /// What the mirror's lakeFS returned to each caller.
    shown: Shown,
    /// Mirrors whose repositories other writers deleted or replaced.
    robbed: BTreeSet<String>,
    /// Mirrors without a repository when another source took their source's name.
    doubtful: BTreeSet<String>,
    /// Whether branches that other writers moved are restored.
    pub(crate) restores: bool,
    /// Whether ancestors are proven before their records are written.
    pub(crate) history_complete: bool,
    /// Maximum delay of a deletion after the answer that proves it; `None` if calls are delayed.
    pub(crate) removal_late_max: Option<Micros>,
    /// The journals of processes, by the processes' names.
    nodes: BTreeMap<String, u64>,
    pub(crate) violations: Vec<Violation>,
    /// Number of events, for the summary of a run.
    pub(crate) moves: u64,
    pub(crate) records: u64,
    pub(crate) removals: u64,
}

fn short(id: &Id) -> String {
    id.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

impl Judge {
    pub(crate) fn broken(&mut self, invariant: &'static str, what: String) {
        self.violations.push(Violation { invariant, what });
    }

    fn key(&mut self, key: &str) -> u32 {
        if let Some(number) = self.keys.get(key) {
            return *number;
        }
        let number = self.names.len() as u32;
        self.keys.insert(key.to_owned(), number);
        self.names.push(key.to_owned());
        number
    }

    // Events at the source.

    pub(crate) fn commit_made(&mut self, id: Id, parents: Vec<Id>, needs: &[String]) {
        let needs = needs.iter().map(|key| self.key(key)).collect();
        self.commits.insert(id, Commit { parents, needs });
    }

    pub(crate) fn source_branch(&mut self, repository: &str, branch: &str, head: Option<Id>) {
        let source = self.sources.entry(repository.to_owned()).or_default();
        let made = head.is_some() && !source.branches.contains_key(branch);
        match head {
            Some(head) => drop(source.branches.insert(branch.to_owned(), head)),
            None => {
                source.branches.remove(branch);
                source.deleted.insert(branch.to_owned(), self.now);
            }
        }
        if made {
            self.source_has_again(repository, branch);
        }
    }

    pub(crate) fn gone_at_source(&mut self, key: &str) {
        let key = self.key(key);
        self.gone.insert(key);
    }

    // Answers.

    /// A head was returned to a process.
    pub(crate) fn head_answered(&mut self, repository: &str, branch: &str, head: Id) {
        let source = self.sources.entry(repository.to_owned()).or_default();
        match source.answered.get_mut(branch) {
            Some(heads) if heads.last() == Some(&head) => {}
            Some(heads) => heads.push(head),
            None => drop(source.answered.insert(branch.to_owned(), vec![head])),
        }
    }

    /// A listing or a query of a branch returned this head, or the absence of the branch by its own 404.
    pub(crate) fn presence_told(&mut self, who: &Who, repository: &str, branch: &str, there: bool) {
        let entry = (who.clone(), repository.to_owned(), branch.to_owned());
        // A repository that is being deleted shows no branches; that says nothing about those it had before.
        let had = self.sources.get(repository).is_some_and(|source| source.branches.contains_key(branch));
        let vanishing = had && self.vanished.contains(repository);
        let missed = self.missed.entry(entry).or_default();
        missed.streak = if there || vanishing { 0 } else { missed.streak + 1 };
        missed.proven |= missed.streak >= 2;
        if missed.streak > 0 {
            missed.at = self.now;
        }
    }

    /// A commit record was returned to a process.
    pub(crate) fn commit_told(&mut self, who: &Who, id: Id) {
        self.told.entry((who.node, id)).or_insert(self.now);
    }

    /// A head of the source was returned to a process.
    pub(crate) fn head_told(&mut self, who: &Who, repository: &str, branch: &str, head: Id) {
        self.heads_told.insert((who.name.clone(), repository.to_owned(), branch.to_owned()), head);
    }

    /// A process has died: what it was told just before may not be recorded.
    pub(crate) fn process_ended(&mut self, name: &str) {
        let node = self.nodes.get(name).copied();
        let sure = self.now.saturating_sub(WRITTEN_AFTER);
        self.told.retain(|(told, _), at| Some(*told) != node || *at <= sure);
    }

    /// A process was told that a key is present, with the right size.
    pub(crate) fn arrival_told(&mut self, who: &Who, key: &str) {
        let key = self.key(key);
        self.evidence.insert((who.node, key), self.now);
    }

    // Definitions.

    pub(crate) fn mirror_defined(&mut self, incarnation: &str, name: &str, source: &str) {
        let (name, source) = (name.to_owned(), source.to_owned());
        let mirror = Mirror { name, source, deleted: false, reached: BTreeMap::new() };
        self.mirrors.insert(incarnation.to_owned(), mirror);
    }

    pub(crate) fn mirror_undefined(&mut self, incarnation: &str) {
        if let Some(mirror) = self.mirrors.get_mut(incarnation) {
            mirror.deleted = true;
        }
    }

    /// A process has opened its journal.
    pub(crate) fn process_started(&mut self, who: &Who) {
        self.nodes.insert(who.name.clone(), who.node);
    }

    /// The driver of a mirror, according to the mirrors database.
    pub(crate) fn driver_written(&mut self, incarnation: &str, holder: Option<String>, epoch: u64) {
        if let Some((before, old)) = self.holders.get(incarnation)
            && (epoch < *old || epoch == *old && holder.is_some() && *before != holder)
        {
            self.broken("I7", format!("{incarnation:.8} goes to {holder:?} with epoch {epoch} after {old}"));
        }
        let node = holder.as_ref().and_then(|holder| self.nodes.get(holder)).copied();
        let ours = |copy: &&mut Copy| copy.incarnation.as_deref() == Some(incarnation);
        if let Some(copy) = self.copies.values_mut().find(ours)
            && node.is_some()
            && copy.node != node
        {
            copy.term += 1;
            copy.node = node;
            copy.inherited = copy.records.clone();
        }
        self.holders.insert(incarnation.to_owned(), (holder, epoch));
    }

    /// The process that drives a mirror which is not deleted.
    pub(crate) fn driver(&self) -> Option<&str> {
        let active = |id: &&String| self.mirrors.get(*id).is_some_and(|mirror| !mirror.deleted);
        self.holders.keys().find(active).and_then(|id| self.holders.get(id)?.0.as_deref())
    }

    // Changes to mirrors.

    /// A changing call was sent.
    pub(crate) fn sent(&mut self, who: &Who, call: &str, synced: bool) {
        if !synced {
            self.broken("I3", format!("{} sends {call} while what it has written is not synced", who.name));
        }
    }

    pub(crate) fn repository_made(&mut self, who: &Who, name: &str) {
        let wanted = self.mirrors.values().any(|mirror| mirror.name == name);
        if !wanted {
            self.broken("I6", format!("{} makes repository {name}, which nobody asked for", who.name));
        }
        self.copies.insert(name.to_owned(), Copy::default());
    }

    pub(crate) fn repository_marked(&mut self, who: &Who, name: &str, incarnation: &str) {
        let before = self.copies.get(name).and_then(|copy| copy.incarnation.clone());
        if before.as_ref().is_some_and(|before| before != incarnation) {
            self.broken("I6", format!("{} marks {name} over another mirror's mark", who.name));
        }
        if let Some(copy) = self.copies.get_mut(name) {
            (copy.incarnation, copy.replaced) = (Some(incarnation.to_owned()), false);
        }
        self.drives(who, name, "marks it");
    }

    pub(crate) fn repository_deleted(&mut self, who: &Who, name: &str) {
        self.drives(who, name, "deletes it");
        let incarnation = self.copies.get(name).and_then(|copy| copy.incarnation.clone());
        let deleted = incarnation.and_then(|id| self.mirrors.get(&id)).is_some_and(|mirror| mirror.deleted);
        // The caller cannot know that another repository took its place since the last check: lakeFS has no
        // compare-and-set.
        let unknowing = self.copies.get(name).is_some_and(|copy| copy.replaced);
        if !deleted && !unknowing {
            self.broken("I6", format!("{} deletes repository {name}, whose mirror is not deleted", who.name));
        }
        self.copies.remove(name);
    }

    /// I7: the caller must be the driver according to the database.
    fn drives(&mut self, who: &Who, name: &str, what: &str) {
        self.still_ours(who, name, what);
        let incarnation = self.copies.get(name).and_then(|copy| copy.incarnation.clone());
        let Some(incarnation) = incarnation else { return };
        let holder = self.holders.get(&incarnation).and_then(|(holder, _)| holder.clone());
        if holder.as_ref() != Some(&who.name) {
            let holder = holder.unwrap_or_else(|| "nobody".to_owned());
            self.broken("I7", format!("{} {what} ({name}), and {holder} is its driver", who.name));
        }
    }

    /// What of a commit was never found by the journal that acts, or too long ago.
    fn unproven(&self, who: &Who, id: &Id, as_head: bool) -> Option<String> {
        let Some(commit) = self.commits.get(id) else { return Some("it is no commit of the source".to_owned()) };
        for need in &commit.needs {
            let told = self.evidence.get(&(who.node, *need));
            let name = || self.names.get(*need as usize).map_or("?", String::as_str);
            match told {
                _ if !as_head && self.gone.contains(need) => {}
                None => return Some(format!("{} was never answered to be there", name())),
                Some(at) => {
                    let age = self.now.saturating_sub(*at);
                    let is_file = || name().contains("/_lakefs/");
                    if self.evidence_age.is_some_and(|max| age > max) && !is_file() {
                        return Some(format!("{} was last answered to be there {} s ago", name(), age / SECOND));
                    }
                }
            }
        }
        None
    }

    pub(crate) fn record_put(&mut self, who: &Who, name: &str, id: Id, parents: &[Id]) {
        self.drives(who, name, "puts a commit record");
        let Some(copy) = self.copies.get_mut(name) else { return };
        copy.inherited.remove(&id);
        let copy = &*copy;
        // A repository that was taken and created again may lack the records of the first one.
        let robbed = copy.incarnation.as_ref().is_some_and(|id| self.robbed.contains(id));
        if copy.replaced || robbed || copy.records.contains(&id) {
            return;
        }
        if self.history_complete
            && let Some(why) = self.unproven(who, &id, false)
        {
            self.broken("I1", format!("{} puts commit {} on {name}: {why}", who.name, short(&id)));
        }
        if self.commits.get(&id).is_some_and(|commit| commit.parents != parents) {
            self.broken("I1", format!("commit {} has other parents on {name}", short(&id)));
        }
        let orphan =
            self.copies.get(name).and_then(|copy| parents.iter().find(|parent| !copy.records.contains(*parent)));
        if let Some(parent) = orphan.copied() {
            self.broken("I1", format!("{name} gets {} before its parent {}", short(&id), short(&parent)));
        }
        if let Some(copy) = self.copies.get_mut(name) {
            copy.records.insert(id);
        }
        self.records += 1;
    }

    pub(crate) fn branch_pointed(&mut self, who: &Who, name: &str, branch: &str, to: Id) {
        self.drives(who, name, "moves a branch");
        let Some(copy) = self.copies.get(name) else { return };
        if copy.replaced || copy.incarnation.as_ref().is_some_and(|id| self.robbed.contains(id)) {
            return;
        }
        let untouched = !copy.moved.contains_key(branch);
        if untouched && copy.branches.get(branch).is_some_and(|known| known.head == to) {
            return;
        }
        self.not_over_others(who, name, branch, "moves");
        let Some(copy) = self.copies.get(name) else { return };
        // A branch that was shown before is restored as it was.
        let put_back = self.restores && !untouched && copy.branches.get(branch).is_some_and(|known| known.head == to);
        let (incarnation, recorded) = (copy.incarnation.clone().unwrap_or_default(), copy.records.contains(&to));
        if !recorded {
            self.broken("I1", format!("{branch} of {name} points to {}, which has no record", short(&to)));
        }
        if let Some(why) = self.unproven(who, &to, true).filter(|_| !put_back) {
            self.broken("I1", format!("{} moves {branch} of {name} to {}: {why}", who.name, short(&to)));
        }
        let place = self.place_of(&incarnation, branch, &to);
        // A branch that no longer exists at the source is restored so that it can be removed from where the journal
        // knows it.
        let source = self.mirrors.get(&incarnation).and_then(|mirror| self.sources.get(&mirror.source));
        let leaves = self.restores && source.is_some_and(|source| !source.branches.contains_key(branch));
        if place.is_none() && !leaves && !self.doubtful.contains(&incarnation) {
            let text = format!(
                "{} moves {branch} of {name} to {}: the source did not answer that, or later heads were shown before",
                who.name,
                short(&to)
            );
            self.broken("I2", text);
        }
        let place = place.unwrap_or_default();
        if let Some(mirror) = self.mirrors.get_mut(&incarnation) {
            mirror.reached.insert(branch.to_owned(), place);
        }
        if let Some(copy) = self.copies.get_mut(name) {
            copy.branches.insert(branch.to_owned(), MirrorBranch { head: to, term: copy.term });
            copy.moved.remove(branch);
            copy.foreign.remove(branch);
        }
        self.moves += 1;
        let source = self.mirrors.get(&incarnation).map(|mirror| mirror.source.clone()).unwrap_or_default();
        for ((_, repository, name), missed) in &mut self.missed {
            if *repository == source && name == branch {
                missed.proven = false;
            }
        }
    }

    /// The first report of this head that is not before what the mirror has shown.
    fn place_of(&self, incarnation: &str, branch: &str, to: &Id) -> Option<usize> {
        let mirror = self.mirrors.get(incarnation)?;
        let from = mirror.reached.get(branch).copied().unwrap_or(0);
        let heads = self.sources.get(&mirror.source)?.answered.get(branch)?;
        heads.iter().enumerate().skip(from).find(|(_, head)| *head == to).map(|(place, _)| place)
    }

    /// A listing of the source showed the branch as hidden, or as visible.
    pub(crate) fn visibility_answered(&mut self, repository: &str, branch: &str, hidden: bool) {
        self.visibility.entry((repository.to_owned(), branch.to_owned())).or_default().insert(hidden);
    }

    /// `hidden` says whether it was: a branch whose visibility differs at the source may be created again.
    pub(crate) fn branch_deleted(&mut self, who: &Who, name: &str, branch: &str, hidden: bool) {
        self.drives(who, name, "deletes a branch");
        let incarnation = self.copies.get(name).and_then(|copy| copy.incarnation.clone()).unwrap_or_default();
        let source = self.mirrors.get(&incarnation).map(|mirror| mirror.source.clone()).unwrap_or_default();
        self.not_over_others(who, name, branch, "deletes");
        let seen = self.visibility.get(&(source.clone(), branch.to_owned()));
        let other = seen.is_some_and(|seen| seen.contains(&!hidden));
        let missed = self.missed.get(&(who.clone(), source, branch.to_owned()));
        let late = |at: Micros| self.removal_late_max.is_some_and(|max| self.now.saturating_sub(at) > max);
        let proven = missed.is_some_and(|missed| missed.proven && !late(missed.at));
        if !proven && !other {
            self.broken("I6", format!("{} deletes {branch} of {name}, which was not proven to be gone", who.name));
        }
        if let Some(copy) = self.copies.get_mut(name) {
            copy.branches.remove(branch);
            copy.moved.remove(branch);
        }
        self.removals += 1;
    }

    /// Mirrors that are defined and not deleted: incarnation, name and source.
    pub(crate) fn active(&self) -> Vec<(String, String, String)> {
        let active = self.mirrors.iter().filter(|(_, mirror)| !mirror.deleted);
        active.map(|(id, mirror)| (id.clone(), mirror.name.clone(), mirror.source.clone())).collect()
    }
}
