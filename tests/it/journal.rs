//! `lakemirror journal` questions, asked with the built command about a journal that was written for the tests.

#[path = "journal/agree.rs"]
mod agree;
#[path = "journal/answers.rs"]
mod answers;
#[path = "journal/damage.rs"]
mod damage;
#[path = "journal/dropped.rs"]
mod dropped;
#[path = "journal/fixture.rs"]
mod fixture;
#[path = "journal/keeper.rs"]
mod keeper;
#[path = "journal/repair.rs"]
mod repair;
#[path = "journal/segments.rs"]
mod segments;
#[path = "journal/untouched.rs"]
mod untouched;

use std::path::Path;
use std::process::{Output, Stdio};

use crate::process::lakemirror;

/// Runs `lakemirror journal …`: exit code, standard output, standard error.
fn ask(words: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        lakemirror().arg("journal").args(words).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// Runs a question that must succeed, and parses its standard output as JSON.
fn json(words: &[&str]) -> serde_json::Value {
    let (code, out, err) = ask(words);
    assert!(code < 2, "{words:?}: {code}: {err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{words:?}: {error}: {out}"))
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}
