//! `lakemirror run` is killed with SIGKILL again and again while the source changes. It continues with the same
//! directories, and the checker finds the mirror correct all the time (I1, I2) and equal to the source at the end.
//!
//! `LAKEMIRROR_CRASH_ROUNDS` sets the number of kills (8), `LAKEMIRROR_CRASH_SEED` the seed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lakemirror::checker::{CheckError, Checker};
use lakemirror::clock::system::{OsEntropy, SystemClock};
use lakemirror::clock::{Clock, Entropy};
use lakemirror::demo::service::Api;
use lakemirror::demo::source::{Source, table};
use lakemirror::demo::stage::{Plan, Stage, listen};
use lakemirror::sandbox::faults::{Fault, Rule};
use lakemirror::sandbox::replication::Behaviour;
use tokio_util::sync::CancellationToken;

use crate::process::{Process, lakemirror};

const ROUNDS: u64 = 8;
const SEED: u64 = 20_261_123;
/// Every wait is shorter than this, unless something is wrong.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

/// A generator of numbers that are the same for the same seed (splitmix64).
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// The source's users: one random change at a time.
struct Users {
    source: Source,
    draw: Draw,
    branches: Vec<String>,
    heads: Vec<String>,
    changes: u64,
}

impl Users {
    fn any(&mut self) -> String {
        let at = self.draw.below(self.branches.len() as u64);
        self.branches[at as usize].clone()
    }

    async fn change(&mut self) -> Result<(), CheckError> {
        self.changes += 1;
        let (n, count) = (self.changes, 1 + self.draw.below(5));
        let branch = self.any();
        match self.draw.below(10) {
            0..=4 => {
                self.source.commit(&branch, &format!("Change {n}"), &table(&format!("t/{n}"), count, n)).await?;
            }
            5 => drop(self.source.commit_staged(&branch, &format!("Empty {n}"), true).await?),
            // Limit the branches: more than three deletions at once would wait for an operator.
            6 if self.branches.len() < 4 => {
                self.source.branch(&format!("b{n}"), &branch).await?;
                self.branches.push(format!("b{n}"));
            }
            7 if branch != "main" => {
                self.source.delete_branch(&branch).await?;
                self.branches.retain(|other| *other != branch);
            }
            8 if self.heads.len() > 2 => {
                let at = self.draw.below(self.heads.len() as u64);
                self.source.hard_reset("main", &self.heads[at as usize].clone()).await?;
            }
            _ if branch != "main" => match self.source.merge(&branch, "main", &format!("Merge {n}")).await {
                // Nothing to merge, or a conflict: an unlucky draw.
                Err(CheckError::Http(error)) if matches!(error.status(), Some(400 | 409)) => {}
                other => drop(other?),
            },
            _ => {}
        }
        self.heads.push(self.source.head("main").await?);
        Ok(())
    }
}

pub(crate) struct Scene {
    pub(crate) stage: Stage,
    pub(crate) checker: Checker,
    clock: SystemClock,
}

impl Scene {
    /// Polls for a condition, at most for [`LIMIT`].
    pub(crate) async fn until(&self, what: &str, mut probe: impl AsyncFnMut() -> bool) {
        let begun = self.clock.monotonic();
        while !probe().await {
            let waited = self.clock.monotonic().saturating_sub(begun);
            assert!(waited < LIMIT, "{what}: not within {LIMIT:?}\n{}", self.log());
            self.clock.sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn start(&self) -> Process {
        let dir = self.stage.dir();
        let mut command = lakemirror();
        command.args(["run", "--config"]).arg(dir.join("config.yaml"));
        Process::start_logged(&mut command, &dir.join("lakemirror.log"))
    }

    pub(crate) fn log(&self) -> String {
        let text = std::fs::read_to_string(self.stage.dir().join("lakemirror.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// Asserts that the checker has found no violation so far.
    pub(crate) fn holds(&self) {
        let wrong: Vec<String> = self.checker.violations().iter().map(ToString::to_string).collect();
        assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), self.log());
    }
}

pub(crate) async fn scene(dir: &Path) -> Scene {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
    let behaviour = Behaviour {
        scan_every: Duration::from_millis(30),
        delay_min: Duration::from_millis(20),
        delay_max: Duration::from_millis(500),
        straggler_one_in: 15,
        straggler_delay: Duration::from_secs(1),
        lost_one_in: 80,
        deletes: false,
    };
    let plan = Plan { dir: dir.to_owned(), behaviour };
    let mut stage = Stage::open(plan, clock, entropy).await.unwrap();
    stage.replicate();
    let checker = stage.checker().unwrap();
    Scene { stage, checker, clock: SystemClock::new() }
}

/// The mirror's lakeFS executes a call and loses its response, once for each kind of change.
fn lose_answers(scene: &Scene) {
    for (method, path) in [("POST", "commits"), ("PUT", "branches/*/hard_reset"), ("POST", "branches")] {
        let path = format!("/api/v1/repositories/sample-mirror/{path}");
        let rule = Rule { method: Some(method.into()), path, fault: Fault::LoseAnswer, skip: 1, times: Some(1) };
        scene.stage.west.faults().add(rule);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_service_never_shows_a_wrong_mirror() {
    let (rounds, seed) = (number("LAKEMIRROR_CRASH_ROUNDS", ROUNDS), number("LAKEMIRROR_CRASH_SEED", SEED));
    let mut dir = tempfile::tempdir().unwrap();
    // Kept for inspection if the test fails.
    dir.disable_cleanup(true);
    let scene = scene(dir.path()).await;
    let (listener, address) = listen().await.unwrap();
    drop(listener);
    std::fs::write(dir.path().join("config.yaml"), scene.stage.config(&address)).unwrap();
    let source = Source::new(scene.stage.source.clone(), scene.checker.clone());
    source.create().await.unwrap();
    source.commit("main", "Begin", &table("t/0", 20, 0)).await.unwrap();
    scene.checker.look().await.unwrap();
    let done = CancellationToken::new();
    let watching = tokio::spawn({
        let (checker, done) = (scene.checker.clone(), done.clone());
        async move { checker.run(done).await }
    });

    let api = Api::new(&format!("http://{address}")).unwrap();
    let mut process = scene.start();
    scene.until("the mirror's creation", async || api.create().await.is_ok()).await;
    let mut draw = Draw(seed);
    let mut users =
        Users { source, draw: Draw(seed ^ 1), branches: vec!["main".into()], heads: Vec::new(), changes: 0 };
    for round in 0..rounds {
        lose_answers(&scene);
        // The time of the kill is drawn in scans of the checker, which take 20 ms or more each.
        let until = scene.checker.turns() + 3 + draw.below(90);
        while scene.checker.turns() < until {
            users.change().await.unwrap_or_else(|error| panic!("round {round} of seed {seed}: {error:?}"));
            let pause = scene.checker.turns() + 2 + users.draw.below(8);
            scene.until("the checker's looks", async || scene.checker.turns() >= pause.min(until)).await;
        }
        assert_eq!(process.ended(), None, "it ended by itself:\n{}", scene.log());
        process.kill();
        scene.holds();
        process = scene.start();
        scene.stage.replication.release_all();
    }

    scene.stage.replication.behave(Behaviour { lost_one_in: 0, ..Behaviour::default() });
    scene
        .until("a mirror in sync at the end", async || {
            scene.stage.replication.release_all();
            scene.checker.is_in_sync().await.unwrap_or(false)
        })
        .await;
    let report = scene.checker.final_check().await.unwrap();
    let directory = dir.path().display();
    assert!(report.holds(), "seed {seed}, kept in {directory}: {report}\n{:#?}\n{}", report.differences, scene.log());
    scene.holds();
    assert!(report.moves as u64 > rounds / 2, "too little happened: {report}");

    ends_in_order(&scene, &mut process).await;
    done.cancel();
    watching.await.unwrap();
    scene.stage.close().await;
    dir.disable_cleanup(false);
}

pub(crate) async fn ends_in_order(scene: &Scene, process: &mut Process) {
    // A stop request must be followed at once.
    let begun = scene.clock.monotonic();
    process.signal("TERM");
    let mut status = None;
    scene
        .until("its end", async || {
            status = process.ended();
            status.is_some()
        })
        .await;
    let took = scene.clock.monotonic().saturating_sub(begun);
    assert_eq!(status.and_then(|status| status.code()), Some(0), "{}", scene.log());
    // The bound that the issue promises to whoever stops the process.
    assert!(took < Duration::from_secs(5), "it took {took:?} to end");
}
