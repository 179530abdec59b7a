//! From settings to a ready HTTP client: the endpoint's form, certificates, proxies, connection pool.
//!
//! Owns everything that is decided once per endpoint. Makes no request.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Certificate;
use url::Url;

use lakemirror_outbound::Proxies;

/// How long a connection may take to open, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an unused connection is kept; above any scan interval that is likely, below usual proxies' own limits.
const POOL_IDLE: Duration = Duration::from_secs(50);
/// After so long without traffic the system asks whether the other end is still there: what lies between keeps the
/// connection, and one that is gone is noticed while nobody waits for it.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// How soon it asks again, and how often, before it gives a connection up.
const KEEPALIVE_AGAIN: Duration = Duration::from_secs(5);
const KEEPALIVE_TRIES: u32 = 3;
/// The base path of lakeFS's API.
const API: &str = "/api/v1";

/// Why no client can be made for an endpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The endpoint is not one.
    #[error("lakeFS endpoint {endpoint:?}: {reason}; give it as http(s)://host[:port]")]
    Endpoint {
        /// As configured, without what stands before an `@`.
        endpoint: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A credential holds characters that no HTTP header can carry.
    #[error("the lakeFS access key for {endpoint} cannot be sent: it holds control characters")]
    Credentials {
        /// The endpoint.
        endpoint: String,
    },
    /// The file of additional certificates cannot be read.
    #[error("cannot read the certificates in {}", path.display())]
    BundleRead {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file of additional certificates holds none that can be used.
    #[error("{} holds no usable PEM certificates", path.display())]
    BundleParse {
        /// The file.
        path: PathBuf,
        /// What is wrong, where the parser says.
        #[source]
        source: Option<reqwest::Error>,
    },
    /// The TLS set-up failed, such as for a machine without any certificate authorities.
    #[error("cannot set up connections to {endpoint}; are certificate authorities installed (or SSL_CERT_FILE set)?")]
    Tls {
        /// The endpoint.
        endpoint: String,
        /// What failed.
        #[source]
        source: reqwest::Error,
    },
}

/// An endpoint in its one form: what is shown to people and what requests begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// Scheme, host, port and prefix path, without a slash at the end.
    pub(super) shown: String,
    /// `shown` and the API's base path.
    pub(super) base: String,
    tls: bool,
}

/// Reads an endpoint as people write it: with or without a slash at the end, with or without `/api/v1`.
pub(super) fn parse_endpoint(text: &str) -> Result<Endpoint, ConnectError> {
    // Whatever stands before an @ may be a password and is not repeated in a message.
    let fail = |reason| ConnectError::Endpoint { endpoint: text.rsplit('@').next().unwrap_or_default().into(), reason };
    let url = Url::parse(text.trim()).map_err(|_| fail("not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(fail("neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(fail("credentials do not belong into it"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(fail("a query or fragment does not belong into it"));
    }
    if !url.has_host() {
        return Err(fail("no host"));
    }
    let shown = url.as_str().trim_end_matches('/');
    let shown = shown.strip_suffix(API).unwrap_or(shown).trim_end_matches('/').to_owned();
    Ok(Endpoint { base: format!("{shown}{API}"), tls: url.scheme() == "https", shown })
}

/// The HTTP client for an endpoint. Honours the system's certificate authorities, `SSL_CERT_FILE`, `ca_bundle` in
/// addition, and `proxies`. Follows no redirects: lakeFS sends none to
/// these calls, and credentials must not travel elsewhere.
pub(super) fn http_client(
    endpoint: &Endpoint,
    ca_bundle: Option<&Path>,
    proxies: &Proxies,
) -> Result<reqwest::Client, ConnectError> {
    install_ring();
    let failed = |source| ConnectError::Tls { endpoint: endpoint.shown.clone(), source };
    let mut builder = reqwest::Client::builder()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(POOL_IDLE)
        .tcp_keepalive(KEEPALIVE)
        .tcp_keepalive_interval(KEEPALIVE_AGAIN)
        .tcp_keepalive_retries(KEEPALIVE_TRIES)
        .tcp_nodelay(true);
    // What the environment says was read once, for all clients: this one is not to read it again.
    builder = builder.no_proxy();
    if let Some(proxy) = Url::parse(&endpoint.base).ok().as_ref().and_then(|server| proxies.of(server)) {
        builder = builder.proxy(reqwest::Proxy::all(proxy.expose()).map_err(failed)?);
    }
    builder = match ca_bundle {
        Some(path) => builder.tls_certs_merge(read_bundle(path)?),
        // Plain HTTP needs no authorities, and must work on machines that have none.
        None if !endpoint.tls => builder.tls_certs_only([]),
        None => builder,
    };
    builder.build().map_err(failed)
}

/// Makes ring the process's TLS provider, once; a provider that is there already stays.
fn install_ring() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error says that another thread was faster, with the same provider.
        let _faster = rustls::crypto::ring::default_provider().install_default();
    }
}

fn read_bundle(path: &Path) -> Result<Vec<Certificate>, ConnectError> {
    let pem = std::fs::read(path).map_err(|source| ConnectError::BundleRead { path: path.into(), source })?;
    let unusable = |source| ConnectError::BundleParse { path: path.into(), source };
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| unusable(Some(error)))?;
    if certificates.is_empty() { Err(unusable(None)) } else { Ok(certificates) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_have_one_form() {
        for text in ["http://h:8000", "http://h:8000/", " http://h:8000/api/v1", "HTTP://h:8000/api/v1/"] {
            let endpoint = parse_endpoint(text).unwrap();
            assert_eq!((endpoint.shown.as_str(), endpoint.base.as_str()), ("http://h:8000", "http://h:8000/api/v1"));
        }
        assert_eq!(parse_endpoint("https://h/lake/").unwrap().base, "https://h/lake/api/v1");
    }

    #[test]
    fn what_is_no_endpoint_is_said_without_its_password() {
        for text in ["", "h:8000", "ftp://h", "http://", "http://u:canary@h", "http://u:canary@h:x", "http://h/?a=b"] {
            let message = parse_endpoint(text).unwrap_err().to_string();
            assert!(message.contains("http(s)://host"), "{message}");
            assert!(!message.contains("canary"), "{message}");
        }
    }

    #[test]
    fn a_bundle_that_cannot_be_used_is_named() {
        let endpoint = parse_endpoint("https://h").unwrap();
        let missing = http_client(&endpoint, Some(Path::new("/nonexistent/ca.pem")), &Proxies::default()).unwrap_err();
        assert!(matches!(missing, ConnectError::BundleRead { .. }), "{missing}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "no certificate").unwrap();
        let empty = http_client(&endpoint, Some(file.path()), &Proxies::default()).unwrap_err();
        assert!(empty.to_string().contains("no usable PEM"), "{empty}");
    }

    #[test]
    fn plain_http_needs_no_authorities() {
        http_client(&parse_endpoint("http://h").unwrap(), None, &Proxies::default()).unwrap();
    }
}
