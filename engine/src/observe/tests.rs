//! Turns of the observer over a source that answers as it is told to.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use lakemirror_journal::command::Command;
use lakemirror_journal::state::mirror::Definition;
use lakemirror_journal::state::policy::Policy;

use super::*;
use crate::engine::tests::Loop;
use crate::ports::{CommitRecord, CreateOutcome, Lakefs, Repository, SourceObject};

/// What the source has, and what was asked of it.
#[derive(Default)]
struct Script {
    heads: Mutex<BTreeMap<String, CommitId>>,
    flaw: Mutex<Option<Fault>>,
    plain_flaw: Mutex<Option<Fault>>,
    /// Names that are not listed and answer so, each by itself.
    alone: Mutex<BTreeMap<String, FaultKind>>,
    commits: Mutex<BTreeMap<CommitId, CommitRecord>>,
    /// Commits that answer with a fault.
    broken: Mutex<BTreeMap<CommitId, FaultKind>>,
    logs_refused: Mutex<bool>,
    asked: Mutex<Vec<String>>,
}

fn fault(kind: FaultKind) -> Fault {
    Fault { kind, call: "ask".into(), status: None, message: format!("{kind:?}") }
}

fn unused<T>() -> Result<T, Fault> {
    Err(fault(FaultKind::Denied))
}

impl Script {
    fn note(&self, what: impl Into<String>) {
        self.asked.lock().unwrap().push(what.into());
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn show(&self, branch: &str, head: CommitId) {
        self.heads.lock().unwrap().insert(branch.into(), head);
    }

    /// A commit of a branch, with a message of so many bytes.
    fn push(&self, branch: &str, number: u16, parents: &[CommitId], message: usize) -> CommitId {
        let id = id(number);
        let record = CommitRecord {
            id,
            parents: parents.to_vec(),
            committer: "c".into(),
            message: "m".repeat(message),
            creation_date: 1,
            metarange: None,
            metadata: BTreeMap::new(),
            generation: 1,
            version: 1,
        };
        self.commits.lock().unwrap().insert(id, record);
        self.show(branch, id);
        id
    }
}

/// Sorted by its number.
fn id(number: u16) -> CommitId {
    let mut id = CommitId([0; 32]);
    id.0[..2].copy_from_slice(&number.to_be_bytes());
    id
}

#[async_trait]
impl Lakefs for Script {
    fn endpoint(&self) -> &str {
        "script"
    }
    async fn repository(&self, repository: &str) -> Result<Repository, Fault> {
        Ok(Repository {
            id: repository.into(),
            creation_date: 1,
            default_branch: "main".into(),
            storage_namespace: "s3://east/s".into(),
            read_only: false,
        })
    }
    async fn branches(&self, repository: &str, hidden: bool) -> Result<Vec<BranchHead>, Fault> {
        let listing = self.listing(repository, hidden).await?;
        listing.flaw.map_or(Ok(listing.heads), Err)
    }
    async fn listing(&self, _: &str, hidden: bool) -> Result<Listing, Fault> {
        let heads = self.heads.lock().unwrap().clone();
        let heads = heads.into_iter().map(|(name, head)| BranchHead { name, head });
        let heads = heads.filter(|branch| hidden || !branch.name.starts_with("hidden")).collect();
        let flaw = if hidden { &self.flaw } else { &self.plain_flaw };
        Ok(Listing { heads, flaw: flaw.lock().unwrap().clone() })
    }
    async fn branch(&self, _: &str, branch: &str) -> Result<CommitId, Fault> {
        self.note(branch);
        Err(fault(self.alone.lock().unwrap().get(branch).copied().unwrap_or(FaultKind::Absent)))
    }
    async fn commit(&self, _: &str, commit: &CommitId) -> Result<CommitRecord, Fault> {
        self.note(commit.to_string());
        if let Some(kind) = self.broken.lock().unwrap().get(commit) {
            return Err(fault(*kind));
        }
        self.commits.lock().unwrap().get(commit).cloned().ok_or_else(|| fault(FaultKind::Absent))
    }
    async fn log(&self, _: &str, from: &CommitId, amount: usize) -> Result<Vec<CommitRecord>, Fault> {
        if *self.logs_refused.lock().unwrap() {
            return Err(fault(FaultKind::Refused));
        }
        self.commit("", from).await?;
        let (commits, mut log, mut next) = (self.commits.lock().unwrap(), Vec::new(), Some(*from));
        while let Some(record) = next.and_then(|id| commits.get(&id)).filter(|_| log.len() < amount) {
            next = record.parents.first().copied();
            log.push(record.clone());
        }
        Ok(log)
    }
    async fn create_mirror_repository(&self, _: &str, _: &str, _: &str) -> Result<CreateOutcome, Fault> {
        unused()
    }
    async fn delete_repository(&self, _: &str) -> Result<(), Fault> {
        unused()
    }
    async fn metadata(&self, _: &str) -> Result<BTreeMap<String, String>, Fault> {
        unused()
    }
    async fn set_metadata(&self, _: &str, _: &BTreeMap<String, String>) -> Result<(), Fault> {
        unused()
    }
    async fn put_commit(&self, _: &str, _: &CommitRecord) -> Result<CreateOutcome, Fault> {
        unused()
    }
    async fn create_branch(&self, _: &str, _: &str, _: &CommitId, _: bool) -> Result<CreateOutcome, Fault> {
        unused()
    }
    async fn reset_branch(&self, _: &str, _: &str, _: &CommitId) -> Result<(), Fault> {
        unused()
    }
    async fn delete_branch(&self, _: &str, _: &str) -> Result<(), Fault> {
        unused()
    }
    async fn probe_object(&self, _: &str, _: &CommitId, _: &[u8]) -> Result<SourceObject, Fault> {
        unused()
    }
}

/// A mirror whose source is a script.
struct World {
    context: MirrorContext,
    source: Arc<Script>,
    watch: Watch,
}

impl World {
    async fn new() -> Self {
        let source = Arc::<Script>::default();
        let context = MirrorContext { source: source.clone(), ..Loop::that_has_read().await.context() };
        let of = &context.definition;
        let definition = Definition {
            name: of.name.clone(),
            source_repository: of.source_repository.clone(),
            source_region: of.source_region.clone(),
            region: of.region.clone(),
            storage_namespace: of.storage_namespace.clone(),
            created_ms: 1,
        };
        let policy = Policy { deletion_grace_ms: 0, ..Policy::default() };
        let (software, recovery) = (String::new(), String::new());
        let start = Command::Start { writer_epoch: 1, software, policy, recovery, at_ms: 1 };
        context.recorder.command(start).await.unwrap();
        context.ask(MirrorCommand::Define(definition)).await.unwrap();
        Self { context, source, watch: Watch::default() }
    }

    async fn turn(&mut self) -> Result<(), Fault> {
        match self.watch.turn(&self.context).await {
            Ok(()) => Ok(()),
            Err(Turn::Fault(fault)) => Err(fault),
            Err(Turn::Ended(ended)) => panic!("{ended}"),
        }
    }

    async fn head(&self, branch: &'static str) -> Option<CommitId> {
        self.context.look(move |mirror| mirror.branches.get(branch).map(|branch| branch.head)).await.unwrap().unwrap()
    }

    async fn knows(&self, commit: CommitId) -> bool {
        self.context.look(move |mirror| mirror.graph.get(&commit).is_some()).await.unwrap().unwrap()
    }

    async fn missed(&self) -> usize {
        let missed = self
            .context
            .look(|mirror| mirror.branches.values().filter(|branch| branch.presence != Presence::There).count());
        missed.await.unwrap().unwrap()
    }

    fn notes(&self) -> Vec<ConditionKind> {
        self.context.conditions.notes().into_keys().collect()
    }
}

#[tokio::test]
async fn a_fault_proves_no_branch_gone() {
    let mut world = World::new().await;
    world.source.alone.lock().unwrap().extend([("a".into(), FaultKind::Retry), ("b".into(), FaultKind::Absent)]);
    let Confirmed { gone, there, fault } = world.watch.confirm_gone(&world.context, &["a".into(), "b".into()]).await;
    assert!(gone.is_empty() && there.is_empty() && fault.is_some());
}

#[tokio::test]
async fn a_listing_with_something_wrong_is_followed_and_proves_nothing_gone() {
    let mut world = World::new().await;
    world.source.push("main", 1, &[], 1);
    world.source.push("old", 2, &[], 1);
    world.turn().await.unwrap();
    world.source.heads.lock().unwrap().remove("old");
    *world.source.flaw.lock().unwrap() = Some(fault(FaultKind::Contradiction));
    let next = world.source.push("main", 3, &[id(1)], 1);
    let new = world.source.push("new", 4, &[], 1);
    world.source.asked();
    for _ in 0..3 {
        assert_eq!(world.turn().await.unwrap_err().kind, FaultKind::Contradiction, "it is said");
    }
    assert_eq!((world.head("main").await, world.head("new").await), (Some(next), Some(new)));
    assert!(world.knows(next).await && world.knows(new).await);
    assert!(!world.source.asked().contains(&"old".to_owned()), "nobody is asked whether it is gone");
    assert_eq!(world.missed().await, 0);

    *world.source.flaw.lock().unwrap() = None;
    world.turn().await.unwrap();
    assert_eq!(world.missed().await, 1, "a good listing proves it");
}

#[tokio::test]
async fn a_wrong_plain_listing_makes_no_branch_hidden() {
    let mut world = World::new().await;
    world.source.push("main", 1, &[], 1);
    world.source.push("hidden-one", 2, &[], 1);
    *world.source.plain_flaw.lock().unwrap() = Some(fault(FaultKind::Contradiction));
    world.turn().await.unwrap();
    assert_eq!((world.head("main").await, world.head("hidden-one").await), (Some(id(1)), None));
    *world.source.plain_flaw.lock().unwrap() = None;
    world.turn().await.unwrap();
    let hidden = world.context.look(|mirror| mirror.branches.get("hidden-one").map(|branch| branch.hidden));
    assert_eq!(hidden.await.unwrap().flatten(), Some(true));
}

#[tokio::test]
async fn a_name_that_is_too_long_is_a_condition_and_the_others_go_on() {
    let mut world = World::new().await;
    let long = "n".repeat(300_000);
    world.source.push("main", 1, &[], 1);
    world.source.push("old", 2, &[], 1);
    world.source.push(&long, 3, &[], 1);
    world.turn().await.unwrap();
    assert_eq!(world.head("main").await, Some(id(1)));
    let [ConditionKind::Branch(shown)] = &world.notes()[..] else { panic!("{:?}", world.notes()) };
    assert!(shown.len() <= LEFT_OUT_BYTES && shown.starts_with("nnn"));
    // It makes no absence doubtful: it was never one of those that are mirrored.
    world.source.heads.lock().unwrap().remove("old");
    world.turn().await.unwrap();
    assert_eq!(world.missed().await, 1);
    world.source.heads.lock().unwrap().remove(&long);
    world.turn().await.unwrap();
    assert_eq!(world.notes(), []);
}

#[tokio::test]
async fn commits_that_cannot_be_recorded_hold_up_nobody() {
    let mut world = World::new().await;
    for number in 0..45 {
        world.source.push(&format!("fat-{number:02}"), number, &[], 200_000);
    }
    for number in 45..90 {
        world.source.show(&format!("broken-{number}"), id(number));
        world.source.broken.lock().unwrap().insert(
            id(number),
            [FaultKind::Absent, FaultKind::Refused, FaultKind::Contradiction, FaultKind::Retry]
                [usize::from(number) % 4],
        );
    }
    // Behind all of them in the order of ids.
    let first = world.source.push("main", 1000, &[], 1);
    assert!(world.turn().await.is_err(), "a fault that may pass is the source's");
    assert!(world.knows(first).await);
    assert!(world.notes().contains(&ConditionKind::Commit(id(0))));
    assert!(world.notes().len() <= 32, "a few of them are shown");

    world.source.asked();
    let second = world.source.push("main", 1001, &[first], 1);
    world.turn().await.unwrap();
    assert!(world.knows(second).await);
    assert_eq!(world.source.asked(), [second.to_string()], "the others are not asked for again so soon");

    // The branches are deleted, and another process begins with the same journal.
    world.source.heads.lock().unwrap().retain(|name, _| name == "main");
    world.watch = Watch::default();
    let third = world.source.push("main", 1002, &[second], 1);
    let _passing = world.turn().await;
    assert!(world.knows(third).await);
}

#[tokio::test]
async fn a_commit_that_no_branch_needs_any_more_is_not_asked_for() {
    let mut world = World::new().await;
    world.source.push("main", 1, &[], 1);
    world.source.push("fat", 2, &[], 200_000);
    world.turn().await.unwrap();
    assert_eq!(world.notes(), [ConditionKind::Commit(id(2))]);
    world.source.heads.lock().unwrap().remove("fat");
    for _ in 0..2 {
        world.turn().await.unwrap();
    }
    world.context.ask(MirrorCommand::FinishRemoval { branch: "fat".into() }).await.unwrap();
    assert_eq!(world.head("fat").await, None);
    world.source.asked();
    world.source.push("main", 3, &[id(1)], 1);
    world.turn().await.unwrap();
    assert_eq!(world.notes(), [], "its condition is over");
    world.watch = Watch::default();
    world.turn().await.unwrap();
    assert_eq!(world.source.asked(), [id(3).to_string()]);
}

#[tokio::test]
async fn a_history_whose_log_is_refused_is_read_commit_by_commit() {
    let mut world = World::new().await;
    *world.source.logs_refused.lock().unwrap() = true;
    let mut last: Vec<CommitId> = Vec::new();
    for number in 0..50 {
        last = vec![world.source.push("main", number, &last, 1)];
    }
    world.turn().await.unwrap();
    assert!(world.knows(id(0)).await);
}

#[tokio::test]
async fn every_missing_branch_is_asked_about_in_time() {
    let mut world = World::new().await;
    world.source.push("main", 1, &[], 1);
    for number in 0..500 {
        world.source.show(&format!("b-{number:03}"), id(1));
    }
    world.turn().await.unwrap();
    world.source.heads.lock().unwrap().retain(|name, _| name == "main");
    // One that always answers something else holds up nobody.
    world.source.alone.lock().unwrap().insert("b-100".into(), FaultKind::Refused);
    world.source.asked();
    for turn in 0..3 {
        // Those that are gone are held by now, and not asked about again; the odd one is, in its turn.
        assert_eq!(world.turn().await.is_err(), turn != 1);
    }
    let asked = world.source.asked();
    let different: BTreeSet<&String> = asked.iter().collect();
    assert_eq!((asked.len(), different.len()), (501, 500));
}
