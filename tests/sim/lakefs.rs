//! The engine's lakeFS port over a lake of the world, the source's or the mirror's. Informs the judge of calls and
//! answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use lakemirror::engine::ports::{
    BranchHead, CommitId, CommitRecord, CreateOutcome, Fault, FaultKind, Lakefs, Repository as Answered, SourceObject,
};

use crate::agenda::SECOND;
use crate::lake::{self, Branch, Lake, Repository, Tree};
use crate::wire::{Call, Wire, fault};
use crate::world::{BUCKET, Place, World};

/// The metadata key by which a mirror repository is recognized.
pub(crate) const MARK: &str = "lakemirror.incarnation";

/// One lakeFS as a process reaches it.
pub(crate) struct Port {
    pub(crate) wire: Wire,
    pub(crate) place: Place,
}

fn lake(world: &mut World, place: Place) -> &mut Lake {
    if place == Place::Source { &mut world.source } else { &mut world.mirror }
}

/// `missing` is the kind of an error about something in a repository that does not exist.
fn find<'a>(world: &'a mut World, place: Place, name: &str, missing: FaultKind) -> Result<&'a mut Repository, Fault> {
    let found = lake(world, place).repositories.get_mut(name);
    found.ok_or_else(|| fault(missing, name, "404 repository not found"))
}

fn absent(what: &str) -> Fault {
    fault(FaultKind::Absent, what, "404 not found")
}

impl Port {
    fn read(&self, name: &'static str) -> Call {
        Call::read(self.place, name)
    }

    fn change(&self, name: &'static str) -> Call {
        Call::change(self.place, name)
    }

    /// Informs the judge which commits were returned.
    fn tell(&self, answered: &[CommitRecord]) {
        let mut world = self.wire.sim.world();
        world.judge.now = world.now;
        for record in answered {
            world.judge.commit_told(&self.wire.who, record.id.0);
        }
    }
}

/// The branches of the source in a listing: current, outdated, or incomplete.
fn listing(world: &mut World, repository: &str) -> Result<BTreeMap<String, Branch>, Fault> {
    let branches = find(world, Place::Source, repository, FaultKind::Refused)?.branches.clone();
    let default = find(world, Place::Source, repository, FaultKind::Refused)?.default_branch.clone();
    if world.dice.chance(world.weather.stale_listings) {
        let then = world.now.saturating_sub(world.dice.below(5 * SECOND));
        let mut past = world.past.get(repository).into_iter().flatten();
        if let Some((_, old)) = past.rfind(|(at, _)| *at <= then) {
            let old = old.clone();
            world.note(|| format!("a listing of {repository} is stale"));
            return Ok(old);
        }
    }
    let mut branches = branches;
    if world.vanishing.contains(repository) {
        return Ok(BTreeMap::new());
    }
    if world.dice.chance(world.weather.short_listings) {
        let names: Vec<String> = branches.keys().filter(|name| **name != default).cloned().collect();
        if let Some(name) = world.dice.pick(&names).cloned() {
            branches.remove(&name);
            world.note(|| format!("a listing of {repository} lacks {name}"));
        }
    }
    Ok(branches)
}

#[async_trait]
impl Lakefs for Port {
    fn endpoint(&self) -> &str {
        if self.place == Place::Source { "east" } else { "west" }
    }

    async fn repository(&self, repository: &str) -> Result<Answered, Fault> {
        let (name, place) = (repository.to_owned(), self.place);
        let work = move |_: &_, world: &mut World| {
            let found = find(world, place, &name, FaultKind::Absent)?;
            Ok(Answered {
                id: name.clone(),
                creation_date: found.creation,
                default_branch: found.default_branch.clone(),
                storage_namespace: found.namespace.clone(),
                read_only: found.read_only,
            })
        };
        self.wire.call(self.read("get repository"), repository, work).await
    }

    async fn branches(&self, repository: &str, hidden: bool) -> Result<Vec<BranchHead>, Fault> {
        let (name, place) = (repository.to_owned(), self.place);
        let work = move |_: &_, world: &mut World| {
            let shown = match place {
                Place::Source => listing(world, &name)?,
                _ => find(world, place, &name, FaultKind::Refused)?.branches.clone(),
            };
            if place == Place::Source && hidden {
                for (branch, known) in &shown {
                    world.judge.head_answered(&name, branch, known.head.0);
                    world.judge.visibility_answered(&name, branch, known.hidden);
                }
            }
            let shown = shown.into_iter().filter(|(_, branch)| hidden || !branch.hidden);
            Ok(shown.map(|(name, branch)| BranchHead { name, head: branch.head }).collect::<Vec<_>>())
        };
        let answer = self.wire.call(self.read("list branches"), repository, work).await?;
        if place == Place::Source && hidden {
            let mut world = self.wire.sim.world();
            for branch in &answer {
                world.judge.presence_told(&self.wire.who, repository, &branch.name, true);
                world.judge.head_told(&self.wire.who, repository, &branch.name, branch.head.0);
            }
        }
        Ok(answer)
    }

    async fn branch(&self, repository: &str, branch: &str) -> Result<CommitId, Fault> {
        let (name, of, place) = (repository.to_owned(), branch.to_owned(), self.place);
        let work = move |_: &_, world: &mut World| {
            let vanishing = place == Place::Source && world.vanishing.contains(&name);
            let found = find(world, place, &name, FaultKind::Refused)?.branches.get(&of).copied();
            let found = found.filter(|_| !vanishing);
            if let (Place::Source, Some(found)) = (place, found) {
                world.judge.head_answered(&name, &of, found.head.0);
            }
            found.map(|found| found.head).ok_or_else(|| absent("branch"))
        };
        let answer = self.wire.call(self.read("get branch"), branch, work).await;
        let told = match &answer {
            Ok(_) => Some(true),
            Err(fault) if fault.kind == FaultKind::Absent => Some(false),
            Err(_) => None,
        };
        let mut world = self.wire.sim.world();
        match (self.place, told) {
            (Place::Source, Some(there)) => {
                world.judge.now = world.now;
                world.judge.presence_told(&self.wire.who, repository, branch, there);
            }
            (Place::Mirror, Some(_)) => {
                let head = answer.as_ref().ok().map(|head| head.0);
                world.judge.mirror_head_told(&self.wire.who, repository, branch, head);
            }
            _ => {}
        }
        drop(world);
        answer
    }

    async fn commit(&self, repository: &str, commit: &CommitId) -> Result<CommitRecord, Fault> {
        let (name, place, id) = (repository.to_owned(), self.place, *commit);
        let work = move |_: &_, world: &mut World| {
            if world.dice.chance(world.weather.contradictions) {
                return Err(fault(FaultKind::Contradiction, "get commit", "its id does not match its content"));
            }
            let found = find(world, place, &name, FaultKind::Refused)?.commits.get(&id);
            found.map(|commit| commit.record.clone()).ok_or_else(|| absent("commit"))
        };
        let answer = self.wire.call(self.read("get commit"), repository, work).await?;
        self.tell(std::slice::from_ref(&answer));
        Ok(answer)
    }

    async fn log(&self, repository: &str, from: &CommitId, amount: usize) -> Result<Vec<CommitRecord>, Fault> {
        let (name, place, from) = (repository.to_owned(), self.place, *from);
        let work = move |_: &_, world: &mut World| {
            let found = find(world, place, &name, FaultKind::Refused)?;
            found.log(&from, amount).ok_or_else(|| absent("commit"))
        };
        let answer = self.wire.call(self.read("log commits"), repository, work).await?;
        self.tell(&answer);
        Ok(answer)
    }

    async fn create_mirror_repository(
        &self,
        repository: &str,
        namespace: &str,
        branch: &str,
    ) -> Result<CreateOutcome, Fault> {
        let (name, place, who) = (repository.to_owned(), self.place, self.wire.who.clone());
        let (namespace, default_branch) = (namespace.to_owned(), branch.to_owned());
        let work = move |_: &_, world: &mut World| {
            if lake(world, place).repositories.contains_key(&name) {
                return Ok(CreateOutcome::Existed);
            }
            let made = Repository {
                creation: (world.now / SECOND).cast_signed(),
                default_branch: default_branch.clone(),
                namespace: namespace.clone(),
                read_only: true,
                metadata: BTreeMap::new(),
                branches: BTreeMap::new(),
                commits: BTreeMap::new(),
            };
            lake(world, place).repositories.insert(name.clone(), made);
            world.judge.repository_made(&who, &name);
            world.note(|| format!("  repository {name} is made"));
            Ok(CreateOutcome::Created)
        };
        self.wire.call(self.change("create repository"), repository, work).await
    }

    async fn delete_repository(&self, repository: &str) -> Result<(), Fault> {
        let (name, place, who) = (repository.to_owned(), self.place, self.wire.who.clone());
        let work = move |_: &_, world: &mut World| {
            find(world, place, &name, FaultKind::Absent)?;
            world.judge.repository_deleted(&who, &name);
            lake(world, place).repositories.remove(&name);
            world.note(|| format!("  repository {name} is deleted"));
            Ok(())
        };
        self.wire.call(self.change("delete repository"), repository, work).await
    }

    async fn metadata(&self, repository: &str) -> Result<BTreeMap<String, String>, Fault> {
        let (name, place) = (repository.to_owned(), self.place);
        let work = move |_: &_, world: &mut World| {
            let metadata = find(world, place, &name, FaultKind::Absent)?.metadata.clone();
            let right = world.judge.is_marked(&name, metadata.get(MARK).map(String::as_str));
            Ok((metadata, right))
        };
        let (answer, right) = self.wire.call(self.read("get metadata"), repository, work).await?;
        let mut world = self.wire.sim.world();
        world.judge.now = world.now;
        world.judge.mark_told(&self.wire.who, repository, right);
        drop(world);
        Ok(answer)
    }

    async fn set_metadata(&self, repository: &str, entries: &BTreeMap<String, String>) -> Result<(), Fault> {
        let (name, place, who) = (repository.to_owned(), self.place, self.wire.who.clone());
        let entries = entries.clone();
        let work = move |_: &_, world: &mut World| {
            find(world, place, &name, FaultKind::Absent)?.metadata.extend(entries.clone());
            if let Some(mark) = entries.get(MARK) {
                world.judge.repository_marked(&who, &name, mark);
            }
            Ok(())
        };
        self.wire.call(self.change("set metadata"), repository, work).await
    }

    async fn put_commit(&self, repository: &str, commit: &CommitRecord) -> Result<CreateOutcome, Fault> {
        let (name, place, who) = (repository.to_owned(), self.place, self.wire.who.clone());
        let record = commit.clone();
        let work = move |_: &_, world: &mut World| {
            let found = find(world, place, &name, FaultKind::Absent)?;
            let made = lake::Commit { record: record.clone(), tree: Arc::new(Tree::default()) };
            let old = found.commits.insert(record.id, Arc::new(made));
            let parents: Vec<[u8; 32]> = record.parents.iter().map(|id| id.0).collect();
            world.judge.record_put(&who, &name, record.id.0, &parents);
            world.note(|| format!("  {name} has commit {:.8}", record.id.to_string()));
            Ok(if old.is_some() { CreateOutcome::Existed } else { CreateOutcome::Created })
        };
        self.wire.call(self.change("put commit"), &commit.id.to_string()[..8], work).await
    }

    async fn create_branch(
        &self,
        repository: &str,
        branch: &str,
        to: &CommitId,
        hidden: bool,
    ) -> Result<CreateOutcome, Fault> {
        let (name, of, who) = (repository.to_owned(), branch.to_owned(), self.wire.who.clone());
        let (place, head) = (self.place, *to);
        let work = move |_: &_, world: &mut World| {
            let found = find(world, place, &name, FaultKind::Refused)?;
            if found.branches.contains_key(&of) {
                return Ok(CreateOutcome::Existed);
            }
            if !found.commits.contains_key(&head) {
                return Err(fault(FaultKind::Refused, "create branch", "404 commit not found"));
            }
            found.branches.insert(of.clone(), Branch { head, hidden });
            world.judge.branch_pointed(&who, &name, &of, head.0);
            world.note(|| format!("  {name} has branch {of} at {:.8}", head.to_string()));
            Ok(CreateOutcome::Created)
        };
        self.wire.call(self.change("create branch"), branch, work).await
    }

    async fn reset_branch(&self, repository: &str, branch: &str, to: &CommitId) -> Result<(), Fault> {
        let (name, of, who) = (repository.to_owned(), branch.to_owned(), self.wire.who.clone());
        let (place, head) = (self.place, *to);
        let work = move |_: &_, world: &mut World| {
            let found = find(world, place, &name, FaultKind::Refused)?;
            if !found.commits.contains_key(&head) {
                return Err(fault(FaultKind::Refused, "reset branch", "404 commit not found"));
            }
            found.branches.get_mut(&of).ok_or_else(|| absent("branch"))?.head = head;
            world.judge.branch_pointed(&who, &name, &of, head.0);
            world.note(|| format!("  {of} of {name} is at {:.8}", head.to_string()));
            Ok(())
        };
        self.wire.call(self.change("reset branch"), branch, work).await
    }

    async fn delete_branch(&self, repository: &str, branch: &str) -> Result<(), Fault> {
        let (name, of, who) = (repository.to_owned(), branch.to_owned(), self.wire.who.clone());
        let place = self.place;
        let work = move |_: &_, world: &mut World| {
            let found = find(world, place, &name, FaultKind::Refused)?;
            let hidden = found.branches.remove(&of).ok_or_else(|| absent("branch"))?.hidden;
            world.judge.branch_deleted(&who, &name, &of, hidden);
            world.note(|| format!("  {name} has no branch {of} any more"));
            Ok(())
        };
        self.wire.call(self.change("delete branch"), branch, work).await
    }

    async fn probe_object(&self, repository: &str, commit: &CommitId, path: &[u8]) -> Result<SourceObject, Fault> {
        let (name, place, id, path) =
            (repository.to_owned(), self.place, *commit, String::from_utf8_lossy(path).into_owned());
        let work = move |_: &_, world: &mut World| {
            let found = find(world, place, &name, FaultKind::Refused)?;
            let Some(commit) = found.commits.get(&id) else { return Err(absent("commit")) };
            let Some(object) = commit.tree.find(&path).cloned() else { return Ok(SourceObject::NoSuchPath) };
            if world.dice.chance(world.weather.probes_failed) {
                return Err(fault(FaultKind::Retry, "probe object", "500: trouble"));
            }
            let key = object.key(BUCKET, &name);
            // One wrong answer, never a second one.
            let lie = world.dice.chance(world.weather.lies) && world.accused.insert(key.clone());
            let gone = lie || world.bucket.gone.contains(&key);
            Ok(if gone { SourceObject::Gone } else { SourceObject::There { size: Some(object.size) } })
        };
        self.wire.call(self.read("probe object"), repository, work).await
    }
}
