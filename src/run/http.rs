//! The API's connections: how many there are at a time, and how long each may take to say what it wants.
//!
//! Anybody may open a connection, so none may cost more than its share: a head has [`Limits::head`] to come, a connection
//! between two requests [`Limits::idle`] (bodies are the router's business). Where all places are taken, the connection
//! that has been silent longest makes room, so that a probe is answered beside a thousand silent peers. HTTP/1.1 only.

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

/// How long is waited after a connection could not be accepted: the system is short of something.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Bounds on connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many at a time.
    pub connections: usize,
    /// How long the head of a request may take to come, from its first byte; of the first one, from the connection on.
    pub head: Duration,
    /// How long a connection may be silent between two requests, or while its peer reads an answer.
    pub idle: Duration,
}

impl Limits {
    /// The times that the API has, for this many connections.
    #[must_use]
    pub const fn new(connections: usize) -> Self {
        Self { connections, head: Duration::from_secs(10), idle: Duration::from_secs(60) }
    }
}

/// Serves until stopped, and then until the requests that are under way are answered.
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

/// A connection and its place. The place comes first: what has none waits in the system's queue.
async fn accept(listener: &TcpListener, room: &Arc<Room>) -> Option<(TcpStream, SocketAddr, room::Place)> {
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Answers are short and whole: nothing is gained by waiting for more.
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
