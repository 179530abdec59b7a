//! `mirrors_database`: where the processes of an organization meet.
//!
//! Reads the settings of each type; what a connection string says is for those to judge that connect with it.

use std::path::PathBuf;
use std::time::Duration;

use lakemirror_core::secret::Secret;
use url::Url;

use super::limits::{ANY_DURATION, COUNT_MAX};
use super::reader::Section;

/// The mirrors database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MirrorsDatabase {
    /// In a directory of this process, which then serves both ends.
    Local {
        /// The directory.
        path: PathBuf,
    },
    /// A DynamoDB table.
    Dynamodb(Box<DynamodbDatabase>),
    /// PostgreSQL or CockroachDB.
    Postgres(PostgresDatabase),
}

/// `mirrors_database.dynamodb`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DynamodbDatabase {
    /// The table.
    pub table_name: String,
    /// The AWS region that the table is used in.
    pub aws_region: Option<String>,
    /// Server to talk to instead of AWS.
    pub endpoint: Option<Url>,
    /// Profile of the shared credentials file.
    pub aws_profile: Option<String>,
    /// Fixed access key id.
    pub aws_access_key_id: Option<String>,
    /// Its secret.
    pub aws_secret_access_key: Option<Secret>,
    /// Items of one page of a query, 1..=1,000,000.
    pub scan_limit: Option<u64>,
    /// Attempts of one request, 1..=100.
    pub max_attempts: Option<u32>,
}

/// `mirrors_database.postgres`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresDatabase {
    /// Where and as whom to connect. Secret: it usually holds a password.
    pub connection_string: Secret,
    /// Most connections at a time.
    pub max_open_connections: Option<u64>,
    /// Most connections kept idle.
    pub max_idle_connections: Option<u64>,
    /// How long a connection is used.
    pub connection_max_lifetime: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Local,
    Dynamodb,
    Postgres,
}

const KINDS: [(&str, Kind); 3] = [("local", Kind::Local), ("dynamodb", Kind::Dynamodb), ("postgres", Kind::Postgres)];

impl MirrorsDatabase {
    /// The word of `mirrors_database.type`.
    pub fn kind(&self) -> &'static str {
        match self {
            MirrorsDatabase::Local { .. } => "local",
            MirrorsDatabase::Dynamodb(_) => "dynamodb",
            MirrorsDatabase::Postgres(_) => "postgres",
        }
    }
}

/// Reads the section `mirrors_database`.
pub(super) fn read(section: &Section<'_>) -> Option<MirrorsDatabase> {
    let kind = section.required(
        "type",
        section.choice("type", &KINDS),
        "set it to local, dynamodb or postgres (CockroachDB too)",
    );
    for (name, _) in KINDS.iter().filter(|(_, other)| Some(*other) != kind) {
        section.accept(name);
    }
    match kind? {
        Kind::Local => section.within("local", read_local),
        Kind::Dynamodb => section.within("dynamodb", read_dynamodb),
        Kind::Postgres => section.within("postgres", read_postgres),
    }
}

fn read_local(section: &Section<'_>) -> Option<MirrorsDatabase> {
    let path = section.required("path", section.path("path"), "name a directory that outlives the process");
    path.map(|path| MirrorsDatabase::Local { path })
}

fn read_dynamodb(section: &Section<'_>) -> Option<MirrorsDatabase> {
    let table_name = section.required("table_name", section.text("table_name"), "name the table");
    let database = DynamodbDatabase {
        table_name: table_name.clone().unwrap_or_default(),
        aws_region: section.text("aws_region"),
        endpoint: section.endpoint("endpoint"),
        aws_profile: section.text("aws_profile"),
        aws_access_key_id: section.text("aws_access_key_id"),
        aws_secret_access_key: section.secret("aws_secret_access_key"),
        scan_limit: section.integer("scan_limit", 1..=COUNT_MAX),
        max_attempts: section.integer("max_attempts", 1..=100).and_then(|attempts| u32::try_from(attempts).ok()),
    };
    for (set, other, missing) in [
        (database.aws_access_key_id.is_some(), database.aws_secret_access_key.is_some(), "aws_secret_access_key"),
        (database.aws_secret_access_key.is_some(), database.aws_access_key_id.is_some(), "aws_access_key_id"),
    ] {
        if set && !other {
            let fix = "set both, or none to use aws_profile or the AWS environment";
            section.problem(missing, "is missing beside the other half of the access key", fix);
        }
    }
    table_name.map(|_| MirrorsDatabase::Dynamodb(Box::new(database)))
}

fn read_postgres(section: &Section<'_>) -> Option<MirrorsDatabase> {
    let found = section.secret("connection_string");
    let connection_string = section.required("connection_string", found, "write a postgres:// URL");
    let (max_open_connections, max_idle_connections) = (
        section.integer("max_open_connections", 0..=COUNT_MAX),
        section.integer("max_idle_connections", 0..=COUNT_MAX),
    );
    let connection_max_lifetime = section.duration("connection_max_lifetime", ANY_DURATION);
    connection_string.map(|connection_string| {
        MirrorsDatabase::Postgres(PostgresDatabase {
            connection_string,
            max_open_connections,
            max_idle_connections,
            connection_max_lifetime,
        })
    })
}
