//! A small DynamoDB for the demo and for tests: the operations that lakemirror needs, in memory or on one file.
//!
//! ```text
//! POST / with X-Amz-Target ─► requests (one operation each) ─► tables (keys, sizes, pages) ─► log (one file, if any)
//!                                   └── expression (conditions, read to the end or refused)
//! ```
//!
//! What it implements behaves as in DynamoDB: the same operations, limits, conditions and errors, atomic single-item
//! writes, and reads that see them. Other operations, fields and expressions are refused with a `ValidationException`
//! that says so; nothing is silently ignored. It is not metered, replicated, or secured: a request must be signed, but
//! the signature is not verified. A table's stream is described and has no content.

mod expression;
mod failure;
mod requests;
mod tables;
mod value;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::serve::ListenerExt as _;
use lakemirror_ports::clock::Clock;
use tokio::net::TcpListener;

use self::failure::Failure;
use self::tables::Tables;
use super::log::{Durability, Kept as _, Log, LogError};

/// The largest body that is accepted: DynamoDB's own limit.
const BODY_BYTES_MAX: usize = 16 << 20;
/// The prefix of the operation in `X-Amz-Target`.
const TARGET: &str = "DynamoDB_20120810.";
const MEDIA: &str = "application/x-amz-json-1.0";

/// One server. Cheap to clone; all clones share their state.
#[derive(Clone)]
pub struct Dynamodb {
    kept: Arc<Mutex<Store>>,
    clock: Arc<dyn Clock>,
}

struct Store {
    tables: Tables,
    /// `None`: in memory only.
    log: Option<Log>,
}

impl Dynamodb {
    /// A server without tables, in memory.
    pub fn in_memory(clock: Arc<dyn Clock>) -> Self {
        Self::over(Store { tables: Tables::default(), log: None }, clock)
    }

    /// A server on a file, which is created if it does not exist. The caller must ensure that there is one server at a
    /// time. Acknowledged changes survive the process, not the machine.
    ///
    /// # Errors
    /// The file cannot be used, or is damaged before its end.
    pub fn open(file: &Path, clock: Arc<dyn Clock>) -> Result<Self, LogError> {
        let (log, tables) = Log::open(file, Durability::Process)?;
        Ok(Self::over(Store { tables, log: Some(log) }, clock))
    }

    fn over(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { kept: Arc::new(Mutex::new(store)), clock }
    }

    /// Serves on a listener until `shutdown` completes.
    ///
    /// # Errors
    /// Errors of accepting connections.
    pub async fn serve(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let router = Router::new().route("/", post(handle)).with_state(self.clone());
        // Without it, small responses wait for the client's acknowledgement. An error is harmless.
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        axum::serve(listener, router).with_graceful_shutdown(shutdown).await
    }

    /// Performs one operation: its change is logged before it is applied and acknowledged.
    fn perform(&self, operation: &str, body: &[u8]) -> Result<serde_json::Value, Failure> {
        let now = self.clock.wall_ms() / 1000;
        let mut store = super::lock(&self.kept);
        let (answer, change) = requests::perform(&store.tables, operation, body, now)?;
        if let Some(change) = change {
            if let Some(log) = &mut store.log {
                log.append(std::slice::from_ref(&change)).map_err(|error| Failure::internal(&error))?;
            }
            store.tables.apply(change);
        }
        Ok(answer)
    }
}

async fn handle(State(server): State<Dynamodb>, headers: HeaderMap, body: Body) -> Response {
    let (status, answer) = match answer(server, &headers, body).await {
        Ok(answer) => (StatusCode::OK, answer),
        Err(failure) => (failure.status(), failure.body()),
    };
    (status, [(header::CONTENT_TYPE, MEDIA)], answer.to_string()).into_response()
}

async fn answer(server: Dynamodb, headers: &HeaderMap, body: Body) -> Result<serde_json::Value, Failure> {
    let bytes = axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| Failure::too_large(BODY_BYTES_MAX))?;
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let operation = text("x-amz-target").strip_prefix(TARGET).ok_or_else(Failure::unknown_operation)?.to_owned();
    signed(text(header::AUTHORIZATION.as_str()))?;
    // File operations may be slow.
    let performed = tokio::task::spawn_blocking(move || server.perform(&operation, &bytes)).await;
    performed.map_err(|error| Failure::internal(&error))?
}

/// Whether the request is signed. The signature itself is not verified.
fn signed(authorization: &str) -> Result<(), Failure> {
    if authorization.is_empty() {
        return Err(Failure::unsigned());
    }
    let parts = ["AWS4-HMAC-SHA256", "Credential=", "SignedHeaders=", "Signature="];
    match parts.iter().find(|part| !authorization.contains(*part)) {
        None => Ok(()),
        Some(part) => Err(Failure::half_signed(part.trim_end_matches('='))),
    }
}
