//! `heads`, `log`, `explain` and the state agree on where the branches of a mirror are: after every record, including
//! takeovers by other processes and ignored events.

use std::collections::BTreeMap;

use lakemirror::evidence::explain::{self, subject::Verdict};
use lakemirror::evidence::reflog::{self, Line, Side};
use lakemirror::evidence::{EvidenceError, Source, heads};
use lakemirror_journal::event::*;
use lakemirror_journal::ids::{CommitId, Incarnation};
use lakemirror_journal::state::State;
use proptest::prelude::*;

use super::fixture::{append, commit, open};

const MIRROR: Incarnation = Incarnation([0xa1; 16]);
const BRANCHES: [&str; 2] = ["main", "dev"];

fn fact(kind: u8, branch: usize, head: u8, flag: bool) -> Event {
    let (mirror, at_ms, seen) = (MIRROR, 1_000, u64::from(head));
    let branch = BRANCHES[branch].to_owned();
    let (from, to, found) = (None, commit(head), commit(head));
    match kind {
        0 => Event::RepositoryReady(RepositoryReadyV1 { mirror, adopted: flag, at_ms }),
        1 | 2 => {
            let (epoch, before) = (7, "another process".to_owned());
            Event::MirrorTaken(MirrorTakenV1 { mirror, epoch, resumed: flag, before, at_ms })
        }
        3..=5 => Event::BranchSeen(BranchSeenV1 { mirror, branch, head: to, hidden: flag, at_ms }),
        6 => Event::BranchMissed(BranchMissedV1 { mirror, branch, writer_epoch: 1, at_ms }),
        7 => Event::BranchTombstoned(BranchTombstonedV1 { mirror, branch, at_ms }),
        8 => Event::BranchRemovalStarted(BranchRemovalStartedV1 { mirror, branch, at_ms }),
        9 => Event::BranchRemoved(BranchRemovedV1 { mirror, branch, at_ms }),
        10 | 11 => Event::MoveStarted(MoveStartedV1 {
            mirror,
            branch,
            from,
            to,
            seen,
            ranges: 0,
            entries: 0,
            oldest_evidence_ms: u64::MAX,
            at_ms,
        }),
        12..=14 => Event::MoveFinished(MoveFinishedV1 { mirror, branch, from, to, seen, at_ms }),
        15 => Event::MoveGivenUp(MoveGivenUpV1 { mirror, branch, to, seen, at_ms }),
        16 => {
            let found = flag.then_some(found);
            Event::BranchDiverged(BranchDivergedV1 { mirror, branch, expected: from, found, at_ms })
        }
        17 => Event::BranchAdopted(BranchAdoptedV1 { mirror, branch, found, at_ms }),
        18 => Event::BranchForgotten(BranchForgottenV1 { mirror, branch, at_ms }),
        19 => Event::BranchRemakeStarted(BranchRemakeStartedV1 { mirror, branch, hidden: flag, at_ms }),
        _ => Event::ServiceStarted(ServiceStartedV1 { writer_epoch: 2, software: String::new(), at_ms }),
    }
}

fn defined() -> Event {
    let text = str::to_owned;
    Event::MirrorDefined(MirrorDefinedV1 {
        mirror: MIRROR,
        name: text("sample-mirror"),
        source_repository: text("sample"),
        source_region: text("east"),
        region: text("west"),
        storage_namespace: text("s3://west/sample"),
        at_ms: 1_000,
    })
}

type Places = BTreeMap<String, CommitId>;

fn by_state(state: &State) -> Places {
    let branches = state.mirror(&MIRROR).into_iter().flat_map(|mirror| &mirror.branches);
    branches.filter_map(|(name, branch)| Some((name.clone(), branch.mirror?))).collect()
}

fn by_heads(source: &Source) -> Places {
    let heads = heads::heads(source, None).unwrap();
    let branches = heads.mirrors.get(&MIRROR).into_iter().flat_map(|mirror| &mirror.branches);
    branches.filter_map(|(name, head)| Some((name.clone(), head.shown.as_ref()?.commit))).collect()
}

/// The positions according to the lines of the log.
fn by_log(source: &Source) -> Places {
    let mut places = Places::new();
    let mut follow = |line: &Line| {
        match (line.side, line.what, &line.branch, line.to) {
            (Side::Mirror, "moved" | "adopted", Some(branch), Some(to)) => drop(places.insert(branch.clone(), to)),
            (Side::Mirror, "removed" | "forgotten", Some(branch), _) => drop(places.remove(branch)),
            (Side::Mirror, "taken", None, _) if line.why.contains("found out again") => places.clear(),
            _ => {}
        }
        Ok(())
    };
    reflog::reflog(source, &reflog::Request { mirror: "sample-mirror", branch: None }, &mut follow).unwrap();
    places
}

fn by_explain(source: &Source) -> Places {
    let mut places = Places::new();
    for branch in BRANCHES {
        match explain::find(source, &explain::Request { mirror: "sample-mirror", target: branch }) {
            Ok(found) => {
                let shown = |subject: &&explain::subject::Subject| {
                    let stood = found.graph.branches[branch].shown().map(|moved| moved.to);
                    matches!(subject.verdict, Verdict::Shown | Verdict::Adopted | Verdict::WasShown)
                        && stood == Some(subject.commit)
                };
                places.extend(found.subjects.iter().find(shown).map(|one| (branch.to_owned(), one.commit)));
            }
            Err(EvidenceError::NotSeen(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    places
}

fn agree(facts: &[Event]) {
    let dir = tempfile::tempdir().unwrap();
    let source = Source::new(dir.path());
    let (mut log, mut state) = (open(dir.path()), State::default());
    for (fact, second) in [defined()].iter().chain(facts).zip(0..) {
        append(&mut log, &(second, vec![fact.clone()]));
        state.apply(fact);
        let expected = by_state(&state);
        for (what, places) in [("heads", by_heads(&source)), ("log", by_log(&source)), ("explain", by_explain(&source))]
        {
            assert_eq!(places, expected, "{what} after {fact:?}, record {}", second + 1);
        }
    }
}

#[test]
fn after_a_takeover_and_return_no_branch_position_is_known() {
    let facts = [(0, false), (3, false), (11, false), (13, false), (1, false), (3, false)];
    agree(&facts.map(|(kind, flag)| fact(kind, 0, 1, flag)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn heads_log_explain_and_the_state_agree_at_every_record(
        facts in prop::collection::vec((0u8..21, 0usize..2, 1u8..5, any::<bool>()), 1..24)
    ) {
        let facts: Vec<Event> = facts.into_iter().map(|(kind, branch, head, flag)| fact(kind, branch, head, flag)).collect();
        agree(&facts);
    }
}
