//! Repeated tries, lost answers, limits of time and size, connections.

use super::server::{Server, Step, answer, answer_with, error};
use super::*;
use crate::clock::Clock as _;
use crate::engine::ports::{FaultKind, Lakefs as _, Made};

fn branch() -> Step {
    answer(200, &format!(r#"{{"commit_id":"{}","id":"main"}}"#, id(1)))
}

fn lost() -> Step {
    Step::Cut(Vec::new())
}

#[tokio::test]
async fn one_connection_serves_many_calls() {
    let server = Server::start(vec![branch(); 5]).await;
    let client = client(&server);
    for _ in 0..5 {
        client.branch("rep", "main").await.unwrap();
    }
    assert_eq!(server.connections(), 1);
    let seen = server.finish();
    assert_eq!(
        seen[0].header("authorization"),
        Some("Basic QUtJQUlPU0ZPRE5ON0VYQU1QTEU6Y2FuYXJ5LW9mLWEtc2VjcmV0LWtleQ==")
    );
    assert_eq!(seen[0].body, "");
}

#[tokio::test]
async fn moments_pass_and_the_budget_ends() {
    let server = Server::start([error(500, "x"), lost(), branch()]).await;
    assert_eq!(client(&server).branch("rep", "main").await, Ok(id(1)));
    server.finish();

    let server = Server::start([lost(), error(429, "x"), error(503, "last")]).await;
    let fault = client(&server).branch("rep", "main").await.unwrap_err();
    assert_eq!((fault.kind, fault.message.as_str()), (FaultKind::Retry, "last"));
    server.finish();
}

#[tokio::test]
async fn a_server_that_says_when_is_obeyed_within_the_budget() {
    let wait = |seconds: u64| answer_with(503, &format!("Retry-After: {seconds}\r\n"), r#"{"message":"busy"}"#);
    let server = Server::start([wait(3), branch()]).await;
    client(&server).branch("rep", "main").await.unwrap();
    assert_eq!(server.clock.monotonic().as_secs(), 3);
    let server = Server::start([wait(3600)]).await;
    assert_eq!(client(&server).branch("rep", "main").await.unwrap_err().kind, FaultKind::Retry);
    server.finish();
}

#[tokio::test]
async fn a_call_that_hangs_ends_at_its_limit() {
    let server = Server::start([Step::Hang]).await;
    let fault = client(&server).branch("rep", "main").await.unwrap_err();
    assert_eq!((fault.kind, fault.status), (FaultKind::Retry, None));
    assert_eq!(fault.message, "no complete answer within 10s");
    server.finish();
}

#[tokio::test]
async fn a_body_that_is_cut_short_is_asked_for_again_and_then_retry() {
    let cut = || Step::Cut(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"commit_id\":".to_vec());
    let server = Server::start([cut(), branch()]).await;
    assert_eq!(client(&server).branch("rep", "main").await, Ok(id(1)));
    let server = Server::start([cut(), cut(), cut()]).await;
    let fault = client(&server).branch("rep", "main").await.unwrap_err();
    assert_eq!((fault.kind, fault.status), (FaultKind::Retry, Some(200)));
    assert!(fault.message.starts_with("the answer was cut short: "), "{fault}");
    server.finish();
}

#[tokio::test]
async fn a_body_beyond_its_limit_is_not_read() {
    let server = Server::start([answer(200, &"x".repeat((1 << 20) + 1))]).await;
    let fault = client(&server).branch("rep", "main").await.unwrap_err();
    assert_eq!((fault.kind, fault.message.as_str()), (FaultKind::Refused, "the answer is longer than 1048576 bytes"));
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_retry_with_its_reason() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let clock = Arc::<TestClock>::default();
    let fault = client_with(&format!("http://127.0.0.1:{port}"), clock).branch("rep", "main").await.unwrap_err();
    assert_eq!((fault.kind, fault.status), (FaultKind::Retry, None));
    assert!(fault.message.to_lowercase().contains("refused"), "{fault}");
}

#[tokio::test]
async fn creations_whose_answer_was_lost_find_their_own_work() {
    let exists = error(409, "branch already exists: not unique");
    let server = Server::start([lost(), exists]).await;
    assert_eq!(client(&server).create_branch("rep", "b", &id(1), false).await, Ok(Made::Existed));
    let server = Server::start([lost(), error(409, "commit already exists: not unique")]).await;
    assert_eq!(client(&server).put_commit("rep", &known_commit().1).await, Ok(Made::Existed));
    let server = Server::start([error(500, "x"), error(409, "error creating repository: not unique")]).await;
    assert_eq!(client(&server).create_mirror_repository("rep", "s3://x", "main").await, Ok(Made::Existed));
}

#[tokio::test]
async fn a_deletion_whose_answer_was_lost_is_done_and_one_of_nothing_is_absent() {
    let server = Server::start([lost(), error(404, "branch not found")]).await;
    assert_eq!(client(&server).delete_branch("rep", "b").await, Ok(()));
    let server = Server::start([error(404, "branch not found")]).await;
    assert_eq!(client(&server).delete_branch("rep", "b").await.unwrap_err().kind, FaultKind::Absent);
    let server = Server::start([lost(), error(404, "repository not found")]).await;
    assert_eq!(client(&server).delete_branch("rep", "b").await.unwrap_err().kind, FaultKind::Refused);
}

#[tokio::test]
async fn moving_a_branch_is_not_tried_again_long_after_it_was_decided() {
    let late = answer_with(503, "Retry-After: 2\r\n", r#"{"message":"busy"}"#);
    let server = Server::start([late]).await;
    assert_eq!(client(&server).reset_branch("rep", "b", &id(1)).await.unwrap_err().kind, FaultKind::Retry);
    server.finish();
}
