//! The scripts of enumerated runs: what users, operators and machines do, step by step, with nothing random.
//!
//! Contains the lists and the effect of each act on the source. `script` plays them.

use std::collections::BTreeMap;
use std::sync::Arc;

use lakemirror_journal::ids::CommitId;

use crate::agenda::{Micros, SECOND, Sim};
use crate::bucket::Stored;
use crate::lake::{Branch, Object, Range, Tree};
use crate::users::{commit, point};
use crate::world::{BUCKET, World};

/// The source repository of all stories.
pub(crate) const REPOSITORY: &str = "r0";

/// How an object is replicated to the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Prompt,
    /// With [`Act::Release`].
    Late,
    /// Never, and garbage collection removes it at the source.
    Never,
}

/// One act.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    /// A branch gets a commit in which a directory contains only this object.
    Commit(&'static str, u64, &'static str, Way),
    /// A branch is created at the head of another one.
    Branch(&'static str, &'static str),
    /// A branch gets a commit with its own tree and the directories of another one, with both as parents.
    Merge(&'static str, &'static str),
    /// A branch is reset to the commit with this number.
    Reset(&'static str, usize),
    DeleteBranch(&'static str),
    Release,
    CreateMirror,
    DeleteMirror,
    /// Waits until the mirror is in sync with its source.
    Level,
    /// Waits until a user sees the same as without faults.
    Look,
    Wait(Micros),
    /// The process that drives the mirror is stopped and started again.
    StopDriver,
    /// The process that drives the mirror dies, and is started again after this time.
    KillDriver(Micros),
}

use Act::{Branch as Make, Commit, DeleteBranch, Level, Look, Merge, Reset};

/// One process.
pub(crate) const ONE: &[Act] = &[
    Commit("main", 0, "data/a", Way::Prompt),
    Act::CreateMirror,
    Level,
    Make("side", "main"),
    Commit("side", 1, "data/b", Way::Prompt),
    Commit("main", 2, "data/c", Way::Late),
    Act::Wait(SECOND),
    Act::Release,
    Level,
    Merge("main", "side"),
    // An ancestor whose object never arrives, below a head without it.
    Commit("side", 1, "data/d", Way::Never),
    Commit("side", 1, "s3://west/imports/e", Way::Prompt),
    Level,
    Reset("main", 3),
    DeleteBranch("side"),
    Level,
    Act::StopDriver,
    Make("side", "main"),
    Commit("side", 2, "data/f", Way::Prompt),
    Level,
    Look,
    Act::DeleteMirror,
    Act::CreateMirror,
    Level,
    Look,
    Act::DeleteMirror,
    Level,
    Look,
];

/// Two processes of one region.
pub(crate) const TWO: &[Act] = &[
    Commit("main", 0, "data/a", Way::Prompt),
    Act::CreateMirror,
    Level,
    Make("side", "main"),
    Commit("side", 1, "data/b", Way::Late),
    Act::Wait(SECOND),
    // Another process takes over while an object is being replicated.
    Act::KillDriver(20 * SECOND),
    Act::Release,
    Commit("main", 2, "data/c", Way::Prompt),
    Level,
    DeleteBranch("side"),
    Level,
    Act::StopDriver,
    Make("side", "main"),
    Commit("side", 1, "data/d", Way::Prompt),
    Level,
    Look,
    Act::DeleteMirror,
    Act::CreateMirror,
    Level,
    Look,
];

/// The context of an act in its story.
pub(crate) struct Stage<'a> {
    pub(crate) sim: &'a Sim,
    pub(crate) number: u64,
    /// The commits so far, in order; the first is the empty one of the repository.
    pub(crate) commits: &'a mut Vec<CommitId>,
}

impl Stage<'_> {
    /// Performs the acts of users; `script` performs the others.
    pub(crate) fn act(&mut self, act: Act) {
        let sim = self.sim.clone();
        let mut world = sim.world();
        world.date = Some(self.number.cast_signed());
        match act {
            Act::Commit(branch, directory, address, way) => {
                let object = Object { address: address.to_owned(), size: 100 + self.number };
                on_its_way(&mut world, &object, way);
                self.commit(&mut world, branch, directory, object);
            }
            Act::Branch(name, from) => make(&mut world, name, from),
            Act::Merge(into, from) => self.merge(&mut world, into, from),
            Act::Reset(branch, to) => point(&mut world, REPOSITORY, branch, self.commits[to]),
            Act::DeleteBranch(name) => {
                let repository = world.source.repositories.get_mut(REPOSITORY).unwrap();
                repository.branches.remove(name);
                world.source_changed(REPOSITORY, name, None);
            }
            _ => {}
        }
    }

    fn commit(&mut self, world: &mut World, branch: &str, directory: u64, object: Object) {
        let (head, tree) = head(world, branch);
        let tree = tree.with(directory, BTreeMap::from([(format!("d{directory}/f"), object)]));
        self.commits.extend(commit(self.sim, world, REPOSITORY, branch, vec![head], tree, self.number));
    }

    fn merge(&mut self, world: &mut World, into: &str, from: &str) {
        let ((ours, our), (theirs, their)) = (head(world, into), head(world, from));
        let mut ranges: BTreeMap<u64, Arc<Range>> = our.ranges.clone();
        ranges.extend(their.ranges.iter().map(|(directory, range)| (*directory, Arc::clone(range))));
        let parents = vec![ours, theirs];
        self.commits.extend(commit(self.sim, world, REPOSITORY, into, parents, Tree::of(ranges), self.number));
    }
}

fn head(world: &World, branch: &str) -> (CommitId, Arc<Tree>) {
    let repository = &world.source.repositories[REPOSITORY];
    (repository.branches[branch].head, repository.tree(branch).unwrap())
}

fn make(world: &mut World, name: &str, from: &str) {
    let (head, _) = head(world, from);
    let repository = world.source.repositories.get_mut(REPOSITORY).unwrap();
    repository.branches.insert(name.to_owned(), Branch { head, hidden: false });
    world.source_changed(REPOSITORY, name, Some(head));
}

/// What was written before is not replicated again, so an object that is late or lost is written first.
fn on_its_way(world: &mut World, object: &Object, way: Way) {
    if way == Way::Prompt {
        return;
    }
    let key = object.key(BUCKET, REPOSITORY);
    world.bucket.written.insert(key.clone(), Stored { size: object.size, bytes: None });
    if way == Way::Late {
        world.bucket.held.insert(key);
    } else {
        world.judge.gone_at_source(&key);
        world.bucket.gone.insert(key);
    }
}
