//! Totality: whatever decodes can be applied in any state, and every command can be decided in it.

use lakemirror_journal::bits::{BITS_MAX, Bits, EncodedBits};
use lakemirror_journal::codec;
use lakemirror_journal::command::{Command, MirrorCommand, UpkeepStep};
use lakemirror_journal::decide::decide;
use lakemirror_journal::event::*;
use lakemirror_journal::ids::{CommitId, Incarnation, MetarangeId, RangeId};
use lakemirror_journal::state::State;
use proptest::collection::vec;
use proptest::prelude::*;

use super::samples::one_of_each;

fn number() -> impl Strategy<Value = u32> + Clone {
    prop_oneof![8 => 0u32..8, 1 => Just(u32::MAX), 1 => Just(BITS_MAX), 1 => Just(BITS_MAX + 1), 1 => any::<u32>()]
}

fn time() -> impl Strategy<Value = u64> + Clone {
    prop_oneof![6 => 0u64..100, 1 => Just(u64::MAX), 1 => any::<u64>()]
}

fn bits() -> impl Strategy<Value = EncodedBits> {
    prop_oneof![
        6 => vec(any::<bool>(), 0..9).prop_map(|bools| {
            Bits::from_ordinals(bools.len() as u32, (0..bools.len() as u32).filter(|at| bools[*at as usize])).encode()
        }),
        1 => (0u32..99, 0u8..7, vec(any::<u8>(), 0..9)).prop_map(|(len, encoding, bytes)| EncodedBits { len, encoding, bytes }),
        1 => number().prop_map(|len| EncodedBits { len, encoding: 1, bytes: Vec::new() }),
    ]
}

fn commit() -> impl Strategy<Value = CommitId> + Clone {
    (0u8..5).prop_map(|byte| CommitId([byte; 32]))
}

fn range() -> impl Strategy<Value = RangeId> + Clone {
    (0u8..4).prop_map(|byte| RangeId([byte; 32]))
}

fn tree() -> impl Strategy<Value = MetarangeId> + Clone {
    (0u8..4).prop_map(|byte| MetarangeId([byte; 32]))
}

/// A sample with small ids and wild numbers in it.
pub fn event() -> impl Strategy<Value = Event> {
    let parts = (
        0usize..one_of_each().len(),
        vec(commit(), 5),
        vec(range(), 3),
        tree(),
        vec(number(), 4),
        vec(time(), 3),
        vec(bits(), 2),
        any::<u8>(),
    );
    parts.prop_map(|(which, commits, ranges, tree, numbers, times, bits, flags)| {
        let mut event = one_of_each().swap_remove(which);
        scramble(&mut event, &commits, &ranges, tree, &numbers, &times, &bits, flags);
        event
    })
}

#[expect(clippy::too_many_arguments, reason = "raw material for every field there is")]
fn scramble(
    event: &mut Event,
    commits: &[CommitId],
    ranges: &[RangeId],
    tree: MetarangeId,
    numbers: &[u32],
    times: &[u64],
    bits: &[EncodedBits],
    flags: u8,
) {
    let branch = ["a", "b"][usize::from(flags & 1)].to_owned();
    match event {
        Event::ServiceStarted(e) => e.writer_epoch = times[0],
        Event::PolicySet(e) => scramble_policy_1(e, times, numbers, flags),
        Event::PolicySetV2(e) => scramble_policy(e, times, flags),
        Event::ArchivedShown(e) => (e.range, e.ordinals) = (ranges[0], numbers.to_vec()),
        Event::TroubleNoted(e) => {
            e.text = ["", "the source lost", "the source repository was deleted and made again"][usize::from(flags % 3)]
                .to_owned()
        }
        Event::BranchSeen(e) => (e.branch, e.head, e.at_ms) = (branch, commits[0], times[0]),
        Event::BranchMissed(e) => (e.branch, e.writer_epoch) = (branch, times[0]),
        Event::BranchTombstoned(e) => (e.branch, e.at_ms) = (branch, times[0]),
        Event::BranchRemovalStarted(e) => e.branch = branch,
        Event::BranchRemoved(e) => e.branch = branch,
        Event::BranchDiverged(e) => {
            (e.branch, e.expected, e.found) = (branch, Some(commits[0]), (flags > 99).then_some(commits[1]))
        }
        Event::BranchAdopted(e) => (e.branch, e.found) = (branch, commits[0]),
        Event::CommitObserved(e) => {
            (e.id, e.parents, e.metarange) =
                (commits[0], commits[1..usize::from(flags % 4) + 1].to_vec(), (flags > 30).then_some(tree));
        }
        Event::MetarangeRead(e) => {
            (e.metarange, e.total, e.first) = (tree, numbers[0], numbers[1]);
            e.ranges =
                ranges[..usize::from(flags % 4)].iter().zip(numbers).map(|(range, number)| (*range, *number)).collect();
        }
        Event::RangeRead(e) => {
            (e.range, e.entries, e.imports, e.inherited) = (ranges[0], numbers[0], bits[0].clone(), bits[1].clone());
            (e.inherited_from, e.inherited_oldest_ms, e.at_ms) = (ranges[1..].to_vec(), times[0], times[1]);
        }
        Event::ArrivalsChecked(e) => {
            (e.range, e.base, e.asked, e.present) = (ranges[0], numbers[0], bits[0].clone(), bits[1].clone());
            (e.started_ms, e.finished_ms) = (times[0], times[1]);
            e.exceptions = numbers
                .iter()
                .map(|ordinal| ArrivalExceptionV1 { ordinal: *ordinal, code: flags % 6, found: times[2] })
                .collect();
        }
        Event::SourceProbed(e) => (e.range, (e.gone, e.there)) = (ranges[0], halves(numbers)),
        Event::RangesReopened(e) => e.ranges = ranges.to_vec(),
        Event::MoveStarted(e) => (e.branch, e.to, e.seen) = (branch, commits[0], times[0]),
        Event::SegmentSealed(e) => (e.first, e.last, e.hash[0]) = (times[0], times[1], flags & 1),
        Event::SegmentArchived(e) => (e.first, e.last, e.hash[0]) = (times[0], times[1], flags & 1),
        Event::SegmentDropped(e) => (e.first, e.last, e.archived) = (times[0], times[1], flags > 99),
        Event::SnapshotTaken(e) => (e.seq, e.digest[0]) = (times[0], flags),
        Event::LossAcknowledged(e) => (e.from, e.to) = (times[0], times[1]),
        Event::JournalGapFound(e) => (e.after, e.published) = (times[0], times[1]),
        Event::DatabaseItemWritten(e) => (e.generation, e.key, e.removed) = (times[0], branch, flags > 99),
        Event::DatabaseRebuilt(e) => (e.found, e.generation) = (times[0], times[1]),
        Event::RecordsWritten(e) => e.commits = commits[..3].to_vec(),
        Event::MoveFinished(e) => (e.branch, e.to, e.seen) = (branch, commits[0], times[0]),
        Event::MoveGivenUp(e) => (e.branch, e.to, e.seen) = (branch, commits[0], times[0]),
        Event::TreesTakenBack(e) => e.metaranges = vec![tree],
        Event::WrongSizesGone(e) => (e.range, (e.once, e.twice)) = (ranges[0], halves(numbers)),
        other => scramble_about_deletions(other, branch, flags),
    }
}

fn scramble_about_deletions(event: &mut Event, branch: String, flags: u8) {
    match event {
        Event::ConditionRaised(ConditionRaisedV1 { condition, .. })
        | Event::ConditionResolved(ConditionResolvedV1 { condition, .. }) => *condition = flags % 8,
        Event::BranchVisibilityChanged(e) => (e.branch, e.hidden) = (branch, flags & 1 == 1),
        Event::BranchRemakeStarted(e) => (e.branch, e.hidden) = (branch, flags & 1 == 1),
        Event::DeletionsHeld(e) => (e.branches, e.reason) = (vec![branch], flags % 3),
        Event::DeletionsApproved(e) => e.branches = vec![branch],
        Event::DeletionsReleased(e) => e.branches = vec![branch],
        _ => {}
    }
}

fn scramble_policy_1(e: &mut PolicySetV1, times: &[u64], numbers: &[u32], flags: u8) {
    (e.history, e.size, e.imports, e.on_divergence) = (flags & 1, flags >> 1 & 1, flags >> 2 & 3, flags >> 4 & 1);
    (e.evidence_age_ms_max, e.deletion_grace_ms, e.deletion_permille_max) = (times[0], times[1], numbers[0] as u16);
}

fn scramble_policy(e: &mut PolicySetV2, times: &[u64], flags: u8) {
    (e.size, e.archived, e.imports) = (flags >> 1 & 1, flags & 1, flags >> 2 & 3);
    (e.evidence_age_ms_max, e.deletion_grace_ms) = (times[0], times[1]);
}

fn halves(numbers: &[u32]) -> (Vec<u32>, Vec<u32>) {
    (numbers[..2].to_vec(), numbers[2..].to_vec())
}

/// Every question that a fact's fields can be turned into.
fn asks(event: &Event) -> Vec<MirrorCommand> {
    let branch = event.branch().unwrap_or("a").to_owned();
    let mut asks = vec![
        MirrorCommand::PlanMoves,
        MirrorCommand::PlanRemovals { proven_gone: ["a", "b", &branch].map(|name| (name.to_owned(), u64::MAX)).into() },
        MirrorCommand::Gone,
        MirrorCommand::StartDeletion,
        MirrorCommand::Reconsider { branch: branch.clone() },
        MirrorCommand::FinishMove { branch: branch.clone() },
        MirrorCommand::Remake { branch: branch.clone(), hidden: true },
        MirrorCommand::ObserveVisibility([(branch.clone(), true)].into()),
        MirrorCommand::ApproveDeletions { branches: vec![(branch.clone(), None)], by: String::new() },
        MirrorCommand::FinishRemoval { branch: branch.clone() },
        MirrorCommand::Diverged { branch: branch.clone(), found: None },
        MirrorCommand::ObserveBranches {
            listed: Vec::new(),
            hidden: [].into(),
            proven_gone: vec!["a".into(), "b".into()],
        },
    ];
    match event {
        Event::CommitObserved(e) => asks.push(MirrorCommand::ObserveCommits(vec![e.record(), e.record()])),
        Event::MetarangeRead(e) => {
            asks.push(MirrorCommand::ReadMetarange { metarange: e.metarange, ranges: e.ranges.clone() })
        }
        Event::RangeRead(e) => asks.push(MirrorCommand::ReadRange(e.clone())),
        Event::ArrivalsChecked(e) => asks.push(MirrorCommand::CheckArrivals(vec![e.clone(), e.clone()])),
        Event::SourceProbed(e) => asks.push(MirrorCommand::ProbeSource(e.clone())),
        Event::RecordsWritten(e) => asks.push(MirrorCommand::RecordsWritten(e.commits.clone())),
        Event::MirrorTaken(e) => {
            asks.push(MirrorCommand::Take { epoch: e.epoch, resumed: e.resumed, before: e.before.clone() });
        }
        Event::BranchAdopted(e) => asks.push(MirrorCommand::Adopt { branch, found: e.found }),
        Event::BranchSeen(e) => asks.push(MirrorCommand::ObserveBranches {
            listed: vec![(branch, e.head)],
            hidden: [].into(),
            proven_gone: Vec::new(),
        }),
        _ => {}
    }
    asks
}

/// The step that a fact about the journal's files came from.
fn step(event: &Event) -> Option<UpkeepStep> {
    Some(match event.clone() {
        Event::SegmentSealed(e) => {
            let SegmentSealedV1 { first, last, frames, bytes, checks, hash, last_frame, .. } = e;
            UpkeepStep::Sealed { first, last, frames, bytes, checks, hash, last_frame }
        }
        Event::SegmentArchived(e) => {
            let SegmentArchivedV1 { first, last, hash, bytes, file_hash, place, .. } = e;
            UpkeepStep::Archived { first, last, hash, bytes, file_hash, place }
        }
        Event::SegmentDropped(e) => UpkeepStep::Dropped { first: e.first, last: e.last, hash: e.hash },
        Event::SnapshotTaken(e) => UpkeepStep::SnapshotTaken { seq: e.seq, digest: e.digest, bytes: e.bytes },
        Event::LossAcknowledged(e) => {
            UpkeepStep::LossAcknowledged { from: e.from, to: e.to, reason: e.reason, who: e.who }
        }
        Event::JournalGapFound(e) => {
            UpkeepStep::GapFound { after: e.after, published: e.published, hash: e.hash, mirror: e.mirror }
        }
        Event::DatabaseItemWritten(e) => {
            UpkeepStep::DatabaseItem { generation: e.generation, key: e.key, value: (!e.removed).then_some(e.value) }
        }
        Event::DatabaseRebuilt(e) => UpkeepStep::DatabaseRebuilt { found: e.found, items: e.items, reason: e.reason },
        _ => return None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_fact_can_be_applied_and_any_command_decided(events in vec(event(), 0..60)) {
        let mut state = State::default();
        let mirror = Incarnation([1; 16]);
        for event in &events {
            state.apply(event);
            if let Some(step) = step(event) {
                let _ = decide(&state, Command::Upkeep { step, at_ms: 50 });
            }
            for ask in asks(event) {
                let decided = decide(&state, Command::Mirror { mirror, ask, at_ms: 50 });
                for event in decided.into_iter().flatten() {
                    let payload = codec::encode(&event).unwrap();
                    prop_assert_eq!(codec::decode(payload.kind, payload.version, &payload.bytes).unwrap(), event);
                }
            }
        }
    }
}
