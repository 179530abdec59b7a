//! Any text as a configuration, with any environment: the result is either settings, or problems that say where and
//! what to do. It is the same twice, and no secret is shown.

#![no_main]

use std::collections::BTreeMap;
use std::path::Path;

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, unused_imports, unreachable_pub, reason = "the target needs only a part of what the service does")]
#[path = "../../src"]
mod code {
    pub mod config;
}

use code::config;

const CANARY: &str = "canary-0123456789";

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    // After the first NUL come variables, one per line.
    let (file, variables) = text.split_once('\0').unwrap_or((&text, ""));
    let pairs = variables.lines().filter_map(|line| line.split_once('='));
    let variables: BTreeMap<String, String> =
        pairs.map(|(name, value)| (format!("REPLICATION_{name}"), value.to_owned())).collect();
    let parse = || config::Config::parse(Path::new("lakemirror.yaml"), file, &variables);
    let (first, second) = (parse(), parse());
    assert_eq!(format!("{first:?}"), format!("{second:?}"));
    match first {
        Ok((config, warnings)) => {
            let shown = format!("{config:?} {:?} {warnings:?}", config.summary());
            assert!(!shown.contains(CANARY) || !secrets(file, &variables), "a secret is shown");
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            problems.iter().for_each(|problem| assert!(!problem.what.is_empty() && !problem.to_string().is_empty()));
        }
    }
});

/// Whether the canary is where a secret is, and nowhere else.
fn secrets(file: &str, variables: &BTreeMap<String, String>) -> bool {
    let lines = file.lines().filter(|line| line.contains(CANARY));
    let (mut total, mut secret) = (0, 0);
    for line in lines {
        total += 1;
        secret += usize::from(line.trim() == format!("lakefs_secret_access_key: {CANARY}"));
    }
    total == 1 && secret == 1 && !variables.values().any(|value| value.contains(CANARY))
}
