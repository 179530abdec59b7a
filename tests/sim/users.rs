//! What users and the garbage collection do at the source. Each change is reported to the judge.
//!
//! The branch, object and so on are drawn with the step's own dice from those that exist at that time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lakemirror_journal::ids::CommitId;

use crate::agenda::{SECOND, Sim};
use crate::bucket::{Stored, replicate, send};
use crate::dice::Dice;
use crate::lake::{Branch, Object, Range, Repository, Tree};
use crate::world::{BUCKET, World};

const DIRECTORIES: u64 = 3;
const BRANCHES_MAX: usize = 6;

/// Creates a repository with its first commit, which is empty.
pub(crate) fn create_repository(sim: &Sim, name: &str) {
    let mut world = sim.world();
    let made = Repository {
        creation: 1 + (world.now / SECOND).cast_signed(),
        default_branch: "main".to_owned(),
        namespace: format!("s3://east/{name}"),
        read_only: false,
        metadata: BTreeMap::new(),
        branches: BTreeMap::new(),
        commits: BTreeMap::new(),
    };
    world.source.repositories.insert(name.to_owned(), made);
    commit(sim, &mut world, name, "main", Vec::new(), Tree::default(), 0);
}

fn any_repository(world: &World, dice: &mut Dice) -> String {
    let there = world.source.repositories.keys().filter(|name| !world.vanishing.contains(*name));
    let names: Vec<&String> = there.collect();
    dice.pick(&names).map(|name| (*name).clone()).unwrap_or_default()
}

fn any_branch(world: &World, repository: &str, dice: &mut Dice) -> String {
    let found = world.source.repositories.get(repository);
    let names: Vec<&String> = found.into_iter().flat_map(|found| found.branches.keys()).collect();
    dice.pick(&names).map_or_else(|| "main".to_owned(), |name| (*name).clone())
}

/// Commits a tree to a branch, which is created if it does not exist.
pub(crate) fn commit(
    sim: &Sim,
    world: &mut World,
    name: &str,
    branch: &str,
    parents: Vec<CommitId>,
    tree: Tree,
    number: u64,
) -> Option<CommitId> {
    let date = world.date.unwrap_or((world.now / SECOND).cast_signed());
    let repository = world.source.repositories.get_mut(name)?;
    let made = repository.commit(parents.clone(), tree, number, date);
    let (id, tree) = (made.record.id, Arc::clone(&made.tree));
    let mut files: Vec<(String, Stored)> = Vec::new();
    for object in tree.objects() {
        files.push((object.key(BUCKET, name), Stored { size: object.size, bytes: None }));
    }
    let metadata = |id: String| format!("{BUCKET}/{name}/_lakefs/{id}");
    for range in tree.ranges.values() {
        let stored = Stored { size: range.file.len() as u64, bytes: Some(range.file.clone()) };
        files.push((metadata(range.info.id.to_string()), stored));
    }
    if let Some((id, file)) = &tree.file {
        files.push((metadata(id.to_string()), Stored { size: file.len() as u64, bytes: Some(file.clone()) }));
    }
    let needs: Vec<String> = files.iter().map(|(key, _)| key.clone()).collect();
    world.judge.commit_made(id.0, parents.iter().map(|id| id.0).collect(), &needs);
    for (key, stored) in files {
        replicate(sim, world, &key, stored);
    }
    point(world, name, branch, id);
    world.note(|| format!("{branch} of {name} gets commit {:.8} ({} files)", id.to_string(), needs.len()));
    Some(id)
}

pub(crate) fn point(world: &mut World, name: &str, branch: &str, to: CommitId) {
    if let Some(repository) = world.source.repositories.get_mut(name) {
        repository.branches.entry(branch.to_owned()).or_insert(Branch { head: to, hidden: false }).head = to;
    }
    world.source_changed(name, branch, Some(to));
}

/// A commit of which something does not arrive.
pub(crate) struct Stuck {
    pub(crate) repository: String,
    pub(crate) branch: String,
    pub(crate) commit: CommitId,
    /// Names that a status may use for what is missing.
    pub(crate) names: Vec<String>,
}

/// Commits one more object to some branch, and prevents one of the commit's new files from arriving.
pub(crate) fn stick(sim: &Sim, dice: &mut Dice) -> Option<Stuck> {
    let mut world = sim.world();
    let repository = any_repository(&world, dice);
    let branch = any_branch(&world, &repository, dice);
    let known = world.source.repositories.get(&repository)?;
    let (old, head) = (known.tree(&branch)?, known.branches.get(&branch)?.head);
    let directory = dice.below(DIRECTORIES);
    let mut entries = old.ranges.get(&directory).map(|range| range.entries.clone()).unwrap_or_default();
    let object = Object { address: "data/stuck".to_owned(), size: 7 };
    entries.insert(format!("d{directory}/stuck"), object);
    let tree = old.with(directory, entries);
    world.weather.held = 1000;
    let commit = commit(sim, &mut world, &repository, &branch, vec![head], tree, 7777)?;
    world.weather.held = 0;
    let held: Vec<String> = world.bucket.held.iter().cloned().collect();
    let away = dice.pick(&held)?.clone();
    for key in held.iter().filter(|key| **key != away) {
        world.bucket.held.remove(key);
        send(sim, &mut world, key);
    }
    world.note(|| format!("{away} stays away"));
    // An object is named by its key, a metadata file by what it belongs to.
    let names = if away.ends_with("stuck") { vec![away] } else { vec![commit.to_string()[..12].to_owned()] };
    Some(Stuck { repository, branch, commit, names })
}

/// Some objects are added, some removed.
pub(crate) fn change(sim: &Sim, dice: &mut Dice, number: u64) {
    let mut world = sim.world();
    let name = any_repository(&world, dice);
    let branch = any_branch(&world, &name, dice);
    let Some(repository) = world.source.repositories.get(&name) else { return };
    let (Some(old), Some(head)) = (repository.tree(&branch), repository.branches.get(&branch)) else { return };
    let parents = vec![head.head];
    let directory = dice.below(DIRECTORIES);
    let mut entries = old.ranges.get(&directory).map(|range| range.entries.clone()).unwrap_or_default();
    if dice.chance(300) && !entries.is_empty() {
        let paths: Vec<String> = entries.keys().cloned().collect();
        dice.pick(&paths).map(|path| entries.remove(path));
    }
    for place in 0..dice.below(3) {
        let address = if dice.chance(60) {
            format!("s3://{BUCKET}/imports/{number}-{place}")
        } else {
            format!("data/{number}-{place}")
        };
        let object = Object { address, size: dice.below(1000) };
        entries.insert(format!("d{directory}/f{}", dice.below(6)), object);
    }
    let tree = old.with(directory, entries);
    commit(sim, &mut world, &name, &branch, parents, tree, number);
}

pub(crate) fn create_branch(sim: &Sim, dice: &mut Dice, number: u64) {
    let mut world = sim.world();
    let name = any_repository(&world, dice);
    let from = any_branch(&world, &name, dice);
    let Some(repository) = world.source.repositories.get_mut(&name) else { return };
    let Some(head) = repository.branches.get(&from).map(|branch| branch.head) else { return };
    if repository.branches.len() >= BRANCHES_MAX {
        return;
    }
    // A name may be used again after its branch was deleted.
    let branch = format!("b{}", dice.below(4));
    if repository.branches.contains_key(&branch) {
        return;
    }
    let hidden = number.is_multiple_of(7);
    repository.branches.insert(branch.clone(), Branch { head, hidden });
    world.source_changed(&name, &branch, Some(head));
    world.note(|| format!("branch {branch} of {name} is made at {:.8}", head.to_string()));
}

pub(crate) fn delete_branch(sim: &Sim, dice: &mut Dice) {
    let mut world = sim.world();
    let name = any_repository(&world, dice);
    let branch = any_branch(&world, &name, dice);
    if branch == "main" {
        return;
    }
    if let Some(repository) = world.source.repositories.get_mut(&name) {
        repository.branches.remove(&branch);
    }
    world.source_changed(&name, &branch, None);
    world.note(|| format!("branch {branch} of {name} is deleted"));
}

pub(crate) fn merge(sim: &Sim, dice: &mut Dice, number: u64) {
    let mut world = sim.world();
    let name = any_repository(&world, dice);
    let (from, into) = (any_branch(&world, &name, dice), any_branch(&world, &name, dice));
    let Some(repository) = world.source.repositories.get(&name) else { return };
    let (Some(ours), Some(theirs)) = (repository.branches.get(&into), repository.branches.get(&from)) else { return };
    let (Some(our), Some(their)) = (repository.tree(&into), repository.tree(&from)) else { return };
    if ours.head == theirs.head {
        return;
    }
    let mut ranges: BTreeMap<u64, Arc<Range>> = our.ranges.clone();
    for (directory, range) in &their.ranges {
        if dice.chance(500) {
            ranges.insert(*directory, Arc::clone(range));
        }
    }
    let parents = vec![ours.head, theirs.head];
    commit(sim, &mut world, &name, &into, parents, Tree::of(ranges), number);
}

/// Resets a branch, back or sideways, to any commit whose objects all still exist.
pub(crate) fn reset(sim: &Sim, dice: &mut Dice) {
    let mut world = sim.world();
    let name = any_repository(&world, dice);
    let branch = any_branch(&world, &name, dice);
    let gone = &world.bucket.gone;
    let whole = |tree: &Tree| tree.objects().all(|object| !gone.contains(&object.key(BUCKET, &name)));
    let Some(repository) = world.source.repositories.get(&name) else { return };
    let commits: Vec<CommitId> =
        repository.commits.iter().filter(|(_, commit)| whole(&commit.tree)).map(|(id, _)| *id).collect();
    let Some(to) = dice.pick(&commits).copied() else { return };
    point(&mut world, &name, &branch, to);
    world.note(|| format!("{branch} of {name} is reset to {:.8}", to.to_string()));
}

/// Removes objects of commits that are not heads, at the source and sometimes at the destination.
pub(crate) fn collect_garbage(sim: &Sim, dice: &mut Dice) {
    let mut world = sim.world();
    let name = any_repository(&world, dice);
    let Some(repository) = world.source.repositories.get(&name) else { return };
    let key = |object: &Object| object.key(BUCKET, &name);
    let heads: Vec<Arc<Tree>> = repository.branches.keys().filter_map(|branch| repository.tree(branch)).collect();
    let live: BTreeSet<String> = heads.iter().flat_map(|tree| tree.objects()).map(key).collect();
    let all: BTreeSet<String> = repository.commits.values().flat_map(|commit| commit.tree.objects()).map(key).collect();
    let dead: Vec<String> = all.difference(&live).filter(|key| !world.bucket.gone.contains(*key)).cloned().collect();
    for key in dead {
        if dice.chance(400) {
            world.judge.gone_at_source(&key);
            world.bucket.held.remove(&key);
            // A copy with another size may stay, too, and the right one never arrives.
            match (dice.below(10), world.bucket.objects.get_mut(&key)) {
                (0..5, _) => drop(world.bucket.objects.remove(&key)),
                (5, Some(found)) => found.size += 1,
                _ => {}
            }
            world.note(|| format!("{key} is collected at the source"));
            world.bucket.gone.insert(key);
        }
    }
}
