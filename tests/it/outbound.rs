//! How the clients reach their servers: endpoint paths, proxies, and endless responses. The server records the request
//! lines and how much of each response was read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use lakemirror::clock::system::{OsEntropy, SystemClock};
use lakemirror::engine::ports::{FaultKind, Lakefs as _, Location};
use lakemirror::lakefs;
use lakemirror::mirrors::{Items as _, dynamodb};
use lakemirror::objects::{Store as _, s3};
use lakemirror::outbound::Proxies;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The announced size of a response; the server ends it earlier if a client reads too much.
const CLAIMED: u64 = 3 << 30;
/// Maximum bytes that may be read of a response: the bound of a page, and the buffers of two sockets.
const TAKEN_MOST: u64 = 48 << 20;
const SENT_MOST: u64 = 256 << 20;

struct Server {
    port: u16,
    lines: Arc<Mutex<Vec<String>>>,
    /// Maximum number of bytes that were read of one response.
    sent: Arc<AtomicU64>,
}

/// A header without its end; followed by an endless body, or none.
#[derive(Clone)]
struct Answer {
    head: String,
    endless: bool,
}

fn short(status: u16) -> Answer {
    Answer { head: format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n"), endless: false }
}

fn endless(status: u16, chunked: bool) -> Answer {
    let length = if chunked { "transfer-encoding: chunked".to_owned() } else { format!("content-length: {CLAIMED}") };
    Answer { head: format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{length}\r\n\r\n"), endless: true }
}

impl Server {
    async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (lines, sent) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicU64>::default());
        let (noted, counted) = (Arc::clone(&lines), Arc::clone(&sent));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer.clone(), Arc::clone(&noted), Arc::clone(&counted)));
            }
        });
        Self { port, lines, sent }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn lines(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }

    fn proxies(&self) -> Proxies {
        let (proxies, unusable) = Proxies::read(|name| (name == "http_proxy").then(|| self.url("")));
        assert!(unusable.is_empty());
        proxies
    }
}

async fn serve(mut stream: TcpStream, answer: Answer, lines: Arc<Mutex<Vec<String>>>, sent: Arc<AtomicU64>) {
    loop {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { return };
            request.push(byte);
        }
        let head = String::from_utf8_lossy(&request).into_owned();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        let mut body = vec![0; length.unwrap_or(0)];
        if stream.read_exact(&mut body).await.is_err() {
            return;
        }
        lines.lock().unwrap().push(head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned());
        if stream.write_all(answer.head.as_bytes()).await.is_err() {
            return;
        }
        if !answer.endless {
            continue;
        }
        let chunked = answer.head.contains("chunked");
        let mut block = if chunked { b"10000\r\n".to_vec() } else { Vec::new() };
        block.extend(std::iter::repeat_n(b'<', 65_536));
        block.extend_from_slice(if chunked { b"\r\n" } else { b"" });
        for count in 1..=SENT_MOST / 65_536 {
            if stream.write_all(&block).await.is_err() {
                break;
            }
            sent.fetch_max(count * 65_536, Ordering::SeqCst);
        }
        return;
    }
}

async fn store(endpoint: &str, path_style: bool, proxies: Proxies) -> s3::S3 {
    let settings = s3::Settings {
        region: Some("us-east-1".into()),
        endpoint: Some(endpoint.to_owned()),
        force_path_style: path_style,
        credentials: s3::Credentials::Static {
            access_key_id: "id".into(),
            secret_access_key: "secret".into(),
            session_token: None,
        },
        proxies,
        ..s3::Settings::default()
    };
    s3::S3::new(&settings, Arc::new(SystemClock::new())).await.unwrap()
}

async fn table(endpoint: &str, proxies: Proxies) -> dynamodb::Dynamodb {
    let settings = dynamodb::Settings {
        region: Some("us-east-1".into()),
        endpoint: Some(endpoint.to_owned()),
        credentials: dynamodb::Credentials::Static { access_key_id: "id".into(), secret_access_key: "s".into() },
        attempts_max: 1,
        proxies,
        ..dynamodb::Settings::new("t")
    };
    dynamodb::Dynamodb::open(&settings, "acme", Arc::new(SystemClock::new()), Arc::new(OsEntropy)).await.unwrap()
}

fn lake(endpoint: &str, proxies: Proxies) -> lakefs::Client {
    let settings = lakefs::Settings {
        endpoint: endpoint.to_owned(),
        region: None,
        access_key_id: "id".into(),
        secret_access_key: "s".into(),
        page_size: 1000,
        ca_bundle: None,
        proxies,
    };
    lakefs::Client::new(settings, Arc::new(SystemClock::new()), Arc::new(OsEntropy)).unwrap()
}

fn at(bucket: &str, key: &str) -> Location {
    Location { bucket: bucket.into(), key: key.into() }
}

#[tokio::test]
async fn an_endpoints_path_comes_before_bucket_and_key() {
    let server = Server::start(short(404)).await;
    for (base, path) in [("", ""), ("/", ""), ("/s3/store", "/s3/store"), ("/s3/store/", "/s3/store")] {
        for path_style in [true, false] {
            let store = store(&server.url(base), path_style, Proxies::default()).await;
            let _ = store.head("bucket", "a//b c").await;
            let _ = store.get(&at("bucket", "key"), 9).await;
            let _ = store.list("bucket", "p/", "", 9).await;
            let lines = server.lines();
            assert_eq!(lines[0], format!("HEAD {path}/bucket/a//b%20c"), "{base}");
            assert_eq!(lines[1].split('?').next().unwrap(), format!("GET {path}/bucket/key"), "{base}");
            let list = lines[2].split('?').next().unwrap().trim_end_matches('/');
            assert_eq!(list, format!("GET {path}/bucket"), "{base}");
        }
    }
    // With the bucket in the host name.
    for base in ["/s3/store", "/s3/store/"] {
        let store = store(&format!("http://store.invalid{base}"), false, server.proxies()).await;
        let _ = store.head("bucket", "key").await;
        assert_eq!(server.lines(), ["HEAD http://bucket.store.invalid/s3/store/key"]);
    }
}

#[tokio::test]
async fn a_table_may_be_behind_a_path() {
    let server = Server::start(short(400)).await;
    for (base, path) in [("", "POST /"), ("/db/", "POST /db"), ("/db", "POST /db")] {
        let table = table(&server.url(base), Proxies::default()).await;
        let _ = table.get("k").await;
        let lines = server.lines();
        assert!(!lines.is_empty());
        for line in lines {
            assert_eq!(line.trim_end_matches('/'), path.trim_end_matches('/'), "{base}");
        }
    }
}

#[tokio::test]
async fn every_client_goes_through_the_proxy_and_by_the_same_exceptions() {
    let server = Server::start(short(404)).await;
    let store_at = async |proxies| {
        let store = store("http://store.invalid", true, proxies).await;
        let _ = store.head("bucket", "key").await;
        let _ = store.list("bucket", "", "", 1).await;
    };
    store_at(server.proxies()).await;
    let lines = server.lines();
    assert_eq!(lines[0], "HEAD http://store.invalid/bucket/key");
    assert!(lines[1].starts_with("GET http://store.invalid/bucket"), "{lines:?}");
    let _ = table("http://table.invalid:8000", server.proxies()).await.get("k").await;
    assert!(server.lines().iter().all(|line| line == "POST http://table.invalid:8000/"));
    let _ = lake("http://lake.invalid", server.proxies()).repository("sample").await;
    assert!(server.lines().iter().any(|line| line == "GET http://lake.invalid/api/v1/repositories/sample"));

    let excepted = Proxies::read(|name| match name {
        "HTTP_PROXY" => Some(server.url("")),
        "NO_PROXY" => Some("store.invalid,.invalid:8000,lake.invalid".to_owned()),
        _ => None,
    })
    .0;
    store_at(excepted.clone()).await;
    let _ = table("http://table.invalid:8000", excepted.clone()).await.get("k").await;
    let _ = lake("http://lake.invalid", excepted).repository("sample").await;
    assert_eq!(server.lines(), Vec::<String>::new());
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_response_is_not_read() {
    let before = resident();
    for status in [200, 206, 403, 404, 500, 301] {
        for chunked in [false, true] {
            for call in ["get", "head", "list", "table", "lake"] {
                let server = Server::start(endless(status, chunked)).await;
                let url = server.url("");
                let fault = match call {
                    "get" => store(&url, true, Proxies::default()).await.get(&at("b", "k"), 20 << 20).await.err(),
                    "list" => store(&url, true, Proxies::default()).await.list("b", "", "", 1000).await.err(),
                    "head" => {
                        let _ = store(&url, true, Proxies::default()).await.head("b", "k").await;
                        None
                    }
                    "table" => table(&url, Proxies::default()).await.get("k").await.err(),
                    _ => lake(&url, Proxies::default()).repository("sample").await.err(),
                };
                let what = format!("{call} {status} chunked {chunked}: {fault:?}");
                assert!(fault.is_some() || call == "head", "{what}");
                assert!(fault.is_none_or(|fault| fault.kind != FaultKind::Absent), "{what}");
                let sent = server.sent.load(Ordering::SeqCst);
                assert!(sent < TAKEN_MOST, "{what}: {sent} bytes were taken");
            }
        }
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 400 << 20, "{grown} bytes more are resident");
}
