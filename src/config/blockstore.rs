//! `blockstore`: the object store of a region, in lakeFS's own settings.
//!
//! All of lakeFS's types are read, so that a configuration is judged whole; whether this version can work with a type
//! is decided by [`Blockstore::unsupported`]. What lakeFS has for clients of its own (presigning, write encryption) is
//! accepted and unused: lakemirror writes to no bucket.

use std::path::PathBuf;

use lakemirror_core::secret::Secret;
use url::Url;

use super::reader::Section;

/// An object store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blockstore {
    /// S3 or a store that speaks it.
    S3(Box<S3Blockstore>),
    /// Directories under one root.
    Local {
        /// lakeFS's own `blockstore.local.path`.
        path: PathBuf,
    },
    /// Google Cloud Storage.
    Gs(GsBlockstore),
    /// Azure Blob Storage.
    Azure(AzureBlockstore),
}

/// `blockstore.s3`. What is not set comes from the credentials chain of the AWS SDK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Blockstore {
    /// Region to sign for.
    pub region: Option<String>,
    /// Profile of the shared credentials file.
    pub profile: Option<String>,
    /// Server to talk to instead of AWS.
    pub endpoint: Option<Url>,
    /// Bucket in the path instead of the host name. Default false.
    pub force_path_style: bool,
    /// A fixed access key.
    pub credentials: Option<S3Credentials>,
    /// Shared credentials file to read instead of the usual one.
    pub credentials_file: Option<PathBuf>,
    /// Whether to ask for the region of each bucket. Default true.
    pub discover_bucket_region: bool,
    /// Retries of one request, 0..=20; the adapter's own number where not set.
    pub max_retries: Option<u32>,
    /// When checksums of the newer kinds are used. Default `when_required` with an endpoint, else `when_supported`.
    pub checksum: S3Checksum,
}

/// `blockstore.s3.checksum`: stores other than AWS often refuse or omit the checksums that newer clients ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum S3Checksum {
    /// Wherever the protocol has them.
    WhenSupported,
    /// Only where it cannot do without.
    WhenRequired,
}

/// `blockstore.s3.credentials`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Credentials {
    /// Access key id.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: Secret,
    /// Session token of temporary credentials.
    pub session_token: Option<Secret>,
}

/// `blockstore.gs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GsBlockstore {
    /// Service account file.
    pub credentials_file: Option<PathBuf>,
    /// Service account, inline.
    pub credentials_json: Option<Secret>,
}

/// `blockstore.azure`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AzureBlockstore {
    /// Storage account.
    pub storage_account: Option<String>,
    /// Its key.
    pub storage_access_key: Option<Secret>,
    /// Domain of another Azure cloud.
    pub domain: Option<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    S3,
    Local,
    Gs,
    Azure,
}

const KINDS: [(&str, Kind); 4] = [("s3", Kind::S3), ("local", Kind::Local), ("gs", Kind::Gs), ("azure", Kind::Azure)];

const CHECKSUMS: [(&str, S3Checksum); 2] =
    [("when_supported", S3Checksum::WhenSupported), ("when_required", S3Checksum::WhenRequired)];

/// lakeFS's own, without a meaning for a reader of the store.
const S3_UNUSED: [&str; 9] = [
    "pre_signed_expiry",
    "pre_signed_endpoint",
    "disable_pre_signed",
    "disable_pre_signed_ui",
    "disable_pre_signed_multipart",
    "server_side_encryption",
    "server_side_encryption_kms_key_id",
    "client_log_retries",
    "client_log_request",
];

impl Blockstore {
    /// The word of `blockstore.type`.
    pub fn kind(&self) -> &'static str {
        match self {
            Blockstore::S3(_) => "s3",
            Blockstore::Local { .. } => "local",
            Blockstore::Gs(_) => "gs",
            Blockstore::Azure(_) => "azure",
        }
    }

    /// Whether this version cannot work with it.
    fn unsupported(&self) -> bool {
        match self {
            Blockstore::S3(_) | Blockstore::Local { .. } => false,
            Blockstore::Gs(_) | Blockstore::Azure(_) => true,
        }
    }
}

/// Reads a section `blockstore`.
pub(super) fn read(section: &Section<'_>) -> Option<Blockstore> {
    for unused in ["signing", "default_namespace_prefix"] {
        section.accept(unused);
    }
    let kind = section.required("type", section.choice("type", &KINDS), "set it to s3 or local, as lakeFS has it");
    for (name, _) in KINDS.iter().filter(|(_, other)| Some(*other) != kind) {
        section.accept(name);
    }
    let store = match kind? {
        Kind::S3 => section.within("s3", read_s3).map(|s3| Blockstore::S3(Box::new(s3))),
        Kind::Local => section.within("local", read_local),
        Kind::Gs => Some(section.within("gs", read_gs)),
        Kind::Azure => Some(section.within("azure", read_azure)),
    }?;
    if store.unsupported() {
        let what = format!("`{}` is not supported in this version", store.kind());
        section.problem("type", what, "use s3 or local, or keep the service that you have for this region");
    }
    Some(store)
}

pub(super) fn read_s3(section: &Section<'_>) -> Option<S3Blockstore> {
    for unused in S3_UNUSED {
        section.accept(unused);
    }
    let endpoint = section.endpoint("endpoint");
    let checksum_default = if endpoint.is_some() { S3Checksum::WhenRequired } else { S3Checksum::WhenSupported };
    Some(S3Blockstore {
        region: section.text("region"),
        profile: section.text("profile"),
        force_path_style: section.boolean("force_path_style").unwrap_or(false),
        credentials: section.within("credentials", read_s3_credentials),
        credentials_file: section.path("credentials_file"),
        discover_bucket_region: section.boolean("discover_bucket_region").unwrap_or(true),
        max_retries: section.integer("max_retries", 0..=20).and_then(|retries| u32::try_from(retries).ok()),
        checksum: section.choice("checksum", &CHECKSUMS).unwrap_or(checksum_default),
        endpoint,
    })
}

/// No credentials at all are fine; half a pair is not.
fn read_s3_credentials(section: &Section<'_>) -> Option<S3Credentials> {
    let access_key_id = section.text("access_key_id");
    let secret_access_key = section.secret("secret_access_key");
    let session_token = section.secret("session_token");
    if access_key_id.is_none() && secret_access_key.is_none() && session_token.is_none() {
        return None;
    }
    let fix = "set access_key_id and secret_access_key, or neither to use the AWS SDK's credentials chain";
    let access_key_id = section.required("access_key_id", access_key_id, fix);
    let secret_access_key = section.required("secret_access_key", secret_access_key, fix);
    Some(S3Credentials { access_key_id: access_key_id?, secret_access_key: secret_access_key?, session_token })
}

fn read_local(section: &Section<'_>) -> Option<Blockstore> {
    for unused in ["import_enabled", "import_hidden", "allowed_external_prefixes"] {
        section.accept(unused);
    }
    let path = section.required("path", section.path("path"), "name the directory that this region's lakeFS uses");
    path.map(|path| Blockstore::Local { path })
}

fn read_gs(section: &Section<'_>) -> Blockstore {
    for unused in ["s3_endpoint", "pre_signed_expiry", "disable_pre_signed", "disable_pre_signed_ui"] {
        section.accept(unused);
    }
    Blockstore::Gs(GsBlockstore {
        credentials_file: section.path("credentials_file"),
        credentials_json: section.secret("credentials_json"),
    })
}

fn read_azure(section: &Section<'_>) -> Blockstore {
    for unused in ["try_timeout", "pre_signed_expiry", "disable_pre_signed", "disable_pre_signed_ui"] {
        section.accept(unused);
    }
    Blockstore::Azure(AzureBlockstore {
        storage_account: section.text("storage_account"),
        storage_access_key: section.secret("storage_access_key"),
        domain: section.text("domain"),
    })
}
