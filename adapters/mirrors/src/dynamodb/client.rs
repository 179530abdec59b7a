//! Builds the SDK's client from settings: endpoint, region, credentials, TLS, timeouts.
//!
//! Owns everything that is decided before the first request. TLS is rustls with ring, as in the rest of the process.

use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, ConfigLoader};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{Credentials as StaticCredentials, Region, SharedHttpClient};
use lakemirror_outbound::aws::{self, Bodies};

use super::{Credentials, OpenError, Settings};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// One attempt, with the search for credentials before it and the answer's body.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// Shorter than the time after which DynamoDB closes idle connections.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);
const POOL_IDLE_MAX: usize = 16;
/// A page has at most 1 MB of values, which JSON writes longer.
const PAGE_BYTES_MAX: usize = 8 << 20;
/// For a server that is not AWS's, where the region is only part of the signature.
const REGION_ELSEWHERE: &str = "us-east-1";

/// The client, and where it goes, such as `in us-east-1`. Makes no request to DynamoDB.
pub(super) async fn build(settings: &Settings) -> Result<(Client, String), OpenError> {
    let outbound = aws::Settings {
        pool_idle_timeout: POOL_IDLE_TIMEOUT,
        pool_idle_max: POOL_IDLE_MAX,
        ca_bundle: aws::environment_bundle(),
        proxies: settings.proxies.clone(),
    };
    let [table, http] = aws::http_clients(&outbound, Bodies::Bounded(PAGE_BYTES_MAX))?;
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http.clone())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    if let Some(region) = region(settings) {
        loader = loader.region(region);
    }
    if let Some(endpoint) = &settings.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    let config = credentials(loader, settings, http).load().await;
    let Some(region) = config.region() else {
        return Err(OpenError::Region { table: settings.table_name.clone() });
    };
    let place = format!("in {region}");
    let config = config.into_builder().http_client(table).build();
    Ok((Client::new(&config), place))
}

fn region(settings: &Settings) -> Option<Region> {
    let elsewhere = settings.endpoint.is_some().then(|| REGION_ELSEWHERE.to_owned());
    settings.region.clone().or(elsewhere).map(Region::new)
}

fn credentials(loader: ConfigLoader, settings: &Settings, http: SharedHttpClient) -> ConfigLoader {
    match &settings.credentials {
        Credentials::Chain => loader,
        Credentials::Static { access_key_id, secret_access_key } => {
            let (id, secret) = (access_key_id.as_str(), secret_access_key.expose());
            loader.credentials_provider(StaticCredentials::new(id, secret, None, None, "configuration"))
        }
        Credentials::Profile(name) => {
            // A profile may name a role: without a client of ours, assuming it would end in a panic of the SDK.
            let own = ProviderConfig::without_region().with_http_client(http).with_region(region(settings));
            let provider = ProfileFileCredentialsProvider::builder().configure(&own).profile_name(name).build();
            loader.profile_name(name).credentials_provider(provider)
        }
    }
}
