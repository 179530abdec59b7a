//! Addresses against `tests/data/addresses.jsonl`, whose answers are Go's own URL parser's.

use std::path::Path;

use super::*;

#[test]
fn every_address_resolves_as_in_go() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/addresses.jsonl");
    let (mut resolved, mut refused) = (0, 0);
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let namespace = Namespace::parse(row["namespace"].as_str().unwrap()).unwrap();
        let kind = AddressType::from_number(row["type"].as_i64().unwrap() as i32);
        let found = namespace.resolve(row["address"].as_str().unwrap(), kind);
        match row["bucket"].as_str() {
            Some(bucket) => {
                let found = found.unwrap_or_else(|error| panic!("{line}: {error}"));
                assert_eq!((&*found.bucket, Some(found.key.as_str())), (bucket, row["key"].as_str()), "{line}");
                resolved += 1;
            }
            None => {
                assert!(found.is_err(), "{line}: {found:?}");
                refused += 1;
            }
        }
    }
    assert!(resolved > 400 && refused > 100, "{resolved} {refused}");
}

#[test]
fn the_subtle_cases_are_spelled_out() {
    let namespace = Namespace::parse("s3://b/p/").unwrap();
    let key = |address| namespace.resolve(address, AddressType::Full).map(|found| found.key);
    assert_eq!(key("s3://outside/in/c%20c.csv").unwrap(), "in/c c.csv");
    assert_eq!(key("s3://outside/in/q?q.csv").unwrap(), "in/q");
    assert_eq!(key("s3://outside/a%2Fb").unwrap(), "a%2Fb");
    assert_eq!(key("s3://outside/a b").unwrap(), "a b");
    assert_eq!(key("s3://outside/a%20b(1)").unwrap(), "a%20b(1)");
    assert_eq!(key("s3://outside/a%2").unwrap_err().why, Unresolvable::BadEscape);
    assert_eq!(key("s3://outside/%FF").unwrap_err().why, Unresolvable::NotUtf8);
    assert_eq!(key("s3:///x").unwrap_err().why, Unresolvable::NoBucket);
    assert_eq!(key("s3://x").unwrap_err().why, Unresolvable::NoKey);
    assert_eq!(key("ftp://x/y").unwrap_err().why, Unresolvable::UnknownScheme("ftp".to_owned()));
    let unknown = namespace.resolve("x", AddressType::Unknown(9)).unwrap_err();
    assert_eq!(unknown.to_string(), "address \"x\" cannot be resolved: its address type is 9, expected 0, 1 or 2");
}

#[test]
fn deprecated_addresses_are_full_only_if_they_parse() {
    let namespace = Namespace::parse("s3://b/p").unwrap();
    let reach = |address| namespace.resolve(address, AddressType::ByPrefixDeprecated).unwrap().reach;
    assert_eq!(reach("s3://o/k"), Reach::Full);
    assert_eq!(reach("data/x"), Reach::Relative);
    assert_eq!(reach("ftp://o/k"), Reach::Relative);
    assert_eq!(reach("s3://o/%zz"), Reach::Relative);
}

#[test]
fn local_paths_are_taken_as_they_are() {
    let namespace = Namespace::parse("local://repo/a%20b/").unwrap();
    assert_eq!((&**namespace.bucket(), namespace.prefix()), ("repo", "a%20b"));
    let full = namespace.resolve("local:///srv/x%20y?z", AddressType::Full).unwrap();
    assert_eq!((&*full.bucket, full.key.as_str()), ("", "srv/x%20y?z"));
}

#[test]
fn metadata_files_are_below_the_namespace() {
    let key = |namespace: &str| Namespace::parse(namespace).unwrap().metadata_key(METADATA_PREFIX_DEFAULT, "id");
    assert_eq!(key("s3://b"), "_lakefs/id");
    assert_eq!(key("s3://b/p/"), "p/_lakefs/id");
    assert_eq!(key("s3://b/p//"), "p//_lakefs/id");
    assert!(Namespace::parse("bucket/p").is_err());
    assert!(Namespace::parse("s3://").is_err());
}
