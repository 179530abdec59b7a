//! Random histories: a universe, and steps that an engine might take in any order, some sensible and some not.

use lakemirror_journal::command::{Command, MirrorCommand, UpkeepStep};
use lakemirror_journal::event::Event;
use lakemirror_journal::state::policy::{ArchivedRule, DivergenceRule, HistoryRule, ImportsRule, Policy, SizeRule};
use proptest::collection::vec;
use proptest::prelude::*;

use super::world::{IN_ARCHIVE, Reducer, World, checks, commit_id, probe};

pub const COMMITS: u8 = 9;
pub const TREES: u8 = 5;
pub const RANGES: u8 = 6;
pub const BRANCHES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "main"];

/// One step.
#[derive(Debug, Clone)]
pub enum Step {
    Start(Policy),
    /// The head of each branch; none is not listed. Whether those not listed are proven gone.
    Observe(Vec<Option<u8>>, bool),
    /// One branch moves, the others are as they were.
    Push(u8, u8),
    Vanish(u8),
    Commits(u16),
    Metarange(u8),
    Range(u8, Option<u8>),
    /// Per ordinal: 0..=4 present, 5 absent, 6 wrong size, 7 not asked. And how old the answers are.
    Check(u8, Vec<u8>, u16),
    Probe(u8, u8, u8),
    /// Everything is read and found, but for some ranges.
    Arrive(u8),
    Plan,
    Records(u8, u8),
    Finish(u8),
    /// A move that was begun some time ago is carried on: is it still good?
    Reconsider(u8),
    Approve(u8),
    Visibility(u8, bool),
    Remake(u8, bool),
    Drive,
    Diverged(u8, Option<u8>),
    Adopt(u8, u8),
    /// The mirror is driven from here again; whether another process had it meanwhile.
    Take(bool),
    Removals,
    FinishRemoval(u8),
    Published(u64),
    /// Which file's steps, of which segments (counted from the oldest), and whether their names are mangled.
    Upkeep(Vec<(u8, u8, u8)>),
    Wait(u16),
}

pub fn world() -> impl Strategy<Value = World> {
    let commit = |number: u8| (vec(0..number.max(1), 0..=2), proptest::option::weighted(0.9, 0..TREES));
    let commits: Vec<_> = (0..COMMITS).map(commit).collect();
    let trees = vec(vec(0..RANGES, 0..4), usize::from(TREES));
    let range = (proptest::collection::btree_set(0u8..12, 1..5), proptest::option::weighted(0.2, 0u32..5));
    (commits, trees, vec(range, usize::from(RANGES))).prop_map(|(mut commits, mut trees, ranges)| {
        commits[0].0.clear();
        for tree in &mut trees {
            tree.sort_unstable();
            tree.dedup();
        }
        let ranges = ranges.into_iter().map(|(objects, import)| {
            let imports = import.filter(|import| (*import as usize) < objects.len());
            (objects.into_iter().collect(), imports.into_iter().collect())
        });
        World { commits, trees, ranges: ranges.collect() }
    })
}

pub fn policies() -> impl Strategy<Value = Policy> {
    let rules = (
        prop_oneof![4 => Just(HistoryRule::Complete), 1 => Just(HistoryRule::Head)],
        prop_oneof![3 => Just(SizeRule::Strict), 1 => Just(SizeRule::Report)],
        prop_oneof![4 => Just(ImportsRule::Check), 1 => Just(ImportsRule::Ignore), 1 => Just(ImportsRule::Block)],
        prop_oneof![Just(DivergenceRule::Report), Just(DivergenceRule::Restore)],
        prop_oneof![3 => Just(ArchivedRule::Block), 1 => Just(ArchivedRule::Report)],
    );
    (rules, prop_oneof![Just(2_000u64), Just(86_400_000)], 0u64..3000).prop_map(
        |((history, size, imports, on_divergence, archived), evidence_age_ms_max, deletion_grace_ms)| Policy {
            history,
            size,
            archived,
            imports,
            on_divergence,
            evidence_age_ms_max,
            deletion_grace_ms,
            deletion_permille_max: 500,
        },
    )
}

fn branch() -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(7u8), 1 => 0u8..8]
}

pub fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => policies().prop_map(Step::Start),
        2 => (vec(proptest::option::weighted(0.7, 0..COMMITS), 8), any::<bool>()).prop_map(|(l, g)| Step::Observe(l, g)),
        8 => (branch(), 0..COMMITS).prop_map(|(b, c)| Step::Push(b, c)),
        4 => branch().prop_map(Step::Vanish),
        4 => any::<u16>().prop_map(Step::Commits),
        3 => (0..TREES).prop_map(Step::Metarange),
        4 => (0..RANGES, proptest::option::of(0..RANGES)).prop_map(|(r, b)| Step::Range(r, b)),
        5 => (0..RANGES, vec(0u8..8, 5), 0u16..4000).prop_map(|(r, a, t)| Step::Check(r, a, t)),
        3 => (0..RANGES, any::<u8>(), any::<u8>()).prop_map(|(r, g, t)| Step::Probe(r, g, t & 1)),
        8 => prop_oneof![Just(0u8), any::<u8>()].prop_map(Step::Arrive),
        6 => Just(Step::Plan),
        3 => (branch(), 1u8..4).prop_map(|(b, n)| Step::Records(b, n)),
        3 => branch().prop_map(Step::Finish),
        2 => branch().prop_map(Step::Reconsider),
        6 => Just(Step::Drive),
        1 => (branch(), proptest::option::of(0..COMMITS)).prop_map(|(b, c)| Step::Diverged(b, c)),
        1 => (branch(), 0..COMMITS).prop_map(|(b, c)| Step::Adopt(b, c)),
        1 => any::<bool>().prop_map(Step::Take),
        3 => Just(Step::Removals),
        1 => branch().prop_map(Step::Approve),
        1 => (branch(), any::<bool>()).prop_map(|(b, h)| Step::Visibility(b, h)),
        1 => (branch(), any::<bool>()).prop_map(|(b, h)| Step::Remake(b, h)),
        2 => branch().prop_map(Step::FinishRemoval),
        1 => any::<u64>().prop_map(Step::Published),
        3 => vec((0u8..9, 0u8..4, 0u8..12), 1..9).prop_map(Step::Upkeep),
        4 => (0u16..3000).prop_map(Step::Wait),
    ]
}

fn deletions(reducer: &mut Reducer, step: &Step) {
    let name = |branch: &u8| BRANCHES[usize::from(*branch)].to_owned();
    let ask = match step {
        Step::Approve(branch) => {
            let (branch, by) = (name(branch), "operator".to_owned());
            let head = reducer.mirror().branches.get(&branch).and_then(|branch| branch.mirror);
            MirrorCommand::ApproveDeletions { branches: vec![(branch, head)], by }
        }
        Step::Visibility(branch, hidden) => MirrorCommand::ObserveVisibility([(name(branch), *hidden)].into()),
        Step::Remake(branch, hidden) => MirrorCommand::Remake { branch: name(branch), hidden: *hidden },
        _ => return,
    };
    let _ = reducer.ask(ask);
}

/// Takes one step; a refusal is as good as an answer.
pub fn take(world: &World, reducer: &mut Reducer, step: &Step) -> Vec<Event> {
    let from = reducer.journal.len();
    let name = |branch: &u8| BRANCHES[usize::from(*branch)].to_owned();
    match step {
        Step::Start(policy) => drop(reducer.start(policy.clone())),
        Step::Observe(heads, proven) => observe(reducer, heads, *proven),
        Step::Push(branch, head) => {
            let mut heads = listing(reducer);
            heads[usize::from(*branch)] = Some(*head);
            observe(reducer, &heads, true);
        }
        Step::Vanish(branch) => {
            let mut heads = listing(reducer);
            heads[usize::from(*branch)] = None;
            observe(reducer, &heads, true);
        }
        Step::Commits(mask) => {
            let numbers = (0..COMMITS).filter(|number| mask >> number & 1 == 1);
            let _ = reducer.ask(MirrorCommand::ObserveCommits(numbers.map(|number| world.record(number)).collect()));
        }
        Step::Metarange(tree) => drop(reducer.ask(world.metarange(*tree))),
        Step::Range(range, base) => {
            let ask = world.range(&reducer.state, *range, *base);
            let _ = reducer.ask(ask);
        }
        Step::Check(range, answers, age) => check(world, reducer, *range, answers, *age),
        Step::Probe(range, gone, there) => {
            let of = |mask: &u8| (0..8u32).filter(|ordinal| mask >> ordinal & 1 == 1).collect();
            let _ = reducer.ask(probe(*range, of(gone), of(there)));
        }
        Step::Arrive(but) => arrive(world, reducer, *but),
        Step::Plan => drop(reducer.ask(MirrorCommand::PlanMoves)),
        Step::Records(branch, limit) => records(reducer, &name(branch), usize::from(*limit)),
        Step::Finish(branch) => {
            records(reducer, &name(branch), usize::MAX);
            let _ = reducer.ask(MirrorCommand::FinishMove { branch: name(branch) });
        }
        Step::Approve(_) | Step::Visibility(..) | Step::Remake(..) => deletions(reducer, step),
        Step::Reconsider(branch) => drop(reducer.ask(MirrorCommand::Reconsider { branch: name(branch) })),
        Step::Drive => {
            let _ = reducer.ask(MirrorCommand::PlanMoves);
            for branch in BRANCHES {
                records(reducer, branch, usize::MAX);
                let _ = reducer.ask(MirrorCommand::FinishMove { branch: branch.to_owned() });
            }
        }
        Step::Diverged(branch, found) => {
            let _ = reducer.ask(MirrorCommand::Diverged { branch: name(branch), found: found.map(commit_id) });
        }
        Step::Adopt(branch, found) => {
            drop(reducer.ask(MirrorCommand::Adopt { branch: name(branch), found: commit_id(*found) }))
        }
        Step::Take(resumed) => {
            drop(reducer.ask(MirrorCommand::Take { epoch: 3, resumed: *resumed, before: "another".to_owned() }));
        }
        Step::Removals => drop(reducer.plan_removals()),
        Step::FinishRemoval(branch) => drop(reducer.ask(MirrorCommand::FinishRemoval { branch: name(branch) })),
        Step::Published(number) => drop(reducer.ask(MirrorCommand::Published(*number))),
        Step::Upkeep(steps) => {
            steps.iter().for_each(|(kind, segment, mangled)| upkeep(reducer, *kind, *segment, *mangled))
        }
        Step::Wait(ms) => reducer.now_ms += u64::from(*ms),
    }
    reducer.journal[from..].to_vec()
}

/// The branches that the state has and that are not missed, at their heads.
fn listing(reducer: &Reducer) -> Vec<Option<u8>> {
    let branches = &reducer.mirror().branches;
    let there =
        |name: &&str| branches.get(*name).filter(|b| b.presence == lakemirror_journal::state::branch::Presence::There);
    BRANCHES.iter().map(|name| there(name).map(|branch| branch.head.0[0] - 1)).collect()
}

fn upkeep(reducer: &mut Reducer, kind: u8, segment: u8, mangled: u8) {
    let lifecycle = &reducer.state.lifecycle;
    let known = lifecycle.segments.iter().nth(usize::from(segment));
    let (first, last) = match known.filter(|_| kind > 1) {
        Some((first, segment)) => (*first, segment.last),
        None => (lifecycle.open_from(), lifecycle.open_from() + 4),
    };
    let last = last + u64::from(mangled == 1);
    let hash = [if mangled == 2 { 99 } else { first as u8 }; 32];
    let step = match kind {
        0 | 1 => {
            let first = first + u64::from(mangled == 3);
            UpkeepStep::Sealed { first, last, frames: 2, bytes: 300, checks: 9, hash, last_frame: [2; 32] }
        }
        2 => {
            let place = if mangled == 4 { "elsewhere" } else { "a" }.to_owned();
            UpkeepStep::Archived { first, last, hash, bytes: 70, file_hash: [3; 32], place }
        }
        3..6 => UpkeepStep::Dropped { first, last, hash },
        6 | 7 => UpkeepStep::SnapshotTaken { seq: last, digest: [first as u8; 32], bytes: 900 },
        _ => {
            let reason = if mangled < 6 { "" } else { "a block" }.to_owned();
            UpkeepStep::LossAcknowledged { from: first, to: last, reason, who: "op".to_owned() }
        }
    };
    let _ = reducer.command(Command::Upkeep { step, at_ms: reducer.now_ms });
}

fn observe(reducer: &mut Reducer, heads: &[Option<u8>], proven: bool) {
    let listed: Vec<(&str, u8)> =
        BRANCHES.iter().zip(heads).filter_map(|(name, head)| head.map(|head| (*name, head))).collect();
    let gone: Vec<&str> =
        BRANCHES.iter().zip(heads).filter(|(_, head)| head.is_none() && proven).map(|(name, _)| *name).collect();
    reducer.see(&listed, &gone);
}

fn check(world: &World, reducer: &mut Reducer, range: u8, answers: &[u8], age: u16) {
    let asked = answers.iter().zip(0..world.entries(range)).filter(|(answer, _)| **answer != 7);
    let answers: Vec<_> = asked
        .map(|(answer, ordinal)| match answer {
            5 => (ordinal, None),
            4 => (ordinal, Some(Some(IN_ARCHIVE))),
            6 => (ordinal, Some(Some(77))),
            _ => (ordinal, Some(None)),
        })
        .collect();
    let at_ms = reducer.now_ms - u64::from(age);
    let _ = reducer.ask(MirrorCommand::CheckArrivals(vec![checks(range, &answers, at_ms)]));
}

fn arrive(world: &World, reducer: &mut Reducer, but: u8) {
    let _ = reducer.ask(MirrorCommand::ObserveCommits((0..COMMITS).map(|number| world.record(number)).collect()));
    for tree in 0..TREES {
        let _ = reducer.ask(world.metarange(tree));
    }
    for range in (0..RANGES).filter(|range| but >> range & 1 == 0) {
        let ask = world.range(&reducer.state, range, Some(but % RANGES));
        let _ = reducer.ask(ask);
        check(world, reducer, range, &[0; 5], 0);
    }
}

/// As the engine does it: nothing is written for a move whose evidence does not count any more.
fn records(reducer: &mut Reducer, branch: &str, limit: usize) {
    let _ = reducer.ask(MirrorCommand::Reconsider { branch: branch.to_owned() });
    let mirror = reducer.mirror();
    let Some(under_way) = mirror.branches.get(branch).and_then(|branch| branch.moving) else { return };
    let ids = mirror.graph.unrecorded(&under_way.to, limit);
    let _ = reducer.ask(MirrorCommand::RecordsWritten(ids));
}
