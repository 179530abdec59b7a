//! Converts the configuration into the adapters' settings.

use lakemirror_mirrors::{PAGE_ITEMS_MAX, dynamodb, postgres};
use lakemirror_outbound::Proxies;

use crate::config::{Blockstore, DynamodbDatabase, PostgresDatabase, S3Blockstore, S3Checksum};

pub mod identity;

/// The scheme of a blockstore's addresses.
#[must_use]
pub fn scheme(blockstore: &Blockstore) -> &'static str {
    match blockstore {
        Blockstore::S3(_) => "s3",
        Blockstore::Local { .. } => "local",
        Blockstore::Gs(_) => "gs",
        Blockstore::Azure(_) => "https",
    }
}

/// The adapter's settings.
#[must_use]
pub fn settings(blockstore: &Blockstore, proxies: &Proxies) -> lakemirror_objects::Settings {
    match blockstore {
        Blockstore::Local { path } => {
            lakemirror_objects::Settings::Local(lakemirror_objects::local::Settings { path: path.clone() })
        }
        Blockstore::S3(s3) => lakemirror_objects::Settings::S3(s3_settings(s3, proxies)),
        Blockstore::Gs(_) | Blockstore::Azure(_) => lakemirror_objects::Settings::Other(blockstore.kind().to_owned()),
    }
}

/// The settings of an S3-compatible store.
#[must_use]
pub fn s3_settings(s3: &S3Blockstore, proxies: &Proxies) -> lakemirror_objects::s3::Settings {
    let credentials = match (&s3.credentials, &s3.profile, &s3.credentials_file) {
        (Some(pair), _, _) => lakemirror_objects::s3::Credentials::Static {
            access_key_id: lakemirror_core::secret::Secret::new(pair.access_key_id.clone()),
            secret_access_key: pair.secret_access_key.clone(),
            session_token: pair.session_token.clone(),
        },
        (None, None, None) => lakemirror_objects::s3::Credentials::Chain,
        (None, profile, file) => {
            lakemirror_objects::s3::Credentials::Profile { name: profile.clone(), file: file.clone() }
        }
    };
    lakemirror_objects::s3::Settings {
        region: s3.region.clone(),
        endpoint: s3.endpoint.as_ref().map(|endpoint| endpoint.as_str().trim_end_matches('/').to_owned()),
        force_path_style: s3.force_path_style,
        credentials,
        checksums: match s3.checksum {
            S3Checksum::WhenRequired => lakemirror_objects::s3::Checksums::WhenRequired,
            S3Checksum::WhenSupported => lakemirror_objects::s3::Checksums::WhenSupported,
        },
        proxies: proxies.clone(),
        ..lakemirror_objects::s3::Settings::default()
    }
}

/// The settings of a mirrors database in DynamoDB.
#[must_use]
pub fn dynamodb_settings(table: &DynamodbDatabase, proxies: &Proxies) -> dynamodb::Settings {
    let credentials = match (&table.aws_access_key_id, &table.aws_secret_access_key, &table.aws_profile) {
        (Some(id), Some(secret), _) => {
            dynamodb::Credentials::Static { access_key_id: id.clone(), secret_access_key: secret.clone() }
        }
        (_, _, Some(profile)) => dynamodb::Credentials::Profile(profile.clone()),
        _ => dynamodb::Credentials::Chain,
    };
    let defaults = dynamodb::Settings::new(table.table_name.clone());
    dynamodb::Settings {
        region: table.aws_region.clone(),
        endpoint: table.endpoint.as_ref().map(|endpoint| endpoint.as_str().trim_end_matches('/').to_owned()),
        credentials,
        scan_limit: table
            .scan_limit
            .map_or(defaults.scan_limit, |limit| usize::try_from(limit).unwrap_or(PAGE_ITEMS_MAX)),
        proxies: proxies.clone(),
        attempts_max: table.max_attempts.unwrap_or(defaults.attempts_max),
        ..defaults
    }
}

/// The settings of a mirrors database in PostgreSQL or CockroachDB. 0 connections means the default, as in lakeFS.
#[must_use]
pub fn postgres_settings(database: &PostgresDatabase) -> postgres::Settings {
    let defaults = postgres::Settings::new(database.connection_string.clone());
    let count = |number: Option<u64>, default: usize| {
        number.filter(|number| *number > 0).map_or(default, |number| usize::try_from(number).unwrap_or(usize::MAX))
    };
    postgres::Settings {
        connections_max: count(database.max_open_connections, defaults.connections_max),
        idle_max: count(database.max_idle_connections, defaults.idle_max),
        lifetime: database.connection_max_lifetime.filter(|time| !time.is_zero()).unwrap_or(defaults.lifetime),
        ..defaults
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use lakemirror_core::secret::Secret;

    fn table() -> DynamodbDatabase {
        DynamodbDatabase {
            table_name: "t".into(),
            aws_region: Some("eu-west-1".into()),
            endpoint: None,
            aws_profile: Some("mirror".into()),
            aws_access_key_id: None,
            aws_secret_access_key: None,
            scan_limit: None,
            max_attempts: None,
        }
    }

    #[test]
    fn a_key_of_its_own_goes_before_a_profile_and_that_before_the_chain() {
        let profile = dynamodb_settings(&table(), &Proxies::default());
        assert_eq!(profile.credentials, dynamodb::Credentials::Profile("mirror".into()));
        assert_eq!((profile.scan_limit, profile.attempts_max), (1000, 10));
        let (id, secret) = (Some("id".to_owned()), Some(Secret::new("s")));
        let key = DynamodbDatabase { aws_access_key_id: id, aws_secret_access_key: secret, ..table() };
        assert!(matches!(
            dynamodb_settings(&key, &Proxies::default()).credentials,
            dynamodb::Credentials::Static { .. }
        ));
        let chain = DynamodbDatabase { aws_profile: None, ..table() };
        assert_eq!(dynamodb_settings(&chain, &Proxies::default()).credentials, dynamodb::Credentials::Chain);
        let endpoint = "http://127.0.0.1:8000".parse().ok();
        let elsewhere = DynamodbDatabase { endpoint, scan_limit: Some(7), max_attempts: Some(2), ..table() };
        let settings = dynamodb_settings(&elsewhere, &Proxies::default());
        assert_eq!(settings.endpoint.as_deref(), Some("http://127.0.0.1:8000"));
        assert_eq!((settings.scan_limit, settings.attempts_max), (7, 2));
    }

    #[test]
    fn nothing_and_zero_mean_the_defaults_of_the_pool() {
        let mut database = PostgresDatabase {
            connection_string: "host=h".into(),
            max_open_connections: Some(0),
            max_idle_connections: None,
            connection_max_lifetime: Some(Duration::ZERO),
        };
        assert_eq!(postgres_settings(&database), postgres::Settings::new("host=h".into()));
        database.max_open_connections = Some(3);
        database.connection_max_lifetime = Some(Duration::from_secs(9));
        let settings = postgres_settings(&database);
        assert_eq!((settings.connections_max, settings.idle_max, settings.lifetime.as_secs()), (3, 10, 9));
    }
}
