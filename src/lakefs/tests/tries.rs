//! Repeated tries, lost answers, limits of time and size, connections.

use std::time::Duration;

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

    let server = Server::start([lost(), error(500, "x"), error(503, "last")]).await;
    let fault = client(&server).branch("rep", "main").await.unwrap_err();
    assert_eq!((fault.kind, fault.message.as_str()), (FaultKind::Retry, "last"));
    server.finish();
}

#[tokio::test]
async fn a_lakefs_that_asks_to_be_left_alone_gets_one_call_and_then_silence() {
    let date = "Thu, 01 Jan 1970 00:01:00 GMT";
    for asked in ["Retry-After: 60\r\n".to_owned(), format!("Retry-After: {date}\r\n")] {
        for status in [429, 503] {
            let refusal = || answer_with(status, &asked, r#"{"message":"busy"}"#);
            let server = Server::start([refusal()]).await;
            let client = client(&server);
            for mirror in ["a", "b", "c"] {
                let fault = client.branch("rep", mirror).await.unwrap_err();
                assert_eq!(fault.kind, FaultKind::Retry);
                let listing = client.branches("other", true).await.unwrap_err();
                assert_eq!(listing.kind, FaultKind::Retry);
                assert!(listing.message.contains("nothing is sent before 1970-01-01T00:01:00Z"), "{listing}");
            }
            server.clock.pass(Duration::from_secs(59));
            client.branch("rep", "main").await.unwrap_err();
            assert_eq!(server.asked(), 1, "{status} {asked}");
            server.clock.pass(Duration::from_secs(1));
            server.then([branch(), branch()]);
            client.branch("rep", "main").await.unwrap();
            client.branch("rep", "main").await.unwrap();
            server.finish();
        }
    }
}

#[tokio::test]
async fn a_lakefs_that_names_no_time_is_asked_ever_more_rarely() {
    let server = Server::start(vec![error(429, "too many requests"); 8]).await;
    let client = client(&server);
    // As a loop with a turn a second would.
    for _ in 0..120 {
        client.branch("rep", "main").await.unwrap_err();
        server.clock.pass(Duration::from_secs(1));
    }
    server.finish();
}

#[tokio::test]
async fn a_connection_that_went_silent_costs_four_seconds_once_and_not_a_minute() {
    let server = Server::start([branch(), Step::Hang, branch(), branch()]).await;
    let client = client(&server);
    client.branch("rep", "main").await.unwrap();
    assert_eq!(client.branch("rep", "main").await, Ok(id(1)));
    assert_eq!(server.connections(), 2, "the second answer came over a new connection");
    assert_eq!(client.branch("rep", "main").await, Ok(id(1)));
    assert_eq!(server.connections(), 3, "and so does the next, as others may be silent, too");
    assert_eq!(server.clock.monotonic(), Duration::from_secs(4));
    server.finish();
}

#[tokio::test]
async fn a_call_that_hangs_ends_at_its_limit() {
    let server = Server::start([Step::Hang, Step::Hang]).await;
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
