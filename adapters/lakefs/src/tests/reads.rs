//! Reading repositories, branches, commits, logs, objects, users: the requests and the values.

use lakemirror_ports::FaultKind::{Absent, Contradiction, Refused, Retry};
use lakemirror_ports::{Fault, Lakefs as _, Repository, SourceObject};

use super::server::{Server, Step, answer, answer_with, error};
use super::*;
use crate::CallerCredentials;

#[tokio::test]
async fn a_repository_is_read_as_it_is() {
    let body = r#"{"creation_date":1795451810,"default_branch":"trunk","id":"rep","read_only":true,"storage_id":"","storage_namespace":"s3://b/p/"}"#;
    let server = Server::start([answer(200, body), answer(200, &body.replace("rep", "other"))]).await;
    let client = client(&server);
    let expected = Repository {
        id: "rep".into(),
        creation_date: 1_795_451_810,
        default_branch: "trunk".into(),
        storage_namespace: "s3://b/p/".into(),
        read_only: true,
    };
    assert_eq!(client.repository("rep").await, Ok(expected));
    assert_eq!(client.repository("rep").await.unwrap_err().kind, Contradiction, "another's answer");
    assert_eq!(server.lines()[0], "GET /repositories/rep");
    assert_eq!(client.endpoint(), server.endpoint);
}

#[tokio::test]
async fn odd_names_stay_one_segment_and_the_answer_must_be_about_them() {
    let body = |name: &str| answer(200, &serde_json::json!({"id": name, "commit_id": id(3).to_string()}).to_string());
    let server = Server::start([body("a/b ?ü%2F"), body("b")]).await;
    let client = client(&server);
    assert_eq!(client.branch("rep", "a/b ?ü%2F").await, Ok(id(3)));
    assert_eq!(client.branch("rep", "a").await.unwrap_err().kind, Contradiction);
    assert_eq!(server.lines()[0], "GET /repositories/rep/branches/a%2Fb%20%3F%C3%BC%252F");
    for name in ["", ".", ".."] {
        assert_eq!(client.branch(name, "main").await.unwrap_err().kind, Refused);
        assert_eq!(client.delete_branch("rep", name).await.unwrap_err().kind, Refused);
    }
    server.finish();
}

#[tokio::test]
async fn a_commit_is_believed_only_if_its_id_is_its_contents() {
    let (json, record) = known_commit();
    let server = Server::start([
        answer(200, &json),
        answer(200, &json.replace("first data", "other data")),
        answer(200, &first_commit().0),
        answer(200, &json.replace("\"version\":1", "\"v\":1")),
        answer(200, &json.replace("\"generation\":2,", "")),
        answer(200, &json.replace("\"meta_range_id\":\"da", "\"meta_range_id\":\"")),
    ])
    .await;
    let client = client(&server);
    assert_eq!(client.commit("rep", &record.id).await, Ok(record.clone()));
    for (why, kind) in [
        ("changed", Contradiction),
        ("another commit", Contradiction),
        ("no version", Refused),
        ("no generation", Refused),
        ("no metarange id", Contradiction),
    ] {
        assert_eq!(client.commit("rep", &record.id).await.unwrap_err().kind, kind, "{why}");
    }
    assert_eq!(server.lines()[0], format!("GET /repositories/rep/commits/{}", record.id));
}

#[tokio::test]
async fn nulls_where_go_writes_them_are_empty() {
    let (json, id) = first_commit();
    let json = json.replace("\"metadata\":{}", "\"metadata\":null").replace("\"parents\":[]", "\"parents\":null");
    let server = Server::start([answer(200, &json)]).await;
    let record = client(&server).commit("rep", &id).await.unwrap();
    assert_eq!((record.metarange, record.parents.len(), record.metadata.len()), (None, 0, 0));
}

fn log(commits: &[&str]) -> Step {
    let body = format!(
        r#"{{"pagination":{{"has_more":false,"next_offset":"","results":{}}},"results":[{}]}}"#,
        commits.len(),
        commits.join(",")
    );
    answer(200, &body)
}

#[tokio::test]
async fn a_log_begins_with_its_commit_and_all_of_it_is_believed() {
    let ((second, record), (first, first_id)) = (known_commit(), first_commit());
    let changed = first.replace("Repository created", "x");
    let server = Server::start([
        log(&[&second, &first]),
        log(&[&first]),
        log(&[]),
        log(&[&second, &changed]),
        log(&[&second, &first]),
        error(404, "commit not found"),
        error(404, "ref: not found"),
    ])
    .await;
    let client = client(&server);
    let ids = |log: Vec<CommitRecord>| log.iter().map(|record| record.id).collect::<Vec<_>>();
    assert_eq!(client.log("rep", &record.id, 2).await.map(ids), Ok(vec![record.id, first_id]));
    for (amount, why) in [(2, "begins elsewhere"), (2, "empty"), (2, "a changed ancestor"), (1, "more than asked for")]
    {
        assert_eq!(client.log("rep", &record.id, amount).await.unwrap_err().kind, Contradiction, "{why}");
    }
    let hole = client.log("rep", &record.id, 2).await.unwrap_err();
    assert_eq!(hole.kind, Refused);
    assert!(hole.message.contains("ancestor is missing"), "{hole}");
    assert_eq!(client.log("rep", &record.id, 2).await.unwrap_err().kind, Absent);
    for amount in [0, 1001] {
        assert_eq!(client.log("rep", &record.id, amount).await.unwrap_err().kind, Refused);
    }
    assert_eq!(server.lines()[0], format!("GET /repositories/rep/refs/{}/commits?amount=2&limit=true", record.id));
}

/// Probes `p` of the known commit.
async fn probe(steps: Vec<Step>) -> (Result<SourceObject, Fault>, Vec<String>) {
    let server = Server::start(steps).await;
    let (client, commit) = (client(&server), known_commit().1.id);
    let end = client.probe_object("rep", &commit, "a/ü +%&".as_bytes()).await;
    let seen = server.finish();
    assert_eq!(seen[0].header("range"), Some("bytes=0-0"));
    assert!(seen[1..].iter().all(|seen| seen.header("range").is_none()));
    let base = format!("GET /api/v1/repositories/rep/refs/{commit}/objects");
    (
        end,
        seen.into_iter()
            .map(|seen| seen.line.replace(&base, "OBJECT").replace("?path=a%2F%C3%BC%20%2B%25%26", ""))
            .collect(),
    )
}

fn partial(range: &str) -> Step {
    answer_with(206, &format!("Content-Range: bytes {range}\r\n"), "h")
}

fn unsatisfiable() -> Step {
    answer_with(416, "Content-Range: bytes */0\r\n", r#"{"message":"Requested Range Not Satisfiable"}"#)
}

fn stat() -> Step {
    answer(200, r#"{"checksum":"x","physical_address":"s3://b/p/data/x","path":"p","size_bytes":0}"#)
}

#[tokio::test]
async fn an_object_is_there() {
    assert_eq!(probe(vec![partial("0-0/12345678901")]).await.0, Ok(SourceObject::There { size: Some(12_345_678_901) }));
    assert_eq!(probe(vec![partial("0-0/*")]).await.0, Ok(SourceObject::There { size: None }));
    let cut = Step::Cut(b"HTTP/1.1 206 X\r\nContent-Range: bytes 0-0/5\r\nContent-Length: 1\r\n\r\n".to_vec());
    assert_eq!(probe(vec![cut]).await.0, Ok(SourceObject::There { size: Some(5) }), "whatever becomes of its byte");
}

#[tokio::test]
async fn an_empty_object_is_there_only_if_reading_it_works() {
    let (end, lines) = probe(vec![unsatisfiable(), answer(200, "")]).await;
    assert_eq!(end, Ok(SourceObject::There { size: Some(0) }));
    assert_eq!(lines, ["OBJECT", "OBJECT"]);
    let (end, _) = probe(vec![unsatisfiable(), error(410, "No data"), stat()]).await;
    assert_eq!(end, Ok(SourceObject::Gone));
}

#[tokio::test]
async fn an_object_is_gone_only_if_the_commit_itself_is_readable() {
    let (end, lines) = probe(vec![error(410, "No data"), stat()]).await;
    assert_eq!(end, Ok(SourceObject::Gone));
    assert_eq!(lines, ["OBJECT", "OBJECT/stat"]);
    let (end, _) = probe(vec![error(410, "No data"), error(410, "No data")]).await;
    assert_eq!(end.unwrap_err().kind, Retry, "the metadata is missing, not the object");
    let (end, _) = probe(vec![error(410, "No data"), answer(200, "<html>")]).await;
    assert_eq!(end.unwrap_err().kind, Contradiction, "a proxy's stat proves nothing");
}

#[tokio::test]
async fn a_path_is_missing_only_if_its_commit_is_there() {
    let (end, _) = probe(vec![error(404, "not found"), answer(200, &known_commit().0)]).await;
    assert_eq!(end, Ok(SourceObject::NoSuchPath));
    let (end, _) = probe(vec![error(404, "not found"), error(404, "commit not found")]).await;
    assert_eq!(end.unwrap_err().kind, Refused);
    let (end, _) = probe(vec![error(404, "repository not found")]).await;
    assert_eq!(end.unwrap_err().kind, Refused);
}

#[tokio::test]
async fn other_answers_about_an_object_decide_nothing() {
    for (step, kind) in [
        (error(410, "repository in deletion"), Retry),
        (answer(410, "<html>No data</html>"), Retry),
        (answer(404, "not found"), Retry),
        (answer(200, "the whole object"), Contradiction),
        (answer_with(416, "Content-Range: bytes */7\r\n", ""), Contradiction),
    ] {
        assert_eq!(probe(vec![step]).await.0.unwrap_err().kind, kind);
    }
}

#[tokio::test]
async fn callers_are_asked_for_with_their_own_credentials() {
    let user = |id: &str| answer(200, &format!(r#"{{"user":{{"creation_date":0,"id":"{id}"}}}}"#));
    let server =
        Server::start([user("ann"), user(""), error(401, "error authenticating request"), answer(401, "<html>")]).await;
    let client = client(&server);
    let key = CallerCredentials::Basic { access_key_id: "AK".into(), secret_access_key: "SK".into() };
    assert_eq!(client.whoami(&key).await, Ok(Some("ann".into())));
    let token = CallerCredentials::Bearer("t.t.t".into());
    assert_eq!(client.whoami(&token).await, Ok(None), "anonymous is nobody");
    assert_eq!(client.whoami(&key).await, Ok(None));
    client.whoami(&key).await.expect_err("a proxy's 401 is no verdict about the caller");
    let seen = server.finish();
    assert_eq!(seen[0].header("authorization"), Some("Basic QUs6U0s="));
    assert_eq!(seen[1].header("authorization"), Some("Bearer t.t.t"));
}

#[tokio::test]
async fn policies_are_read_whole_or_known_not_to_exist() {
    let policy = |id: &str, more: bool, next: &str| {
        answer(
            200,
            &format!(
                r#"{{"pagination":{{"has_more":{more},"next_offset":"{next}","results":1}},"results":[{{"id":"{id}","creation_date":1,"statement":[{{"effect":"allow","resource":"*","action":["fs:*"],"condition":{{"IpAddress":{{"SourceIp":["10.0.0.0/8"]}}}}}}]}}]}}"#
            ),
        )
    };
    let server = Server::start([policy("z", true, "z"), policy("a", false, "")]).await;
    let all = client(&server).policies("ann/x").await.unwrap().unwrap();
    assert_eq!(all.iter().map(|policy| policy.id.as_str()).collect::<Vec<_>>(), ["z", "a"]);
    assert_eq!(all[0].statements[0].conditions["IpAddress"]["SourceIp"], ["10.0.0.0/8"]);
    assert_eq!(server.lines()[1], "GET /auth/users/ann%2Fx/policies?effective=true&amount=1000&after=z");

    let server =
        Server::start([error(501, "Not Implemented"), answer(501, "Not Implemented"), error(404, "not found")]).await;
    let client = client(&server);
    assert_eq!(client.policies("ann").await, Ok(None));
    assert_eq!(client.policies("ann").await.unwrap_err().kind, Refused, "a proxy's 501 opens nothing");
    assert_eq!(client.policies("ann").await.unwrap_err().kind, Absent);
}

#[tokio::test]
async fn the_installation_describes_itself() {
    let server = Server::start([
        answer(200, r#"{"version":"dev","version_context":"lakeFS"}"#),
        answer(200, r#"{"storage_config":{"blockstore_type":"local"},"storage_config_list":[]}"#),
        answer(200, &format!(r#"{{"location":"_lakefs/{}"}}"#, "0".repeat(64))),
        answer(200, r#"{"location":"_lakefs/abc"}"#),
        answer(200, r#"{"lakemirror":"x"}"#),
    ])
    .await;
    let client = client(&server);
    assert_eq!(client.version().await.as_deref(), Ok("dev"));
    assert_eq!(client.blockstore_type().await.as_deref(), Ok("local"));
    assert_eq!(client.metadata_prefix("rep").await.as_deref(), Ok("_lakefs"));
    assert_eq!(client.metadata_prefix("rep").await.unwrap_err().kind, Contradiction);
    assert_eq!(client.metadata("rep").await.unwrap()["lakemirror"], "x");
    assert_eq!(server.lines()[2], format!("GET /repositories/rep/metadata/meta_range/{}", "0".repeat(64)));
}
