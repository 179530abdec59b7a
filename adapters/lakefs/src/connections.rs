//! The pool of connections to one lakeFS, and when it is not trusted any more.
//!
//! A device between us and lakeFS may forget connections without a word (NAT, a firewall, a failed-over balancer): then
//! every connection of the pool swallows what is sent over it, and each would cost a call its whole time limit. So the
//! beginning of an answer is waited for only briefly at first. When it does not come, the whole pool is given up and the
//! call is made again over a new connection, with all of its time. Where the server itself is slow, the brief wait grows
//! with it, so that this happens once and not with every call.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lakemirror_outbound::Proxies;

use super::connect::{ConnectError, Endpoint, http_client};

/// The brief wait is at least so many times the slowest of the last answers.
const SLOWEST_TIMES: u32 = 3;

/// Connections to one lakeFS.
#[derive(Debug)]
pub(super) struct Connections {
    endpoint: Endpoint,
    ca_bundle: Option<PathBuf>,
    proxies: Proxies,
    pool: Mutex<Pool>,
}

/// One pool; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    /// Sends over this pool's connections.
    pub(super) http: reqwest::Client,
    generation: u64,
    /// How long the slowest of the last answers took to begin.
    slowest: Duration,
}

impl Pool {
    /// How long the beginning of an answer is waited for before the pool is given up, where a call would wait `least`
    /// for a quick server's.
    pub(super) fn brief_wait(&self, least: Duration) -> Duration {
        least.max(self.slowest.saturating_mul(SLOWEST_TIMES))
    }
}

impl Connections {
    /// An empty pool.
    ///
    /// # Errors
    /// As [`http_client`].
    pub(super) fn new(endpoint: Endpoint, ca_bundle: Option<PathBuf>, proxies: Proxies) -> Result<Self, ConnectError> {
        let http = http_client(&endpoint, ca_bundle.as_deref(), &proxies)?;
        let pool = Mutex::new(Pool { http, generation: 0, slowest: Duration::ZERO });
        Ok(Self { endpoint, ca_bundle, proxies, pool })
    }

    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pool to use now.
    pub(super) fn pool(&self) -> Pool {
        self.lock().clone()
    }

    /// An answer began after `took`. A slow one is forgotten in the course of some quick ones.
    pub(super) fn answered(&self, pool: &Pool, took: Duration) {
        let mut current = self.lock();
        if current.generation == pool.generation {
            current.slowest = took.max(current.slowest * 3 / 4);
        }
    }

    /// Nothing came over a connection of the pool: it is replaced, unless another call has done so already. Where no
    /// other can be made (the file of certificates is gone), it stays.
    pub(super) fn went_silent(&self, pool: &Pool) {
        let mut current = self.lock();
        if current.generation != pool.generation {
            return;
        }
        match http_client(&self.endpoint, self.ca_bundle.as_deref(), &self.proxies) {
            Ok(http) => *current = Pool { http, generation: pool.generation + 1, slowest: Duration::ZERO },
            Err(error) => {
                tracing::warn!(endpoint = self.endpoint.shown, "connections that went silent are kept: {error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::connect::parse_endpoint;
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn a_pool_is_replaced_once_and_a_slow_server_is_waited_for_longer() {
        let connections = Connections::new(parse_endpoint("http://h").unwrap(), None, Proxies::default()).unwrap();
        let first = connections.pool();
        assert_eq!(first.brief_wait(S(3)), S(3));
        connections.went_silent(&first);
        connections.went_silent(&first);
        let second = connections.pool();
        assert_eq!((first.generation, second.generation), (0, 1));
        connections.answered(&first, S(9));
        connections.answered(&second, S(4));
        assert_eq!(connections.pool().brief_wait(S(3)), S(12), "its own answers count, not an earlier pool's");
        for _ in 0..10 {
            connections.answered(&second, Duration::from_millis(5));
        }
        assert_eq!(connections.pool().brief_wait(S(3)), S(3));
    }
}
