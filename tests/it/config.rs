//! `lakemirror config check` and the command-line interface, as a user sees them: output, messages and exit codes.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const GOOD: &str = "\
region: us-east-1
organization_id: acme
regional_endpoint: http://127.0.0.1:8000
dst_endpoints: { us-west-2: http://127.0.0.1:8001 }
lakefs_access_key_id: AKIAIOSFODNN7EXAMPLE
lakefs_secret_access_key: canary-secret
auth: { encrypt: { secret_key: canary-secret } }
mirrors_database: { type: local, local: { path: ./mirrors } }
blockstore: { type: local, local: { path: ./east/blocks } }
also_serves:
  us-west-2: { blockstore: { type: local, local: { path: ./west/blocks } } }
journal: { path: ./journal }
";

fn lakemirror() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lakemirror"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("REPLICATION_")) {
        command.env_remove(name);
    }
    command
}

fn check(text: &str) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.yaml");
    std::fs::write(&file, text).unwrap();
    lakemirror().args(["config", "check"]).arg(file).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn valid_configuration_is_ok_with_warnings() {
    let output = check(&format!("{GOOD}regoin: x\n"));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let printed = text(&output.stdout);
    assert!(printed.ends_with("\nok\n") && printed.contains("did you mean `region`?"), "{printed}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn all_problems_are_reported_at_once_with_the_configuration_exit_code() {
    let output = check("region: a\nimports: maybe\nlisten_address: nowhere\n");
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    let printed = text(&output.stderr);
    for want in ["c.yaml:2:10: imports:", "c.yaml:3:17: listen_address:", "organization_id: is required"] {
        assert!(printed.contains(want), "{want} is not in {printed}");
    }
    assert!(printed.contains("nothing was started") && output.stdout.is_empty(), "{output:?}");
}

#[test]
fn run_refuses_what_check_refuses() {
    let output = lakemirror().args(["run", "--config", "/nonexistent/c.yaml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert!(text(&output.stderr).contains("/nonexistent/c.yaml: cannot be read"), "{output:?}");
}

#[test]
fn no_command_prints_a_secret() {
    for extra in ["", "logging: { level: debug }\n", "imports: canary\n", "deletion: [1]\n"] {
        let output = check(&format!("{GOOD}{extra}"));
        let printed = text(&output.stdout) + &text(&output.stderr);
        assert!(!printed.contains("canary-secret"), "{printed}");
    }
}

#[test]
fn help_and_version_are_0_and_wrong_arguments_2() {
    for (arguments, code) in
        [("--help", 0), ("--version", 0), ("run --help", 0), ("", 2), ("frobnicate", 2), ("run", 2)]
    {
        let output = lakemirror().args(arguments.split_whitespace()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments}: {output:?}");
    }
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.yaml");
    std::fs::write(&file, GOOD).unwrap();
    let code = run_with_closed_output(&file);
    assert_eq!(code, (Some(0), String::new()));
}

fn run_with_closed_output(file: &Path) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = lakemirror();
    command.args(["config", "check"]).arg(file).stdout(writer).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut messages = String::new();
    child.stderr.take().unwrap().read_to_string(&mut messages).unwrap();
    (child.wait().unwrap().code(), messages)
}
