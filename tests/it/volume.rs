//! The journal's volume is lost and the mirrors database is not (I8): the service adopts its mirrors as they are,
//! trusts nothing that it has not checked again, and reports where its history begins.

use std::process::Output;

use lakemirror::demo::service::Api;
use lakemirror::demo::source::{Source, table};
use lakemirror::demo::stage::{MIRROR, listen};
use lakemirror::sandbox::replication::Behaviour;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::crash::{Scene, ends_in_order, scene};
use crate::process::lakemirror;

/// Number of objects of the first commit.
const OBJECTS: u64 = 20;

/// The output of `lakemirror journal …` for the scene's journal.
fn ask(scene: &Scene, words: &[&str]) -> String {
    let mut command = lakemirror();
    command.args(["journal", words[0]]).arg(scene.stage.dir().join("journal")).args(&words[1..]);
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.code().is_some_and(|code| code < 2), "{words:?}: {text}{}", String::from_utf8_lossy(&stderr));
    text
}

fn json(scene: &Scene, words: &[&str]) -> Value {
    serde_json::from_str(&ask(scene, &[words, &["-o", "json"]].concat())).unwrap()
}

fn shown(scene: &Scene) -> Option<String> {
    scene.stage.west.lake().get_branch(MIRROR, "main").ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_without_its_volume_adopts_its_mirrors_and_trusts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let scene = scene(dir.path()).await;
    scene.stage.replication.behave(Behaviour { lost_one_in: 0, straggler_one_in: 0, ..Behaviour::default() });
    let (listener, address) = listen().await.unwrap();
    drop(listener);
    std::fs::write(dir.path().join("config.yaml"), scene.stage.config(&address)).unwrap();
    let source = Source::new(scene.stage.source.clone(), scene.checker.clone());
    source.create().await.unwrap();
    let first = source.commit("main", "Begin", &table("t/0", OBJECTS, 0)).await.unwrap();
    scene.checker.look().await.unwrap();
    let done = CancellationToken::new();
    let watching = tokio::spawn({
        let (checker, done) = (scene.checker.clone(), done.clone());
        async move { checker.run(done).await }
    });
    let api = Api::new(&format!("http://{address}")).unwrap();
    let mut process = scene.start();
    scene.until("the mirror's creation", async || api.create().await.is_ok()).await;
    scene.until("the first commit", async || shown(&scene).as_ref() == Some(&first)).await;
    assert_eq!(api.mirror().await.unwrap().state_message, None, "it was made by this journal");
    ends_in_order(&scene, &mut process).await;
    let before = json(&scene, &["stat"]);

    // The volume is lost, and the next commit does not arrive.
    std::fs::remove_dir_all(dir.path().join("journal")).unwrap();
    scene.stage.replication.hold("*/data/*");
    let second = source.commit("main", "More", &table("t/1", 3, 1)).await.unwrap();
    let mut process = scene.start();
    let waits = async || {
        let Ok(mirror) = api.mirror().await else { return false };
        let branch = mirror.branches.iter().find(|branch| branch.id == "main");
        branch.is_some_and(|branch| branch.source_commit_id.as_ref() == Some(&second) && !branch.waiting.is_empty())
    };
    scene.until("a branch that waits for its objects", waits).await;
    scene
        .until("checks of all that the mirror shows", async || {
            json(&scene, &["stat"])["checks"].as_u64() >= Some(OBJECTS)
        })
        .await;
    let after = json(&scene, &["stat"]);
    assert_ne!(before["journal_uuid"], after["journal_uuid"]);
    assert_eq!(shown(&scene).as_ref(), Some(&first), "the branch was not moved");

    // The beginning of the history is reported in the API, in the log, and in the journal.
    let message = api.mirror().await.unwrap().state_message.unwrap_or_default();
    assert!(message.contains("its history begins at 20"), "{message}");
    let log = std::fs::read_to_string(dir.path().join("lakemirror.log")).unwrap();
    assert!(log.contains("this journal's history of it begins now"), "{log}");
    let reflog = ask(&scene, &["log", MIRROR]);
    assert!(reflog.contains("the repository was there already: its history begins here"), "{reflog}");

    scene.stage.replication.release_all();
    scene.until("the second commit", async || shown(&scene).as_ref() == Some(&second)).await;
    scene.until("a level mirror", async || scene.checker.is_in_sync().await.unwrap_or(false)).await;
    let report = scene.checker.final_check().await.unwrap();
    assert!(report.holds(), "{report}");
    scene.holds();
    ends_in_order(&scene, &mut process).await;
    assert_eq!(json(&scene, &["verify", "--deep"])["ok"], true);
    done.cancel();
    watching.await.unwrap();
    scene.stage.close().await;
}
