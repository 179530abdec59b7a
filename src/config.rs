//! Settings as plain data, read once: the file, what the environment lays over it, and a check that reports every
//! problem at once.
//!
//! Owns names, defaults and bounds of all settings (the vendor's, for whose replication service lakemirror stands in,
//! and our own). Knows nothing of what they configure: adapters and engine are built from these structs elsewhere.
//! Text in; [`Config`] with warnings, or all [`Problem`]s, out.

mod api;
mod auth;
mod blockstore;
mod committed;
mod credentials;
mod database;
mod journal;
mod limits;
mod log;
mod pace;
mod policy;
mod problem;
mod reader;
mod root;
mod scalar;
mod summary;
mod yaml;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use url::Url;

pub use api::Api;
pub use auth::{Auth, AuthCache};
pub use blockstore::{AzureBlockstore, Blockstore, GsBlockstore, S3Blockstore, S3Checksum, S3Credentials};
pub use committed::{Committed, LocalCache};
pub use database::{DynamodbDatabase, MirrorsDatabase, PostgresDatabase};
pub use journal::{Archive, Journal};
pub use log::{LogFormat, LogLevel, Logging};
pub use pace::{CommitSensor, MirrorsManager, PresenceCache, Recheck, Validator};
pub use policy::{ArchivedRule, Deletion, History, Imports, OnDivergence, Promotion, SizeRule, Verification};
pub use problem::{Place, Problem, Warning};

use lakemirror_core::secret::Secret;

/// The largest configuration file, in bytes. A full one has about 5 KiB.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// All settings, checked. The keys of the file have the same names, with dots where a struct nests.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// This installation's region id.
    pub region: String,
    /// Partition of the mirrors database; the same everywhere.
    pub organization_id: String,
    /// Accepted, unused: `regional_endpoint` says where lakeFS is.
    pub organization_name: Option<String>,
    /// The lakeFS of this region.
    pub regional_endpoint: Url,
    /// The lakeFS of each other region.
    pub dst_endpoints: BTreeMap<String, Url>,
    /// The pair for this region's lakeFS: its entry in `dst_credentials`, else `lakefs_access_key_id` and
    /// `lakefs_secret_access_key`.
    pub lakefs_credentials: LakefsCredentials,
    /// The pair for each region of `dst_endpoints`: its entry in `dst_credentials`, else the common one.
    pub dst_credentials: BTreeMap<String, LakefsCredentials>,
    /// `host:port` for the API; without a host, every address of both families. Default `:8008`.
    pub listen_address: String,
    /// The API's server.
    pub api: Api,
    /// Where the processes of an organization meet.
    pub mirrors_database: MirrorsDatabase,
    /// The object store of this region.
    pub blockstore: Blockstore,
    /// How callers of the API are known.
    pub auth: Auth,
    /// How much is logged and how.
    pub logging: Logging,
    /// Metadata files: their cache and their prefix.
    pub committed: Committed,
    /// Looking for new commits.
    pub commit_sensor: CommitSensor,
    /// Creating and removing mirrors.
    pub mirrors_manager: MirrorsManager,
    /// Mirrors of one page, 1..=1000. Default 1000.
    pub list_mirrors_page_size: u64,
    /// Repositories of one page, 1..=1000. Default 1000.
    pub list_repositories_page_size: u64,
    /// Looking for objects.
    pub validator: Validator,
    /// The journal: its directory, its segments, and how long they stay.
    pub journal: Journal,
    /// Regions whose destination work this process does too.
    pub also_serves: BTreeMap<String, AlsoServed>,
    /// When a branch moves.
    pub promotion: Promotion,
    /// What counts as there.
    pub verification: Verification,
    /// Entries with a full address outside the namespace.
    pub imports: Imports,
    /// When a branch goes.
    pub deletion: Deletion,
}

/// The replication user's key pair in one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakefsCredentials {
    /// Access key id.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: Secret,
}

/// One entry of `also_serves`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlsoServed {
    /// The object store of that region.
    pub blockstore: Blockstore,
}

/// What a configuration comes to.
pub type Loaded = Result<(Config, Vec<Warning>), Vec<Problem>>;

impl Config {
    /// Reads the file at `path` and lays the environment over it. Of `variables` those that begin with `REPLICATION_`
    /// count: the key in upper case with `_` for dots. An empty variable counts as not set.
    ///
    /// # Errors
    /// Every problem of both, in the order of the file. A file that cannot be read as YAML is one problem.
    pub fn load(path: &Path, variables: &BTreeMap<String, String>) -> Loaded {
        match read_text(path) {
            Ok(text) => Config::parse(path, &text, variables),
            Err(problem) => Err(vec![problem]),
        }
    }

    /// As [`Config::load`], for a text that is already there; `path` is only named in messages.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(path: &Path, text: &str, variables: &BTreeMap<String, String>) -> Loaded {
        let file = Arc::new(path.to_path_buf());
        let document = yaml::parse(text).map_err(|error| {
            let place = Place::line(&file, error.at);
            vec![Problem { place, key: String::new(), what: error.what, fix: error.fix }]
        })?;
        let reader = reader::Reader::new(file, variables);
        let config = reader.root(&document, root::read);
        match (config, reader.finish()) {
            (Some(config), (problems, warnings)) if problems.is_empty() => Ok((config, warnings)),
            (_, (mut problems, warnings)) => {
                // A key that is not known may be the one that is missing: its hint is part of what is wrong.
                problems.extend(warnings.into_iter().map(Problem::from));
                problems.sort();
                Err(problems)
            }
        }
    }

    /// How `path` says that there is to be logged, for the time before the whole configuration is known to be right; the
    /// defaults for what it does not say.
    #[must_use]
    pub fn logging(path: &Path, variables: &BTreeMap<String, String>) -> Logging {
        let document = read_text(path).ok().and_then(|text| yaml::parse(&text).ok());
        let document = document.unwrap_or_else(yaml::Node::empty);
        let reader = reader::Reader::new(Arc::new(path.to_path_buf()), variables);
        reader.root(&document, |root| root.within("logging", log::read))
    }

    /// The settings for the log at start, by name: an explicit list, which holds no secret.
    pub fn summary(&self) -> Vec<(&'static str, String)> {
        summary::of(self)
    }
}

/// The variables of this process that are settings.
pub fn process_variables() -> BTreeMap<String, String> {
    let ours = |name: &std::ffi::OsString| name.to_str().is_some_and(|name| name.starts_with(reader::PREFIX));
    std::env::vars_os()
        .filter(|(name, _)| ours(name))
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .collect()
}

fn read_text(path: &Path) -> Result<String, Problem> {
    let problem = |what: String, fix: &str| Problem {
        place: Place::File(Arc::new(path.to_path_buf())),
        key: String::new(),
        what,
        fix: fix.to_owned(),
    };
    let cannot = |error: std::io::Error| problem(format!("cannot be read ({error})"), "check its path and permissions");
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let what = format!("is larger than {FILE_BYTES_MAX} bytes");
        return Err(problem(what, "this does not look like a configuration file"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        problem(format!("line {line} is not UTF-8 text"), "save the file as UTF-8")
    })
}

#[cfg(test)]
mod tests;
