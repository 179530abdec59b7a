//! A server that answers from a script, byte for byte, and a clock that the tests drive.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use lakemirror_ports::clock::{Clock, Entropy};

/// Waits up to this are passed at once; longer ones are time limits, which end only when the server hangs.
const LIMIT_MIN: Duration = Duration::from_secs(3);

#[derive(Default)]
pub(super) struct TestClock {
    now: Mutex<Duration>,
    hang: Notify,
}

#[async_trait::async_trait]
impl Clock for TestClock {
    fn wall_ms(&self) -> u64 {
        0
    }

    fn monotonic(&self) -> Duration {
        *self.now.lock().unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        if duration >= LIMIT_MIN {
            self.hang.notified().await;
        }
        *self.now.lock().unwrap() += duration;
    }
}

impl TestClock {
    /// Lets time pass.
    pub(super) fn pass(&self, duration: Duration) {
        *self.now.lock().unwrap() += duration;
    }
}

pub(super) struct Zero;

impl Entropy for Zero {
    fn random_u64(&self) -> u64 {
        0
    }
}

/// What the server does with one request.
#[derive(Clone)]
pub(super) enum Step {
    /// These bytes; the connection stays open.
    Bytes(Vec<u8>),
    /// These bytes, then the connection ends.
    Cut(Vec<u8>),
    /// Nothing, until the client's time is over.
    Hang,
}

/// An answer with a body of the right length.
pub(super) fn answer(status: u16, body: &str) -> Step {
    answer_with(status, "", body)
}

/// The same with headers, each ending in CR LF.
pub(super) fn answer_with(status: u16, headers: &str, body: &str) -> Step {
    let length = if status == 204 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    Step::Bytes(format!("HTTP/1.1 {status} X\r\n{headers}{length}\r\n{body}").into_bytes())
}

/// lakeFS's error body.
pub(super) fn error(status: u16, message: &str) -> Step {
    answer(status, &serde_json::json!({ "message": message }).to_string())
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Method and target.
    pub(super) line: String,
    /// All header lines, lower-case names.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
    /// Over which of the server's connections, counted from 1.
    pub(super) connection: usize,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }
}

pub(super) struct Server {
    pub(super) endpoint: String,
    pub(super) clock: Arc<TestClock>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    script: Mutex<VecDeque<Step>>,
    seen: Mutex<Vec<Seen>>,
    connections: Mutex<usize>,
}

impl Server {
    pub(super) async fn start(script: impl IntoIterator<Item = Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared { script: Mutex::new(script.into_iter().collect()), ..Shared::default() });
        let clock = Arc::<TestClock>::default();
        tokio::spawn(accept(listener, shared.clone(), clock.clone()));
        Self { endpoint, clock, shared }
    }

    /// Everything that was asked, and that the whole script was used.
    pub(super) fn finish(&self) -> Vec<Seen> {
        assert_eq!(self.shared.script.lock().unwrap().len(), 0, "answers were left over");
        self.shared.seen.lock().unwrap().clone()
    }

    /// Method and target of everything that was asked, without the base path.
    pub(super) fn lines(&self) -> Vec<String> {
        self.finish().into_iter().map(|seen| seen.line.replacen(" /api/v1", " ", 1)).collect()
    }

    pub(super) fn connections(&self) -> usize {
        *self.shared.connections.lock().unwrap()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, clock: Arc<TestClock>) {
    while let Ok((stream, _)) = listener.accept().await {
        let number = {
            let mut connections = shared.connections.lock().unwrap();
            *connections += 1;
            *connections
        };
        tokio::spawn(serve(stream, number, shared.clone(), clock.clone()));
    }
}

async fn serve(mut stream: TcpStream, connection: usize, shared: Arc<Shared>, clock: Arc<TestClock>) {
    let mut buffer = Vec::new();
    while let Some(seen) = request(&mut stream, &mut buffer).await {
        let seen = Seen { connection, ..seen };
        shared.seen.lock().unwrap().push(seen);
        let step = shared.script.lock().unwrap().pop_front();
        match step.expect("a request that no answer was written for") {
            Step::Bytes(bytes) => stream.write_all(&bytes).await.unwrap(),
            Step::Cut(bytes) => {
                stream.write_all(&bytes).await.unwrap();
                return;
            }
            Step::Hang => clock.hang.notify_waiters(),
        }
    }
}

async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Seen> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
            let mut lines = head.lines();
            let line = lines.next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
            let headers: Vec<(String, String)> = lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect();
            let length =
                headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, v)| v.parse().unwrap());
            if buffer.len() >= end + 4 + length {
                let body = String::from_utf8(buffer[end + 4..end + 4 + length].to_vec()).unwrap();
                buffer.drain(..end + 4 + length);
                return Some(Seen { line, headers, body, connection: 0 });
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => buffer.extend_from_slice(&chunk[..read]),
        }
    }
}
