//! One connection: watches its socket for bytes, and its requests for their beginning and end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use super::room::{Course, Phase, Place};

/// The longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Serves one connection to its end.
pub(super) async fn serve(stream: TcpStream, peer: SocketAddr, app: Router, place: Place, stop: CancellationToken) {
    let course = Arc::clone(&place.course);
    let answer = |request| answer(app.clone(), Arc::clone(&course), peer, request);
    let watched = TokioIo::new(Watched { stream, course: Arc::clone(&course) });
    let mut http = http1::Builder::new();
    http.max_buf_size(HEAD_BYTES_MAX);
    let mut connection = pin!(http.serve_connection(watched, service_fn(answer)));
    tokio::select! {
        biased;
        // A peer that disconnects or speaks another protocol is not worth a log line.
        _ = connection.as_mut() => return,
        () = place.overdue() => return,
        () = course.evicted.cancelled() => return,
        () = stop.cancelled() => {}
    }
    // A request in flight is answered. An idle connection is closed.
    if course.phase() == Phase::Busy {
        connection.as_mut().graceful_shutdown();
        let _peer_may_break_off = connection.await;
    }
}

async fn answer(
    mut app: Router,
    course: Arc<Course>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    course.begun();
    let mut request = request.map(axum::body::Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    let answer = app.call(request).await;
    course.answered();
    answer
}

/// A socket that records its traffic.
struct Watched {
    stream: TcpStream,
    course: Arc<Course>,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.course.received();
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if matches!(polled, Poll::Ready(Ok(1..))) {
            self.course.sent();
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
