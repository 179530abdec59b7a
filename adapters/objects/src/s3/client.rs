//! Builds the SDK's clients from settings: endpoint, region, credentials, TLS, timeouts.
//!
//! Owns everything that is decided before the first request. TLS is rustls with ring, as in the rest of the process.

use std::path::Path;
use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Credentials as StaticCredentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
};
use lakemirror_outbound::aws::{self, Bodies, ClientError};
use thiserror::Error;

use super::{Checksums, Credentials, Settings};

/// Settings that cannot work.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum S3Error {
    /// Certificates cannot be read or used.
    #[error("no connection can be made; correct AWS_CA_BUNDLE or blockstore.s3.ca_bundle")]
    Client(#[from] ClientError),
    /// The endpoint is no URL.
    #[error("blockstore.s3.endpoint {endpoint:?} is not an http or https URL")]
    Endpoint {
        /// As configured.
        endpoint: String,
    },
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Shorter than the idle time after which stores and balancers close connections.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Idle connections kept; as many as there may be requests in flight.
const POOL_IDLE_MAX: usize = 64;
const REGION_DEFAULT: &str = "us-east-1";

/// Endpoint, region, credentials and TLS, shared by all clients of one store.
pub(super) async fn base(settings: &Settings) -> Result<SdkConfig, S3Error> {
    let endpoint = settings.endpoint.as_deref().map(endpoint_url).transpose()?;
    let outbound = aws::Settings {
        pool_idle_timeout: POOL_IDLE_TIMEOUT,
        pool_idle_max: POOL_IDLE_MAX,
        ca_bundle: settings.ca_bundle.clone().or_else(aws::environment_bundle),
        proxies: settings.proxies.clone(),
    };
    let [store, http] = aws::http_clients(&outbound, Bodies::Store)?;
    let mut loader = aws_config::defaults(behavior())
        .http_client(http.clone())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts(settings.timeouts.page));
    if let Some(endpoint) = endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(region) = region(settings) {
        loader = loader.region(region);
    }
    loader = match &settings.credentials {
        Credentials::Static { access_key_id, secret_access_key, session_token } => {
            let token = session_token.as_ref().map(|token| token.expose().to_owned());
            let (id, secret) = (access_key_id.expose(), secret_access_key.expose());
            loader.credentials_provider(StaticCredentials::new(id, secret, token, None, "configuration"))
        }
        Credentials::Profile { name, file } => {
            let region = region(settings).unwrap_or(Region::from_static(REGION_DEFAULT));
            profile(loader, http, region, name.as_deref(), file.as_deref())
        }
        Credentials::Chain => loader,
    };
    let config = loader.load().await;
    let region = config.region().cloned().unwrap_or(Region::from_static(REGION_DEFAULT));
    Ok(config.into_builder().region(region).http_client(store).build())
}

fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// With an endpoint and credentials of one's own, asking the machine for AWS's region only costs time.
fn region(settings: &Settings) -> Option<Region> {
    let own = settings.endpoint.is_some() && settings.credentials != Credentials::Chain;
    settings.region.clone().or_else(|| own.then(|| REGION_DEFAULT.to_owned())).map(Region::new)
}

fn profile(
    loader: aws_config::ConfigLoader,
    http: SharedHttpClient,
    region: Region,
    name: Option<&str>,
    file: Option<&Path>,
) -> aws_config::ConfigLoader {
    // A profile may name a role: without a client of ours, assuming it would end in a panic of the SDK.
    let own = ProviderConfig::without_region().with_http_client(http).with_region(Some(region));
    let mut provider = ProfileFileCredentialsProvider::builder().configure(&own);
    let mut loader = loader;
    if let Some(name) = name {
        provider = provider.profile_name(name);
        loader = loader.profile_name(name);
    }
    if let Some(file) = file {
        let files = EnvConfigFiles::builder()
            .include_default_config_file(true)
            .with_file(EnvConfigFileKind::Credentials, file)
            .build();
        provider = provider.profile_files(files);
    }
    loader.credentials_provider(provider.build())
}

/// A client that gives up waiting for an answer after `attempt`.
pub(super) fn with_timeout(base: &SdkConfig, settings: &Settings, attempt: Duration) -> Client {
    let (request, response) = match settings.checksums {
        Checksums::WhenRequired => (RequestChecksumCalculation::WhenRequired, ResponseChecksumValidation::WhenRequired),
        Checksums::WhenSupported => {
            (RequestChecksumCalculation::WhenSupported, ResponseChecksumValidation::WhenSupported)
        }
    };
    let config = aws_sdk_s3::config::Builder::from(base)
        .behavior_version(behavior())
        .force_path_style(settings.force_path_style)
        .request_checksum_calculation(request)
        .response_checksum_validation(response)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts(attempt))
        .build();
    Client::from_conf(config)
}

fn timeouts(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(attempt).build()
}

/// The endpoint with a slash behind its path: the SDK puts a bucket's name right behind it.
fn endpoint_url(endpoint: &str) -> Result<String, S3Error> {
    let mut url = url::Url::parse(endpoint)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| S3Error::Endpoint { endpoint: endpoint.to_owned() })?;
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{path}/"));
    Ok(if path.is_empty() { url.as_str().trim_end_matches('/').to_owned() } else { url.into() })
}
