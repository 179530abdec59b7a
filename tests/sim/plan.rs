//! The plan of a run: a list of steps with their times, drawn from the seed before anything runs, so that a run can be
//! repeated without some of them.
//!
//! Each seed has its own kinds of faults; not every run has all, because one kind could hide another.

use crate::agenda::{MS, Micros, SECOND};
use crate::dice::Dice;
use crate::ending::Ending;
use crate::world::TO_MAX;

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Commit,
    CreateBranch,
    DeleteBranch,
    Merge,
    Reset,
    CollectGarbage,
    CreateMirror,
    DeleteMirror,
    /// A process is killed between two instants.
    Kill,
    /// A machine stops within one of the next writes to its disk.
    CrashInWrite,
    /// One of the next writes or syncs fails.
    FailWrite,
    FillDisk,
    /// A process is asked to stop.
    Stop,
    Pause,
    Wake,
    /// The faults of calls change.
    Weather,
    Clear,
    /// A process cannot reach something.
    Cut,
    Mend,
    /// An object disappears from the destination, and arrives again later.
    LoseObject,
    /// Everything that is held is released.
    Release,
    JumpClock,
    LoseVolume,
    /// Listings become stale or incomplete, or correct again.
    Listings,
    /// Queries of single objects fail or are answered wrongly once, or no more.
    Doubt,
    /// Another writer moves, creates or deletes branches of a mirror, and restores them.
    Meddle,
    Unmeddle,
    /// Another writer deletes a mirror repository, or replaces it.
    Rob,
    /// A source repository is deleted; another one may take its place.
    Vanish,
    /// The mirrors database responds late to a process, and then not at all.
    Drowse,
}

/// A step and its time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planned {
    pub(crate) at: Micros,
    pub(crate) what: Step,
    /// The seed of the step's own choices.
    pub(crate) draw: u64,
}

/// A run before it starts.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) repositories: u64,
    pub(crate) processes: usize,
    /// Maximum time a call is in flight after its sender has checked what it rests on; `None` if clocks jump.
    pub(crate) held_up_max: Option<Micros>,
    /// Whether all responses come soon, and every process keeps running.
    pub(crate) prompt: bool,
    pub(crate) steps: Vec<Planned>,
    pub(crate) ending: Ending,
}

/// Kinds of faults and their steps, each with its weight.
const TROUBLES: [&[(Step, u64)]; 15] = [
    &[(Step::Kill, 8)],
    &[(Step::CrashInWrite, 8)],
    &[(Step::FailWrite, 4), (Step::FillDisk, 3)],
    &[(Step::Weather, 10), (Step::Clear, 6)],
    &[(Step::Cut, 8), (Step::Mend, 8)],
    &[(Step::LoseObject, 10), (Step::CollectGarbage, 8)],
    &[(Step::Pause, 8), (Step::Wake, 10), (Step::Stop, 3)],
    &[(Step::JumpClock, 6)],
    &[(Step::LoseVolume, 3)],
    &[(Step::Listings, 8)],
    &[(Step::Doubt, 8), (Step::LoseObject, 10), (Step::CollectGarbage, 4)],
    &[(Step::Meddle, 8), (Step::Unmeddle, 3)],
    &[(Step::Rob, 2), (Step::CreateMirror, 5), (Step::DeleteMirror, 5)],
    &[(Step::Vanish, 2), (Step::CreateMirror, 5), (Step::DeleteMirror, 5)],
    &[(Step::Drowse, 4)],
];
const WORK: &[(Step, u64)] = &[
    (Step::Commit, 60),
    (Step::CreateBranch, 12),
    (Step::DeleteBranch, 8),
    (Step::Merge, 12),
    (Step::Reset, 8),
    (Step::Release, 5),
    (Step::CreateMirror, 5),
    (Step::DeleteMirror, 2),
];

impl Plan {
    pub(crate) fn of(seed: u64, steps: usize) -> Self {
        let mut dice = Dice::new(seed, 1);
        // Some situations occur only late in a long run, most in many short ones.
        let steps = if dice.chance(60) { 4 * steps } else { steps };
        let mut choices: Vec<(Step, u64)> = WORK.to_vec();
        // One seed in eight has no faults.
        let calm = dice.chance(125);
        let mut held_up_max = Some(TO_MAX);
        for trouble in TROUBLES {
            if !calm && dice.chance(300) {
                choices.extend_from_slice(trouble);
                if let Some((Step::JumpClock, _)) = trouble.first() {
                    held_up_max = None;
                }
            }
        }
        let sum: u64 = choices.iter().map(|(_, share)| share).sum();
        let mut at = SECOND;
        let mut planned = Vec::with_capacity(steps);
        for _ in 0..steps {
            at += if dice.chance(100) { dice.between(SECOND, 12 * SECOND) } else { dice.between(MS, 800 * MS) };
            let mut left = dice.below(sum);
            let what = choices.iter().find(|(_, share)| {
                let here = left < *share;
                left = left.saturating_sub(*share);
                here
            });
            let what = what.map_or(Step::Commit, |(step, _)| *step);
            planned.push(Planned { at, what, draw: dice.next() });
        }
        let repositories = if dice.chance(250) { 2 } else { 1 };
        let processes = if dice.chance(350) { 2 } else { 1 };
        let slow = |(step, _): &(Step, u64)| {
            matches!(step, Step::Cut | Step::Pause | Step::JumpClock | Step::Weather | Step::Drowse)
        };
        let prompt = !choices.iter().any(slow);
        let ending = match dice.below(10) {
            0..=3 => Ending::Stuck,
            4..=6 => Ending::SourceLost,
            _ => Ending::Plain,
        };
        Self { seed, repositories, processes, held_up_max, prompt, steps: planned, ending }
    }
}
