//! Heads that the mirror shows: looked for again once their proof is old, after everything else, and missed aloud.

use std::time::Duration;

use lakemirror_journal::command::MirrorCommand;
use lakemirror_journal::state::State;
use lakemirror_journal::state::policy::{HistoryRule, Policy};
use lakemirror_journal::state::tree::Completeness;
use lakemirror_ports::clock::Clock;

use super::SECOND;
use super::world::{Files, MIRROR, World, id, tree};
use crate::status::{self, MirrorStatus, RuntimeStatus};
use crate::verify::Settings;

const AGE: Duration = Duration::from_secs(60);

/// Two ranges, three objects.
fn sample() -> Files {
    tree(&[&[("a", "data/1", 1), ("b", "data/2", 2)], &[("c", "data/3", 3)]])
}

fn arrive_objects(world: &World) {
    for (key, size) in [("data/1", 1), ("data/2", 2), ("data/3", 3)] {
        world.arrive(key, size);
    }
}

impl World {
    /// A mirror that shows commit 1, with its proof grown old and opened again.
    async fn reopened(history: HistoryRule, files: &Files) -> Self {
        let world = Self::level(history, files).await;
        world.scrub().await;
        world
    }

    async fn level(history: HistoryRule, files: &Files) -> Self {
        let policy = Policy { evidence_age_ms_max: AGE.as_millis() as u64, history, ..Policy::default() };
        let settings = Settings { diagnose_after: SECOND, ..Settings::default() };
        let world = Self::with(State { policy, ..State::default() }, settings).await;
        world.arrive_files(files);
        arrive_objects(&world);
        world.see(&[("main", 1)], &[(1, &[], files.id)]).await;
        world.until_grade(files.id, Completeness::Complete).await;
        world.promote(1).await;
        world
    }

    pub(super) async fn promote(&self, number: u8) {
        let planned = self.recorder.ask(MIRROR, MirrorCommand::PlanMoves).await.unwrap();
        assert_eq!(planned.len(), 1, "{planned:?}");
        self.recorder.ask(MIRROR, MirrorCommand::RecordsWritten(vec![id(number)])).await.unwrap();
        self.recorder.ask(MIRROR, MirrorCommand::FinishMove { branch: "main".into() }).await.unwrap();
        assert!(self.look(|mirror| mirror.branches["main"].is_in_sync()).await);
    }

    async fn scrub(&self) {
        self.pass(AGE + SECOND).await;
        self.store.asked.lock().unwrap().clear();
        let reopened = self.recorder.ask(MIRROR, MirrorCommand::Scrub).await.unwrap();
        assert_eq!(reopened.len(), 1, "{reopened:?}");
    }

    pub(super) async fn said(&self) -> MirrorStatus {
        let runtime = RuntimeStatus { verify: self.status.lock().unwrap().clone(), ..RuntimeStatus::default() };
        let read = self.recorder.read_with_head(move |state, head| {
            status::of(state.mirror(&MIRROR).unwrap(), &state.policy, &runtime, head)
        });
        read.await.unwrap()
    }

    async fn alarms(&self) -> Vec<String> {
        let problems = self.said().await.problems.into_iter();
        problems.map(|problem| problem.to_string()).filter(|problem| problem.contains("not whole")).collect()
    }

    async fn shows(&self, number: u8) -> bool {
        self.look(move |mirror| mirror.branches["main"].mirror == Some(id(number))).await
    }

    fn lose(&self, key: &str) {
        self.store.objects.lock().unwrap().remove(&("there".to_owned(), format!("ns/{key}")));
    }
}

#[tokio::test]
async fn what_a_quiet_mirror_shows_is_proven_again_from_the_store() {
    for history in [HistoryRule::Complete, HistoryRule::Head] {
        let files = sample();
        let world = World::level(history, &files).await;
        let reads = world.store.reads.lock().unwrap().len();
        world.scrub().await;
        let before = world.clock.wall_ms();
        assert_eq!(world.completeness(files.id).await, Completeness::Incomplete);
        world.until_grade(files.id, Completeness::Complete).await;
        assert!(world.clock.wall_ms() < before + 2_000);
        let read = world.store.reads.lock().unwrap().split_off(reads);
        assert_eq!(read.len(), 2, "the range files are part of what has to be there: {read:?}");
        for key in ["data/1", "data/2", "data/3"] {
            assert_eq!(world.asked(key), 1, "{key}");
        }
        let oldest = world.look(|mirror| mirror.trees.ranges.iter().map(|range| range.oldest_ms).min()).await;
        assert!(oldest.is_some_and(|oldest| oldest >= before), "{oldest:?}");
        assert_eq!(world.alarms().await, Vec::<String>::new());
        assert!(world.shows(1).await);
        assert_eq!(world.recorder.ask(MIRROR, MirrorCommand::Scrub).await.unwrap(), []);
        world.pass(5 * SECOND).await;
        assert_eq!(*world.clock.sleepers.lock().unwrap(), 0, "no timer without a need");
    }
}

#[tokio::test]
async fn a_loss_is_an_alarm_until_it_is_there_again_and_moves_nothing() {
    for history in [HistoryRule::Complete, HistoryRule::Head] {
        let files = sample();
        let world = World::level(history, &files).await;
        world.lose("data/2");
        world.source.gone.lock().unwrap().insert("b".to_owned());
        world.scrub().await;
        assert_eq!(world.alarms().await, Vec::<String>::new(), "nothing was looked for yet");
        world.pass(2 * SECOND).await;
        let alarms = world.alarms().await;
        let [alarm] = alarms.as_slice() else { panic!("{alarms:?}") };
        for part in ["branch main", &id(1).to_string(), "1 object", "b (s3://there/ns/data/2)"] {
            assert!(alarm.contains(part), "{part}: {alarm}");
        }
        assert_eq!(world.said().await.sums.objects_missing, 1);
        world.pass(40 * SECOND).await;
        assert_eq!(
            world.completeness(files.id).await,
            Completeness::Incomplete,
            "what the source says does not make up for it"
        );
        assert_eq!(world.alarms().await, alarms);
        assert!(world.shows(1).await);
        assert_eq!(world.recorder.ask(MIRROR, MirrorCommand::PlanMoves).await.unwrap(), []);
        // A store that does not answer takes nothing back.
        world.store.forbidden.lock().unwrap().insert("ns/data/2".into());
        world.pass(10 * SECOND).await;
        assert_eq!(world.alarms().await.len(), 1);
        world.store.forbidden.lock().unwrap().clear();
        world.arrive("data/2", 2);
        world.until_grade(files.id, Completeness::Complete).await;
        world.pass(SECOND).await;
        assert_eq!(world.alarms().await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_lost_range_file_is_an_alarm_and_a_silent_store_is_none() {
    let files = sample();
    let world = World::level(HistoryRule::Complete, &files).await;
    let (range, bytes) = &files.ranges[1];
    world.store.files.lock().unwrap().remove(&format!("ns/_lakefs/{range}"));
    world.store.forbidden.lock().unwrap().insert("ns/data/1".into());
    world.scrub().await;
    world.pass(2 * SECOND).await;
    let alarms = world.alarms().await;
    assert!(matches!(alarms.as_slice(), [one] if one.contains(&range.to_string())), "{alarms:?}");
    assert!(!alarms[0].contains("object"), "{alarms:?}");
    world.arrive_file(range, bytes);
    world.store.forbidden.lock().unwrap().clear();
    world.until_grade(files.id, Completeness::Complete).await;
    world.pass(SECOND).await;
    assert_eq!(world.alarms().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_hangs_of_the_shown_holds_up_nothing_that_is_pending() {
    let files = sample();
    let world = World::level(HistoryRule::Complete, &files).await;
    for key in ["data/1", "data/2", "data/3"] {
        world.store.hanging.lock().unwrap().insert(format!("ns/{key}"));
    }
    let next = tree(&[&[("d", "data/4", 4)]]);
    world.scrub().await;
    world.see(&[("main", 2)], &[(2, &[1], next.id)]).await;
    world.arrive_files(&next);
    world.arrive("data/4", 4);
    world.until_grade(next.id, Completeness::Complete).await;
    world.promote(2).await;
    assert_eq!(world.completeness(files.id).await, Completeness::Incomplete);
    assert_eq!(world.alarms().await, Vec::<String>::new(), "nobody shows it any more");
}

#[tokio::test]
async fn what_is_pending_is_asked_for_first() {
    let files = sample();
    let world = World::reopened(HistoryRule::Complete, &files).await;
    let next = tree(&[&[("d", "data/4", 4)]]);
    world.see(&[("main", 2)], &[(2, &[1], next.id)]).await;
    let plan =
        world.recorder.read(|state| crate::verify::need::plan(state, state.mirror(&MIRROR).unwrap())).await.unwrap();
    let order: Vec<_> = plan.trees.iter().map(|tree| (tree.id, tree.shown_only)).collect();
    assert_eq!(order, [(next.id, false), (files.id, true)]);
}

#[tokio::test]
async fn what_no_branch_leads_to_any_more_is_not_waited_for() {
    let files = sample();
    let world = World::level(HistoryRule::Complete, &files).await;
    let next = tree(&[&[("d", "data/4", 4)]]);
    world.arrive_files(&next);
    world.see(&[("main", 2)], &[(2, &[1], next.id)]).await;
    world.pass(SECOND).await;
    let sums = world.said().await.sums;
    assert_eq!((sums.commits_waiting, sums.objects_missing), (1, 1));
    // The source goes back to where it was: the mirror is there already.
    world.see(&[("main", 1)], &[]).await;
    world.recorder.ask(MIRROR, MirrorCommand::PlanMoves).await.unwrap();
    assert!(world.look(|mirror| mirror.branches["main"].is_in_sync()).await);
    let sums = world.said().await.sums;
    assert_eq!((sums.commits_waiting, sums.objects_missing, sums.commits_recorded), (0, 0, 1));
}
