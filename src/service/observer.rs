//! One log line for each request, and its id.

use std::sync::Arc;

use lakemirror_api::server::Observer;

use lakemirror_ports::clock::Entropy;

/// Logs requests: the probe's and successful ones at DEBUG, faults of ours at WARN.
pub struct RequestLog {
    entropy: Arc<dyn Entropy>,
}

impl RequestLog {
    /// With ids from this source.
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
        // Why a process is not ready is logged where that is found out, and not with each probe.
        let is_probe = matches!(route, "/livez" | "/readyz" | "/_health");
        if status >= 500 && !is_probe {
            tracing::warn!(id, method, route, path, status, "request failed");
        } else {
            tracing::debug!(id, method, route, path, status, "request answered");
        }
    }
}
