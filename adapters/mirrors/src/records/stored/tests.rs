//! Sizes, layouts, and that nothing is lost between splitting and joining.

use proptest::prelude::*;

use super::super::{Counts, JournalHead, Status, Waiting};
use lakemirror_api::types::WaitKind;

use super::*;

fn level(number: u32) -> BranchStatus {
    let commit = Some(CommitId(*blake3::hash(&number.to_be_bytes()).as_bytes()));
    BranchStatus {
        name: format!("feature/ticket-{number:06}"),
        source_commit: commit,
        promoted_commit: commit,
        state: BranchState::Synced,
        waiting: Vec::new(),
        behind_since_ms: None,
    }
}

fn waiting(number: u32, what: usize) -> BranchStatus {
    let waiting = Waiting {
        kind: WaitKind::Objects,
        what: "x".repeat(what),
        objects_missing: None,
        objects: Vec::new(),
        and_more: 3,
        since_ms: 1,
        checked_at_ms: Some(2),
    };
    BranchStatus { state: BranchState::Waiting, promoted_commit: None, waiting: vec![waiting], ..level(number) }
}

fn summary(branches: Vec<BranchStatus>) -> Summary {
    let counts = Counts { branches: branches.len() as u64, ..Counts::default() };
    let journal_head = Some(JournalHead { seq: 9_000_000, hash: "ab".repeat(32), journal: None });
    Summary {
        incarnation: Incarnation([7; 16]),
        name: "sample-mirror".to_owned(),
        stamp: Stamp { epoch: 3, seq: 9 },
        written_at_ms: 1_700_000_000_000,
        status: Status { branches, counts, journal_head, ..Status::creating() },
    }
}

fn bytes<T: Serialize>(record: &T) -> usize {
    envelope::seal(record).unwrap().len()
}

#[test]
fn a_thousand_level_branches_are_one_item_under_100_kb() {
    let whole = summary((0..1_000).map(level).collect());
    let (main, parts) = split(&whole, 0).unwrap();
    assert!(parts.is_empty());
    assert!(bytes(&main) < 100_000, "{}", bytes(&main));
    assert_eq!(join(main, []), whole);
}

#[test]
fn a_hundred_thousand_branches_are_items_under_100_kb_and_one_that_moves_changes_one() {
    let mut whole = summary((0..100_000).map(level).collect());
    let (main, parts) = split(&whole, 0).unwrap();
    assert!(bytes(&main) < 20_000, "{}", bytes(&main));
    assert!(parts.iter().all(|part| bytes(part) <= ITEM_BYTES_MAX));
    assert!(parts.len() <= 512, "{}", parts.len());
    whole.status.branches[500] = waiting(500, 100);
    let (_, after) = split(&whole, parts.len()).unwrap();
    assert_eq!(after.len(), parts.len());
    let changed = parts.iter().zip(&after).filter(|(before, after)| !before.says_what(after)).count();
    let digests = parts.iter().zip(&after).filter(|(a, b)| a.digest() != b.digest()).count();
    assert_eq!((changed, digests), (1, 1));
}

#[test]
fn a_part_that_is_late_makes_the_whole_as_old_and_another_layout_is_left_out() {
    let whole = summary((0..3_000).map(level).collect());
    let (mut main, mut parts) = split(&whole, 0).unwrap();
    main.parts = vec![Stamp { epoch: 3, seq: 9 }; parts.len()];
    parts[1].stamp = Stamp { epoch: 3, seq: 8 };
    parts[1].written_at_ms = 1_600_000_000_000;
    let foreign = Part { of: parts.len() * 2, ..parts[0].clone() };
    let joined = join(main.clone(), parts.iter().cloned().chain([foreign]));
    assert_eq!(joined.written_at_ms, 1_600_000_000_000);
    assert_eq!(joined.status.branches, whole.status.branches);
    // One that was written for a later summary than the first item is as good.
    parts[1].stamp = Stamp { epoch: 4, seq: 1 };
    assert_eq!(join(main, parts).written_at_ms, whole.written_at_ms);
}

#[test]
fn what_does_not_fit_at_all_is_left_out_with_what_waits_last() {
    let mut branches: Vec<_> = (0..20).map(|number| waiting(number, 90_000)).collect();
    branches.extend((20..40).map(|number| waiting(number, 200_000)));
    branches.extend((40..2_000).map(level));
    let (main, parts) = split(&summary(branches), 0).unwrap();
    assert!(parts.iter().all(|part| bytes(part) <= ITEM_BYTES_MAX));
    let kept = join(main, parts).status.branches;
    assert_eq!(kept.iter().filter(|branch| branch.state == BranchState::Waiting).count(), 20);
    assert!(kept.len() >= 1_900, "{}", kept.len());
}

#[test]
fn problems_are_bounded_too() {
    let mut long = summary(Vec::new());
    long.status.problems = (0..100).map(|_| "y".repeat(9_000)).collect();
    let (main, _) = split(&long, 0).unwrap();
    assert!(bytes(&main) <= ITEM_BYTES_MAX);
    assert!(!main.summary.status.problems.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn splitting_and_joining_loses_nothing(
        levels in 0u32..3_000, waits in 0u32..300, what in 0usize..900, before in 0usize..64,
    ) {
        let branches = (0..levels).map(level).chain((levels..levels + waits).map(|number| waiting(number, what)));
        let whole = summary(branches.collect());
        let (main, parts) = split(&whole, before).unwrap();
        prop_assert!(bytes(&main) <= ITEM_BYTES_MAX);
        prop_assert!(parts.iter().all(|part| bytes(part) <= ITEM_BYTES_MAX));
        prop_assert_eq!(main.parts.len(), parts.len());
        let stored: Vec<Part> = parts.iter().map(|part| envelope::unseal(&envelope::seal(part).unwrap()).unwrap()).collect();
        let main: Main = envelope::unseal(&envelope::seal(&main).unwrap()).unwrap();
        prop_assert_eq!(join(main, stored), whole);
    }
}
