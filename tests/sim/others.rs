//! Other writers: they move, create and delete branches of mirrors, delete or replace mirror repositories, and delete
//! sources. The judge is informed, so that it knows what must be left alone.

use std::collections::BTreeMap;

use lakemirror::mirrors::records::{BranchState, Summary};
use lakemirror_journal::ids::CommitId;

use crate::agenda::{Micros, SECOND, Sim};
use crate::dice::Dice;
use crate::lake::{Branch, Repository, Tree};
use crate::lakefs::MARK;
use crate::users;
use crate::world::World;

/// How long a mirror must report that a branch diverged before it is believed.
const SAID_FOR: Micros = 30 * SECOND;

/// The first number of commits that no source has.
const STRANGE: u64 = 1_000_000;

fn any_mirror(world: &World, dice: &mut Dice) -> Option<String> {
    let marked = world.mirror.repositories.iter().filter(|(_, found)| found.metadata.contains_key(MARK));
    let names: Vec<&String> = marked.map(|(name, _)| name).collect();
    dice.pick(&names).map(|name| (*name).clone())
}

/// A commit that no source has, or an existing one.
fn any_commit(repository: &mut Repository, dice: &mut Dice, number: u64, date: i64) -> CommitId {
    let known: Vec<CommitId> = repository.commits.keys().copied().collect();
    match dice.pick(&known) {
        Some(known) if dice.chance(500) => *known,
        known => {
            let parents = known.into_iter().copied().collect();
            repository.commit(parents, Tree::default(), STRANGE + number, date).record.id
        }
    }
}

/// Moves, deletes or creates a branch of some mirror.
pub(crate) fn meddle(sim: &Sim, dice: &mut Dice, number: u64) {
    let mut world = sim.world();
    let date = (world.now / SECOND).cast_signed();
    let Some(name) = any_mirror(&world, dice) else { return };
    let Some(repository) = world.mirror.repositories.get_mut(&name) else { return };
    let branches: Vec<String> = repository.branches.keys().cloned().collect();
    let branch = match dice.pick(&branches) {
        Some(branch) if dice.chance(700) => branch.clone(),
        // One that a source may have, or never has.
        _ => format!("{}{}", if dice.chance(500) { "b" } else { "x" }, dice.below(4)),
    };
    let to = (!branches.contains(&branch) || dice.chance(700)).then(|| any_commit(repository, dice, number, date));
    match to {
        Some(head) => drop(repository.branches.insert(branch.clone(), Branch { head, hidden: false })),
        None => drop(repository.branches.remove(&branch)),
    }
    let shown = to.map_or("nothing".to_owned(), |to| to.to_string()[..8].to_owned());
    world.note(|| format!("others move {branch} of {name} to {shown}"));
    world.judge.others_move(&name, &branch, to.map(|to| to.0));
}

/// Restores everything that other writers moved to where its mirror expects it, and removes what they created.
pub(crate) fn unmeddle(sim: &Sim, summaries: &[Summary]) {
    let mut world = sim.world();
    world.judge.others_forget_what_is_gone();
    for (name, branch, head) in world.judge.moved_by_others() {
        let mark = world.mirror.repositories.get(&name).and_then(|found| found.metadata.get(MARK));
        let own = summaries.iter().filter(|summary| Some(&summary.incarnation.to_string()) == mark);
        let said = own.flat_map(|summary| &summary.status.branches);
        let mut said = said.filter(|said| said.name == branch && said.state == BranchState::Diverged);
        let head = said.find_map(|said| said.promoted_commit).map_or(head, |head| head.0);
        if let Some(repository) = world.mirror.repositories.get_mut(&name) {
            repository.branches.insert(branch.clone(), Branch { head: CommitId(head), hidden: false });
        }
        world.note(|| format!("others put {branch} of {name} back"));
        world.judge.others_put_back(&name, &branch, head);
    }
    for (name, branch) in world.judge.made_by_others() {
        if let Some(repository) = world.mirror.repositories.get_mut(&name) {
            repository.branches.remove(&branch);
        }
        world.note(|| format!("others delete their {branch} of {name}"));
        world.judge.others_unmake(&name, &branch);
    }
}

/// Restores branches that other writers ever moved and a mirror still reports as diverged: the mirror may have reported
/// something else when they were restored first.
pub(crate) fn put_right(sim: &Sim, summaries: &dyn Fn() -> Vec<Summary>) {
    let touched = sim.world().judge.touched_by_others();
    // If lakemirror restores branches itself, no other writer does.
    if touched.is_empty() || sim.world().judge.restores {
        return;
    }
    let summaries = summaries();
    let mut world = sim.world();
    for (name, branch) in touched {
        let mark = world.mirror.repositories.get(&name).and_then(|found| found.metadata.get(MARK));
        let own = summaries.iter().filter(|summary| Some(&summary.incarnation.to_string()) == mark);
        let said = own.flat_map(|summary| &summary.status.branches);
        let mut said = said.filter(|said| said.name == branch && said.state == BranchState::Diverged);
        let Some(head) = said.find_map(|said| said.promoted_commit) else { continue };
        // A summary may be outdated: it counts after it has said so for a while.
        let now = world.now;
        let since = world.said.entry((name.clone(), branch.clone())).or_insert((head, now));
        if since.0 != head {
            *since = (head, now);
        }
        if now - since.1 < SAID_FOR || !world.judge.is_at_source(&name, &branch) {
            continue;
        }
        world.said.remove(&(name.clone(), branch.clone()));
        let Some(repository) = world.mirror.repositories.get_mut(&name) else { continue };
        if repository.branches.get(&branch).is_none_or(|known| known.head != head) {
            repository.branches.insert(branch.clone(), Branch { head, hidden: false });
            world.note(|| format!("others put {branch} of {name} to {:.8}", head.to_string()));
            world.judge.others_put_back(&name, &branch, head.0);
        }
    }
}

/// Deletes a mirror repository, or replaces it.
pub(crate) fn rob(sim: &Sim, dice: &mut Dice, number: u64) {
    let mut world = sim.world();
    let date = (world.now / SECOND).cast_signed();
    let Some(name) = any_mirror(&world, dice) else { return };
    let Some(before) = world.mirror.repositories.remove(&name) else { return };
    let replaced = dice.chance(700);
    if replaced {
        let empty = BTreeMap::new();
        let mut made = Repository { creation: date, metadata: empty, branches: BTreeMap::new(), ..before };
        made.commits.clear();
        if dice.chance(500) {
            let head = any_commit(&mut made, dice, number, date);
            made.branches.insert("main".to_owned(), Branch { head, hidden: false });
        }
        world.mirror.repositories.insert(name.clone(), made);
    }
    world.note(|| format!("others delete repository {name}; another comes: {replaced}"));
    world.judge.others_take(&name, replaced);
}

/// Removes the repositories with which other writers replaced those of mirrors.
pub(crate) fn unrob(sim: &Sim) {
    let mut world = sim.world();
    for name in world.judge.replaced() {
        world.mirror.repositories.remove(&name);
        world.judge.others_take(&name, false);
        world.note(|| format!("others delete their repository {name}"));
    }
}

/// Deletes a source: for a while it shows no branches, then it does not exist, then possibly another one does.
pub(crate) fn vanish(sim: &Sim, dice: &mut Dice) {
    let mut world = sim.world();
    let there = world.source.repositories.keys().filter(|name| !world.vanishing.contains(*name));
    let names: Vec<String> = there.cloned().collect();
    let Some(name) = dice.pick(&names).cloned() else { return };
    world.vanishing.insert(name.clone());
    world.judge.source_vanishes(&name);
    world.note(|| format!("source {name} is being deleted"));
    drop(world);
    let gone_after = dice.between(SECOND, 30 * SECOND);
    let again_after = dice.chance(700).then(|| dice.between(SECOND, 20 * SECOND));
    let go = move |sim: &Sim| {
        let mut world = sim.world();
        world.source.repositories.remove(&name);
        world.vanishing.remove(&name);
        world.past.remove(&name);
        world.note(|| format!("source {name} is gone"));
        drop(world);
        if let Some(after) = again_after {
            let come = move |sim: &Sim| {
                let mut world = sim.world();
                world.judge.now = world.now;
                world.judge.source_comes_anew(&name);
                world.note(|| format!("another source comes as {name}"));
                drop(world);
                users::create_repository(sim, &name);
            };
            sim.after(after, Box::new(come));
        }
    };
    sim.after(gone_after, Box::new(go));
}
