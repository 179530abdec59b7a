//! Tests of the checker: without lakemirror, a mirror is moved by hand, correctly and incorrectly, and the checker must
//! notice.

use std::sync::Arc;
use std::time::Duration;

use lakemirror::checker::bucket::Bucket;
use lakemirror::checker::{Checker, Rule};
use lakemirror::clock::system::{OsEntropy, SystemClock};
use lakemirror::demo::source::{Source, table};
use lakemirror::demo::stage::{Plan, Stage};
use lakemirror::sandbox::replication::Behaviour;
use reqwest::Method;
use serde_json::{Value, json};

struct Scene {
    stage: Stage,
    checker: Checker,
    source: Source,
    _dir: tempfile::TempDir,
}

impl Scene {
    /// A source with two commits, and an empty mirror.
    async fn new() -> (Self, [String; 2]) {
        let dir = tempfile::tempdir().unwrap();
        let behaviour = Behaviour { delay_min: Duration::ZERO, delay_max: Duration::ZERO, ..Behaviour::default() };
        let plan = Plan { dir: dir.path().to_owned(), behaviour };
        let stage = Stage::open(plan, Arc::new(SystemClock::new()), Arc::new(OsEntropy)).await.unwrap();
        let checker = stage.checker().unwrap();
        let source = Source::new(stage.source.clone(), checker.clone());
        source.create().await.unwrap();
        let first = source.commit("main", "One", &table("a", 3, 1)).await.unwrap();
        let second = source.commit("main", "Two", &table("b", 3, 2)).await.unwrap();
        let body = json!({"name": "sample-mirror", "storage_namespace": "local://west/sample", "read_only": true});
        stage.mirror.send_json(Method::POST, "/repositories?bare=true", &body).await.unwrap();
        checker.look().await.unwrap();
        (Self { stage, checker, source, _dir: dir }, [first, second])
    }

    fn copy(&self) {
        self.stage.replication.turn().unwrap();
    }

    /// Writes the records of a commit and its ancestors on the mirror.
    async fn record(&self, id: &str) {
        let mut open = vec![id.to_owned()];
        while let Some(id) = open.pop() {
            let commit: Value = self.stage.source.get(&format!("/repositories/sample/commits/{id}")).await.unwrap();
            let body = json!({
                "commit_id": commit["id"], "committer": commit["committer"], "message": commit["message"],
                "creation_date": commit["creation_date"], "metarange_id": commit["meta_range_id"],
                "metadata": commit["metadata"], "parents": commit["parents"], "version": commit["version"],
                "generation": commit["generation"], "force": true,
            });
            let made = self.stage.mirror.send_json(Method::POST, "/repositories/sample-mirror/commits", &body).await;
            assert!(made.is_ok() || made.as_ref().unwrap_err().status() == Some(409), "{made:?}");
            open.extend(commit["parents"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()));
        }
    }

    /// Points a branch of the mirror to a commit, and runs a scan of the checker.
    async fn point(&self, branch: &str, to: &str) {
        let branches = "/repositories/sample-mirror/branches";
        let body = json!({"name": branch, "source": to, "force": true});
        let made = self.stage.mirror.send_json(Method::POST, branches, &body).await;
        if made.is_err_and(|error| error.status() == Some(409)) {
            let path = format!("{branches}/{branch}/hard_reset?ref={to}&force=true");
            self.stage.mirror.send(Method::PUT, &path, None).await.unwrap();
        }
        self.checker.look().await.unwrap();
    }

    /// The violations so far, with their texts.
    fn broken(&self) -> Vec<(Rule, String)> {
        self.checker.violations().into_iter().map(|violation| (violation.rule, violation.text)).collect()
    }
}

#[tokio::test]
async fn correct_mirror_passes_and_its_moves_are_reported() {
    let (scene, [first, second]) = Scene::new().await;
    scene.copy();
    scene.record(&second).await;
    scene.point("main", &first).await;
    scene.point("main", &second).await;
    scene.source.hard_reset("main", &first).await.unwrap();
    scene.point("main", &first).await;
    assert_eq!(scene.broken(), []);
    let moves = scene.checker.moves(0);
    let told: Vec<_> = moves.iter().map(|seen| (seen.to.as_deref().unwrap(), seen.tree.objects)).collect();
    assert_eq!(told, [(&*first, 3), (&*second, 6), (&*first, 3)]);
    let report = scene.checker.final_check().await.unwrap();
    assert!(report.holds(), "{report}: {:?}", report.differences);
    assert_eq!((report.branches, report.commits, report.objects), (1, 2, 3));
}

#[tokio::test]
async fn a_missing_object_breaks_i1() {
    let (scene, [first, second]) = Scene::new().await;
    scene.stage.replication.hold("*/data/*");
    scene.copy();
    scene.record(&second).await;
    scene.point("main", &first).await;
    let broken = scene.broken();
    assert_eq!(broken.len(), 3, "{broken:?}");
    assert!(broken.iter().all(|(rule, text)| *rule == Rule::I1 && text.contains("is not in")), "{broken:?}");
    scene.stage.replication.release_all();
    scene.copy();
    scene.point("main", &second).await;
    assert_eq!(scene.broken().len(), 3, "all is there for the second");
}

#[tokio::test]
async fn object_that_arrived_after_the_answer_counts_as_missing() {
    let (scene, [first, _]) = Scene::new().await;
    scene.copy();
    let commit: Value = scene.stage.source.get(&format!("/repositories/sample/commits/{first}")).await.unwrap();
    let bucket = Bucket::new(scene.stage.dir().join("west/blocks/west/sample"));
    let tree = |deadline_ms| bucket.tree(commit["meta_range_id"].as_str().unwrap(), deadline_ms);
    let arrived = tree(u64::MAX).unwrap().last_arrival_ms;
    assert_eq!(tree(arrived).unwrap().objects, 3);
    let wrong = tree(arrived - 1).unwrap_err();
    assert!(wrong[0].contains("came 1 ms after the mirror had shown its commit"), "{wrong:?}");
}

#[tokio::test]
async fn an_object_of_another_size_breaks_i1() {
    let (scene, [first, _]) = Scene::new().await;
    scene.copy();
    scene.record(&first).await;
    let objects: Value =
        scene.stage.source.get(&format!("/repositories/sample/refs/{first}/objects/ls")).await.unwrap();
    let address = objects["results"][0]["physical_address"].as_str().unwrap();
    let key = address.rsplit_once("/east/sample/").unwrap().1;
    std::fs::write(scene.stage.dir().join("west/blocks/west/sample").join(key), b"x").unwrap();
    scene.point("main", &first).await;
    let broken = scene.broken();
    assert!(broken.iter().any(|(rule, text)| *rule == Rule::I1 && text.contains("has 1 bytes, not")), "{broken:?}");
    let report = scene.checker.final_check().await.unwrap();
    assert!(!report.holds());
    let branch = report.differences.iter().any(|text| text.contains("branch main"));
    assert!(branch, "{:?}", report.differences);
    let bytes = report.differences.iter().any(|text| text.contains(key) || text.contains("part-"));
    assert!(bytes, "{:?}", report.differences);
}

#[tokio::test]
async fn a_commit_that_the_branch_never_had_breaks_i2() {
    let (scene, [_, second]) = Scene::new().await;
    scene.source.branch("other", "main").await.unwrap();
    let other = scene.source.commit("other", "Elsewhere", &table("c", 1, 3)).await.unwrap();
    scene.copy();
    scene.record(&other).await;
    scene.point("main", &other).await;
    scene.point("nobody", &second).await;
    let broken = scene.broken();
    assert_eq!(broken.len(), 2, "{broken:?}");
    assert!(broken[0].0 == Rule::I2 && broken[0].1.contains("never pointed to it"), "{broken:?}");
    assert!(broken[1].0 == Rule::I2 && broken[1].1.contains("never had a branch of this name"), "{broken:?}");
}

#[tokio::test]
async fn going_back_or_removal_without_the_source_breaks_i2() {
    let (scene, [first, second]) = Scene::new().await;
    scene.source.branch("kept", "main").await.unwrap();
    scene.copy();
    scene.record(&second).await;
    scene.point("kept", &second).await;
    scene.point("main", &second).await;
    scene.point("main", &first).await;
    scene
        .stage
        .mirror
        .send(Method::DELETE, "/repositories/sample-mirror/branches/kept?force=true", None)
        .await
        .unwrap();
    scene.checker.look().await.unwrap();
    let broken = scene.broken();
    assert_eq!(broken.len(), 2, "{broken:?}");
    assert!(broken.iter().all(|(rule, _)| *rule == Rule::I2), "{broken:?}");
    assert!(broken[0].1.contains("before what the mirror showed already"), "{broken:?}");
    assert!(broken[1].1.contains("the source's branch never was"), "{broken:?}");
}

#[tokio::test]
async fn short_lived_head_is_recorded() {
    let (scene, [first, second]) = Scene::new().await;
    let short = scene.source.commit("main", "Short-lived", &table("d", 1, 4)).await.unwrap();
    scene.source.hard_reset("main", &first).await.unwrap();
    scene.copy();
    scene.record(&short).await;
    for to in [&second, &short, &first] {
        scene.point("main", to).await;
    }
    assert_eq!(scene.broken(), []);
}
