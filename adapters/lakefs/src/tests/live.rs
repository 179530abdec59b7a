//! The client against a real lakeFS, where one is given: `LAKEMIRROR_TEST_LAKEFS_ENDPOINT`,
//! `LAKEMIRROR_TEST_LAKEFS_ACCESS_KEY`, `LAKEMIRROR_TEST_LAKEFS_SECRET`. Makes and deletes one repository.

use lakemirror_graveler::commit::commit_id;
use lakemirror_ports::clock::Clock as _;
use lakemirror_ports::clock::system::{OsEntropy, SystemClock};
use lakemirror_ports::{BranchHead, CreateOutcome, Fault, FaultKind, Lakefs as _};

use super::*;
use crate::CallerCredentials;
use std::io::Write as _;

fn variable(name: &str) -> Option<String> {
    std::env::var(format!("LAKEMIRROR_TEST_LAKEFS_{name}")).ok().filter(|value| !value.is_empty())
}

fn kind<T: std::fmt::Debug>(end: Result<T, Fault>) -> FaultKind {
    end.unwrap_err().kind
}

/// A root and its child, with ids that are their contents'.
fn commits(now: i64) -> [CommitRecord; 2] {
    let mut root = CommitRecord {
        id: id(0),
        parents: vec![],
        committer: String::new(),
        message: "root".into(),
        creation_date: now,
        metarange: None,
        metadata: Default::default(),
        generation: 1,
        version: 1,
    };
    root.id = commit_id(&root);
    let metadata = [("ü".to_owned(), "🦆".to_owned())].into();
    let mut child = CommitRecord {
        parents: vec![root.id],
        message: "child\n\"x\"".into(),
        metadata,
        generation: 2,
        ..root.clone()
    };
    child.id = commit_id(&child);
    [root, child]
}

#[tokio::test]
async fn the_whole_life_of_a_mirror_on_a_real_lakefs() {
    let (Some(endpoint), Some(access_key), Some(secret)) =
        (variable("ENDPOINT"), variable("ACCESS_KEY"), variable("SECRET"))
    else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: no real lakeFS given in LAKEMIRROR_TEST_LAKEFS_{{ENDPOINT,ACCESS_KEY,SECRET}}"
        );
        return;
    };
    let clock = Arc::new(SystemClock::new());
    let settings = Settings {
        endpoint,
        access_key_id: access_key.clone(),
        secret_access_key: secret.as_str().into(),
        page_size: 1,
        region: None,
        ca_bundle: None,
        proxies: lakemirror_outbound::Proxies::default(),
    };
    let client = Client::new(settings, clock.clone(), Arc::new(OsEntropy)).unwrap();
    let name = format!("lakemirror-test-{}", clock.wall_ms());
    let namespace = format!("{}://{name}", client.blockstore_type().await.unwrap());
    let [root, child] = commits((clock.wall_ms() / 1000) as i64);
    let _ = writeln!(std::io::stderr(), "lakeFS {} at {}", client.version().await.unwrap(), client.endpoint());

    let caller =
        |secret: &str| CallerCredentials::Basic { access_key_id: access_key.clone(), secret_access_key: secret.into() };
    let user = client.whoami(&caller(&secret)).await.unwrap().unwrap();
    assert_eq!(client.whoami(&caller("wrong")).await, Ok(None));
    let _ = writeln!(std::io::stderr(), "user {user}, policies {:?}", client.policies(&user).await.unwrap());

    assert_eq!(kind(client.repository(&name).await), FaultKind::Absent);
    assert_eq!(client.create_mirror_repository(&name, &namespace, "main").await, Ok(CreateOutcome::Created));
    assert_eq!(client.create_mirror_repository(&name, &namespace, "main").await, Ok(CreateOutcome::Existed));
    let repository = client.repository(&name).await.unwrap();
    assert!(repository.read_only && repository.storage_namespace == namespace, "{repository:?}");
    assert!(client.repositories(&name).await.unwrap().contains(&repository));
    let _ = writeln!(std::io::stderr(), "metadata files are under {}", client.metadata_prefix(&name).await.unwrap());

    assert_eq!(client.metadata(&name).await, Ok(Default::default()));
    client.set_metadata(&name, &child.metadata).await.unwrap();
    assert_eq!(client.metadata(&name).await.as_ref(), Ok(&child.metadata));

    assert_eq!(client.branches(&name, true).await, Ok(vec![]));
    assert_eq!(kind(client.branch(&name, "main").await), FaultKind::Absent);
    assert_eq!(kind(client.create_branch(&name, "main", &child.id, false).await), FaultKind::Refused);
    assert_eq!(client.put_commit(&name, &child).await, Ok(CreateOutcome::Created));
    assert_eq!(kind(client.log(&name, &child.id, 9).await), FaultKind::Refused, "its parent is missing");
    assert_eq!(kind(client.log(&name, &root.id, 9).await), FaultKind::Absent);
    assert_eq!(client.put_commit(&name, &root).await, Ok(CreateOutcome::Created));
    assert_eq!(client.put_commit(&name, &root).await, Ok(CreateOutcome::Existed));
    assert_eq!(client.commit(&name, &child.id).await.as_ref(), Ok(&child));
    assert_eq!(client.log(&name, &child.id, 9).await.map(|log| log.len()), Ok(2));
    assert_eq!(client.log(&name, &child.id, 1).await.map(|log| log.len()), Ok(1));

    branches_live(&client, &name, &root, &child).await;
    assert_eq!(
        client.probe_object(&name, &root.id, "a/ü +%&".as_bytes()).await,
        Ok(lakemirror_ports::SourceObject::NoSuchPath)
    );
    assert_eq!(kind(client.probe_object(&name, &id(0), b"p").await), FaultKind::Refused, "no such commit");

    client.delete_repository(&name).await.unwrap();
    assert_eq!(kind(client.delete_repository(&name).await), FaultKind::Absent);
    assert_eq!(kind(client.branches(&name, true).await), FaultKind::Refused);
}

async fn branches_live(client: &Client, name: &str, root: &CommitRecord, child: &CommitRecord) {
    assert_eq!(client.create_branch(name, "main", &root.id, false).await, Ok(CreateOutcome::Created));
    assert_eq!(client.create_branch(name, "main", &root.id, false).await, Ok(CreateOutcome::Existed));
    assert_eq!(client.create_branch(name, "hidden_1", &root.id, true).await, Ok(CreateOutcome::Created));
    assert_eq!(client.create_branch(name, "x", &root.id, false).await, Ok(CreateOutcome::Created));
    client.reset_branch(name, "main", &child.id).await.unwrap();
    assert_eq!(client.branch(name, "main").await, Ok(child.id));
    assert_eq!(kind(client.reset_branch(name, "none", &child.id).await), FaultKind::Absent);
    assert_eq!(kind(client.reset_branch(name, "main", &id(0)).await), FaultKind::Refused);
    let head = |name: &str, head| BranchHead { name: name.into(), head };
    let all = vec![head("hidden_1", root.id), head("main", child.id), head("x", root.id)];
    assert_eq!(client.branches(name, true).await.as_ref(), Ok(&all), "over three pages");
    assert_eq!(client.branches(name, false).await.map(|all| all.len()), Ok(2));
    client.delete_branch(name, "x").await.unwrap();
    assert_eq!(kind(client.delete_branch(name, "x").await), FaultKind::Absent);
    assert_eq!(kind(client.delete_branch(name, "main").await), FaultKind::Refused, "the default branch");
    assert_eq!(kind(client.branch(name, "a/b").await), FaultKind::Refused);
}
