//! What must hold, seen from outside: an independent model of sources, of what a destination's bucket was seen to hold,
//! and of mirrors. It is told what happens and what was answered, and knows nothing of the engine or of the journal.
//!
//! | | asserted |
//! |---|---|
//! | I1 | a commit record is only put, a branch is only pointed, where each file and object of the commit was answered to be there to the very journal that acts; what is gone at the source excuses an ancestor, never a head; parents before children |
//! | I2 | a mirror's branch only goes to heads that the source answered for that branch, in the order of the answers |
//! | I3 | no changing call is sent while something written by its process is not synced |
//! | I4 | the state after a replay is the one that was live (told by the runner) |
//! | I5, I8 | in the end, what can be level is (asked by the runner) |
//! | I6 | a branch is only deleted where the source answered twice, in the same run and in succession, that it is gone, and not where its repository is vanishing; a repository only where its mirror was deleted; what others made or moved is not touched |
//! | I7 | a changing call is only carried out for the process that the mirrors database names as the driver; a mirror that changes hands gets a higher epoch |
//! | I9, I10, I11 | asked by the runner (`ending.rs`): all but what waits for one thing becomes level; what was seen before a source was lost is shown; summaries say what is so |

#[path = "judge/level.rs"]
mod level;
#[path = "judge/others.rs"]
mod others;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use others::Shown;

use crate::agenda::{Micros, SECOND};

pub(crate) type Id = [u8; 32];

/// By when what was answered is written down by a process that goes on.
const WRITTEN_AFTER: Micros = 10 * SECOND;

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) invariant: &'static str,
    pub(crate) what: String,
}

/// Who made a call: a process, which of its runs, and with which journal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Who {
    pub(crate) name: String,
    pub(crate) run: u64,
    pub(crate) node: u64,
}

#[derive(Debug, Clone, Default)]
struct Commit {
    parents: Vec<Id>,
    /// Keys (by number) and sizes; files of metadata have no size to compare.
    needs: Vec<u32>,
}

#[derive(Debug, Clone, Default)]
struct Source {
    branches: BTreeMap<String, Id>,
    /// Heads as they were answered for each branch, in order, without repeats in succession.
    answered: BTreeMap<String, Vec<Id>>,
    /// When a branch was deleted last.
    deleted: BTreeMap<String, Micros>,
}

#[derive(Debug, Clone, Default)]
struct MirrorBranch {
    head: Id,
    /// The term in which it was last pointed somewhere.
    term: u64,
}

/// The repository of a mirror.
#[derive(Debug, Clone, Default)]
struct Copy {
    incarnation: Option<String>,
    records: BTreeSet<Id>,
    /// Those that an earlier journal put there, and the present one not yet.
    inherited: BTreeSet<Id>,
    branches: BTreeMap<String, MirrorBranch>,
    /// Branches that others made, and where they are.
    foreign: BTreeMap<String, Id>,
    /// Branches that others moved, and where to; none where they deleted them.
    moved: BTreeMap<String, Option<Id>>,
    /// Branches that others deleted and the source had not any more, as they were.
    forgotten: BTreeMap<String, MirrorBranch>,
    /// Branches that others ever moved.
    touched: BTreeSet<String>,
    /// Whether it is another one, which others put in the place of a mirror's.
    replaced: bool,
    /// Counts the journals that drive it, one after another, and the last one.
    term: u64,
    node: Option<u64>,
}

#[derive(Debug, Clone)]
struct Mirror {
    name: String,
    source: String,
    deleted: bool,
    /// By branch: where its last position in the answers was, also after it was deleted.
    reached: BTreeMap<String, usize>,
}

/// Answers that a branch is gone, to one run of a process.
#[derive(Debug, Clone, Default)]
struct Missed {
    streak: u32,
    proven: bool,
    /// When it was last answered.
    at: Micros,
}

/// The judge.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    pub(crate) now: Micros,
    /// How old evidence may be when a call that rests on it is carried out; none where clocks jump.
    pub(crate) evidence_age: Option<Micros>,
    keys: HashMap<String, u32>,
    /// The keys by their numbers.
    names: Vec<String>,
    commits: BTreeMap<Id, Commit>,
    gone: BTreeSet<u32>,
    sources: BTreeMap<String, Source>,
    mirrors: BTreeMap<String, Mirror>,
    copies: BTreeMap<String, Copy>,
    /// When a journal was last told that a key is there.
    evidence: BTreeMap<(u64, u32), Micros>,
    missed: BTreeMap<(Who, String, String), Missed>,
    /// By mirror: who drives it, and the epoch of that.
    holders: BTreeMap<String, (Option<String>, u64)>,
    /// Commit records that were answered to a journal, and when.
    told: BTreeMap<(u64, Id), Micros>,
    /// Whether branches of sources were hidden in any answer.
    visibility: BTreeMap<(String, String), BTreeSet<bool>>,
    /// Heads that were answered last to a run of a process, by source and branch.
    heads_told: BTreeMap<(String, String, String), Id>,
    /// Sources that were deleted or replaced: their mirrors keep what they have.
    vanished: BTreeSet<String>,
    /// What the mirror's lakeFS showed to whom.
    shown: Shown,
    /// Mirrors whose repositories others deleted or replaced.
    robbed: BTreeSet<String>,
    /// Mirrors that had no repository yet when another source came under their source's name.
    doubtful: BTreeSet<String>,
    /// Whether branches that others moved are to be put back.
    pub(crate) restores: bool,
    /// Whether ancestors are proven before they get their records.
    pub(crate) history_complete: bool,
    /// How late a deletion may follow the answer that proves it; none where calls are held up.
    pub(crate) removal_late_max: Option<Micros>,
    /// The journals of processes, by the processes' names.
    nodes: BTreeMap<String, u64>,
    pub(crate) violations: Vec<Violation>,
    /// What was seen to happen, for the summary of a run.
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

    // What happens at the source.

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

    // What was answered.

    /// A head was answered to somebody.
    pub(crate) fn head_answered(&mut self, repository: &str, branch: &str, head: Id) {
        let source = self.sources.entry(repository.to_owned()).or_default();
        match source.answered.get_mut(branch) {
            Some(heads) if heads.last() == Some(&head) => {}
            Some(heads) => heads.push(head),
            None => drop(source.answered.insert(branch.to_owned(), vec![head])),
        }
    }

    /// A listing or a question about a branch was answered with this head, or with its absence by its own 404.
    pub(crate) fn presence_told(&mut self, who: &Who, repository: &str, branch: &str, there: bool) {
        let entry = (who.clone(), repository.to_owned(), branch.to_owned());
        // A repository that is being deleted shows no branch any more: that says nothing of those it had until then.
        let had = self.sources.get(repository).is_some_and(|source| source.branches.contains_key(branch));
        let vanishing = had && self.vanished.contains(repository);
        let missed = self.missed.entry(entry).or_default();
        missed.streak = if there || vanishing { 0 } else { missed.streak + 1 };
        missed.proven |= missed.streak >= 2;
        if missed.streak > 0 {
            missed.at = self.now;
        }
    }

    /// A commit's record was answered to a process.
    pub(crate) fn commit_told(&mut self, who: &Who, id: Id) {
        self.told.entry((who.node, id)).or_insert(self.now);
    }

    /// A head of the source was answered to a process.
    pub(crate) fn head_told(&mut self, who: &Who, repository: &str, branch: &str, head: Id) {
        self.heads_told.insert((who.name.clone(), repository.to_owned(), branch.to_owned()), head);
    }

    /// A process has died: what it was told just before may not be written down.
    pub(crate) fn process_ended(&mut self, name: &str) {
        let node = self.nodes.get(name).copied();
        let sure = self.now.saturating_sub(WRITTEN_AFTER);
        self.told.retain(|(told, _), at| Some(*told) != node || *at <= sure);
    }

    /// A process was told that a key is there, with the size that it should have.
    pub(crate) fn arrival_told(&mut self, who: &Who, key: &str) {
        let key = self.key(key);
        self.evidence.insert((who.node, key), self.now);
    }

    // What is defined.

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

    /// The mirrors database says who drives a mirror.
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

    // What is done to mirrors.

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
        // That another one came in its place since it was last asked nobody can know: lakeFS has no compare-and-set.
        let unknowing = self.copies.get(name).is_some_and(|copy| copy.replaced);
        if !deleted && !unknowing {
            self.broken("I6", format!("{} deletes repository {name}, whose mirror is not deleted", who.name));
        }
        self.copies.remove(name);
    }

    /// I7: who calls is who drives, by the database.
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

    /// What of a commit was never seen by the journal that acts, or too long ago.
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
        // What was taken once and made again may lack what was on the first.
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
        // What was shown already is put back as it is.
        let put_back = self.restores && !untouched && copy.branches.get(branch).is_some_and(|known| known.head == to);
        let (incarnation, recorded) = (copy.incarnation.clone().unwrap_or_default(), copy.records.contains(&to));
        if !recorded {
            self.broken("I1", format!("{branch} of {name} points to {}, which has no record", short(&to)));
        }
        if let Some(why) = self.unproven(who, &to, true).filter(|_| !put_back) {
            self.broken("I1", format!("{} moves {branch} of {name} to {}: {why}", who.name, short(&to)));
        }
        let place = self.place_of(&incarnation, branch, &to);
        // A branch that is gone at the source is put back to be removed from where the journal knows it to be.
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

    /// The first answer of this head that is not before what the mirror showed already.
    fn place_of(&self, incarnation: &str, branch: &str, to: &Id) -> Option<usize> {
        let mirror = self.mirrors.get(incarnation)?;
        let from = mirror.reached.get(branch).copied().unwrap_or(0);
        let heads = self.sources.get(&mirror.source)?.answered.get(branch)?;
        heads.iter().enumerate().skip(from).find(|(_, head)| *head == to).map(|(place, _)| place)
    }

    /// A listing of the source was answered in which the branch was hidden, or was not.
    pub(crate) fn visibility_answered(&mut self, repository: &str, branch: &str, hidden: bool) {
        self.visibility.entry((repository.to_owned(), branch.to_owned())).or_default().insert(hidden);
    }

    /// `hidden` says whether it was: one that the source was seen to have otherwise may be made again.
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
