//! A store that speaks S3's protocol: AWS's own, and those that are compatible with it.
//!
//! Owns the three requests and the reading of their answers. Building the client is [`client`]'s, failures are
//! classified in [`answer`], and a listing's body goes past the SDK's deserialiser ([`raw_body`]) into
//! [`list_page`](super::list_page). The SDK repeats nothing: attempts are the caller's.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::types::EncodingType;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::{Bytes, BytesMut};
use lakemirror_core::causes::bounded;
use lakemirror_core::secret::Secret;
use lakemirror_ports::clock::Clock;
use lakemirror_ports::{Fault, FaultKind, Fetched, Location};

use lakemirror_outbound::Proxies;

use super::list_page::{ListPageError, scan};
use super::{Costs, Found, Page, Store, fault};

mod answer;
pub mod archive;
mod archived;
mod client;
mod raw_body;

pub use client::S3Error;

use raw_body::{BodySlot, TakeBody};

/// Which checksums requests carry and answers are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Checksums {
    /// Only where S3 requires them; what S3-compatible stores understand. Metadata files are proven by their ids.
    #[default]
    WhenRequired,
    /// The SDK's default against AWS.
    WhenSupported,
}

/// Where credentials come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Given in the configuration.
    Static {
        /// The access key's id.
        access_key_id: Secret,
        /// Its secret.
        secret_access_key: Secret,
        /// With temporary credentials.
        session_token: Option<Secret>,
    },
    /// A profile of the shared credentials files.
    Profile {
        /// Its name; `None` for `AWS_PROFILE` or `default`.
        name: Option<String>,
        /// Read this credentials file instead of the default one.
        file: Option<PathBuf>,
    },
    /// AWS's default chain: environment, profile, web identity, container, instance.
    Chain,
}

/// How long one attempt may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// HEAD, as a whole.
    pub head: Duration,
    /// LIST and GET, up to the answer's headers: a page may have to climb over very many delete markers.
    pub page: Duration,
    /// The body of a page or file.
    pub body: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { head: Duration::from_secs(5), page: Duration::from_secs(90), body: Duration::from_secs(60) }
    }
}

/// `blockstore.s3`, as far as reading needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The buckets' region; `None`: what the default chain finds, else `us-east-1`.
    pub region: Option<String>,
    /// Another endpoint than AWS's, such as `http://127.0.0.1:9000`.
    pub endpoint: Option<String>,
    /// `http://endpoint/bucket/key` instead of `http://bucket.endpoint/key`.
    pub force_path_style: bool,
    /// See [`Credentials`].
    pub credentials: Credentials,
    /// See [`Checksums`].
    pub checksums: Checksums,
    /// More trusted certificates (PEM); `None`: the file that `AWS_CA_BUNDLE` names, if any.
    pub ca_bundle: Option<PathBuf>,
    /// Through which proxies the store is reached.
    pub proxies: Proxies,
    /// See [`Timeouts`].
    pub timeouts: Timeouts,
    /// Requests a second of this process; `None` for the default of [`super::checker::Limits::S3`].
    pub requests_per_second: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            region: None,
            endpoint: None,
            force_path_style: false,
            credentials: Credentials::Chain,
            checksums: Checksums::default(),
            ca_bundle: None,
            proxies: Proxies::default(),
            timeouts: Timeouts::default(),
            requests_per_second: None,
        }
    }
}

/// A page of 1,000 keys of 1,024 bytes, each byte encoded as three, with room for the rest.
const PAGE_BYTES_MAX: u64 = 8 << 20;
/// S3's longest key.
const KEY_BYTES_MAX: usize = 1024;

/// The store.
pub struct S3 {
    /// Gives up early.
    heads: Client,
    /// Waits longer.
    bodies: Client,
    clock: Arc<dyn Clock>,
    body_timeout: Duration,
    name: String,
}

impl S3 {
    /// Prepares clients; makes no request to the store itself.
    ///
    /// # Errors
    /// Settings that cannot work ([`S3Error`]).
    pub async fn new(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, S3Error> {
        let base = client::base(settings).await?;
        let name = match (&settings.endpoint, base.region()) {
            (Some(endpoint), _) => format!("S3 at {endpoint}"),
            (None, Some(region)) => format!("S3 in {region}"),
            (None, None) => "S3".to_owned(),
        };
        Ok(Self {
            heads: client::with_timeout(&base, settings, settings.timeouts.head),
            bodies: client::with_timeout(&base, settings, settings.timeouts.page),
            clock,
            body_timeout: settings.timeouts.body,
            name,
        })
    }

    fn call(&self, verb: &str, bucket: &str, key: &str) -> String {
        format!("{verb} s3://{bucket}/{key} at {}", self.name)
    }

    /// Reads a body of at most `limit` bytes within the time for bodies; `None` if it is longer.
    async fn read_body(&self, mut body: ByteStream, limit: u64, expected: u64) -> Result<Option<Bytes>, String> {
        let read = async {
            let capacity = usize::try_from(expected.min(limit)).unwrap_or(0);
            let mut whole = BytesMut::with_capacity(capacity);
            while let Some(chunk) = body.next().await {
                let chunk = chunk.map_err(|error| bounded(&error, answer::MESSAGE_MAX))?;
                let length = whole.len().saturating_add(chunk.len());
                if u64::try_from(length).map_or(true, |length| length > limit) {
                    return Ok(None);
                }
                whole.extend_from_slice(&chunk);
            }
            Ok(Some(whole.freeze()))
        };
        tokio::select! {
            result = read => result,
            () = self.clock.sleep(self.body_timeout) => {
                Err(format!("the body did not come within {:?}", self.body_timeout))
            }
        }
    }
}

#[async_trait]
impl Store for S3 {
    fn name(&self) -> &str {
        &self.name
    }

    fn costs(&self) -> Costs {
        Costs::S3
    }

    async fn get(&self, at: &Location, limit: u64) -> Result<Fetched, Fault> {
        let call = || self.call("GET", &at.bucket, &at.key);
        if at.key.is_empty() {
            return Err(fault(FaultKind::Refused, call(), "the key is empty"));
        }
        let output = match self.bodies.get_object().bucket(&*at.bucket).key(&at.key).send().await {
            Ok(output) => output,
            Err(error) => return answer::get(call(), &error),
        };
        let length = output.content_length().and_then(|length| u64::try_from(length).ok());
        let too_long = || {
            let size = length.map_or_else(|| "an unknown number of".to_owned(), |length| length.to_string());
            fault(FaultKind::Refused, call(), format!("the object has {size} bytes, more than the limit of {limit}"))
        };
        if length.is_some_and(|length| length > limit) {
            return Err(too_long());
        }
        match self.read_body(output.body, limit, length.unwrap_or(0)).await {
            Ok(Some(bytes)) => Ok(Fetched::Bytes(bytes)),
            Ok(None) => Err(too_long()),
            Err(message) => Err(fault(FaultKind::Retry, call(), message)),
        }
    }

    async fn head(&self, bucket: &str, key: &str) -> Result<Found, Fault> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Ok(Found::Absent);
        }
        match self.heads.head_object().bucket(bucket).key(key).send().await {
            Ok(output) => {
                let size = output.content_length().and_then(|length| u64::try_from(length).ok());
                let storage = output.storage_class().map(|class| class.as_str());
                let status = output.archive_status().map(|status| status.as_str());
                let class = archived::class(storage, output.restore(), status);
                let found = |size| class.map_or(Found::Present { size }, |class| Found::Archived { size, class });
                size.map(found).ok_or_else(|| {
                    let message = "the answer has no Content-Length";
                    fault(FaultKind::Contradiction, self.call("HEAD", bucket, key), message)
                })
            }
            Err(error) => answer::head(|| self.call("HEAD", bucket, key), &error),
        }
    }

    async fn list(&self, bucket: &str, prefix: &str, after: &str, max: usize) -> Result<Page, Fault> {
        let call = || format!("LIST s3://{bucket}/{prefix} after {after:?} at {}", self.name);
        let slot = BodySlot::default();
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let sent = self
            .bodies
            .list_objects_v2()
            .bucket(bucket)
            .set_prefix(given(prefix))
            .set_start_after(given(after))
            .max_keys(i32::try_from(max).unwrap_or(i32::MAX))
            .encoding_type(EncodingType::Url)
            .customize()
            .interceptor(TakeBody::into_slot(&slot))
            .send()
            .await;
        if let Err(error) = sent {
            return Err(answer::list(call(), &error));
        }
        let Some(body) = slot.take() else {
            return Err(fault(FaultKind::Contradiction, call(), "the answer has no body"));
        };
        let body = self.read_body(ByteStream::new(body), PAGE_BYTES_MAX, 0).await;
        let body = body.map_err(|message| fault(FaultKind::Retry, call(), message))?;
        let body = body.ok_or_else(|| {
            let message = format!("the page has more than {PAGE_BYTES_MAX} bytes");
            fault(FaultKind::Contradiction, call(), message)
        })?;
        scan(&body).map_err(|error| page_fault(call(), &error))
    }
}

/// What may be whole next time is to be asked for again.
fn page_fault(call: String, error: &ListPageError) -> Fault {
    let kind = match error {
        ListPageError::CutShort { .. } | ListPageError::StoreError { .. } => FaultKind::Retry,
        ListPageError::NotAListing | ListPageError::Malformed { .. } => FaultKind::Contradiction,
    };
    Fault { kind, call, status: Some(200), message: error.to_string() }
}
