//! `lakemirror demo` and `lakemirror sandbox`, as a user starts and stops them.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::engine::nap;
use crate::process::{Process, lakemirror};

/// Longer than any pause between two lines, even on a loaded machine.
const LIMIT: Duration = Duration::from_secs(45);
/// The same for several processes, one of which waits for its predecessor.
const LONG: Duration = Duration::from_secs(90);

/// Asserts that these texts are printed, in this order.
fn in_order(said: &str, keys: &[&str]) {
    let mut rest = said;
    for key in keys {
        let at = rest.find(key).unwrap_or_else(|| panic!("{key:?} is not said in its place:\n{said}"));
        rest = &rest[at + key.len()..];
    }
}

#[test]
fn demo_succeeds_and_a_second_start_resumes() {
    let dir = tempfile::tempdir().unwrap();
    let run = || Process::start(lakemirror().args(["demo", "--dir"]).arg(dir.path())).end(LIMIT);
    let (code, first) = run();
    assert_eq!(code, 0, "{first}");
    in_order(
        &first,
        &[
            "mirror asked for us-east-1/sample",
            "PROMOTED  main        (new)",
            "Orders 1a",
            "PROMOTED  feature-1   (new)",
            "Merge feature-1",
            "missing: returns/round-1/part-002.csv",
            "the mirror's main stays at",
            "the withheld object is released",
            "Returns, one object withheld",
            "hard reset",
            "Orders after the reset",
            "the mirror is right",
            "0 differences",
            "0 violations",
        ],
    );
    // The commit after the reset and the removal may come in any order.
    in_order(&first, &["hard reset", "removed, as at the source", "the mirror is right"]);
    assert!(!first.contains('\u{1b}'), "colours without a terminal:\n{first}");
    assert!(first.contains("An empty commit"), "{first}");

    let (code, second) = run();
    assert_eq!(code, 0, "{second}");
    for key in ["sample exists already", "mirror exists already", "it was so at the start", "Orders 2b"] {
        assert!(second.contains(key), "{key:?} is not said:\n{second}");
    }
    assert!(second.contains("the mirror is right"), "{second}");
}

#[test]
fn ctrl_c_ends_a_running_demo_cleanly() {
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
    // Interactive, it keeps running after its verdict until a signal.
    first.until("the mirror is right", LIMIT);
    first.until("mirrors/sample-mirror", LIMIT);
    first.until("Secret access key", LIMIT);
    first.signal("TERM");
    let (code, said) = first.end(LIMIT);
    assert_eq!(code, 0, "{said}");
}

/// Starts the demo of three regions and waits until it has its mirrors. Returns the process ids of its children and its
/// directory.
fn three_regions() -> (Process, Vec<String>, String) {
    let mut process = Process::start(lakemirror().args(["demo", "--regions", "3"]));
    let line = process.until("state in ", LONG);
    process.until("all three mirrors", LONG);
    let lines = process.said.iter().filter_map(|line| line.split_once(" is process "));
    let ids: Vec<String> = lines.filter_map(|(_, rest)| Some(rest.split_once(' ')?.0.to_owned())).collect();
    assert_eq!(ids.len(), 3, "{:?}", process.said);
    assert!(!ids.iter().any(|id| is_gone(id)), "{ids:?}");
    (process, ids, line.rsplit_once("state in ").unwrap().1.to_owned())
}

/// Whether no process has this id; a process that ended and was not reaped has no command line.
fn is_gone(id: &str) -> bool {
    std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default().is_empty()
}

#[test]
fn three_regions_succeed_and_a_second_start_resumes() {
    let dir = tempfile::tempdir().unwrap();
    let run = || Process::start(lakemirror().args(["demo", "--regions", "3", "--dir"]).arg(dir.path())).end(LONG);
    let (code, first) = run();
    assert_eq!(code, 0, "{first}");
    in_order(
        &first,
        &[
            "DynamoDB sandbox on http://",
            "ledger has 3 commits",
            "lakemirror us-west-2 is process",
            "mirror asked for us-east-1/sample → us-west-2/sample-west",
            "mirror asked for us-east-1/sample → eu-central-1/sample-eu",
            "mirror asked for us-west-2/ledger → us-east-1/ledger-east",
            "all three mirrors have all of their sources",
            "one of which is not copied to eu-central-1",
            "PROMOTED  sample-west main",
            "GET sample-west in us-east-1: main at",
            "GET sample-eu in us-east-1: main",
            "1 missing: orders/round-1/part-002.csv",
            "(status ",
            "sample-eu's main stays at",
            "released to eu-central-1",
            "PROMOTED  sample-eu   main",
            "the other way",
            "PROMOTED  ledger-east main",
            "GET ledger-east in us-west-2: main at",
            "kill -9",
            "in the region without a lakemirror",
            "sample-west's main stays at",
            "GET sample-west in us-east-1: main at",
            "lakemirror us-west-2 is process",
            "PROMOTED  sample-west main",
            "refused by us-east-1, 400: repository ledger-east is itself a mirror; mirror its source instead",
            "sample-eu is right",
            "sample-eu is deleted",
            "sample-eu is gone",
            "sample-west is right",
            "0 differences",
            "0 violations",
            "ledger-east is right",
        ],
    );
    let (code, second) = run();
    assert_eq!(code, 0, "{second}");
    in_order(
        &second,
        &[
            "sample exists already",
            "ledger exists already",
            "mirror exists already: us-east-1/sample → us-west-2/sample-west",
            "mirror asked for us-east-1/sample → eu-central-1/sample-eu",
            "mirror exists already: us-west-2/ledger → us-east-1/ledger-east",
            "orders/round-2/part-002.csv",
            "sample-eu is right",
            "sample-west is right",
            "ledger-east is right",
        ],
    );
    assert!(!is_readable_by_others(&dir.path().join("us-west-2/lakemirror.yaml")), "it has secrets");
}

fn is_readable_by_others(file: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file).unwrap().permissions().mode() & 0o077 != 0
}

#[test]
fn ctrl_c_leaves_no_process_and_no_directory_of_three_regions() {
    let (mut process, ids, dir) = three_regions();
    process.until("the other way", LONG);
    process.signal("INT");
    let (code, said) = process.end(LONG);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("stopped before the verdict"), "{said}");
    assert!(ids.iter().all(|id| is_gone(id)), "{ids:?}");
    assert!(!std::path::Path::new(&dir).exists(), "{dir} is left behind");
}

#[test]
fn process_that_ends_on_its_own_ends_the_demo() {
    let (process, ids, dir) = three_regions();
    let eu = ids.last().unwrap();
    assert!(Command::new("kill").args(["-TERM", eu]).status().unwrap().success());
    let (code, said) = process.end(LONG);
    assert_eq!(code, 69, "{said}");
    in_order(&said, &["lakemirror eu-central-1 ended by itself", "eu-central-1/lakemirror.log", "lakemirror ended"]);
    assert!(ids.iter().all(|id| is_gone(id)), "{ids:?}");
    assert!(!std::path::Path::new(&dir).exists(), "{dir} is left behind");
}

#[tokio::test]
async fn killed_demo_leaves_no_process_behind() {
    let (process, ids, dir) = three_regions();
    process.kill();
    while !ids.iter().all(|id| is_gone(id)) {
        nap().await;
    }
    // A killed process cleans nothing up.
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn demo_accepts_two_or_three_regions() {
    for regions in ["0", "1", "4", "three"] {
        let (code, said) = Process::start(lakemirror().args(["demo", "--regions", regions])).end(LIMIT);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("--regions"), "{said}");
    }
}

#[test]
fn closed_pipe_ends_the_demo_without_an_error() {
    let mut child = lakemirror().arg("demo").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut error = String::new();
    // Read to its end, which comes with the end of the process.
    child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{error}");
    assert_eq!(error, "");
}

#[test]
fn sandbox_prints_its_address_and_ends_on_a_signal() {
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
