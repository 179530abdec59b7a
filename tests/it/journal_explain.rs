//! `explain`, `export` and `what-if`, asked with the built command about journals that were written for the tests.

#[path = "journal_explain/export.rs"]
mod export;
#[path = "journal_explain/hostile.rs"]
mod hostile;
#[path = "journal_explain/what_if.rs"]
mod what_if;
#[path = "journal_explain/why.rs"]
mod why;
#[path = "journal_explain/world.rs"]
mod world;

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::process::lakemirror;

/// Runs `lakemirror journal …`: exit code, standard output, standard error.
fn ask(words: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        lakemirror().arg("journal").args(words).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// Parses lines of JSON.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Every file below a directory, with its bytes.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push((path.display().to_string(), std::fs::read(&path).unwrap())),
        }
    }
    found.sort();
    found
}
