//! A proxy to a server that can be cut, restored, pointed to another server, and made to drop responses.

use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It is forwarded.
    Whole,
    /// Connections are closed, new ones at once.
    Cut,
    /// Connections are accepted, and nothing is ever answered.
    Silent,
}

/// A proxy; it lives as long as the test's runtime.
pub(crate) struct Line {
    pub(crate) address: String,
    state: Arc<watch::Sender<State>>,
    server: Arc<Mutex<String>>,
    /// Number of connections that are forwarded.
    whole: watch::Sender<usize>,
}

impl Line {
    /// A proxy in front of `server` (host and port).
    pub(crate) async fn to(server: &str, state: State) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(watch::Sender::new(state));
        let whole = watch::Sender::new(0);
        let server = Arc::new(Mutex::new(server.to_owned()));
        let (behind, shared, count) = (Arc::clone(&server), Arc::clone(&state), whole.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = behind.lock().unwrap().clone();
                tokio::spawn(pass(client, server, shared.subscribe(), count.clone()));
            }
        });
        Self { address, state, server, whole }
    }

    pub(crate) fn port(&self) -> &str {
        self.address.rsplit(':').next().unwrap()
    }

    /// New connections lead to another server; open ones stay.
    pub(crate) fn lead_to(&self, server: &str) {
        server.clone_into(&mut self.server.lock().unwrap());
    }

    /// Changes the state; connections that were forwarded are closed when this returns.
    pub(crate) async fn set(&self, state: State) {
        self.state.send_replace(state);
        self.whole.subscribe().wait_for(|whole| *whole == 0).await.unwrap();
    }
}

async fn pass(mut client: TcpStream, server: String, mut state: watch::Receiver<State>, whole: watch::Sender<usize>) {
    loop {
        let now = *state.borrow_and_update();
        match now {
            State::Cut => return,
            State::Silent => {
                if state.changed().await.is_err() {
                    return;
                }
            }
            State::Whole => {
                whole.send_modify(|whole| *whole += 1);
                let mut server = TcpStream::connect(&server).await.unwrap();
                tokio::select! {
                    _ = copy_bidirectional(&mut client, &mut server) => {}
                    _ = state.changed() => {}
                }
                // Data in flight is lost.
                drop((client, server));
                whole.send_modify(|whole| *whole -= 1);
                return;
            }
        }
    }
}
