//! The settings as they are logged at start: an explicit list, so that a new secret cannot slip in.

use super::{Archive, AuthCache, Blockstore, Config, MirrorsDatabase, Recheck};

/// Names as in the file, values for people.
pub(super) fn of(config: &Config) -> Vec<(&'static str, String)> {
    vec![
        ("region", config.region.clone()),
        ("organization_id", config.organization_id.clone()),
        ("regional_endpoint", config.regional_endpoint.to_string()),
        ("dst_endpoints", list(config.dst_endpoints.iter().map(|(region, url)| format!("{region}={url}")))),
        ("lakefs_access_key_id", config.lakefs_credentials.access_key_id.clone()),
        (
            "dst_credentials",
            list(config.dst_credentials.iter().map(|(region, pair)| format!("{region}={}", pair.access_key_id))),
        ),
        ("listen_address", config.listen_address.clone()),
        ("logging.level", config.logging.level.word().to_owned()),
        ("logging.format", config.logging.format.word().to_owned()),
        ("api.max_connections", config.api.max_connections.to_string()),
        ("mirrors_database", database(&config.mirrors_database)),
        ("blockstore", blockstore(&config.blockstore)),
        (
            "also_serves",
            list(
                config
                    .also_serves
                    .iter()
                    .map(|(region, served)| format!("{region}={}", blockstore(&served.blockstore))),
            ),
        ),
        ("auth.api.endpoint", config.auth.api_endpoint.as_ref().map_or_else(none, ToString::to_string)),
        ("auth.cache", config.auth.cache.as_ref().map_or_else(|| "off".to_owned(), cache)),
        ("auth.trusted_proxies", list(config.auth.trusted_proxies.iter().map(ToString::to_string))),
        ("journal.path", config.journal.path.display().to_string()),
        ("journal.seal", format!("{} bytes or {:?}", config.journal.seal_max_bytes, config.journal.seal_max_age)),
        ("journal.snapshot.interval", format!("{:?}", config.journal.snapshot_interval)),
        ("journal.compress", config.journal.compress.to_string()),
        ("journal.archive", config.journal.archive.as_ref().map_or_else(none, archive)),
        ("journal.retain", format!("{} bytes or {:?}", config.journal.retain_max_bytes, config.journal.retain_max_age)),
        (
            "committed.local_cache.dir",
            config.committed.local_cache.dir.as_ref().map_or_else(none, |dir| dir.display().to_string()),
        ),
        ("committed.local_cache.size_bytes", config.committed.local_cache.size_bytes.to_string()),
        ("committed.metadata_prefix", config.committed.metadata_prefix.clone()),
        ("commit_sensor.process_branches_duration", format!("{:?}", config.commit_sensor.scan_interval())),
        ("mirrors_manager.process_mirrors_interval_duration", format!("{:?}", config.mirrors_manager.interval())),
        ("validator.run_interval", recheck(config.validator.recheck())),
        ("validator.num_workers", config.validator.num_workers.to_string()),
        ("list_mirrors_page_size", config.list_mirrors_page_size.to_string()),
        ("list_repositories_page_size", config.list_repositories_page_size.to_string()),
        ("promotion.history", format!("{:?}", config.promotion.history).to_lowercase()),
        ("promotion.on_divergence", format!("{:?}", config.promotion.on_divergence).to_lowercase()),
        ("verification.size", format!("{:?}", config.verification.size).to_lowercase()),
        ("verification.archived", format!("{:?}", config.verification.archived).to_lowercase()),
        ("verification.evidence_max_age", format!("{:?}", config.verification.evidence_max_age)),
        ("verification.diagnose_after", format!("{:?}", config.verification.diagnose_after)),
        ("imports", format!("{:?}", config.imports).to_lowercase()),
        ("deletion.grace", format!("{:?}", config.deletion.grace)),
        ("deletion.max_fraction", config.deletion.max_fraction.to_string()),
    ]
}

fn none() -> String {
    "-".to_owned()
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() { none() } else { items.join(" ") }
}

fn database(database: &MirrorsDatabase) -> String {
    match database {
        MirrorsDatabase::Local { path } => format!("local:{}", path.display()),
        MirrorsDatabase::Dynamodb(dynamodb) => {
            let endpoint = dynamodb.endpoint.as_ref().map(ToString::to_string);
            let at = endpoint.as_deref().or(dynamodb.aws_region.as_deref()).unwrap_or("the environment's region");
            format!("dynamodb:{} {at}", dynamodb.table_name)
        }
        // The connection string holds a password as often as not.
        MirrorsDatabase::Postgres(_) => "postgres".to_owned(),
    }
}

fn blockstore(store: &Blockstore) -> String {
    match store {
        Blockstore::Local { path } => format!("local:{}", path.display()),
        Blockstore::S3(s3) => match &s3.endpoint {
            Some(endpoint) => format!("s3:{endpoint}"),
            None => "s3".to_owned(),
        },
        Blockstore::Gs(_) | Blockstore::Azure(_) => store.kind().to_owned(),
    }
}

fn cache(cache: &AuthCache) -> String {
    format!("{} callers for {:?} and up to {:?} more", cache.size, cache.ttl, cache.jitter)
}

fn recheck(recheck: Recheck) -> String {
    match recheck {
        Recheck::Every(interval) => format!("{interval:?}"),
        Recheck::BackOff { first, last } => format!("back-off from {first:?} to {last:?}"),
    }
}

fn archive(archive: &Archive) -> String {
    match archive {
        Archive::Directory(path) => path.display().to_string(),
        Archive::S3 { bucket, prefix, .. } => format!("s3://{bucket}/{prefix}"),
    }
}
