//! What may import what. One table, the same as in ARCHITECTURE.md; a directory's files follow its row.

use super::source::Source;

/// Path prefixes (a module's file and its directory), and what must not be named in their production code.
const FORBIDDEN: &[(&[&str], &[&str])] = &[
    (
        &["journal/src/"],
        &["tokio::", "serde::", "serde_json", "reqwest", "axum::", "aws_", "lakemirror::", "lakemirror_api"],
    ),
    (&["api/src/"], &["lakemirror_journal", "lakemirror::", "aws_"]),
    (
        &["src/graveler.rs", "src/graveler/"],
        &["tokio::", "crate::objects", "crate::engine", "reqwest", "axum::", "aws_"],
    ),
    (
        &["src/engine.rs", "src/engine/"],
        &[
            "axum::",
            "aws_",
            "reqwest",
            "crate::config",
            "crate::lakefs",
            "crate::objects",
            "crate::mirrors",
            "crate::service",
            "crate::cli",
            "crate::run",
            "crate::sandbox",
            "crate::auth",
        ],
    ),
    (
        &["src/lakefs.rs", "src/lakefs/"],
        &["crate::objects", "crate::mirrors", "lakemirror_api", "aws_", "crate::service", "crate::run", "crate::cli"],
    ),
    (
        &["src/objects.rs", "src/objects/"],
        &["crate::lakefs", "crate::mirrors", "lakemirror_api", "crate::service", "crate::run", "crate::cli"],
    ),
    (
        &["src/mirrors.rs", "src/mirrors/"],
        &["crate::lakefs", "crate::objects", "lakemirror_api", "crate::service", "crate::run", "crate::cli"],
    ),
    (
        &["src/outbound.rs", "src/outbound/"],
        &["crate::engine", "crate::lakefs", "crate::objects", "crate::mirrors", "crate::service", "crate::run"],
    ),
    (&["src/service.rs", "src/service/"], &["aws_", "reqwest", "crate::run", "crate::cli", "crate::sandbox"]),
    (
        &["src/config.rs", "src/config/"],
        &["crate::engine", "crate::lakefs", "crate::objects", "crate::mirrors", "crate::run", "tokio::"],
    ),
];

/// Only these may name an AWS crate.
const NAMES_AWS: [&str; 4] = [
    "adapters/objects/src/",
    "adapters/mirrors/src/dynamodb.rs",
    "adapters/mirrors/src/dynamodb/",
    "adapters/outbound/src/aws.rs",
];
const AWS_CRATES: [&str; 4] = ["aws_sdk_", "aws_config::", "aws_smithy_", "aws_credential_types"];

pub(crate) fn faults(file: &Source) -> Vec<String> {
    if !file.is_rust() || !file.is_product() {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for (prefixes, names) in FORBIDDEN {
        if prefixes.iter().any(|prefix| file.path.starts_with(prefix)) {
            faults.extend(named(file, names));
        }
    }
    if !NAMES_AWS.iter().any(|prefix| file.path.starts_with(prefix)) {
        faults.extend(named(file, &AWS_CRATES));
    }
    faults
}

fn named(file: &Source, names: &[&str]) -> Vec<String> {
    let hit = |code: &str| names.iter().find(|name| mentions(code, name)).copied();
    file.code()
        .filter_map(|(line, code)| Some(format!("{}:{line}: may not name `{}`", file.path, hit(code)?)))
        .collect()
}

/// Whether `name` stands in `code` with no letter before it: `aws_` is not in `laws_`, `crate::run` not in
/// `crate::runtime`.
fn mentions(code: &str, name: &str) -> bool {
    let ends_open = name.ends_with("::") || name.ends_with('_');
    code.match_indices(name).any(|(at, _)| {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let clean_before = !code[..at].chars().next_back().is_some_and(word);
        let clean_after = ends_open || !code[at + name.len()..].chars().next().is_some_and(word);
        clean_before && clean_after && !code[..at].contains('"')
    })
}

#[test]
fn planted_imports_are_found() {
    for (path, text) in [
        ("src/engine/a.rs", "use crate::config::Config;"),
        ("src/graveler.rs", "use tokio::fs;"),
        ("journal/src/a.rs", "fn f() { serde::x(); }"),
        ("src/service.rs", "use aws_sdk_s3::Client;"),
        ("src/cli/a.rs", "use aws_config::x;"),
    ] {
        let file = Source { path: path.to_owned(), text: text.to_owned() };
        assert!(!faults(&file).is_empty(), "{path}: {text}");
    }
    for (path, text) in [
        ("src/engine/a.rs", "// not crate::config"),
        ("src/engine/a.rs", "use crate::runtime;\nlet x = \"axum::\";"),
        ("adapters/objects/src/s3.rs", "use aws_sdk_s3::Client;"),
    ] {
        let file = Source { path: path.to_owned(), text: text.to_owned() };
        assert_eq!(faults(&file), Vec::<String>::new(), "{path}: {text}");
    }
}
