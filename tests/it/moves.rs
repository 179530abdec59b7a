//! Branches that the destination refuses, whose visibility changed, or whose deletion waits for an operator; with the
//! same wiring as `engine`.

use lakemirror::sandbox::lake::Page;
use serde_json::{Value, json};

use crate::engine::{Pair, Service, rule, status, until};

/// More than there are slots.
const REFUSED: usize = 12;

fn problems(mirror: &Value) -> String {
    mirror["problems"].to_string()
}

fn waits_for<'a>(branch: &'a Value, kind: &str) -> Option<&'a Value> {
    branch["waiting"].as_array().into_iter().flatten().find(|waiting| waiting["kind"] == kind)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_branches_do_not_delay_others() {
    let pair = Pair::open().await;
    pair.create("six");
    let service = pair.serve("deletion: { grace: 200ms, max_fraction: 1.0 }\n").await;
    assert_eq!(service.mirror("six", "six-m").await, 201);
    let first = pair.push("six", "main", "a");
    let refused: Vec<String> = (0..REFUSED).map(|number| format!("refused-{number:02}")).collect();
    for name in &refused {
        pair.branch("six", name, "main", false);
    }
    for name in &refused {
        pair.promoted("six-m", name, &first).await;
    }
    // Half of them are protected, half have a name that the destination refuses.
    let west = pair.west.faults();
    west.add(rule("PUT", "six-m/branches/refused-0*", status(403, "cannot write to protected branch"), None));
    west.add(rule("PUT", "six-m/branches/refused-1*", status(400, "argument: wrong name"), None));
    for name in &refused {
        pair.push("six", name, name);
    }
    for name in [&refused[3], &refused[11]] {
        let branch = service.status("six", "six-m", name, |branch| waits_for(branch, "fault").is_some()).await;
        let what = waits_for(&branch, "fault").unwrap()["what"].to_string();
        assert!(what.contains("the others go on without it"), "{what}");
    }
    let second = pair.push("six", "main", "b");
    pair.promoted("six-m", "main", &second).await;

    // Neither do refused removals; and a branch that was deleted at the source is not promoted forever.
    west.add(rule("DELETE", "six-m/branches/refused-*", status(403, "cannot write to protected branch"), None));
    for name in &refused {
        pair.east.lake().delete_branch("six", name, false).unwrap();
    }
    service.status("six", "six-m", &refused[5], |branch| branch["state"] == "deleting").await;
    let third = pair.push("six", "main", "c");
    pair.promoted("six-m", "main", &third).await;
    west.clear();
    let gone = |name: &String| pair.head("six-m", name).is_none();
    until("all of them are gone", || refused.iter().all(gone).then_some(())).await;
    service.stop().await;
}

fn shown(pair: &Pair, mirror: &str) -> Vec<String> {
    let page = Page { amount: 100, ..Page::default() };
    let listed = pair.west.lake().branches(mirror, &page, false).unwrap().0;
    listed.into_iter().map(|(name, _)| name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn branch_recreated_as_hidden_is_hidden_on_the_mirror_and_vice_versa() {
    let pair = Pair::open().await;
    pair.create("seven");
    let service = pair.serve("").await;
    assert_eq!(service.mirror("seven", "seven-m").await, 201);
    let head = pair.push("seven", "main", "a");
    pair.branch("seven", "b", "main", false);
    pair.branch("seven", "h", "main", true);
    for name in ["main", "b", "h"] {
        pair.promoted("seven-m", name, &head).await;
    }
    assert_eq!(shown(&pair, "seven-m"), ["b", "main"]);
    for (name, hidden) in [("b", true), ("h", false)] {
        pair.east.lake().delete_branch("seven", name, false).unwrap();
        // Within the grace period, and missed at least once: the tombstone and its removal take one scan each.
        service.status("seven", "seven-m", name, |branch| branch["state"] == "deleting").await;
        pair.branch("seven", name, "main", hidden);
    }
    let swapped = || (shown(&pair, "seven-m") == ["h", "main"]).then_some(());
    until("the mirror shows them as the source does", swapped).await;
    for name in ["b", "h"] {
        pair.promoted("seven-m", name, &head).await;
    }
    service.stop().await;

    // The journal is lost with all that it knew of the mirror: the branches themselves show it.
    std::fs::remove_dir_all(pair.dir.path().join("journal")).unwrap();
    pair.east.lake().delete_branch("seven", "b", false).unwrap();
    pair.branch("seven", "b", "main", false);
    let service = pair.serve("").await;
    until("it is visible again", || (shown(&pair, "seven-m") == ["b", "h", "main"]).then_some(())).await;
    pair.promoted("seven-m", "b", &head).await;
    service.stop().await;
}

async fn approve(service: &Service, repository: &str, mirror: &str, body: Value) -> (u16, Value) {
    let path = format!("/repositories/{repository}/mirrors/{mirror}/deletions/approve");
    service.call("POST", &path, Some(body)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_deletion_continues_after_approval() {
    let settings = "deletion: { grace: 200ms, max_fraction: 0.1 }\n";
    let pair = Pair::open().await;
    pair.create("eight");
    let service = pair.serve(settings).await;
    assert_eq!(service.mirror("eight", "eight-m").await, 201);
    let head = pair.push("eight", "main", "a");
    let names = ["a", "b", "c", "d", "e"];
    names.iter().for_each(|name| pair.branch("eight", name, "main", false));
    for name in names {
        pair.promoted("eight-m", name, &head).await;
    }
    assert_eq!(approve(&service, "eight", "eight-m", json!({})).await.0, 409, "nothing is held");
    names.iter().for_each(|name| pair.east.lake().delete_branch("eight", name, false).unwrap());
    for name in names {
        let branch = service.status("eight", "eight-m", name, |one| waits_for(one, "deletion_held").is_some()).await;
        let what = waits_for(&branch, "deletion_held").unwrap()["what"].to_string();
        assert!(what.contains("/repositories/eight/mirrors/eight-m/deletions/approve"), "{what}");
    }
    let mirror = service.call("GET", "/repositories/eight/mirrors/eight-m", None).await.1;
    assert!(problems(&mirror).contains("deletions/approve"), "{mirror:#}");
    assert!(names.iter().all(|name| pair.head("eight-m", name).as_ref() == Some(&head)));

    // Some of them are approved; the others keep waiting, also after a restart.
    let (code, approved) = approve(&service, "eight", "eight-m", json!({"branches": ["a", "b"]})).await;
    assert_eq!((code, &approved["branches"]), (202, &json!(["a", "b"])), "{approved}");
    service.stop().await;
    let service = pair.serve(settings).await;
    let gone = |names: &[&str]| names.iter().all(|name| pair.head("eight-m", name).is_none()).then_some(());
    until("what was approved is gone", || gone(&["a", "b"])).await;
    service.status("eight", "eight-m", "c", |one| waits_for(one, "deletion_held").is_some()).await;
    assert_eq!(approve(&service, "eight", "eight-m", json!({"branches": ["main"]})).await.0, 409);
    assert!(names[2..].iter().all(|name| pair.head("eight-m", name).as_ref() == Some(&head)));
    assert_eq!(approve(&service, "eight", "eight-m", json!({})).await.0, 202);
    until("all of them are gone", || gone(&names)).await;
    let next = pair.push("eight", "main", "b");
    pair.promoted("eight-m", "main", &next).await;
    service.stop().await;
}
