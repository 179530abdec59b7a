//! Writes one log line for each request, with a request id.

use std::sync::Arc;

use lakemirror_api::server::Observer;

use lakemirror_ports::clock::Entropy;

/// Logs requests: probes and successes at DEBUG, server errors at WARN.
pub struct RequestLog {
    entropy: Arc<dyn Entropy>,
}

impl RequestLog {
    /// Takes the ids from `entropy`.
    #[must_use]
    pub fn new(entropy: Arc<dyn Entropy>) -> Self {
        Self { entropy }
    }
}

impl Observer for RequestLog {
    fn begun(&self) -> String {
        format!("{:016x}", self.entropy.random_u64())
    }

    fn answered(&self, id: &str, method: &str, route: &str, path: &str, status: u16) {
        // The reason why a process is not ready is logged once by its finder, not with each probe.
        let is_probe = matches!(route, "/livez" | "/readyz" | "/_health");
        if status >= 500 && !is_probe {
            tracing::warn!(id, method, route, path, status, "request failed");
        } else {
            tracing::debug!(id, method, route, path, status, "request answered");
        }
    }
}
