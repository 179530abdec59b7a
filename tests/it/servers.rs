//! Third-party servers, each started once for all tests of the process and stopped when the process ends.
//!
//! A script starts a server and stops it when its input closes. This process never closes the other end of the input,
//! so it closes with the end of the process, whatever the reason. If a server is not installed, its tests are skipped
//! with a message; with `CI=true` they fail.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

/// A running server.
pub(crate) struct Server {
    /// What the script prints after `READY`: the address, and further parameters.
    pub(crate) endpoint: String,
    /// Ends when its input is closed, that is, when this is dropped. Servers in a static are never dropped.
    _script: Child,
}

static CEPH: LazyLock<Option<Server>> = LazyLock::new(|| start("ceph"));
static DYNAMODB: LazyLock<Option<Server>> = LazyLock::new(|| start("dynamodb"));
static POSTGRES: LazyLock<Option<Server>> = LazyLock::new(|| start("postgres"));
static S3PROXY: LazyLock<Option<Server>> = LazyLock::new(|| start("s3proxy"));

/// The Ceph mini-cluster; `None`: skip.
pub(crate) fn ceph(test: &str) -> Option<&'static Server> {
    or_skip(CEPH.as_ref(), "ceph", test)
}

/// DynamoDB Local; `None`: skip. Every access key has its own tables.
pub(crate) fn dynamodb(test: &str) -> Option<&'static Server> {
    or_skip(DYNAMODB.as_ref(), "dynamodb", test)
}

/// PostgreSQL with TLS, as `127.0.0.1:PORT CERTIFICATE-FILE`; `None`: skip.
pub(crate) fn postgres(test: &str) -> Option<&'static Server> {
    or_skip(POSTGRES.as_ref(), "postgres", test)
}

/// A PostgreSQL for one test, which would disturb others; ends when it is dropped. `None`: skip.
pub(crate) fn own_postgres(test: &str) -> Option<Server> {
    postgres(test)?;
    start("postgres")
}

/// S3Proxy; `None`: skip.
pub(crate) fn s3proxy(test: &str) -> Option<&'static Server> {
    or_skip(S3PROXY.as_ref(), "s3proxy", test)
}

fn or_skip<'a>(server: Option<&'a Server>, name: &str, test: &str) -> Option<&'a Server> {
    if server.is_none() {
        aloud(&format!("SKIPPED: {test}: {name} is not installed (bash .ci/parts)"));
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{name} must be there in CI: bash .ci/parts");
    }
    server
}

/// Prints a line past the capture of the test harness, which hides output of successful tests.
pub(crate) fn aloud(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn start(name: &str) -> Option<Server> {
    let path = format!("{}/tests/servers/{name}.sh", env!("CARGO_MANIFEST_DIR"));
    let mut script = Command::new("bash")
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut line = String::new();
    BufReader::new(script.stdout.take().unwrap()).read_line(&mut line).unwrap();
    match line.trim().split_once(' ') {
        Some(("READY", endpoint)) => Some(Server { endpoint: endpoint.to_owned(), _script: script }),
        Some(("MISSING", what)) => {
            aloud(&format!("{name}: missing {what}"));
            None
        }
        _ => panic!("{path}: {line}"),
    }
}
