//! Which connections still lead to the server that is the primary now.
//!
//! An open connection only says that somebody is at its other end. After a failover that may be the old primary, which
//! reads and refuses writes, or which has left the name that it was found under. Owns when all connections that were
//! made so far are given up: the server said so ([`Generations::end`]), or the names resolve to other addresses
//! ([`Names`]). Knows no connection; the pool compares numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use lakemirror_ports::clock::Clock;

/// The shortest time from one look at the names to the next. Managed databases move a name that lives for 5 s.
const LOOKUP_INTERVAL: Duration = Duration::from_secs(5);
/// The longest time for one name. A resolver that is silent proves nothing.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(1);

/// The addresses of a host name.
#[async_trait]
pub trait Resolve: Send + Sync {
    /// All addresses of `host`.
    ///
    /// # Errors
    /// If the name is not known, or nobody answers.
    async fn addresses(&self, host: &str) -> io::Result<BTreeSet<IpAddr>>;
}

/// The resolver of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn addresses(&self, host: &str) -> io::Result<BTreeSet<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// The connections that were made between two failovers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Generation(u64);

/// The generation that is used now.
#[derive(Debug, Default)]
pub(super) struct Generations(AtomicU64);

impl Generations {
    pub(super) fn current(&self) -> Generation {
        Generation(self.0.load(Ordering::Acquire))
    }

    /// Gives up every connection of a generation. Those that fail together do so once: what was made meanwhile stays.
    /// True for the call that ended it.
    pub(super) fn end(&self, Generation(number): Generation) -> bool {
        self.0.compare_exchange(number, number.wrapping_add(1), Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// The host names of a connection string, and what they last resolved to.
pub(super) struct Names {
    hosts: Vec<String>,
    resolver: Arc<dyn Resolve>,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// When the last lookup began, by the monotonic clock.
    asked: Option<Duration>,
    addresses: BTreeMap<String, BTreeSet<IpAddr>>,
}

impl Names {
    /// Those of `config` that DNS may change: no addresses, no sockets.
    pub(super) fn of(config: &Config, resolver: Arc<dyn Resolve>, clock: Arc<dyn Clock>) -> Self {
        let name = |host: &Host| match host {
            Host::Tcp(name) if name.parse::<IpAddr>().is_err() => Some(name.clone()),
            Host::Tcp(_) | Host::Unix(_) => None,
        };
        // Where addresses are given as well, names only matter for certificates.
        let by_name = config.get_hostaddrs().is_empty();
        let hosts = config.get_hosts().iter().filter_map(name).filter(|_| by_name).collect();
        Self { hosts, resolver, clock, known: Mutex::default() }
    }

    /// Whether it is time for a lookup, which the caller then makes: others are told that it is not.
    pub(super) fn is_due(&self) -> bool {
        let now = self.clock.monotonic();
        let mut known = self.known();
        let due = known.asked.is_none_or(|asked| now.saturating_sub(asked) >= LOOKUP_INTERVAL);
        if due && !self.hosts.is_empty() {
            known.asked = Some(now);
        }
        due && !self.hosts.is_empty()
    }

    /// Resolves the names. True if one of them has lost an address, so that connections may lead to a server that is not
    /// meant any longer. A name that does not resolve keeps what it had.
    pub(super) async fn have_moved(&self) -> bool {
        let moved = join_all(self.hosts.iter().map(|host| self.has_moved(host))).await;
        moved.contains(&true)
    }

    async fn has_moved(&self, host: &str) -> bool {
        let answer = tokio::select! {
            biased;
            answer = self.resolver.addresses(host) => answer.unwrap_or_default(),
            () = self.clock.sleep(LOOKUP_TIMEOUT) => return false,
        };
        if answer.is_empty() {
            return false;
        }
        let before = self.known().addresses.insert(host.to_owned(), answer.clone());
        before.is_some_and(|before| !before.is_subset(&answer))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
