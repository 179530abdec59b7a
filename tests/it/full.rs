//! A volume with one of a process's own stores fills up while it runs: the process reports it and exits with 74, and
//! continues where it was once there is space. The volumes are real and small; creating them requires root.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lakemirror::demo::service::Api;
use lakemirror::demo::source::{Source, table};
use lakemirror::demo::stage::{MIRROR, listen};
use lakemirror::engine::ports::Alarm;
use lakemirror::mirrors::{Embedded, Expect, Items as _};
use lakemirror::sandbox::replication::Behaviour;

use crate::crash::{Draw, Scene, ends_in_order, scene};
use crate::process::Process;

/// How often a volume is filled.
const FILLS: u64 = 6;
const SEED: u64 = 20_261_201;
/// Maximum time from the failure to the end, as promised.
const END_TIME_MAX: Duration = Duration::from_secs(10);

/// A small volume; removed when dropped.
struct Volume(PathBuf);

impl Volume {
    /// `None`, with a message, if the system does not permit it.
    fn mount(at: &Path, options: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).output();
        if mounted.as_ref().is_ok_and(|output| output.status.success()) {
            return Some(Self(at.to_owned()));
        }
        crate::servers::aloud(&format!("SKIPPED: no volume can be mounted here, which needs root: {mounted:?}"));
        None
    }

    /// Fills it except for some bytes.
    fn fill(&self, left: u64) {
        let mut file = File::create(self.0.join("filler")).unwrap();
        while file.write_all(&[7; 4096]).is_ok() {}
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(left)).unwrap();
    }

    /// Uses up all inodes.
    fn exhaust(&self) {
        std::fs::create_dir_all(self.0.join("fillers")).unwrap();
        for number in 0.. {
            if File::create(self.0.join(format!("fillers/{number}"))).is_err() {
                return;
            }
        }
    }

    fn free(&self) {
        drop(std::fs::remove_file(self.0.join("filler")));
        drop(std::fs::remove_dir_all(self.0.join("fillers")));
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily, because a process left by a failed test may still use it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A mirror in sync, and the process that drives it.
struct Running {
    scene: Scene,
    source: Source,
    api: Api,
    process: Process,
    commits: u64,
}

impl Running {
    async fn start(dir: &Path, change: impl FnOnce(String) -> String) -> Self {
        let scene = scene(dir).await;
        scene.stage.replication.behave(Behaviour { lost_one_in: 0, straggler_one_in: 0, ..Behaviour::default() });
        let (listener, address) = listen().await.unwrap();
        drop(listener);
        std::fs::write(dir.join("config.yaml"), change(scene.stage.config(&address))).unwrap();
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

    async fn goes_on(&mut self) {
        let head = self.commit().await;
        let shown = || self.scene.stage.west.lake().get_branch(MIRROR, "main").ok();
        self.scene.until("a promotion", async || shown().as_ref() == Some(&head)).await;
    }

    /// Keeps working until the process ends on its own because its volume is full.
    async fn ends_full(&mut self, path: &Path) {
        let clock = lakemirror::clock::system::SystemClock::new();
        let said = dir_log(&self.scene).len();
        let text = |scene: &Scene| dir_log(scene).get(said..).unwrap_or_default().to_owned();
        let mut failed_at = None;
        let mut status = None;
        while status.is_none() {
            if failed_at.is_none() {
                self.commit().await;
            }
            status = self.process.ended();
            let now = lakemirror::clock::Clock::monotonic(&clock);
            if failed_at.is_none() && text(&self.scene).contains("nothing is done any more") {
                failed_at = Some(now);
            }
            assert!(failed_at.is_none_or(|at| now - at < END_TIME_MAX), "it hangs:\n{}", self.scene.log());
            lakemirror::clock::Clock::sleep(&clock, Duration::from_millis(20)).await;
        }
        assert_eq!(status.and_then(|status| status.code()), Some(74), "{}", self.scene.log());
        let text = text(&self.scene);
        assert!(text.contains(&path.display().to_string()), "the volume is named: {text}");
        assert!(!text.contains(".rs"), "no source file is: {text}");
    }
}

fn dir_log(scene: &Scene) -> String {
    std::fs::read_to_string(scene.stage.dir().join("lakemirror.log")).unwrap_or_default()
}

async fn fills(what: &str, times: u64) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(what);
    let Some(volume) = Volume::mount(&path, "size=24m") else { return };
    let mut running = Running::start(dir.path(), |config| config).await;
    let mut draw = Draw(SEED);
    for _ in 0..times {
        volume.fill(draw.below(if what == "journal" { 12 } else { 1 }) * 4096);
        running.ends_full(&path).await;
        volume.free();
        running.process = running.scene.start();
        running.goes_on().await;
    }
    running.scene.holds();
    ends_in_order(&running.scene, &mut running.process).await;
    running.scene.stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn journal_on_a_full_volume_ends_the_process_and_continues_later() {
    fills("journal", FILLS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mirrors_database_on_a_full_volume_ends_the_process_and_continues_later() {
    fills("mirrors", 1).await;
}

#[tokio::test]
async fn full_mirrors_database_raises_its_alarm_closes_at_once_and_keeps_acknowledged_writes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mirrors");
    let Some(volume) = Volume::mount(&path, "size=16m") else { return };
    let mut draw = Draw(SEED);
    let mut kept = 0u64;
    for _ in 0..FILLS {
        let alarm = Alarm::default();
        let items = Embedded::open(&path, "acme", alarm.clone()).await.unwrap();
        for number in 0..kept {
            assert!(items.get(&format!("k/{number:08}")).await.unwrap().is_some(), "{number} of {kept}");
        }
        volume.fill(draw.below(40) * 4096);
        let value = bytes::Bytes::from(vec![7; 100 + draw.below(4000) as usize]);
        while items.put(&format!("k/{kept:08}"), value.clone(), Expect::Any).await.is_ok() {
            kept += 1;
        }
        let why = alarm.raised().unwrap();
        assert!(why.contains(&path.display().to_string()) && !why.contains(".rs"), "{why}");
        // This would wait forever.
        drop(items);
        volume.free();
        // The open store keeps its lock until the process ends, so the next one opens a copy.
        let copy = dir.path().join("copy");
        copy_tree(&path, &copy);
        for entry in std::fs::read_dir(&path).unwrap() {
            let entry = entry.unwrap().path();
            if entry.is_dir() { std::fs::remove_dir_all(entry).unwrap() } else { std::fs::remove_file(entry).unwrap() }
        }
        copy_tree(&copy, &path);
        std::fs::remove_dir_all(&copy).unwrap();
    }
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn journal_without_inodes_ends_the_process_and_continues_later() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let Some(volume) = Volume::mount(&path, "size=64m,nr_inodes=400") else { return };
    // Small segments, so that the next one needs a file.
    let small = |config: String| config.replace("journal\" }", "journal\", seal: { max_bytes: 65536 } }");
    let mut running = Running::start(dir.path(), small).await;
    volume.exhaust();
    running.ends_full(&path).await;
    volume.free();
    running.process = running.scene.start();
    running.goes_on().await;
    ends_in_order(&running.scene, &mut running.process).await;
    running.scene.stage.close().await;
}
