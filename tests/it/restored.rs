//! One of a process's own stores is not the one that it left: the journal is an older copy, the mirrors database is
//! missing, or one of them does not open. The process notices and reports it, and mirroring continues.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lakemirror::clock::Clock;
use lakemirror::clock::system::SystemClock;
use lakemirror::demo::service::Api;
use lakemirror::demo::source::{Source, table};
use lakemirror::demo::stage::{MIRROR, listen};
use lakemirror::sandbox::replication::Behaviour;
use serde_json::Value;

use crate::crash::{Scene, ends_in_order, scene};
use crate::process::{Process, lakemirror};

/// From SIGTERM to the end.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);

struct Running {
    scene: Scene,
    source: Source,
    api: Api,
    process: Process,
    commits: u64,
}

impl Running {
    async fn start(dir: &Path) -> Self {
        let scene = scene(dir).await;
        scene.stage.replication.behave(Behaviour { lost_one_in: 0, straggler_one_in: 0, ..Behaviour::default() });
        let (listener, address) = listen().await.unwrap();
        drop(listener);
        std::fs::write(dir.join("config.yaml"), scene.stage.config(&address)).unwrap();
        let source = Source::new(scene.stage.source.clone(), scene.checker.clone());
        source.create().await.unwrap();
        let api = Api::new(&format!("http://{address}")).unwrap();
        let process = scene.start();
        let mut running = Self { scene, source, api, process, commits: 0 };
        running.scene.until("the mirror's creation", async || running.api.create().await.is_ok()).await;
        running.goes_on().await;
        running
    }

    async fn commit(&mut self) -> String {
        self.commits += 1;
        let n = self.commits;
        self.source.commit("main", &format!("Change {n}"), &table(&format!("t/{n}"), 3, n)).await.unwrap()
    }

    async fn shows(&self, head: &str) {
        let shown = || self.scene.stage.west.lake().get_branch(MIRROR, "main").ok();
        self.scene.until("a promotion", async || shown().as_deref() == Some(head)).await;
    }

    async fn goes_on(&mut self) {
        let head = self.commit().await;
        self.shows(&head).await;
        // In sync, and published.
        let synced = async || {
            self.api.mirror().await.is_ok_and(|mirror| {
                mirror.branches.iter().any(|branch| branch.promoted_commit_id.as_ref() == Some(&head))
            })
        };
        self.scene.until("a mirror in sync", synced).await;
    }

    async fn stop(&mut self) {
        ends_in_order(&self.scene, &mut self.process).await;
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scene.stage.dir().join(name)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("lakemirror.log")).unwrap_or_default()
    }

    fn ask(&self, words: &[&str]) -> Value {
        let mut command = lakemirror();
        command.args(["journal", words[0]]).arg(self.path("journal")).args(&words[1..]).args(["-o", "json"]);
        serde_json::from_slice(&command.output().unwrap().stdout).unwrap()
    }

    /// The process hangs during its start; SIGTERM ends it in time.
    async fn ends_while_it_opens(&mut self, marker: &str) {
        let path = self.path(marker);
        self.scene
            .until("an opening that takes long", async || std::fs::read(&path).is_ok_and(|mark| mark == [255]))
            .await;
        let clock = SystemClock::new();
        let begun = clock.monotonic();
        self.process.signal("TERM");
        let mut status = None;
        self.scene
            .until("its end", async || {
                status = self.process.ended();
                status.is_some()
            })
            .await;
        let took = clock.monotonic() - begun;
        assert!(took < STOP_TIME_MAX, "it took {took:?}");
        assert_eq!(status.and_then(|status| status.code()), Some(0), "{}", self.scene.log());
    }

    async fn close(mut self) {
        self.stop().await;
        self.scene.holds();
        self.scene.stage.close().await;
    }
}

fn copy(from: &Path, to: &Path) {
    drop(std::fs::remove_dir_all(to));
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restored_older_journal_is_detected_and_mirroring_continues() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::start(dir.path()).await;
    running.stop().await;
    let (journal, older) = (running.path("journal"), dir.path().join("older"));
    copy(&journal, &older);
    for moves_meanwhile in [false, true] {
        running.process = running.scene.start();
        running.goes_on().await;
        running.goes_on().await;
        running.stop().await;
        let before = running.log().len();
        copy(&older, &journal);
        if moves_meanwhile {
            running.commit().await;
        }
        running.process = running.scene.start();
        let said = |log: &str| log[before..].contains("was restored from an older copy");
        running.scene.until("that it says so", async || said(&running.log())).await;
        let problem = async || {
            let mirror = running.api.mirror().await;
            mirror.is_ok_and(|mirror| mirror.problems.iter().any(|problem| problem.contains("older copy")))
        };
        running.scene.until("the problem", problem).await;
        running.goes_on().await;
        let level = async || running.scene.checker.is_in_sync().await.unwrap_or(false);
        running.scene.until("a level mirror", level).await;
        running.stop().await;
        let (verified, heads, stat) = (running.ask(&["verify"]), running.ask(&["heads"]), running.ask(&["stat"]));
        assert_eq!(verified["ok"], true, "{verified}");
        for answer in [&verified, &heads, &stat] {
            assert_eq!(answer["gaps"].as_array().unwrap().len(), 1, "{answer}");
            assert!(answer["gaps"][0]["published"].as_u64() > answer["gaps"][0]["after"].as_u64(), "{answer}");
        }
        // Without a further gap, the next start reports nothing.
        let before = running.log().len();
        running.process = running.scene.start();
        running.goes_on().await;
        assert!(!running.log()[before..].contains("older copy"), "{}", running.scene.log());
        running.stop().await;
    }
    running.process = running.scene.start();
    running.goes_on().await;
    running.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removed_mirrors_database_is_rebuilt_from_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::start(dir.path()).await;
    running.stop().await;
    std::fs::remove_dir_all(running.path("mirrors")).unwrap();
    running.process = running.scene.start();
    running.goes_on().await;
    assert!(running.log().contains("was rebuilt from the journal"), "{}", running.scene.log());
    running.close().await;
}

/// A store whose opening never ends: its log is a pipe without a writer.
fn block(store: &Path) {
    let logs = std::fs::read_dir(store.join("metadata")).unwrap().map(|entry| entry.unwrap().path());
    let log = logs.into_iter().find(|path| path.to_string_lossy().contains("log")).unwrap();
    std::fs::remove_file(&log).unwrap();
    assert!(Command::new("mkfifo").arg(&log).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hanging_store_does_not_delay_a_stop_and_is_rebuilt_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::start(dir.path()).await;
    for (store, marker) in [("journal/hot", "journal/hot.opening"), ("mirrors/items", "mirrors/items.opening")] {
        running.stop().await;
        block(&running.path(store));
        running.process = running.scene.start();
        running.ends_while_it_opens(marker).await;
        running.process = running.scene.start();
        running.goes_on().await;
    }
    assert!(running.log().contains("was rebuilt from the journal: opening it did not end"), "{}", running.scene.log());
    running.close().await;
}
