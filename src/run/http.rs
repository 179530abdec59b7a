//! The API's connections: how many are open at a time, and how long each may take to send a request.
//!
//! Anybody can open a connection, so each has limits: [`Limits::head`] for the head of a request, [`Limits::idle`]
//! between two requests (bodies are limited by the router). When all places are taken, the connection that has been
//! idle longest is closed, so that a probe is answered beside a thousand idle peers. HTTP/1.1 only.

mod connection;
pub mod descriptors;
pub mod listen;
mod room;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use lakemirror_ports::clock::Clock;
use room::Room;

/// The wait after a failed accept. The system is short of a resource.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Bounds on connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The maximum number of open connections.
    pub connections: usize,
    /// The time limit for the head of a request, from its first byte; for the first request, from the connection on.
    pub head: Duration,
    /// How long a connection may be idle between two requests, or while its peer reads a response.
    pub idle: Duration,
}

impl Limits {
    /// The API's time limits, with this number of connections.
    #[must_use]
    pub const fn new(connections: usize) -> Self {
        Self { connections, head: Duration::from_secs(10), idle: Duration::from_secs(60) }
    }
}

/// Serves until stopped, and then until the requests in flight are answered.
pub async fn serve(listener: TcpListener, app: Router, limits: Limits, clock: Arc<dyn Clock>, stop: CancellationToken) {
    let room = Arc::new(Room::new(limits, clock));
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept(&listener, &room) => accepted,
        };
        let Some((stream, peer, place)) = accepted else { continue };
        tasks.spawn(connection::serve(stream, peer, app.clone(), place, stop.clone()));
    }
    tasks.close();
    tasks.wait().await;
}

/// A connection and its place. The place is taken first, so that a connection without one waits in the system's queue.
async fn accept(listener: &TcpListener, room: &Arc<Room>) -> Option<(TcpStream, SocketAddr, room::Place)> {
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Responses are short and written whole, so delaying a packet gains nothing.
            let _best_effort = stream.set_nodelay(true);
            Some((stream, peer, room.enter().await))
        }
        Err(error) => {
            tracing::warn!("the API cannot accept a connection: {error}");
            room.clock().sleep(ACCEPT_AGAIN).await;
            None
        }
    }
}

#[cfg(test)]
mod tests;
