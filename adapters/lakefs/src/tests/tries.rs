//! Repeated tries, lost answers, limits of time and size, connections.

use std::time::Duration;

use lakemirror_ports::{CreateOutcome, FaultKind, Lakefs as _};

use super::server::{Server, Step, answer, answer_with, error};
use super::*;
use crate::CallerCredentials;

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

fn throttled(status: u16, headers: &str) -> Step {
    answer_with(status, headers, r#"{"message":"busy"}"#)
}

#[tokio::test]
async fn a_lakefs_that_throttles_is_asked_once_and_then_left_in_peace_by_everybody() {
    let date = "Retry-After: Tue, 01 Dec 2026 02:01:00 GMT\r\nDate: Tue, 01 Dec 2026 02:00:00 GMT\r\n";
    for (status, headers) in [(429, "Retry-After: 60\r\n"), (429, date), (503, "Retry-After: 60\r\n")] {
        let server = Server::start([throttled(status, headers), branch(), branch()]).await;
        let client = client(&server);
        let first = client.branch("rep", "main").await.unwrap_err();
        assert_eq!((first.kind, first.status, first.message.as_str()), (FaultKind::Retry, Some(status), "busy"));
        for _ in 0..59 {
            server.clock.pass(Duration::from_secs(1));
            // Every kind of call, for whichever mirror and from whichever loop.
            let faults = [
                client.branches("other", true).await.err(),
                client.repository("rep").await.err(),
                client.commit("rep", &id(1)).await.err(),
                client.log("rep", &id(1), 10).await.err(),
                client.probe_object("rep", &id(1), b"p").await.err(),
                client.reset_branch("rep", "b", &id(1)).await.err(),
                client.put_commit("rep", &known_commit().1).await.err(),
                client.metadata("rep").await.err(),
                client.version().await.err(),
            ];
            for fault in faults {
                let fault = fault.expect("it is not asked");
                assert_eq!((fault.kind, fault.status), (FaultKind::Retry, Some(status)), "{fault}");
            }
        }
        server.clock.pass(Duration::from_secs(1));
        client.branch("rep", "main").await.unwrap();
        client.branch("rep", "main").await.unwrap();
        assert_eq!(server.finish().len(), 3, "one call, and after its time the others");
    }
}

#[tokio::test]
async fn a_throttle_without_a_time_is_waited_for_ever_longer() {
    let server = Server::start(vec![throttled(429, ""); 6]).await;
    let client = client(&server);
    let (mut asked, mut refused) = (0, 0);
    while asked < 6 {
        match client.branch("rep", "main").await.unwrap_err().message.as_str() {
            "busy" => asked += 1,
            _ => refused += 1,
        }
        server.clock.pass(Duration::from_millis(250));
    }
    // Without luck half of 1, 2, 4, 8 and 16 seconds in between.
    assert_eq!(refused, (500 + 1000 + 2000 + 4000 + 8000) / 250 - 5);
    server.finish();
}

#[tokio::test]
async fn what_callers_ask_with_their_own_credentials_throttles_no_mirror() {
    let server = Server::start([throttled(429, "Retry-After: 600\r\n"), branch()]).await;
    let client = client(&server);
    let caller = CallerCredentials::Bearer(Secret::from("token"));
    assert_eq!(client.whoami(&caller).await.unwrap_err().status, Some(429));
    client.branch("rep", "main").await.unwrap();
    server.finish();
}

#[tokio::test]
async fn a_call_that_hangs_is_made_again_over_a_new_connection_and_ends_at_its_limit() {
    let server = Server::start([Step::Hang, Step::Hang]).await;
    let fault = client(&server).branch("rep", "main").await.unwrap_err();
    assert_eq!((fault.kind, fault.status), (FaultKind::Retry, None));
    assert_eq!(fault.message, "no complete answer within 10s");
    assert_eq!(server.finish().iter().map(|seen| seen.connection).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn connections_that_went_silent_are_all_given_up_at_once() {
    let mut script = vec![branch(); 3];
    script.push(Step::Hang);
    script.extend(vec![branch(); 4]);
    let server = Server::start(script).await;
    let client = client(&server);
    let three =
        || async { tokio::join!(client.branch("r", "main"), client.branch("r", "main"), client.branch("r", "main")) };
    let (one, two, three_) = three().await;
    for answer in [one, two, three_] {
        answer.unwrap();
    }
    assert_eq!(server.connections(), 3, "so many are in the pool");
    // One of the three says nothing more: its call is answered all the same, and the other two are not tried.
    client.branch("r", "main").await.unwrap();
    let (one, two, three_) = three().await;
    for answer in [one, two, three_] {
        answer.unwrap();
    }
    let seen = server.finish();
    assert!(seen[3].connection <= 3, "over a connection of the pool");
    assert!(seen[4..].iter().all(|seen| seen.connection > 3), "{:?}", &seen[4..]);
}

#[tokio::test]
async fn a_move_over_a_silent_connection_is_left_to_who_checks_the_lease() {
    let server = Server::start([Step::Hang, error(404, "branch not found")]).await;
    let client = client(&server);
    let fault = client.reset_branch("rep", "b", &id(1)).await.unwrap_err();
    assert_eq!((fault.kind, fault.status), (FaultKind::Retry, None));
    assert_eq!(client.reset_branch("rep", "b", &id(1)).await.unwrap_err().kind, FaultKind::Absent);
    assert_eq!(server.finish().iter().map(|seen| seen.connection).collect::<Vec<_>>(), [1, 2]);
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
    assert_eq!(client(&server).create_branch("rep", "b", &id(1), false).await, Ok(CreateOutcome::Existed));
    let server = Server::start([lost(), error(409, "commit already exists: not unique")]).await;
    assert_eq!(client(&server).put_commit("rep", &known_commit().1).await, Ok(CreateOutcome::Existed));
    let server = Server::start([error(500, "x"), error(409, "error creating repository: not unique")]).await;
    assert_eq!(client(&server).create_mirror_repository("rep", "s3://x", "main").await, Ok(CreateOutcome::Existed));
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
