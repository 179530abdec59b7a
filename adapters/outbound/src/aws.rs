//! The AWS SDK's way out: connections, certificates, proxies, and a bound on every body that the SDK reads whole.
//!
//! Owns the HTTP client of the SDK's clients. An answer that is not a success is read here, up to
//! [`ERROR_BYTES_MAX`](super::ERROR_BYTES_MAX); its status and headers decide what it means, and what of its text is cut
//! off is for people. So is every success but that of a GET to a store, whose body goes to the caller as it comes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, Connector, tls};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::BytesMut;

use super::ERROR_BYTES_MAX;
use super::proxy::{Proxies, Proxy};

/// What the SDK may read whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bodies {
    /// Successes of at most so many bytes.
    Bounded(usize),
    /// A store: the body of a GET is the caller's, which bounds it; all else is small.
    Store,
}

/// Credentials, tokens and roles.
pub const SMALL: Bodies = Bodies::Bounded(1 << 20);

/// How connections are made and kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long an unused connection is kept.
    pub pool_idle_timeout: Duration,
    /// Unused connections that are kept for one server.
    pub pool_idle_max: usize,
    /// More trusted certificates (PEM).
    pub ca_bundle: Option<PathBuf>,
    /// See [`Proxies`].
    pub proxies: Proxies,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The file with trusted certificates cannot be read.
    #[error("the certificate bundle {path} cannot be read", path = path.display())]
    CaBundle {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up with the trusted certificates that are configured")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The file of certificates that `AWS_CA_BUNDLE` names.
#[must_use]
pub fn environment_bundle() -> Option<PathBuf> {
    std::env::var_os("AWS_CA_BUNDLE").filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The HTTP clients of one SDK client: for its own calls with these bounds, and for the search of credentials. They share
/// connections.
///
/// # Errors
/// [`ClientError`].
pub fn http_clients(settings: &Settings, bodies: Bodies) -> Result<[SharedHttpClient; 2], ClientError> {
    let context = tls_context(settings.ca_bundle.as_deref())?;
    let direct = client(settings, context.as_ref(), None);
    let [http, https] = settings.proxies.all();
    let proxied = |proxy: Option<&Proxy>| proxy.map(|proxy| client(settings, context.as_ref(), Some(proxy)));
    let (http, https) = (proxied(http), proxied(https));
    let bounded = |bodies| {
        SharedHttpClient::new(Outbound {
            direct: direct.clone(),
            http: http.clone(),
            https: https.clone(),
            proxies: settings.proxies.clone(),
            bodies,
        })
    };
    Ok([bounded(bodies), bounded(SMALL)])
}

fn tls_context(ca_bundle: Option<&Path>) -> Result<Option<tls::TlsContext>, ClientError> {
    let Some(path) = ca_bundle else { return Ok(None) };
    let pem = std::fs::read(path).map_err(|source| ClientError::CaBundle { path: path.to_owned(), source })?;
    let trust = tls::TrustStore::default().with_pem_certificate(pem);
    let context = tls::TlsContext::builder().with_trust_store(trust).build();
    context.map(Some).map_err(|error| ClientError::Tls(error.into()))
}

/// A client of the SDK's own that goes through one proxy, or through none.
fn client(settings: &Settings, context: Option<&tls::TlsContext>, proxy: Option<&Proxy>) -> SharedHttpClient {
    let (idle, idle_max, context) = (settings.pool_idle_timeout, settings.pool_idle_max, context.cloned());
    // A proxy was read as a URL, which is more than a URI needs.
    let proxy = proxy.and_then(|proxy| ProxyConfig::all(proxy.expose()).ok()).unwrap_or_else(ProxyConfig::disabled);
    Builder::new().build_with_connector_fn(move |connector, components| {
        let mut builder = Connector::builder()
            .pool_idle_timeout(idle)
            .pool_max_idle_per_host(idle_max)
            .proxy_config(proxy.clone())
            .tls_provider(tls::Provider::Rustls(CryptoMode::Ring));
        if let Some(connector) = connector {
            builder = builder.connector_settings(connector.clone());
        }
        if let Some(components) = components {
            builder.set_sleep_impl(components.sleep_impl());
        }
        if let Some(context) = &context {
            builder = builder.tls_context(context.clone());
        }
        builder.build()
    })
}

/// Chooses the way of each request, and bounds its answer.
#[derive(Debug)]
struct Outbound {
    direct: SharedHttpClient,
    http: Option<SharedHttpClient>,
    https: Option<SharedHttpClient>,
    proxies: Proxies,
    bodies: Bodies,
}

impl HttpClient for Outbound {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let of = |client: &SharedHttpClient| client.http_connector(settings, components);
        SharedHttpConnector::new(Way {
            direct: of(&self.direct),
            http: self.http.as_ref().map(of),
            https: self.https.as_ref().map(of),
            proxies: self.proxies.clone(),
            bodies: self.bodies,
        })
    }
}

#[derive(Debug)]
struct Way {
    direct: SharedHttpConnector,
    http: Option<SharedHttpConnector>,
    https: Option<SharedHttpConnector>,
    proxies: Proxies,
    bodies: Bodies,
}

impl Way {
    fn of(&self, uri: &str) -> &SharedHttpConnector {
        let Ok(url) = url::Url::parse(uri) else { return &self.direct };
        let proxied = if url.scheme() == "https" { &self.https } else { &self.http };
        match (self.proxies.of(&url), proxied) {
            (Some(_), Some(proxied)) => proxied,
            _ => &self.direct,
        }
    }
}

impl HttpConnector for Way {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (method, bodies) = (request.method().to_owned(), self.bodies);
        let answered = self.of(request.uri()).call(request);
        HttpConnectorFuture::new(async move { bounded(answered.await?, &method, bodies).await })
    }
}

/// The answer, its body read within its bound where it is not the caller's.
async fn bounded(mut answer: HttpResponse, method: &str, bodies: Bodies) -> Result<HttpResponse, ConnectorError> {
    // There is none, whatever its length is said to be.
    if method == "HEAD" {
        return Ok(answer);
    }
    let success = answer.status().is_success();
    let limit = match bodies {
        _ if !success => ERROR_BYTES_MAX,
        Bodies::Store if method == "GET" => return Ok(answer),
        Bodies::Store => ERROR_BYTES_MAX,
        Bodies::Bounded(limit) => limit,
    };
    let mut body = ByteStream::new(std::mem::replace(answer.body_mut(), SdkBody::taken()));
    let mut read = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) if success => return Err(ConnectorError::io(error.into())),
            // What an error's text lacks changes nothing about it.
            Err(_) => break,
        };
        let room = limit.saturating_sub(read.len());
        if chunk.len() > room && success {
            let message = format!("the answer is longer than {limit} bytes");
            return Err(ConnectorError::other(message.into(), None));
        }
        read.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
        if read.len() >= limit && !success {
            break;
        }
    }
    *answer.body_mut() = SdkBody::from(read.freeze());
    Ok(answer)
}
