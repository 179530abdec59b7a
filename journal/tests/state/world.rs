//! A small universe of commits, trees, ranges and objects, and the commands that tell the state machine about it.

use std::collections::BTreeMap;

use lakemirror_journal::bits::Bits;
use lakemirror_journal::command::{Command, MirrorCommand};
use lakemirror_journal::commit::CommitRecord;
use lakemirror_journal::decide::{Refused, decide};
use lakemirror_journal::event::{ArrivalExceptionV1, ArrivalsCheckedV1, Event, RangeReadV1, SourceProbedV1};
use lakemirror_journal::ids::{CommitId, Incarnation, MetarangeId, RangeId};
use lakemirror_journal::state::State;
use lakemirror_journal::state::archived::ARCHIVED;
use lakemirror_journal::state::mirror::Definition;
use lakemirror_journal::state::policy::Policy;
use lakemirror_journal::state::tree::WRONG_SIZE;

pub const MIRROR: Incarnation = Incarnation([7; 16]);

pub fn commit_id(number: u8) -> CommitId {
    CommitId([number.wrapping_add(1); 32])
}

pub fn tree_id(number: u8) -> MetarangeId {
    MetarangeId([number.wrapping_add(1); 32])
}

pub fn range_id(number: u8) -> RangeId {
    RangeId([number.wrapping_add(1); 32])
}

/// What the source has. Commit `n` may only have parents below `n`.
#[derive(Debug, Clone)]
pub struct World {
    /// Parents and tree of each commit.
    pub commits: Vec<(Vec<u8>, Option<u8>)>,
    /// The ranges of each tree.
    pub trees: Vec<Vec<u8>>,
    /// The objects of each range, and which of its entries are imports.
    pub ranges: Vec<(Vec<u8>, Vec<u32>)>,
}

impl World {
    pub fn record(&self, number: u8) -> CommitRecord {
        let (parents, tree) = &self.commits[usize::from(number)];
        CommitRecord {
            id: commit_id(number),
            parents: parents.iter().map(|parent| commit_id(*parent)).collect(),
            committer: "somebody".to_owned(),
            message: format!("commit {number}"),
            creation_date: 1_700_000_000,
            metarange: tree.map(tree_id),
            metadata: BTreeMap::new(),
            generation: i64::from(number),
            version: 1,
        }
    }

    pub fn entries(&self, range: u8) -> u32 {
        self.ranges[usize::from(range)].0.len() as u32
    }

    pub fn metarange(&self, tree: u8) -> MirrorCommand {
        let ranges = self.trees[usize::from(tree)].iter().map(|range| (range_id(*range), self.entries(*range)));
        MirrorCommand::ReadMetarange { metarange: tree_id(tree), ranges: ranges.collect() }
    }

    /// A range as it is read, with what it shares with `base` inherited where the state proves it there.
    pub fn range(&self, state: &State, range: u8, base: Option<u8>) -> MirrorCommand {
        let entries = self.entries(range);
        let mut inherited = Bits::none(entries);
        let mut oldest_ms = u64::MAX;
        let known = base.filter(|base| *base != range).and_then(|base| {
            let known = state.mirror(&MIRROR)?.trees.range(&range_id(base))?;
            (known.read && known.oldest_ms != u64::MAX).then_some((base, known))
        });
        if let Some((base, known)) = known {
            oldest_ms = known.oldest_ms;
            for (object, ordinal) in self.ranges[usize::from(range)].0.iter().zip(0..) {
                let theirs = self.ranges[usize::from(base)].0.iter().position(|other| other == object);
                let proven = theirs.is_some_and(|place| match known.detail.as_deref() {
                    None => true,
                    Some(detail) => {
                        let place = place as u32;
                        !detail.missing.contains(place)
                            && !detail.wrong_size.contains_key(&place)
                            && detail.archived.get(&place).is_none_or(|one| one.shown)
                            && !detail.expired.contains(&place)
                            && !detail.imports.contains(place)
                    }
                });
                if proven {
                    inherited.insert(ordinal);
                }
            }
        }
        let from = if inherited.is_none() { Vec::new() } else { base.map(range_id).into_iter().collect() };
        if from.is_empty() {
            oldest_ms = u64::MAX;
        }
        let imports = Bits::from_ordinals(entries, self.ranges[usize::from(range)].1.iter().copied());
        MirrorCommand::ReadRange(range_read(range, entries, &imports, &inherited, from, oldest_ms))
    }
}

pub fn range_read(
    range: u8,
    entries: u32,
    imports: &Bits,
    inherited: &Bits,
    inherited_from: Vec<RangeId>,
    inherited_oldest_ms: u64,
) -> RangeReadV1 {
    RangeReadV1 {
        mirror: MIRROR,
        range: range_id(range),
        entries,
        imports: imports.encode(),
        inherited: inherited.encode(),
        inherited_from,
        inherited_oldest_ms,
        at_ms: 0,
    }
}

/// The size that stands for an object in an archive class.
pub const IN_ARCHIVE: u64 = u64::MAX;

/// Checks of some ordinals: `Some(None)` present, `Some(Some(size))` another size, `None` absent.
pub fn checks(range: u8, answers: &[(u32, Option<Option<u64>>)], at_ms: u64) -> ArrivalsCheckedV1 {
    let span = answers.iter().map(|(ordinal, _)| ordinal + 1).max().unwrap_or(0);
    let asked = Bits::from_ordinals(span, answers.iter().map(|(ordinal, _)| *ordinal));
    let mut sorted = answers.to_vec();
    sorted.sort_by_key(|(ordinal, _)| *ordinal);
    sorted.dedup_by_key(|(ordinal, _)| *ordinal);
    let there = sorted.iter().zip(0u32..).filter(|((_, answer), _)| *answer == Some(None)).map(|(_, rank)| rank);
    let exceptions = sorted.iter().filter_map(|(ordinal, answer)| match answer {
        Some(Some(IN_ARCHIVE)) => Some(ArrivalExceptionV1 { ordinal: *ordinal, code: ARCHIVED, found: 1 }),
        Some(Some(found)) => Some(ArrivalExceptionV1 { ordinal: *ordinal, code: WRONG_SIZE, found: *found }),
        _ => None,
    });
    ArrivalsCheckedV1 {
        mirror: MIRROR,
        range: range_id(range),
        base: 0,
        asked: asked.encode(),
        present: Bits::from_ordinals(asked.count(), there).encode(),
        exceptions: exceptions.collect(),
        started_ms: at_ms,
        finished_ms: at_ms,
    }
}

pub fn probe(range: u8, gone: Vec<u32>, there: Vec<u32>) -> MirrorCommand {
    MirrorCommand::ProbeSource(SourceProbedV1 { mirror: MIRROR, range: range_id(range), gone, there, at_ms: 0 })
}

pub fn definition() -> Definition {
    Definition {
        name: "sample-mirror".to_owned(),
        source_repository: "sample".to_owned(),
        source_region: "us-east-1".to_owned(),
        region: "us-west-2".to_owned(),
        storage_namespace: "s3://west/sample".to_owned(),
        created_ms: 1,
    }
}

/// The state machine with its journal, as the recorder drives it.
#[derive(Debug, Clone, Default)]
pub struct Reducer {
    pub state: State,
    pub journal: Vec<Event>,
    pub now_ms: u64,
}

impl Reducer {
    /// A mirror that is ready, under a policy.
    pub fn ready(policy: Policy) -> Self {
        let mut reducer = Self { now_ms: 1_000_000, ..Self::default() };
        reducer.start(policy);
        for ask in [
            MirrorCommand::Define(definition()),
            MirrorCommand::IntendRepository,
            MirrorCommand::RepositoryReady { adopted: false },
        ] {
            reducer.ask(ask).unwrap();
        }
        reducer
    }

    /// Plans removals in a turn that proved every known branch gone.
    pub fn plan_removals(&mut self) -> Result<Vec<Event>, Refused> {
        let waited = |since: u64| self.now_ms.saturating_sub(since);
        let branches = self.mirror().branches.iter();
        let proven_gone =
            branches.map(|(name, branch)| (name.clone(), branch.tombstone_ms.map_or(0, waited))).collect();
        self.ask(MirrorCommand::PlanRemovals { proven_gone })
    }

    pub fn start(&mut self, policy: Policy) -> Vec<Event> {
        let command = Command::Start {
            writer_epoch: self.state.writer_epoch + 1,
            software: "test".to_owned(),
            policy,
            recovery: String::new(),
            at_ms: self.now_ms,
        };
        self.command(command).unwrap()
    }

    pub fn ask(&mut self, ask: MirrorCommand) -> Result<Vec<Event>, Refused> {
        self.command(Command::Mirror { mirror: MIRROR, ask, at_ms: self.now_ms })
    }

    pub fn command(&mut self, command: Command) -> Result<Vec<Event>, Refused> {
        let events = decide(&self.state, command)?;
        self.take(&events);
        Ok(events)
    }

    pub fn take(&mut self, events: &[Event]) {
        for event in events {
            self.state.apply(event);
            self.journal.push(event.clone());
        }
    }

    pub fn see(&mut self, branches: &[(&str, u8)], gone: &[&str]) -> Vec<Event> {
        let listed = branches.iter().map(|(name, head)| ((*name).to_owned(), commit_id(*head))).collect();
        let proven_gone = gone.iter().map(|name| (*name).to_owned()).collect();
        self.ask(MirrorCommand::ObserveBranches { listed, hidden: [].into(), proven_gone }).unwrap()
    }

    pub fn check(&mut self, range: u8, answers: &[(u32, Option<Option<u64>>)]) -> Vec<Event> {
        self.ask(MirrorCommand::CheckArrivals(vec![checks(range, answers, self.now_ms)])).unwrap()
    }

    pub fn mirror(&self) -> &lakemirror_journal::state::mirror::Mirror {
        self.state.mirror(&MIRROR).unwrap()
    }

    /// Reads and finds everything of these trees, and observes these commits.
    pub fn arrive(&mut self, world: &World, commits: &[u8], trees: &[u8]) {
        let records = commits.iter().map(|number| world.record(*number)).collect();
        self.ask(MirrorCommand::ObserveCommits(records)).unwrap();
        for tree in trees {
            self.ask(world.metarange(*tree)).unwrap();
            for range in world.trees[usize::from(*tree)].clone() {
                let ask = world.range(&self.state, range, None);
                self.ask(ask).unwrap();
                let all: Vec<_> = (0..world.entries(range)).map(|ordinal| (ordinal, Some(None))).collect();
                self.check(range, &all);
            }
        }
    }

    /// Plans, and drives the moves that come out to their ends.
    pub fn promote(&mut self) -> Vec<Event> {
        let planned = self.ask(MirrorCommand::PlanMoves).unwrap();
        for event in &planned {
            if let Event::MoveStarted(started) = event {
                let ids = self.mirror().graph.unrecorded(&started.to, 100);
                self.ask(MirrorCommand::RecordsWritten(ids)).unwrap();
                self.ask(MirrorCommand::FinishMove { branch: started.branch.clone() }).unwrap();
            }
        }
        planned
    }
}
