//! What is said of what a branch waits for: the objects themselves, where they should be, and what the source said.

use lakemirror_journal::state::State;
use lakemirror_journal::state::tree::Completeness;

use super::SECOND;
use super::world::{World, tree};
use crate::conditions::{Condition, ConditionKind};
use crate::status::{self, BranchState, MirrorState, MirrorStatus, RuntimeStatus, Topic};
use crate::verify::Settings;
use std::time::Duration;

use super::world::MIRROR;

impl World {
    async fn with_notes(&self, notes: &[(ConditionKind, &str)], now_ms: u64) -> MirrorStatus {
        let note = |text: &str| Condition { text: text.to_owned(), since_ms: 1_000, last_ms: 2_000 };
        let notes = notes.iter().map(|(about, text)| (about.clone(), note(text))).collect();
        let verify = self.status.lock().unwrap().clone();
        let runtime = RuntimeStatus { notes, verify, now_ms };
        let read = self.recorder.read_with_head(move |state, head| {
            status::of(state.mirror(&MIRROR).unwrap(), &state.policy, &runtime, head)
        });
        read.await.unwrap()
    }

    /// What the branch waits for, as one text.
    async fn why(&self) -> String {
        let said = self.said().await;
        said.branches[0].waiting.iter().map(|wait| wait.what.as_str()).collect::<Vec<_>>().join(" | ")
    }
}

#[tokio::test]
async fn a_branch_that_waits_for_an_ancestors_object_says_that_object() {
    let settings = Settings { diagnose_after: SECOND, ..Settings::default() };
    let world = World::with(State::default(), settings).await;
    let (old, new) = (tree(&[&[("a.csv", "data/1", 1)]]), tree(&[&[("b.csv", "data/2", 2)]]));
    world.arrive_files(&old);
    world.arrive_files(&new);
    world.arrive("data/2", 2);
    world.see(&[("main", 2)], &[(1, &[], old.id), (2, &[1], new.id)]).await;
    world.until_grade(new.id, Completeness::Complete).await;
    world.pass(SECOND).await;
    let why = world.why().await;
    for part in ["1 missing", "a.csv (s3://there/ns/data/1", "the source has it: replication has not delivered it"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    assert!(why.contains("(region b)") && !why.contains("to be checked"), "{why}");
    world.source.gone.lock().unwrap().insert("a.csv".to_owned());
    world.pass(2 * SECOND).await;
}

#[tokio::test]
async fn a_head_whose_open_files_are_an_ancestors_says_what_the_ancestor_waits_for() {
    let world = World::new().await;
    // The commit changes nothing of the range that waits.
    let (old, new) =
        (tree(&[&[("a.csv", "data/1", 1)]]), tree(&[&[("a.csv", "data/1", 1)], &[("b.csv", "data/2", 2)]]));
    world.arrive_files(&old);
    world.arrive_files(&new);
    world.arrive("data/2", 2);
    world.see(&[("main", 2)], &[(1, &[], old.id), (2, &[1], new.id)]).await;
    world.pass(2 * SECOND).await;
    let why = world.why().await;
    assert!(why.contains("a.csv (s3://there/ns/data/1"), "{why}");
    assert!(!why.contains("to be checked"), "{why}");
    world.arrive("data/1", 1);
    world.until_grade(new.id, Completeness::Complete).await;
}

#[tokio::test]
async fn an_object_that_the_source_lost_is_said_to_be_gone_there() {
    let settings = Settings { diagnose_after: SECOND, ..Settings::default() };
    let world = World::with(State::default(), settings).await;
    let files = tree(&[&[("a.csv", "data/1", 1), ("b.csv", "data/2", 2)]]);
    world.arrive_files(&files);
    world.arrive("data/2", 2);
    world.source.gone.lock().unwrap().insert("a.csv".to_owned());
    world.see(&[("main", 1)], &[(1, &[], files.id)]).await;
    world.pass(5 * SECOND).await;
    let why = world.why().await;
    assert!(why.contains("gone at the source"), "{why}");
    assert!(!why.contains("replication has not delivered"), "{why}");
}

#[tokio::test]
async fn a_bucket_in_which_nothing_was_ever_found_is_said_so() {
    let world = World::new().await;
    let files = tree(&[&[("a.csv", "data/1", 1)]]);
    world.see(&[("main", 1)], &[(1, &[], files.id)]).await;
    world.pass(2 * SECOND).await;
    let why = world.why().await;
    let place = format!("s3://there/ns/_lakefs/{}", files.id);
    for part in [place.as_str(), "nothing was ever found in s3://there/ns (region b)"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    world.arrive_files(&files);
    world.pass(5 * SECOND).await;
    assert!(!world.why().await.contains("nothing was ever found"), "{}", world.why().await);
}

#[tokio::test]
async fn what_does_not_answer_makes_a_mirror_stuck_and_says_since_when() {
    let world = World::new().await;
    let files = tree(&[&[("a.csv", "data/1", 1)]]);
    world.arrive_files(&files);
    world.arrive("data/1", 1);
    world.see(&[("main", 1)], &[(1, &[], files.id)]).await;
    world.until_grade(files.id, Completeness::Complete).await;
    world.promote(1).await;
    let well = world.with_notes(&[], 5_000).await;
    assert_eq!((well.state, well.problems.len(), well.behind_since_ms), (MirrorState::InSync, 0, None));
    let (source, mirror) = (ConditionKind::Lakefs("a".to_owned()), ConditionKind::Lakefs("b".to_owned()));
    let bucket = ConditionKind::Bucket { region: "b".to_owned(), bucket: "there".to_owned() };
    for (about, text) in [
        (source.clone(), "the source's lakeFS (region a)"),
        (mirror, "the mirror's lakeFS (region b)"),
        (bucket, "the mirror's bucket s3://there (region b)"),
        (ConditionKind::Registry, "the mirrors database does not answer"),
        (ConditionKind::Lease, "refused"),
        (ConditionKind::Source, "the source does not answer"),
    ] {
        let said = world.with_notes(&[(about, "refused")], 5_000).await;
        let message = said.message.unwrap();
        assert_eq!(said.state, MirrorState::Stuck, "{message}");
        assert!(message.contains(text) && message.contains("(since 1970-01-01T00:00:01.000Z)"), "{message}");
        assert_eq!(said.problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [message]);
    }
    // What the source has had since it was last seen is not known: the lag grows.
    let blind = world.with_notes(&[(ConditionKind::Source, "x"), (source, "down")], 5_000).await;
    assert_eq!((blind.behind_since_ms, blind.problems.len()), (Some(1_000), 1), "one fault is told once");
}

#[tokio::test]
async fn a_branch_that_waits_for_long_is_stuck_and_a_problem() {
    let world = World::new().await;
    let files = tree(&[&[("a.csv", "data/1", 1)]]);
    world.arrive_files(&files);
    world.see(&[("main", 1)], &[(1, &[], files.id)]).await;
    world.pass(2 * SECOND).await;
    let since = world.look(|mirror| mirror.branches["main"].pending[0].at_ms).await;
    let said = world.with_notes(&[], since + status::STUCK_AFTER_MS).await;
    assert_eq!((said.state, said.problems.len()), (MirrorState::Syncing, 0));
    let said = world.with_notes(&[], since + status::STUCK_AFTER_MS + 1).await;
    assert_eq!((said.state, said.branches[0].state), (MirrorState::Stuck, BranchState::Stuck));
    assert_eq!(said.behind_since_ms, Some(since));
    let [problem] = said.problems.as_slice() else { panic!("{:?}", said.problems) };
    assert_eq!((&problem.topic, problem.since_ms), (&Topic::Stuck("main".to_owned()), Some(since)));
    assert!(problem.text.contains("a.csv (s3://there/ns/data/1"), "{}", problem.text);
    assert!(Duration::from_millis(status::STUCK_AFTER_MS) == 120 * SECOND);
}
