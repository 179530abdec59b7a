//! The rules at their edges, and against independent statements of them.

use proptest::prelude::*;

use super::*;

#[test]
fn names_at_the_edges() {
    for good in ["abc", "0-0", "a--", &"a".repeat(63)] {
        assert_eq!(name(good), Ok(()), "{good}");
    }
    for bad in ["", "ab", "-ab", "Abc", "a_b", "a.b", "äbc", "a/b", "abc\n", &"a".repeat(64)] {
        assert!(name(bad).unwrap_err().contains("3 to 63"), "{bad}");
    }
}

#[test]
fn regions() {
    assert_eq!(region("west", "east", &["north", "west"]), Ok(()));
    assert!(region("east", "east", &["west"]).unwrap_err().contains("another region; use one of west"));
    assert!(region("east", "east", &["east"]).is_err(), "also where it is its own destination");
    assert!(region("wset", "east", &["north", "west"]).unwrap_err().contains("north, west"));
    assert!(region("west", "east", &[]).unwrap_err().contains("dst_endpoints"));
}

#[test]
fn namespaces_as_lakefs_takes_them() {
    for good in [
        "s3://b",
        "s3://b/",
        "s3://b/p",
        "s3://b/p/q/",
        "local://x",
        "https://a.blob.core.windows.net/c/p",
        "s3://b/ü",
        "s3://b//p",
        "s3://b/a//b",
        "s3://b//lead",
        "s3://b/trail//",
        "s3://b/./p",
        "s3://b/a/./b",
        "s3://b/a blank",
        "s3://b/ p",
        "s3://b/a#b",
        "s3://b/who@where",
        "local://x//y",
        "s3://b/a%2Bb",
        "s3://b/..p",
    ] {
        assert_eq!(namespace(good), Ok(()), "{good}");
    }
    let long = format!("s3://b/{}", "p".repeat(1024));
    let bad = [
        ("", "not a URI"),
        ("b/p", "not a URI"),
        ("s3:/b", "not a URI"),
        ("://b", "scheme"),
        ("S3://b", "scheme"),
        ("s3://", "bucket"),
        ("s3:///p", "bucket"),
        ("s3://b//", "write it so"),
        (&*long, "1024"),
    ];
    for (bad, says) in bad {
        let message = namespace(bad).unwrap_err();
        assert!(message.starts_with("storage_namespace") && message.len() < 400, "{bad}: {message}");
        assert!(message.contains(says), "{bad}: {message}");
    }
}

#[test]
fn a_namespace_that_reads_as_one_place_and_is_another_is_refused() {
    for (bad, says) in [
        ("local://west-x@other", "user information"),
        ("s3://key:secret@bucket/p", "user information"),
        ("s3://b/%2e%2e/c", "percent-escape"),
        ("s3://b/%2E%2E", "percent-escape"),
        ("s3://b/a%2fb", "percent-escape"),
        ("s3://b/a%5cb", "percent-escape"),
        ("s3://b/a%00", "percent-escape"),
        ("s3://b/a%20b", "write it so"),
        ("local://x/a%20b", "write it so"),
        ("s3://b/a%zz", "cannot be read"),
        ("s3://b%2e/p", "percent-escape"),
        ("s3://b/a\\b", "backslash"),
        ("s3://b\\c/p", "backslash"),
        ("s3://b/p?x", "question mark"),
        ("s3://b/../c", ".."),
        ("local://..", ".."),
        ("local://./x", "bucket"),
        ("s3://b c/p", "cannot be read"),
        ("local://b c/p", "cannot be read"),
        ("s3://b/\u{7}", "not seen"),
        ("s3://b/\u{9b}x", "not seen"),
        ("s3://b/a\u{202e}b", "not seen"),
        ("s3://b/a\u{2067}b", "not seen"),
        ("s3://b/a\u{200f}b", "not seen"),
        ("s3://b/a\u{feff}", "not seen"),
    ] {
        let message = namespace(bad).unwrap_err();
        assert!(message.contains(says), "{bad:?}: {message}");
        assert!(!message.chars().any(is_hidden), "{bad:?}: {message}");
    }
}

#[test]
fn a_local_namespace_that_is_cleaned_is_authorised_by_both_names() {
    for (namespace, place) in [
        ("local://a//b", Some("local://a/b")),
        ("local://a/./b/", Some("local://a/b")),
        ("local://a/b//", Some("local://a/b")),
        ("local://a/b/", None),
        ("local://a/b", None),
        ("s3://a//b", None),
    ] {
        assert_eq!(cleaned(namespace).as_deref(), place, "{namespace}");
    }
}

#[test]
fn the_scheme_is_the_stores() {
    assert_eq!(scheme("s3://b", "west", Scheme::S3), Ok(()));
    assert!(scheme("s3://b", "west", Scheme::Local).unwrap_err().contains("local://"));
}

#[test]
fn overlap_goes_by_whole_parts_of_the_path() {
    for (mirror, source) in [
        ("s3://b", "s3://b"),
        ("s3://b/", "s3://b"),
        ("s3://b/a", "s3://b"),
        ("s3://b", "s3://b/a"),
        ("s3://b/a/b", "s3://b/a/"),
    ] {
        assert!(apart(mirror, source, &StoreIdentity::Unknown).unwrap_err().contains("overlaps"), "{mirror} {source}");
    }
    assert!(apart("local://b//a", "local://b/./a", &StoreIdentity::Unknown).is_err(), "one folder");
    for (mirror, source) in [
        ("s3://b/a", "s3://b/ab"),
        ("s3://b/ab", "s3://b/a"),
        ("s3://b", "s3://bb"),
        ("s3://b/a", "s3://c/a"),
        ("s3://b//a", "s3://b/a"),
    ] {
        assert_eq!(apart(mirror, source, &StoreIdentity::Unknown), Ok(()), "{mirror} {source}");
    }
}

#[test]
fn messages_quote_with_escapes_and_bounds() {
    let message = name(&format!("\u{1b}[31m{}", "x".repeat(5000))).unwrap_err();
    assert!(!message.contains('\u{1b}') && message.len() < 400, "{message}");
}

proptest! {
    #[test]
    fn what_lakefs_accepts_is_accepted(text in "[a-z0-9][a-z0-9-]{2,62}") {
        prop_assert_eq!(name(&text), Ok(()));
    }

    #[test]
    fn one_foreign_character_is_refused(text in "[a-z0-9][a-z0-9-]{2,30}", foreign in "[^a-z0-9-]", at in 0usize..3) {
        let mut text = text;
        text.insert_str(at, &foreign);
        prop_assert!(name(&text).is_err());
    }

    #[test]
    fn no_text_panics_and_every_message_is_bounded(text in ".{0,300}") {
        for result in [name(&text), namespace(&text), region(&text, "east", &["west"]), scheme(&text, "west", Scheme::S3)] {
            if let Err(message) = result {
                prop_assert!(message.len() < 2000);
            }
        }
    }

    #[test]
    fn overlap_is_symmetric_and_by_parts(
        one in prop::collection::vec("[ab]{1,2}", 1..4),
        other in prop::collection::vec("[ab]{1,2}", 1..4),
    ) {
        let uri = |parts: &[String]| format!("s3://{}", parts.join("/"));
        let overlap = one.starts_with(&other) || other.starts_with(&one);
        prop_assert_eq!(apart(&uri(&one), &uri(&other), &StoreIdentity::Unknown).is_err(), overlap);
        prop_assert_eq!(apart(&uri(&other), &uri(&one), &StoreIdentity::Unknown).is_err(), overlap);
    }

    #[test]
    fn well_formed_namespaces_are_accepted(parts in prop::collection::vec("[a-zA-Z0-9_=+-]{1,8}", 1..5), slash in any::<bool>()) {
        let uri = format!("s3://{}{}", parts.join("/"), if slash { "/" } else { "" });
        prop_assert_eq!(namespace(&uri), Ok(()));
    }
}
