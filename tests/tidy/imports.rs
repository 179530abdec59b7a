//! What may import what, where no package boundary enforces it: between the modules of one package. The compiler and
//! `tests/run` enforce dependencies of packages; the whole table is in ARCHITECTURE.md.

use super::source::Source;

/// Path prefixes (a module's file and its directory), and what their production code must not name.
const FORBIDDEN: &[(&[&str], &[&str])] = &[
    (&["src/service.rs", "src/service/"], &["crate::run", "crate::cli"]),
    (
        &["src/config.rs", "src/config/"],
        &[
            "lakemirror_engine",
            "lakemirror_lakefs",
            "lakemirror_mirrors",
            "lakemirror_objects",
            "lakemirror_ports",
            "crate::run",
            "tokio::",
        ],
    ),
];

/// The service must not depend on test tools: only these files may name the sandbox.
const NAMES_SANDBOX: [&str; 3] = ["src/lib.rs", "src/cli/demo.rs", "src/cli/sandbox.rs"];

/// Packages with an AWS SDK that only a part of them may name, and that part.
const NAMES_AWS: &[(&str, &[&str])] = &[
    ("adapters/mirrors/src/", &["adapters/mirrors/src/dynamodb.rs", "adapters/mirrors/src/dynamodb/"]),
    ("adapters/outbound/src/", &["adapters/outbound/src/aws.rs"]),
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
    if file.path.starts_with("src/") && !NAMES_SANDBOX.contains(&file.path.as_str()) {
        faults.extend(named(file, &["lakemirror_sandbox"]));
    }
    for (package, parts) in NAMES_AWS {
        if file.path.starts_with(package) && !parts.iter().any(|part| file.path.starts_with(part)) {
            faults.extend(named(file, &AWS_CRATES));
        }
    }
    faults
}

fn named(file: &Source, names: &[&str]) -> Vec<String> {
    let hit = |code: &str| names.iter().find(|name| mentions(code, name)).copied();
    file.code()
        .filter_map(|(line, code)| Some(format!("{}:{line}: may not name `{}`", file.path, hit(code)?)))
        .collect()
}

/// Whether `name` occurs in `code` without a letter before it: `aws_` is not in `laws_`, `crate::run` not in
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
        ("src/config/a.rs", "use lakemirror_engine::Engine;"),
        ("src/config.rs", "use tokio::fs;"),
        ("src/service.rs", "use crate::run::Ports;"),
        ("src/run/a.rs", "use lakemirror_sandbox::sandbox::Sandbox;"),
        ("adapters/mirrors/src/postgres.rs", "use aws_config::x;"),
    ] {
        let file = Source { path: path.to_owned(), text: text.to_owned() };
        assert!(!faults(&file).is_empty(), "{path}: {text}");
    }
    for (path, text) in [
        ("src/service/a.rs", "// not crate::run"),
        ("src/service/a.rs", "use crate::runtime;\nlet x = \"crate::cli\";"),
        ("src/cli/demo.rs", "use lakemirror_sandbox::demo;"),
        ("adapters/mirrors/src/dynamodb/client.rs", "use aws_sdk_dynamodb::Client;"),
    ] {
        let file = Source { path: path.to_owned(), text: text.to_owned() };
        assert_eq!(faults(&file), Vec::<String>::new(), "{path}: {text}");
    }
}
