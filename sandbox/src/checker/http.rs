//! A plain HTTP client with Basic credentials: no retries, no interpretation.
//!
//! Used by the checker, the demo and the tests. It shares nothing with lakemirror's own client, so a fault of that one
//! cannot hide here.

use std::time::Duration;

use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, header};
use serde::de::DeserializeOwned;
use serde_json::Value;

use lakemirror_core::secret::Secret;

/// Timeout of a call.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The largest response that is read.
const BODY_BYTES_MAX: usize = 64 << 20;
/// How many bytes of an unexpected response an error message repeats.
const SHOWN_BYTES: usize = 300;

/// A key pair.
#[derive(Debug, Clone)]
pub struct Access {
    /// The access key id.
    pub id: String,
    /// The secret access key.
    pub secret: Secret,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The client cannot be created.
    #[error("the HTTP client cannot be created")]
    Client(#[source] reqwest::Error),
    /// There was no response.
    #[error("{call}: no answer")]
    NoAnswer {
        /// Method and URL.
        call: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The status is not a success.
    #[error("{call}: answered {status}: {body}")]
    Status {
        /// Method and URL.
        call: String,
        /// The status.
        status: u16,
        /// The beginning of the body.
        body: String,
    },
    /// The response is too long.
    #[error("{call}: the answer is longer than {BODY_BYTES_MAX} bytes")]
    TooLong {
        /// Method and URL.
        call: String,
    },
    /// The response is not the expected JSON.
    #[error("{call}: not the expected JSON")]
    Json {
        /// Method and URL.
        call: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl HttpError {
    /// The status, if there was a response.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// A server and the key pair to use. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Http {
    client: reqwest::Client,
    base: String,
    access: Access,
}

impl Http {
    /// For a server's base URL, such as `http://127.0.0.1:8000/api/v1`.
    ///
    /// # Errors
    /// [`HttpError::Client`].
    pub fn new(base: &str, access: &Access) -> Result<Self, HttpError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // An error means that a provider is already installed.
            let _faster = rustls::crypto::ring::default_provider().install_default();
        }
        // The servers are on this machine, and plain HTTP needs no certificate authorities.
        let client = reqwest::Client::builder()
            .http1_only()
            .no_proxy()
            .tls_certs_only([])
            .tcp_nodelay(true)
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(HttpError::Client)?;
        Ok(Self { client, base: base.trim_end_matches('/').to_owned(), access: access.clone() })
    }

    /// The base URL.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sends a request and returns the body of a successful response.
    ///
    /// # Errors
    /// [`HttpError`], also for every status other than 2xx.
    pub async fn send(&self, method: Method, path: &str, body: Option<(&str, Bytes)>) -> Result<Bytes, HttpError> {
        let url = format!("{}{path}", self.base);
        let call = format!("{method} {url}");
        let mut request =
            self.client.request(method, url).basic_auth(&self.access.id, Some(self.access.secret.expose()));
        if let Some((media, bytes)) = body {
            request = request.header(header::CONTENT_TYPE, media).body(bytes);
        }
        let no_answer = |source| HttpError::NoAnswer { call: call.clone(), source };
        let mut response = request.send().await.map_err(no_answer)?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
            if bytes.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(HttpError::TooLong { call });
            }
            bytes.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(bytes.into());
        }
        let shown = bytes.get(..SHOWN_BYTES.min(bytes.len())).unwrap_or_default();
        let body = String::from_utf8_lossy(shown).trim().to_owned();
        Err(HttpError::Status { call, status: status.as_u16(), body })
    }

    /// Reads JSON.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, HttpError> {
        let bytes = self.send(Method::GET, path, None).await?;
        let call = || format!("GET {}{path}", self.base);
        serde_json::from_slice(&bytes).map_err(|source| HttpError::Json { call: call(), source })
    }

    /// Sends JSON and returns the body of the response.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn send_json(&self, method: Method, path: &str, body: &Value) -> Result<Bytes, HttpError> {
        self.send(method, path, Some(("application/json", body.to_string().into()))).await
    }
}

/// Percent-encodes a text as one segment of a path or one value of a query.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
