//! What is answered about a mirror of another region while its driver lives, and once it does not.

use lakemirror_mirrors::records::{BranchState, BranchStatus, MirrorState as State};
use lakemirror_ports::{Heartbeat, Owner};

use super::*;
use crate::service::watch::Watch;

const SECOND: Duration = Duration::from_secs(1);
const WEST: &str = "us-west-2";

/// The source's process over a database in which another one, of the mirror's region, beats.
struct Pair {
    rig: Rig,
    watch: Watch,
    mirror: Incarnation,
    beats: u64,
    alive: bool,
}

impl Pair {
    async fn of(status: Status) -> Self {
        let rig = rig();
        let mirror = rig.records.create(&new_mirror("m-one")).await.unwrap().incarnation;
        let summary = Summary {
            incarnation: mirror,
            name: "m-one".to_owned(),
            stamp: Stamp { epoch: 1, seq: 1 },
            // Its writer's clock is an hour ahead of the reader's.
            written_at_ms: NOW_MS + 3_600_000,
            status,
        };
        rig.records.put_summary(WEST, &summary).await.unwrap();
        let owner = Owner {
            holder: Some("p".to_owned()),
            about: "host, process 7".to_owned(),
            node: "n".to_owned(),
            epoch: 1,
            meant_for: None,
            version: None,
        };
        rig.records.write_owner(WEST, &mirror, &owner).await.unwrap();
        let mut pair = Self { rig, watch: Watch::default(), mirror, beats: 0, alive: true };
        pair.beat().await;
        pair
    }

    async fn beat(&mut self) {
        self.beats += 1;
        let beat = Heartbeat {
            process: "p".to_owned(),
            node: "n".to_owned(),
            about: "host, process 7".to_owned(),
            count: self.beats,
            ended: false,
        };
        self.rig.records.beat(WEST, &beat).await.unwrap();
    }

    /// Lets seconds pass: a heartbeat every five while it lives, a look every three.
    async fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.rig.clock.pass(SECOND);
            let now = self.rig.clock.monotonic().as_secs();
            if self.alive && now.is_multiple_of(5) && !self.rig.items.down.load(Ordering::SeqCst) {
                self.beat().await;
            }
            if now.is_multiple_of(3) {
                self.rig.service.look(&mut self.watch).await;
            }
        }
    }

    async fn told(&self) -> lakemirror_api::types::Mirror {
        self.rig.service.get_mirror(&caller(), "sample", "m-one").await.unwrap()
    }
}

fn synced() -> Status {
    Status { state: State::Synced, ..Status::creating() }
}

#[tokio::test]
async fn a_driver_that_dies_is_told_within_20_seconds_and_the_lag_grows() {
    let mut pair = Pair::of(synced()).await;
    pair.rig.service.look(&mut pair.watch).await;
    let told = pair.told().await;
    assert_eq!((told.state, told.status_age_seconds), (MirrorState::Synced, None), "it has only begun to watch");
    pair.pass(7).await;
    for _ in 0..120 {
        pair.pass(1).await;
        let told = pair.told().await;
        assert_eq!((told.state, told.lag_seconds), (MirrorState::Synced, Some(0)), "{told:?}");
        assert!(told.status_age_seconds.is_some_and(|age| age < 15) && told.problems.is_empty(), "{told:?}");
    }
    pair.alive = false;
    let mut before = 0;
    for second in 1..=90 {
        pair.pass(1).await;
        let told = pair.told().await;
        if second < 20 {
            continue;
        }
        assert_eq!(told.state, MirrorState::Unknown, "{second}: {told:?}");
        let [problem, ..] = told.problems.as_slice() else { panic!("{told:?}") };
        for part in ["region us-west-2", "host, process 7", "does not answer (since 2026-"] {
            assert!(problem.contains(part), "{part}: {problem}");
        }
        let message = told.state_message.unwrap();
        assert!(message.contains("the last known state is synced"), "{message}");
        let (lag, age) = (told.lag_seconds.unwrap(), told.status_age_seconds.unwrap());
        assert!(age >= second && lag >= second && lag > before, "{second}: {lag} {age}");
        before = lag;
    }
    pair.alive = true;
    pair.pass(8).await;
    let told = pair.told().await;
    assert!(told.state == MirrorState::Synced && told.problems.is_empty(), "{told:?}");
}

#[tokio::test]
async fn a_driver_that_was_dead_before_this_process_began_is_told_too() {
    let mut pair = Pair::of(synced()).await;
    pair.alive = false;
    pair.pass(20).await;
    let told = pair.told().await;
    assert_eq!(told.state, MirrorState::Unknown);
    assert!(told.status_age_seconds.is_some_and(|age| age >= 14), "{told:?}");
}

#[tokio::test]
async fn the_lag_is_of_the_moment_of_reading_and_no_two_clocks_are_compared() {
    let branch = BranchStatus {
        name: "main".to_owned(),
        source_commit: None,
        promoted_commit: None,
        state: BranchState::Waiting,
        waiting: Vec::new(),
        behind_since_ms: Some(NOW_MS),
    };
    let status = Status {
        state: State::Syncing,
        branches: vec![branch],
        lag_seconds: 1,
        behind_since_ms: Some(NOW_MS),
        ..synced()
    };
    let mut pair = Pair::of(status).await;
    pair.pass(60).await;
    let told = pair.told().await;
    assert_eq!(told.state, MirrorState::Syncing);
    assert!(told.lag_seconds.is_some_and(|lag| (55..=60).contains(&lag)), "{told:?}");
    // Nothing new was published since: what is overdue is known to the reader all the same.
    pair.pass(70).await;
    let told = pair.told().await;
    assert_eq!((told.state, told.branches[0].state), (MirrorState::Stuck, lakemirror_api::types::BranchState::Stuck));
    assert!(told.lag_seconds.is_some_and(|lag| (125..=130).contains(&lag)), "{told:?}");
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_told_at_once_and_makes_the_state_unknown() {
    let mut pair = Pair::of(synced()).await;
    pair.pass(30).await;
    pair.rig.items.down.store(true, Ordering::SeqCst);
    let told = pair.told().await;
    assert_eq!(told.state, MirrorState::Synced, "its age says how old that is");
    assert!(told.problems[0].contains("the mirrors database does not answer"), "{told:?}");
    pair.pass(20).await;
    let told = pair.told().await;
    assert_eq!(told.state, MirrorState::Unknown);
    assert!(told.status_age_seconds.is_some_and(|age| age >= 20) && told.lag_seconds >= Some(20), "{told:?}");
    let problem = &told.problems[0];
    assert!(problem.contains("mirrors database") && problem.contains("since 2026-"), "{problem}");
    assert!(!problem.contains("process 7"), "nobody can say what the driver does: {problem}");
}

#[tokio::test]
async fn what_was_never_asked_for_is_answered_too_once_the_database_is_away() {
    let mut pair = Pair::of(synced()).await;
    pair.pass(3).await;
    pair.rig.items.down.store(true, Ordering::SeqCst);
    assert_eq!(pair.told().await.id, "m-one");
}

#[tokio::test]
async fn a_process_that_starts_without_the_database_answers_from_its_journal() {
    let rig = rig();
    rig.items.down.store(true, Ordering::SeqCst);
    let incarnation = Incarnation([9; 16]);
    rig.engine.1.lock().unwrap().push(MirrorDefinition {
        incarnation,
        name: "m-one".to_owned(),
        source_repository: "sample".to_owned(),
        source_region: "us-east-1".to_owned(),
        region: WEST.to_owned(),
        storage_namespace: "s3://west/sample".to_owned(),
        source_store: lakemirror_ports::StoreIdentity::Unknown,
        created_ms: 1,
        deleted: false,
    });
    rig.engine.0.lock().unwrap().insert(incarnation, synced());
    let told = rig.service.get_mirror(&caller(), "sample", "m-one").await.unwrap();
    assert_eq!(told.state, MirrorState::Stuck, "without the database nothing moves");
    assert!(told.problems[0].contains("mirrors database"), "{told:?}");
    let error = rig.service.delete_mirror(&caller(), "sample", "m-one", Deletion::Regular).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable);
}

#[tokio::test]
async fn a_mirror_that_nobody_will_make_is_not_called_creating() {
    let rig = rig();
    rig.records.create(&new_mirror("m-one")).await.unwrap();
    let mut watch = Watch::default();
    for _ in 0..7 {
        rig.service.look(&mut watch).await;
        rig.clock.pass(3 * SECOND);
    }
    let told = rig.service.get_mirror(&caller(), "sample", "m-one").await.unwrap();
    assert_eq!((told.state, told.lag_seconds), (MirrorState::Unknown, None));
    assert!(told.problems[0].contains("no lakemirror process of region us-west-2 answers"), "{told:?}");
}

#[tokio::test]
async fn what_fails_stays_failed_although_nobody_confirms_it() {
    let mut pair = Pair::of(Status { state: State::Failed, ..synced() }).await;
    pair.alive = false;
    pair.pass(30).await;
    let told = pair.told().await;
    assert_eq!((told.state, told.problems.len()), (MirrorState::Failed, 1));
    assert!(pair.mirror != Incarnation([0; 16]));
}

#[tokio::test]
async fn what_was_created_since_the_database_answered_last_is_503_and_never_404() {
    let rig = rig();
    let read = async |mirror: &str| rig.service.get_mirror(&caller(), "sample", mirror).await;
    rig.records.create(&new_mirror("m-one")).await.unwrap();
    read("m-one").await.unwrap();
    assert_eq!(read("m-two").await.unwrap_err().code, ErrorCode::NotFound);
    rig.items.down.store(true, Ordering::SeqCst);
    read("m-one").await.unwrap();
    let error = read("m-two").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable, "{error:?}");
    assert!(error.message.contains("m-two") && error.message.contains("database"), "{}", error.message);
}
