//! `auth`: how callers of the API are known, and the caching of what lakeFS said about them.

use std::time::Duration;

use ipnet::IpNet;
use lakemirror_core::secret::Secret;
use url::Url;

use super::limits::{ANY_DURATION, COUNT_MAX};
use super::reader::Section;
use super::scalar;

/// `auth`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// `auth.encrypt.secret_key`, lakeFS's own: verifies session tokens.
    pub encrypt_secret_key: Secret,
    /// `auth.api.endpoint`, the external auth server, where there is one.
    pub api_endpoint: Option<Url>,
    /// `auth.cache`, where it is enabled.
    pub cache: Option<AuthCache>,
    /// `auth.trusted_proxies`: whose `X-Forwarded-For` and `X-Real-IP` are believed. Default none.
    pub trusted_proxies: Vec<IpNet>,
}

/// `auth.cache`: off unless `enabled`. Defaults as lakeFS has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthCache {
    /// Callers remembered. Default 1024.
    pub size: u64,
    /// How long. Default 20 s.
    pub ttl: Duration,
    /// At most this much is added to `ttl`, so that not all expire at once. Default 3 s.
    pub jitter: Duration,
}

/// Reads the section `auth`.
pub(super) fn read(section: &Section<'_>) -> Option<Auth> {
    let encrypt_secret_key = section.within("encrypt", |encrypt| {
        let fix = "set it to lakeFS's own auth.encrypt.secret_key";
        encrypt.required("secret_key", encrypt.secret("secret_key"), fix)
    });
    let api_endpoint = section.within("api", |api| api.endpoint("endpoint"));
    let cache = section.within("cache", read_cache);
    let trusted_proxies = section.list("trusted_proxies", scalar::network);
    Some(Auth { encrypt_secret_key: encrypt_secret_key?, api_endpoint, cache, trusted_proxies })
}

fn read_cache(section: &Section<'_>) -> Option<AuthCache> {
    let enabled = section.boolean("enabled").unwrap_or(false);
    let cache = AuthCache {
        size: section.integer("size", 0..=COUNT_MAX).unwrap_or(1024),
        ttl: section.duration("ttl", ANY_DURATION).unwrap_or(Duration::from_secs(20)),
        jitter: section.duration("jitter", ANY_DURATION).unwrap_or(Duration::from_secs(3)),
    };
    enabled.then_some(cache)
}
