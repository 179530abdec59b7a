//! The client: its settings, its construction, and whose credentials a call carries.
//!
//! The calls themselves are beside what they are about: `repositories`, `branches`, `commits`, `objects`, `account`.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lakemirror_core::secret::Secret;
use lakemirror_outbound::Proxies;
use lakemirror_ports::clock::{Clock, Entropy};
use reqwest::header::HeaderValue;

use super::connect::{ConnectError, parse_endpoint};
use super::connections::Connections;
use super::throttle::Throttle;
use super::transport::Transport;

/// The most items that lakeFS puts on a page.
pub(super) const PAGE_ITEMS_MAX: usize = 1000;

/// How to reach one lakeFS.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its URL, such as `https://lakefs.example.com`; a slash or `/api/v1` at the end is accepted.
    pub endpoint: String,
    /// Its region, for messages about credentials.
    pub region: Option<String>,
    /// The replication user's access key id.
    pub access_key_id: String,
    /// The replication user's secret access key.
    pub secret_access_key: Secret,
    /// Items asked for per page of a listing, 1 to 1000; anything outside is brought inside.
    pub page_size: usize,
    /// A PEM file with certificate authorities to trust besides the system's (`AWS_CA_BUNDLE`).
    pub ca_bundle: Option<PathBuf>,
    /// Through which proxies it is reached.
    pub proxies: Proxies,
}

/// What a caller of lakemirror's own API shows to prove who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallerCredentials {
    /// HTTP Basic with a lakeFS access key.
    Basic {
        /// The access key id.
        access_key_id: String,
        /// The secret access key.
        secret_access_key: Secret,
    },
    /// A lakeFS session token.
    Bearer(Secret),
}

impl CallerCredentials {
    /// As an `Authorization` header, marked sensitive; `None` where they hold what no header can carry.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let text = match self {
            Self::Basic { access_key_id, secret_access_key } => {
                format!("Basic {}", STANDARD.encode(format!("{access_key_id}:{}", secret_access_key.expose())))
            }
            Self::Bearer(token) => format!("Bearer {}", token.expose()),
        };
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// A client of one lakeFS with the replication user's credentials. Cheap to share behind an `Arc`.
pub struct Client {
    pub(super) transport: Transport,
    /// Ready for the query.
    pub(super) page_size: String,
}

impl Client {
    /// Prepares a client. Makes no request, so that an endpoint that is down is not an error yet.
    ///
    /// # Errors
    /// [`ConnectError`] for an endpoint, credentials or certificates that can never work.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<Self, ConnectError> {
        let endpoint = parse_endpoint(&settings.endpoint)?;
        let connections = Connections::new(endpoint.clone(), settings.ca_bundle, settings.proxies)?;
        let pair = format!("{}:{}", settings.access_key_id, settings.secret_access_key.expose());
        let unspeakable = vec![settings.secret_access_key.clone(), Secret::new(STANDARD.encode(pair))];
        let authorization = CallerCredentials::Basic {
            access_key_id: settings.access_key_id,
            secret_access_key: settings.secret_access_key,
        }
        .header()
        .ok_or_else(|| ConnectError::Credentials { endpoint: endpoint.shown.clone() })?;
        let page_size = settings.page_size.clamp(1, PAGE_ITEMS_MAX).to_string();
        let (throttle, region) = (Throttle::default(), settings.region);
        let transport =
            Transport { connections, throttle, endpoint, region, authorization, unspeakable, clock, entropy };
        Ok(Self { transport, page_size })
    }

    /// The `Authorization` header of the replication user at this lakeFS.
    #[must_use]
    pub fn own_authorization(&self) -> Secret {
        Secret::new(self.transport.authorization.to_str().unwrap_or_default().to_owned())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.transport.endpoint.shown).finish_non_exhaustive()
    }
}
