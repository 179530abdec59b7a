//! The first seconds of the built command: how it reports its settings and its failures, who may read its files, and
//! which signals end it.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::process::{Process, lakemirror};

const PATIENCE: Duration = Duration::from_secs(60);

/// The configuration of a service without a reachable lakeFS, with all its data below `dir`.
fn config(dir: &Path, more: &str) -> PathBuf {
    let text = format!(
        "region: east\norganization_id: acme\nregional_endpoint: http://127.0.0.1:1\n\
         lakefs_access_key_id: AKIAIOSFODNN7EXAMPLE\nlakefs_secret_access_key: canary\n\
         auth: {{ encrypt: {{ secret_key: canary }} }}\n\
         mirrors_database: {{ type: local, local: {{ path: {0}/state/mirrors }} }}\n\
         blockstore: {{ type: local, local: {{ path: {0}/blocks }} }}\n\
         journal: {{ path: {0}/state/journal }}\ncommitted: {{ local_cache: {{ dir: {0}/state/cache }} }}\n{more}",
        dir.display()
    );
    let file = dir.join("config.yaml");
    std::fs::write(&file, text).unwrap();
    file
}

fn run(file: &Path) -> Command {
    let mut command = lakemirror();
    command.args(["run", "--config"]).arg(file);
    command
}

/// A command's output, all lines of which are JSON, and its exit code.
fn json_lines(command: &mut Command) -> (i32, Vec<Value>) {
    let (code, said) = Process::start(command).end(PATIENCE);
    let parse = |line: &str| {
        let line = line.strip_prefix("stderr: ").unwrap_or(line);
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    };
    (code, said.lines().map(parse).collect())
}

#[test]
fn the_effective_configuration_is_one_line_without_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let file = config(dir.path(), "listen_address: 127.0.0.1:0\nimports: block\n");
    let mut command = run(&file);
    let mut process = Process::start(command.env("REPLICATION_DELETION_GRACE", "7m"));
    process.until("the journal is open", PATIENCE);
    process.signal("TERM");
    let (code, said) = process.end(PATIENCE);
    assert_eq!(code, 0, "{said}");
    let of_settings: Vec<&str> = said.lines().filter(|line| line.contains("effective configuration:")).collect();
    assert_eq!(of_settings.len(), 1, "{said}");
    for setting in ["region=", "organization_id=", "imports=", "deletion.grace=", "journal.path=", "logging.level="] {
        assert_eq!(of_settings[0].matches(setting).count(), 1, "{setting} is in {}", of_settings[0]);
    }
    assert!(of_settings[0].contains("420s") && of_settings[0].contains("block"), "{}", of_settings[0]);
    assert!(!said.contains("canary"), "{said}");
}

#[test]
fn failures_are_json_if_the_log_is() {
    let json = "logging: { format: json }\n";
    let wrong = tempfile::tempdir().unwrap();
    let taken = tempfile::tempdir().unwrap();
    let damaged = tempfile::tempdir().unwrap();
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let journal = damaged.path().join("state/journal");
    std::fs::create_dir_all(&journal).unwrap();
    std::fs::write(journal.join("FORMAT"), "not one of ours\n").unwrap();
    let cases = [
        (config(wrong.path(), &format!("{json}imports: maybe\nregoin: x\n")), 78),
        (config(taken.path(), &format!("{json}listen_address: {}\n", busy.local_addr().unwrap())), 74),
        (config(damaged.path(), &format!("{json}listen_address: 127.0.0.1:0\n")), 70),
    ];
    for (file, exit) in cases {
        let (code, lines) = json_lines(&mut run(&file));
        assert_eq!(code, exit, "{lines:?}");
        let last = lines.last().unwrap();
        assert_eq!((&last["level"], &last["exit_code"]), (&"ERROR".into(), &exit.into()), "{last}");
        assert!(last["message"].as_str().is_some_and(|message| !message.is_empty()), "{last}");
    }
}

#[test]
fn sighup_is_logged_and_does_not_end_the_service() {
    let dir = tempfile::tempdir().unwrap();
    let file = config(dir.path(), "listen_address: 127.0.0.1:0\n");
    let mut process = Process::start(&mut run(&file));
    process.until("the API listens at", PATIENCE);
    process.signal("HUP");
    process.until("SIGHUP is ignored", PATIENCE);
    process.until("the journal is open", PATIENCE);
    process.signal("TERM");
    let (code, said) = process.end(PATIENCE);
    assert!(code == 0 && said.contains("lakemirror ended"), "{said}");
}

#[test]
fn sighup_ends_the_sandbox() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = lakemirror();
    let mut process =
        Process::start(command.args(["sandbox", "--listen", "127.0.0.1:0", "--dir"]).arg(dir.path().join("east")));
    process.until("repositories need a storage namespace", PATIENCE);
    process.signal("HUP");
    assert_eq!(process.end(PATIENCE).0, 0, "it ended in order");
}

#[test]
fn files_are_private_whatever_the_umask() {
    let dir = tempfile::tempdir().unwrap();
    let file = config(dir.path(), "listen_address: 127.0.0.1:0\n");
    let mut command = Command::new("sh");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("REPLICATION_")) {
        command.env_remove(name);
    }
    command.args(["-c", "umask 0; exec \"$0\" run --config \"$1\"", env!("CARGO_BIN_EXE_lakemirror")]).arg(&file);
    let mut process = Process::start(&mut command);
    process.until("the journal is open", PATIENCE);
    process.signal("TERM");
    let (code, said) = process.end(PATIENCE);
    assert_eq!(code, 0, "{said}");
    let mut found = Vec::new();
    walk(&dir.path().join("state"), &mut found);
    // The hot store and the embedded database create their files themselves.
    for part in ["journal/hot/", "journal/seg/", "mirrors/"] {
        assert!(found.iter().any(|(path, _)| path.to_string_lossy().contains(part)), "{part} is there: {found:?}");
    }
    for (path, mode) in found {
        assert_eq!(mode & 0o077, 0, "{} has mode {:o}", path.display(), mode & 0o777);
    }
}

/// Everything from `path` on, with its mode.
fn walk(path: &Path, found: &mut Vec<(PathBuf, u32)>) {
    let metadata = std::fs::symlink_metadata(path).unwrap();
    found.push((path.to_path_buf(), metadata.permissions().mode()));
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            walk(&entry.unwrap().path(), found);
        }
    }
}
