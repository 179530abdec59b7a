//! The same observations under another policy.

use std::path::Path;

use lakemirror_journal::event::{BranchMissedV1, BranchTombstonedV1, Event};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::world::{MIRROR, World, at, checked, first_move, listed, moves, observed, read, seen};
use super::{ask, files, shown};

/// A valid configuration with these lines added.
fn config(dir: &Path, more: &str) -> String {
    let text = format!(
        "region: west\norganization_id: acme\nregional_endpoint: http://127.0.0.1:1\nlakefs_access_key_id: key\n\
         lakefs_secret_access_key: secret\nauth:\n  encrypt:\n    secret_key: some-secret\nmirrors_database:\n  type: local\n  \
         local:\n    path: {0}/mirrors\nblockstore:\n  type: local\n  local:\n    path: {0}/blocks\njournal:\n  path: {0}/journal\n{more}",
        dir.display()
    );
    let file = dir.join("other.yaml");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

fn journal(with: impl FnOnce(&mut World)) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(dir.path());
    first_move(&mut world);
    with(&mut world);
    dir
}

fn what_if(dir: &TempDir, rules: &str) -> Value {
    let work = tempfile::tempdir().unwrap();
    let before = files(dir.path());
    let words = ["what-if", shown(dir.path()), "--config", &config(work.path(), rules), "--all", "-o", "json"];
    let (code, out, err) = ask(&words);
    assert_eq!(code, 0, "{rules}: {err}");
    assert_eq!(files(dir.path()), before, "nothing is written");
    serde_json::from_str(&out).unwrap()
}

/// Each promotion of `main`: verdict, and the last record available to its plan under each policy.
fn verdicts(answer: &Value) -> Vec<(&str, Option<u64>, Option<u64>)> {
    let promotions = answer["branches"][0]["promotions"].as_array().unwrap().iter();
    promotions
        .map(|promotion| {
            let seq = |name: &str| promotion[name]["seq"].as_u64();
            (promotion["verdict"].as_str().unwrap(), seq("journal"), seq("other"))
        })
        .collect()
}

#[test]
fn same_policy_changes_nothing() {
    let dir = journal(|_| {});
    let answer = what_if(&dir, "");
    assert_eq!(
        (&answer["same"], &answer["branches"][0]["promotions"][0]["recorded"]["seq"]),
        (&json!(true), &json!(13))
    );
    assert_eq!(verdicts(&answer), [("same", Some(12), Some(12))]);
    let work = tempfile::tempdir().unwrap();
    let (code, out, _) = ask(&["what-if", shown(dir.path()), "--config", &config(work.path(), "")]);
    assert!(code == 0 && out.starts_with("nothing differs: 1 promotion(s) of 1 branch(es)"), "{out}");
}

#[test]
fn imports_that_are_blocked_or_ignored_differ() {
    let dir = journal(|world| {
        world.add(&[
            seen("main", 2, 40),
            observed(2, &[1], Some(2), 40),
            listed(2, &[(3, 4)], 41),
            read(3, 4, &[3], None, 42),
        ]);
        world.add(&[checked(3, 0, 4, &[3], 43)]);
        world.add(&[checked(3, 3, 1, &[], 44)]);
        moves(Some(1), 2, 2, (1, 4, at(42)), 45).iter().for_each(|events| world.add(events));
    });
    assert_eq!(verdicts(&what_if(&dir, "imports: ignore\n"))[1], ("earlier", Some(21), Some(20)));
    let blocked = what_if(&dir, "imports: block\n");
    assert_eq!(verdicts(&blocked)[1], ("never", Some(21), None));
    assert!(
        blocked["branches"][0]["promotions"][1]["why"].as_str().unwrap().contains("which are blocked"),
        "{blocked}"
    );
    assert_ne!(blocked["branches"][0]["ends"][0], blocked["branches"][0]["ends"][1]);
}

#[test]
fn head_needs_no_ancestors_with_history_head() {
    let dir = journal(|world| {
        world.add(&[seen("main", 3, 40), observed(3, &[2], None, 40), observed(2, &[1], Some(2), 40)]);
        world.add(&[listed(2, &[(3, 4)], 41), read(3, 4, &[], None, 42)]);
        world.add(&[checked(3, 0, 4, &[], 50)]);
        moves(Some(1), 3, 2, (0, 0, u64::MAX), 51).iter().for_each(|events| world.add(events));
    });
    assert_eq!(verdicts(&what_if(&dir, "promotion:\n  history: head\n"))[1], ("earlier", Some(21), Some(18)));
}

#[test]
fn expired_evidence_would_be_checked_again() {
    let dir = journal(|_| {});
    // The oldest check is 12 s after noon, and the last one came 30 s after: the plan is made then, on the frame's
    // time.
    let answer = what_if(&dir, "verification:\n  evidence_max_age: 1ms\n");
    let main = &answer["branches"][0]["promotions"];
    if verdicts(&answer)[0].0 != "same" {
        assert!(main[0]["why"].as_str().unwrap().contains("would be made again"), "{main}");
    }
}

#[test]
fn another_grace_period_moves_removals() {
    let dir = journal(|world| {
        let (mirror, branch) = (MIRROR, "main".to_owned());
        world.add(&[
            Event::BranchMissed(BranchMissedV1 { mirror, branch: branch.clone(), writer_epoch: 1, at_ms: at(100) }),
            Event::BranchTombstoned(BranchTombstonedV1 { mirror, branch, at_ms: at(100) }),
        ]);
        world.second = 700;
        world.add(&[seen("dev", 9, 700)]);
    });
    let of = |rules: &str| {
        let answer = what_if(&dir, rules);
        (answer["removals"][0]["verdict"].clone(), answer["removals"][0]["due_ms"].clone())
    };
    assert_eq!(of("deletion:\n  grace: 10m\n"), (json!("same"), json!([at(700), at(700)])));
    assert_eq!(of("deletion:\n  grace: 1m\n"), (json!("earlier"), json!([at(700), at(160)])));
    assert_eq!(of("deletion:\n  grace: 1h\n"), (json!("never"), json!([at(700), null])));
}

#[test]
fn invalid_configuration_is_reported() {
    let (dir, work) = (journal(|_| {}), tempfile::tempdir().unwrap());
    let (code, _, err) = ask(&["what-if", shown(dir.path()), "--config", &config(work.path(), "imports: maybe\n")]);
    assert!(code == 78 && err.contains("imports"), "{code} {err}");
}
