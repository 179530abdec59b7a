//! Calls that change something: what exactly is sent, and the end of a deletion.

use lakemirror_ports::clock::Clock as _;
use lakemirror_ports::{CreateOutcome, FaultKind, Lakefs as _};
use serde_json::{Value, json};

use super::server::{Server, Step, answer, error};
use super::*;

fn body(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn a_mirror_repository_is_bare_and_read_only() {
    let created =
        r#"{"creation_date":1,"default_branch":"trunk","id":"mir","storage_id":"","storage_namespace":"s3://b/p"}"#;
    let server = Server::start([answer(201, created), error(409, "error creating repository: not unique")]).await;
    let client = client(&server);
    assert_eq!(client.create_mirror_repository("mir", "s3://b/p", "trunk").await, Ok(CreateOutcome::Created));
    assert_eq!(client.create_mirror_repository("mir", "s3://b/p", "trunk").await, Ok(CreateOutcome::Existed));
    let seen = server.finish();
    assert_eq!(seen[0].line, "POST /api/v1/repositories?bare=true");
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    let expected = json!({"name":"mir","storage_namespace":"s3://b/p","default_branch":"trunk","read_only":true});
    assert_eq!(body(&seen[0].body), expected);
}

#[tokio::test]
async fn a_commit_record_carries_every_field_metadata_and_force() {
    let (_, record) = known_commit();
    let first = CommitRecord { metarange: None, metadata: Default::default(), parents: vec![], ..record.clone() };
    let server = Server::start([answer(204, ""), answer(204, "")]).await;
    let client = client(&server);
    assert_eq!(client.put_commit("mir", &record).await, Ok(CreateOutcome::Created));
    assert_eq!(client.put_commit("mir", &first).await, Ok(CreateOutcome::Created));
    let seen = server.finish();
    assert_eq!(seen[0].line, "POST /api/v1/repositories/mir/commits");
    let mut expected = json!({
        "commit_id": record.id.to_string(), "version": 1, "committer": "admin", "message": "first data",
        "metarange_id": "da5b9085f83d45a202a7e1e65f81b5707df9655c04d8263567370e37d5d9901f",
        "creation_date": 1_795_451_701, "parents": [record.parents[0].to_string()], "generation": 2,
        "metadata": {"empty":"","k":"v","ü":"ö 漢"}, "force": true,
    });
    assert_eq!(body(&seen[0].body), expected);
    expected["metarange_id"] = json!("");
    expected["parents"] = json!([]);
    expected["metadata"] = json!({});
    assert_eq!(body(&seen[1].body), expected, "empty ones are sent too");
}

#[tokio::test]
async fn a_branch_is_created_at_the_full_commit_id() {
    let text = id(0xab).to_string();
    let server = Server::start([
        answer(201, &text),
        answer(201, &format!("{text}\n")),
        error(409, "branch already exists: not unique"),
        error(409, &format!("commit ID {text}: conflict found")),
        error(404, &format!("source reference '{text}': not found")),
        answer(201, &id(0xac).to_string()),
    ])
    .await;
    let client = client(&server);
    assert_eq!(client.create_branch("mir", "b", &id(0xab), true).await, Ok(CreateOutcome::Created));
    assert_eq!(client.create_branch("mir", "b", &id(0xab), false).await, Ok(CreateOutcome::Created));
    assert_eq!(client.create_branch("mir", "b", &id(0xab), false).await, Ok(CreateOutcome::Existed));
    for kind in [FaultKind::Refused, FaultKind::Refused, FaultKind::Contradiction] {
        assert_eq!(client.create_branch("mir", "b", &id(0xab), false).await.unwrap_err().kind, kind);
    }
    let seen = server.finish();
    assert_eq!(seen[0].line, "POST /api/v1/repositories/mir/branches");
    assert_eq!(body(&seen[0].body), json!({"name":"b","source":text,"force":true,"hidden":true}));
}

#[tokio::test]
async fn moving_and_deleting_are_forced() {
    let server = Server::start([
        answer(204, ""),
        error(404, &format!("hard-reset b to {}: not found", id(1))),
        answer(204, ""),
        answer(204, ""),
    ])
    .await;
    let client = client(&server);
    assert_eq!(client.reset_branch("mir", "b", &id(1)).await, Ok(()));
    assert_eq!(client.reset_branch("mir", "b", &id(1)).await.unwrap_err().kind, FaultKind::Refused, "the ref, not b");
    assert_eq!(client.delete_branch("mir", "b").await, Ok(()));
    let entries = [("lakemirror".to_owned(), "x".to_owned())].into();
    assert_eq!(client.set_metadata("mir", &entries).await, Ok(()));
    let seen = server.finish();
    let reset = format!("PUT /api/v1/repositories/mir/branches/b/hard_reset?ref={}&force=true", id(1));
    assert_eq!(seen[0].line, reset);
    assert_eq!(seen[2].line, "DELETE /api/v1/repositories/mir/branches/b?force=true");
    assert_eq!(seen[3].line, "POST /api/v1/repositories/mir/metadata");
    assert_eq!(body(&seen[3].body), json!({"metadata":{"lakemirror":"x"}}));
}

fn gone() -> Step {
    error(404, "repository not found")
}

fn in_deletion() -> Step {
    error(410, "repository in deletion")
}

fn there() -> Step {
    answer(200, r#"{"creation_date":1,"default_branch":"main","id":"mir","storage_namespace":"s3://b"}"#)
}

async fn delete(steps: Vec<Step>) -> (Result<(), FaultKind>, Vec<String>) {
    let server = Server::start(steps).await;
    let end = client(&server).delete_repository("mir").await.map_err(|fault| fault.kind);
    let lines = server.lines().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    (end, lines)
}

#[tokio::test]
async fn a_repository_is_deleted_when_it_answers_that_it_is_not_there() {
    let ok = || answer(204, "");
    assert_eq!(delete(vec![ok(), gone()]).await, (Ok(()), vec!["DELETE".into(), "GET".into()]));
    assert_eq!(delete(vec![gone()]).await.0, Err(FaultKind::Absent));
    assert_eq!(delete(vec![ok(), there(), there(), gone()]).await.0, Ok(()), "the server's cache");
    let halfway = delete(vec![error(500, "kv"), ok(), in_deletion(), ok(), gone()]).await;
    assert_eq!(halfway, (Ok(()), ["DELETE", "DELETE", "GET", "DELETE", "GET"].map(String::from).to_vec()));
    assert_eq!(delete(vec![Step::Cut(vec![]), gone(), gone()]).await.0, Ok(()), "its answer was lost");
    assert_eq!(delete(vec![in_deletion(), gone(), gone()]).await.0, Ok(()));
    assert_eq!(delete(vec![error(401, "no")]).await.0, Err(FaultKind::Denied));
    assert_eq!(delete(vec![answer(404, "<html>"); 5]).await.0, Err(FaultKind::Retry), "a proxy's 404");
    assert_eq!(delete(vec![in_deletion(); 5]).await.0, Err(FaultKind::Retry), "it ends");
    assert_eq!(delete(vec![vec![ok(), in_deletion()]; 5].concat()).await.0, Err(FaultKind::Retry), "it ends");
}

#[tokio::test]
async fn a_repository_that_is_still_answered_is_never_deleted_twice() {
    let mut steps = vec![there(); 41];
    steps.insert(0, answer(204, ""));
    let server = Server::start(steps).await;
    let fault = client(&server).delete_repository("mir").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Retry);
    assert!(fault.message.contains("still answered"), "{fault}");
    assert_eq!(server.clock.monotonic().as_secs(), 20);
    assert_eq!(server.lines().iter().filter(|line| line.starts_with("DELETE")).count(), 1);
}
