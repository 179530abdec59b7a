//! `lakemirror demo` and `lakemirror sandbox` as a user starts and ends them.

use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;

use crate::process::{Process, lakemirror};

/// Longer than any pause between two lines, also on a loaded machine.
const LIMIT: Duration = Duration::from_secs(45);

#[test]
fn the_demo_holds_and_a_second_start_resumes() {
    let dir = tempfile::tempdir().unwrap();
    let run = || Process::start(lakemirror().args(["demo", "--dir"]).arg(dir.path())).end(LIMIT);
    let (code, first) = run();
    assert_eq!(code, 0, "{first}");
    let mut rest = first.as_str();
    for key in [
        "mirror asked for us-east-1/sample",
        "PROMOTED  main        (new)",
        "Orders 1a",
        "PROMOTED  feature-1   (new)",
        "Merge feature-1",
        "missing: returns/round-1/part-002.csv",
        "the mirror's main stays at",
        "the withheld object is let go",
        "Returns, one object withheld",
        "hard reset",
        "Orders after the reset",
        "removed, as at the source",
        "the mirror is right",
        "0 differences",
        "0 violations",
    ] {
        let at = rest.find(key).unwrap_or_else(|| panic!("{key:?} is not said in its place:\n{first}"));
        rest = &rest[at..];
    }
    assert!(!first.contains('\u{1b}'), "colours without a terminal:\n{first}");
    assert!(first.contains("An empty commit"), "{first}");

    let (code, second) = run();
    assert_eq!(code, 0, "{second}");
    for key in ["sample is there from before", "mirror is there from before", "it was so at the start", "Orders 2b"] {
        assert!(second.contains(key), "{key:?} is not said:\n{second}");
    }
    assert!(second.contains("the mirror is right"), "{second}");
}

#[test]
fn ctrl_c_ends_it_cleanly_in_the_middle() {
    let mut process = Process::start(lakemirror().arg("demo"));
    let line = process.until("state in ", LIMIT);
    process.until("PROMOTED", LIMIT);
    process.signal("INT");
    let (code, said) = process.end(LIMIT);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("stopped before the verdict"), "{said}");
    let dir = line.rsplit_once("state in ").unwrap().1;
    assert!(!std::path::Path::new(dir).exists(), "{dir} is left behind");
}

#[test]
fn one_directory_has_one_demo() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Process::start(lakemirror().args(["demo", "--interactive", "--dir"]).arg(dir.path()));
    first.until("state in ", LIMIT);
    let (code, said) = Process::start(lakemirror().args(["demo", "--dir"]).arg(dir.path())).end(LIMIT);
    assert_eq!(code, 74, "{said}");
    assert!(said.contains("in use by another demo"), "{said}");
    // Interactive, it stays up after its verdict until it is told to end.
    first.until("the mirror is right", LIMIT);
    first.until("mirrors/sample-mirror", LIMIT);
    first.until("Secret access key", LIMIT);
    first.signal("TERM");
    let (code, said) = first.end(LIMIT);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let mut child = lakemirror().arg("demo").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut error = String::new();
    // Read to its end, which comes with the process's.
    child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{error}");
    assert_eq!(error, "");
}

#[test]
fn a_sandbox_says_where_it_is_and_ends_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut process =
        Process::start(lakemirror().args(["sandbox", "--listen", "127.0.0.1:0", "--dir"]).arg(dir.path().join("east")));
    let line = process.until("http://", LIMIT);
    process.until("AKIAIOSFODNN7EXAMPLE", LIMIT);
    process.until("wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY", LIMIT);
    let address = line.split_once("http://").unwrap().1.split(',').next().unwrap();
    std::net::TcpStream::connect(address).unwrap();
    process.signal("TERM");
    let (code, said) = process.end(LIMIT);
    assert_eq!(code, 0, "{said}");
}
