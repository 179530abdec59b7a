//! The walk against a sorted set of keys.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn tree(keys: &BTreeSet<String>) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for key in keys {
        let path = dir.path().join("bucket").join(key);
        // A key may be in the way of another, as a file where the other needs a directory: it is left out.
        let _ = std::fs::create_dir_all(path.parent().unwrap());
        let _ = std::fs::write(path, key);
    }
    dir
}

fn present(dir: &tempfile::TempDir, keys: &BTreeSet<String>) -> Vec<String> {
    keys.iter().filter(|key| dir.path().join("bucket").join(key).is_file()).cloned().collect()
}

fn keys_of(page: &Page) -> Vec<String> {
    page.iter().map(|(key, _)| key.to_owned()).collect()
}

#[test]
fn the_order_is_that_of_keys_and_not_of_directories() {
    let keys: BTreeSet<String> =
        ["a-b", "a/b", "a0", "a.b/c", "ab/c", "a/b-c", "a/a/z", "Z", "é"].map(String::from).into();
    let dir = tree(&keys);
    let page = page(dir.path(), "bucket", "", "", 100).unwrap();
    assert_eq!(keys_of(&page), keys.into_iter().collect::<Vec<_>>());
    assert!(!page.more);
}

#[test]
fn directories_that_the_page_does_not_need_are_not_read() {
    let keys: BTreeSet<String> = ["a/1", "b/1", "c/1"].map(String::from).into();
    let dir = tree(&keys);
    let root = Path::new("/");
    let walk = Walk { root, prefix: "", after: "b/0", max: 1, page: Page::default(), above: Vec::new() };
    let children = walk.children(&dir.path().join("bucket"), "").unwrap();
    assert_eq!(children.into_iter().map(|child| child.name).collect::<Vec<_>>(), ["b/", "c/"]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn pages_put_together_are_the_sorted_keys(
        keys in prop::collection::btree_set("([ab0-][ab.0-]?/){0,3}[ab0-]{1,2}", 0..24),
        prefix in "([ab]/?){0,2}",
        after in "[ab0/~-]{0,4}",
        max in 1..5_usize,
    ) {
        let dir = tree(&keys);
        let present = present(&dir, &keys);
        let expected: Vec<_> =
            present.into_iter().filter(|key| key.starts_with(&prefix) && **key > *after).collect();
        let (mut found, mut from) = (Vec::new(), after);
        loop {
            let page = page(dir.path(), "bucket", &prefix, &from, max).or_else(|error| {
                skip_vanished(Err(error)).map(|()| Page::default())
            }).unwrap();
            prop_assert!(page.len() <= max && page.in_order(&prefix, &from).is_ok());
            found.extend(keys_of(&page));
            if !page.more {
                break;
            }
            from = page.last().unwrap().to_owned();
        }
        prop_assert_eq!(found, expected);
    }
}
