//! Each status and message of lakeFS, on each kind of call, and what is not lakeFS's.

use lakemirror_ports::FaultKind::{self, Absent, Contradiction, Denied, Refused, Retry};
use lakemirror_ports::{Fault, Lakefs as _};

use super::server::{Server, Step, answer, error};
use super::*;

#[derive(Debug, Clone, Copy)]
enum Ask {
    Repository,
    Branches,
    Branch,
    Commit,
    Log,
    CreateRepository,
    Metadata,
    SetMetadata,
    PutCommit,
    CreateBranch,
    ResetBranch,
    DeleteBranch,
    Probe,
}

async fn ask(client: &Client, what: Ask) -> Option<Fault> {
    let (r, b, c) = ("rep", "main", id(1));
    match what {
        Ask::Repository => client.repository(r).await.err(),
        Ask::Branches => client.branches(r, false).await.err(),
        Ask::Branch => client.branch(r, b).await.err(),
        Ask::Commit => client.commit(r, &c).await.err(),
        Ask::Log => client.log(r, &c, 10).await.err(),
        Ask::CreateRepository => client.create_mirror_repository(r, "s3://x", b).await.err(),
        Ask::Metadata => client.metadata(r).await.err(),
        Ask::SetMetadata => client.set_metadata(r, &Default::default()).await.err(),
        Ask::PutCommit => client.put_commit(r, &known_commit().1).await.err(),
        Ask::CreateBranch => client.create_branch(r, b, &c, false).await.err(),
        Ask::ResetBranch => client.reset_branch(r, b, &c).await.err(),
        Ask::DeleteBranch => client.delete_branch(r, b).await.err(),
        Ask::Probe => client.probe_object(r, &c, b"p").await.err(),
    }
}

async fn one(step: Step, tries: usize, what: Ask) -> Fault {
    let server = Server::start(vec![step; tries]).await;
    let fault = ask(&client(&server), what).await.expect("a fault");
    server.finish();
    fault
}

const ALL: [Ask; 13] = [
    Ask::Repository,
    Ask::Branches,
    Ask::Branch,
    Ask::Commit,
    Ask::Log,
    Ask::CreateRepository,
    Ask::Metadata,
    Ask::SetMetadata,
    Ask::PutCommit,
    Ask::CreateBranch,
    Ask::ResetBranch,
    Ask::DeleteBranch,
    Ask::Probe,
];

#[tokio::test]
async fn a_404_is_absence_only_of_what_was_asked_for() {
    use Ask::*;
    let absent: [(&str, &[Ask]); 6] = [
        ("repository not found", &[Repository, Metadata]),
        ("branch not found", &[Branch, ResetBranch, DeleteBranch]),
        ("commit not found", &[Commit]),
        ("ref: not found", &[Log]),
        ("invalid API endpoint", &[]),
        ("source reference 'x': not found", &[]),
    ];
    for (message, named) in absent {
        for what in ALL {
            let fault = one(error(404, message), 1, what).await;
            let expected = if named.iter().any(|n| format!("{n:?}") == format!("{what:?}")) { Absent } else { Refused };
            assert_eq!(fault.kind, expected, "{what:?} {message}");
            assert_eq!(fault.status, Some(404));
            assert!(fault.message.contains(message), "{fault}");
        }
    }
}

#[tokio::test]
async fn statuses_that_mean_the_same_everywhere() {
    let table: [(u16, &str, FaultKind, bool); 17] = [
        (400, "failed to match required regex ^local://: invalid namespace", Refused, false),
        (401, "error authenticating request", Denied, false),
        (401, "insufficient permissions: not allowed to fs:ListBranches", Denied, false),
        (403, "read-only repository", Refused, false),
        (403, "cannot delete repository default branch", Refused, false),
        (403, "cannot write to protected branch", Denied, false),
        (409, "branch name dev: conflict found", Refused, false),
        (410, "repository in deletion", Retry, false),
        (412, "precondition failed", Refused, false),
        (429, "too many tries", Retry, false),
        (500, "predicate failed", Retry, true),
        (501, "Not Implemented", Refused, false),
        (503, "throttled", Retry, true),
        (504, "gateway", Retry, true),
        (302, "moved", Refused, false),
        (202, "accepted", Contradiction, false),
        (418, "teapot", Refused, false),
    ];
    for (status, message, kind, repeated) in table {
        for what in ALL {
            let fault = one(error(status, message), if repeated { 3 } else { 1 }, what).await;
            assert_eq!((fault.kind, fault.status), (kind, Some(status)), "{what:?} {status} {message}");
            assert!(fault.message.contains(message), "{fault}");
        }
    }
}

#[tokio::test]
async fn a_proxys_page_proves_nothing() {
    let html = "<html>\n<head><title>Gone</title></head><body>branch not found, repository not found, No data</body>";
    let pages = [html, "", "branch not found", r#"{"message":7}"#, r#""branch not found""#, r#"{"error":"not found"}"#];
    for page in pages {
        for status in [404, 409, 410] {
            for what in ALL {
                let fault = one(answer(status, page), 1, what).await;
                assert_eq!((fault.kind, fault.status), (Retry, Some(status)), "{what:?} {page}");
            }
        }
    }
    let fault = one(answer(404, html), 1, Ask::Branch).await;
    assert!(fault.message.contains("<title>Gone</title>") && !fault.message.contains('\n'), "{fault}");
    for (status, kind) in [(401, Denied), (403, Denied), (400, Refused), (413, Refused)] {
        assert_eq!(one(answer(status, html), 1, Ask::Branch).await.kind, kind, "{status}");
    }
}

#[tokio::test]
async fn a_message_must_be_exactly_lakefss() {
    for message in ["Branch not found", "branch not found: x", "Not Found", " branch not found"] {
        for what in ALL {
            assert_ne!(one(error(404, message), 1, what).await.kind, Absent, "{what:?} {message}");
        }
    }
}

#[tokio::test]
async fn a_success_that_is_not_json_or_not_the_thing_is_a_contradiction() {
    use Ask::*;
    for what in [Repository, Branches, Branch, Commit, Log, Metadata] {
        for body in ["<html></html>", "[]", "7", r#"{"message":"ok"}"#, "\u{fffd}"] {
            let expected =
                if matches!((what, body), (Metadata, r#"{"message":"ok"}"#)) { continue } else { Contradiction };
            assert_eq!(one(answer(200, body), 1, what).await.kind, expected, "{what:?} {body}");
        }
        assert_eq!(one(answer(200, r#"{""#), 1, what).await.kind, Retry, "{what:?}: cut by something");
    }
}

#[tokio::test]
async fn long_messages_are_cut_and_schemas_left_out() {
    let message = format!("Error at \"/name\": no\nSchema:\n {}", "x".repeat(10_000));
    assert_eq!(one(error(400, &message), 1, Ask::Branch).await.message, "Error at \"/name\": no");
    let message = one(error(400, &"ü".repeat(10_000)), 1, Ask::Branch).await.message;
    assert_eq!(message.chars().count(), 501);
    let endless = one(answer(400, &"y".repeat(1 << 20)), 1, Ask::Branch).await;
    assert!(endless.message.len() < 400, "{}", endless.message.len());
}

#[tokio::test]
async fn a_fault_says_what_was_asked_of_whom() {
    let server = Server::start([error(404, "branch not found")]).await;
    let fault = client(&server).branch("rep", "main").await.unwrap_err();
    let expected = format!("get branch main of repository rep at {}: 404 branch not found", server.endpoint);
    assert_eq!(fault.to_string(), expected);
}
