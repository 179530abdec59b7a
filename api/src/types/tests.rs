//! Tests paging by lakeFS's rules, and the JSON form.

use proptest::prelude::*;

use super::*;

pub(crate) fn mirror(id: &str) -> Mirror {
    Mirror {
        id: id.to_owned(),
        source_repository_id: "sample".to_owned(),
        source_region: "us-east-1".to_owned(),
        region: "us-west-2".to_owned(),
        storage_namespace: "s3://west/sample".to_owned(),
        creation_date: 1_795_451_319,
        incarnation: "01".repeat(16),
        state: MirrorState::Syncing,
        state_message: None,
        branches: vec![Branch {
            id: "main".to_owned(),
            source_commit_id: Some("9f".repeat(32)),
            promoted_commit_id: None,
            state: BranchState::Waiting,
            waiting: vec![Waiting {
                kind: WaitKind::Objects,
                what: "1 object".to_owned(),
                objects_missing: Some(1),
                objects: vec![WaitingObject { path: "a".to_owned(), uri: "s3://west/sample/data/a".to_owned() }],
                and_more: 2,
                since: 1,
                last_checked: None,
            }],
        }],
        counts: Counts::default(),
        problems: Vec::new(),
        lag_seconds: Some(3),
        status_age_seconds: None,
        journal_head: Some(JournalHead { seq: 7, hash: "ab".repeat(32) }),
    }
}

#[test]
fn the_documented_fields_are_there_under_their_names() {
    let json = serde_json::to_value(mirror("sample-mirror")).unwrap();
    for (pointer, value) in [
        ("/id", serde_json::json!("sample-mirror")),
        ("/source_repository_id", "sample".into()),
        ("/region", "us-west-2".into()),
        ("/storage_namespace", "s3://west/sample".into()),
        ("/creation_date", 1_795_451_319.into()),
        ("/state", "syncing".into()),
        ("/branches/0/id", "main".into()),
        ("/branches/0/source_commit_id", "9f".repeat(32).into()),
        ("/branches/0/promoted_commit_id", serde_json::Value::Null),
        ("/branches/0/state", "waiting".into()),
        ("/journal_head/seq", 7.into()),
        ("/journal_head/hash", "ab".repeat(32).into()),
    ] {
        assert_eq!(json.pointer(pointer), Some(&value), "{pointer}");
    }
}

#[test]
fn amounts_follow_lakefs() {
    for (text, amount) in [("0", 100), ("-1", 100), ("1", 1), ("1000", 1000)] {
        assert_eq!(ListPage::amount(text), Ok(amount));
    }
    for text in ["-2", "1001", "", "ten", "1.5", "99999999999999999999"] {
        assert!(ListPage::amount(text).unwrap_err().contains("-1 to 1000"), "{text}");
    }
}

proptest! {
    #[test]
    fn pages_put_together_are_the_whole(
        ids in prop::collection::btree_set("[ab]{1,4}", 0..30),
        prefix in "[ab]{0,2}",
        amount in 1usize..7,
    ) {
        let all: Vec<Mirror> = ids.iter().rev().map(|id| mirror(id)).collect();
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let page = MirrorList::page(all.clone(), &ListPage { prefix: prefix.clone(), after, amount });
            prop_assert!(page.results.len() <= amount);
            prop_assert_eq!(page.pagination.results, page.results.len());
            prop_assert_eq!(page.pagination.has_more, !page.pagination.next_offset.is_empty());
            found.extend(page.results.into_iter().map(|mirror| mirror.id));
            after = page.pagination.next_offset;
            if !page.pagination.has_more { break }
        }
        let expected: Vec<String> = ids.into_iter().filter(|id| id.starts_with(&prefix)).collect();
        prop_assert_eq!(found, expected);
    }
}
