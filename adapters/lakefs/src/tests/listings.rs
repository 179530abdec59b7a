//! Listings over several pages: complete or failed.

use lakemirror_ports::{BranchHead, FaultKind, Lakefs as _};

use super::server::{Server, Step, answer, error};
use super::*;

fn page(has_more: bool, next: &str, names: &[&str]) -> Step {
    let results: Vec<_> =
        names.iter().map(|name| serde_json::json!({ "id": name, "commit_id": id(7).to_string() })).collect();
    let pagination = serde_json::json!({
        "has_more": has_more, "next_offset": next, "results": names.len(), "max_per_page": 1000
    });
    answer(200, &serde_json::json!({ "pagination": pagination, "results": results }).to_string())
}

async fn list(steps: Vec<Step>) -> (Result<Vec<String>, FaultKind>, Vec<String>) {
    let server = Server::start(steps).await;
    let end = client(&server).branches("rep", false).await;
    let names = end.map(|all| all.into_iter().map(|branch| branch.name).collect()).map_err(|fault| fault.kind);
    (names, server.lines())
}

#[tokio::test]
async fn every_page_is_read() {
    let (names, lines) =
        list(vec![page(true, "b", &["a", "b"]), page(true, "c", &["c"]), page(false, "", &["d"])]).await;
    assert_eq!(names, Ok(vec!["a".into(), "b".into(), "c".into(), "d".into()]));
    assert_eq!(
        lines,
        [
            "GET /repositories/rep/branches?amount=1000",
            "GET /repositories/rep/branches?amount=1000&after=b",
            "GET /repositories/rep/branches?amount=1000&after=c",
        ]
    );
    assert_eq!(list(vec![page(false, "", &[])]).await.0, Ok(vec![]));
}

#[tokio::test]
async fn hidden_branches_are_asked_for_and_escaped_names_read() {
    let server = Server::start([page(false, "", &["a\"b", "ü"])]).await;
    let all = client(&server).branches("rep", true).await.unwrap();
    assert_eq!(all.last(), Some(&BranchHead { name: "ü".into(), head: id(7) }));
    assert_eq!(server.lines(), ["GET /repositories/rep/branches?show_hidden=true&amount=1000"]);
}

#[tokio::test]
async fn a_listing_that_breaks_is_no_listing() {
    use FaultKind::{Contradiction, Refused, Retry};
    let first = || page(true, "b", &["a", "b"]);
    for (name, rest, tries, kind) in [
        ("the repository vanishes", error(404, "repository not found"), 1, Refused),
        ("it is being deleted", error(410, "repository in deletion"), 1, Retry),
        ("the server fails", error(500, "kv"), 3, Retry),
        ("a proxy answers", answer(200, "<html>"), 1, Contradiction),
        ("the offset repeats", page(true, "b", &[]), 1, Contradiction),
        ("the offset goes back", page(true, "a", &[]), 1, Contradiction),
        ("the items go back", page(false, "", &["a"]), 1, Contradiction),
        (
            "it miscounts",
            answer(200, r#"{"pagination":{"has_more":false,"results":3},"results":[]}"#),
            1,
            Contradiction,
        ),
        ("a page has no pagination", answer(200, r#"{"results":[]}"#), 1, Contradiction),
    ] {
        let mut steps = vec![first()];
        steps.extend(vec![rest; tries]);
        assert_eq!(list(steps).await.0, Err(kind), "{name}");
    }
    let bad = r#"{"pagination":{"has_more":false,"results":1},"results":[{"id":"a","commit_id":"7E"}]}"#;
    assert_eq!(list(vec![answer(200, bad)]).await.0, Err(Contradiction), "an id that is none");
}

#[tokio::test]
async fn what_is_good_in_a_bad_listing_comes_with_what_is_wrong() {
    let server = Server::start([page(true, "b", &["a", "b"]), page(true, "b", &["c"])]).await;
    let listing = client(&server).listing("rep", true).await.unwrap();
    assert_eq!(listing.heads.iter().map(|head| head.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    let flaw = listing.flaw.unwrap();
    assert_eq!(flaw.kind, FaultKind::Contradiction);
    assert!(flaw.message.contains("does not move"), "{flaw}");

    let twice = Server::start([page(false, "", &["a", "a", "b"])]).await;
    let listing = client(&twice).listing("rep", true).await.unwrap();
    assert_eq!((listing.heads.len(), listing.flaw.is_some()), (2, true));
}

#[tokio::test]
async fn a_listing_without_an_end_is_given_up_before_it_fills_the_memory() {
    for name_bytes in [8, 40_000] {
        let pages = (0..450u32).map(|at| {
            let name = |place: u32| format!("{at:05}-{place:05}-{}", "x".repeat(name_bytes));
            let names: Vec<String> =
                if name_bytes > 100 { vec![name(0), name(1)] } else { (0..1000).map(name).collect() };
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            page(true, names.last().unwrap(), &names)
        });
        let server = Server::start(pages).await;
        let fault = client(&server).listing("rep", true).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Refused);
        assert!(fault.message.starts_with("the listing has more than "), "{fault}");
    }
}

#[tokio::test]
async fn a_page_that_fails_for_a_moment_is_asked_again() {
    let (names, lines) = list(vec![page(true, "a", &["a"]), error(503, "throttled"), page(false, "", &["b"])]).await;
    assert_eq!(names, Ok(vec!["a".into(), "b".into()]));
    assert_eq!(lines[1], lines[2]);
}

#[tokio::test]
async fn repositories_are_listed_by_prefix() {
    let one = r#"{"creation_date":7,"default_branch":"main","id":"rep","storage_namespace":"s3://b/p/"}"#;
    let body = |more: bool, next: &str, results: &str, count: usize| {
        answer(
            200,
            &format!(
                r#"{{"pagination":{{"has_more":{more},"next_offset":"{next}","results":{count}}},"results":[{results}]}}"#
            ),
        )
    };
    // The first page's items were all filtered out.
    let server = Server::start([body(true, "ra", "", 0), body(false, "", one, 1)]).await;
    let all = client(&server).repositories("r").await.unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].storage_namespace.as_str(), all[0].read_only), ("s3://b/p/", false));
    assert_eq!(
        server.lines(),
        ["GET /repositories?prefix=r&amount=1000", "GET /repositories?prefix=r&amount=1000&after=ra"]
    );
}
