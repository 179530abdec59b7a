//! The document itself: its own keys, its sections in order, and what must hold between them.
//!
//! Everything is read before anything is assembled, so that one run reports every problem.

use std::collections::BTreeMap;

use url::Url;

use super::AlsoServed;
use super::limits::ID_BYTES_MAX;
use super::problem::Place;
use super::reader::Section;
use super::scalar::{self, BadValue};
use super::{
    Config, MirrorsDatabase, api, auth, blockstore, committed, credentials, database, journal, log, pace, policy,
};

type Served = Vec<(String, Place, Option<AlsoServed>)>;
type Endpoints = Vec<(String, Place, Url)>;

/// Reads the document. `None` means that a problem was noted.
pub(super) fn read(root: &Section<'_>) -> Option<Config> {
    let region = root.required("region", root.value("region", identifier), "set it to this installation's region id");
    let organization_id = root.value("organization_id", identifier);
    let organization_id = root.required("organization_id", organization_id, "set it to the same id in every region");
    let endpoint = root.value("regional_endpoint", scalar::lakefs_endpoint);
    let regional_endpoint = root.required("regional_endpoint", endpoint, "set it to the URL of this region's lakeFS");
    let listen_address = root.value("listen_address", scalar::listen_address);
    let mirrors_database = root.within("mirrors_database", database::read);
    let blockstore = root.within("blockstore", blockstore::read);
    let auth = root.within("auth", auth::read);
    let committed = root.within("committed", committed::read);
    let journal = root.within("journal", |section| journal::read(section, &committed.local_cache));
    let validator = root.within("validator", pace::read_validator);
    let object_expiry = validator.object_presence_cache.expiry;
    let endpoints = root.map("dst_endpoints", scalar::lakefs_endpoint);
    let served = root.map_of_sections("also_serves", read_also_served);
    let pairs = credentials::read(root, region.as_deref(), &endpoints);
    check_regions(root, region.as_deref(), mirrors_database.as_ref(), &endpoints, &served);
    note_refstore(root);
    let (own_pair, dst_credentials) = pairs.map_or((None, BTreeMap::new()), |(own, others)| (Some(own), others));
    let config = Config {
        organization_name: root.text("organization_name"),
        dst_endpoints: other_regions(region.as_deref(), endpoints),
        listen_address: listen_address.unwrap_or_else(|| ":8008".to_owned()),
        api: root.within("api", api::read),
        logging: root.within("logging", log::read),
        commit_sensor: root.within("commit_sensor", pace::read_commit_sensor),
        mirrors_manager: root.within("mirrors_manager", pace::read_mirrors_manager),
        list_mirrors_page_size: pace::read_page_size(root, "list_mirrors_page_size"),
        list_repositories_page_size: pace::read_page_size(root, "list_repositories_page_size"),
        promotion: root.within("promotion", policy::read_promotion),
        verification: root.within("verification", |section| policy::read_verification(section, object_expiry)),
        imports: policy::read_imports(root),
        deletion: root.within("deletion", policy::read_deletion),
        also_serves: served.into_iter().filter_map(|(region, _, served)| Some((region, served?))).collect(),
        committed,
        validator,
        region: region?,
        organization_id: organization_id?,
        regional_endpoint: regional_endpoint?,
        lakefs_credentials: own_pair?,
        dst_credentials,
        mirrors_database: mirrors_database?,
        blockstore: blockstore?,
        auth: auth?,
        journal: journal?,
    };
    Some(config)
}

/// A region or organization id: a part of database keys and of messages.
fn identifier(text: &str) -> Result<String, BadValue> {
    if text.len() > ID_BYTES_MAX {
        return scalar::bad(format!("is longer than {ID_BYTES_MAX} bytes"), "use a shorter id");
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return scalar::bad(format!("{} holds a space", scalar::quoted(text)), "write the id without spaces");
    }
    Ok(text.to_owned())
}

fn read_also_served(section: &Section<'_>) -> Option<AlsoServed> {
    let blockstore = section.within("blockstore", blockstore::read);
    blockstore.map(|blockstore| AlsoServed { blockstore })
}

fn note_refstore(root: &Section<'_>) {
    if root.accept("refstore_database") {
        let what = "is accepted and not used";
        root.warning("refstore_database", what, "commits are written through lakeFS's API; nothing needs to be done");
    }
}

/// The endpoints without this region's own, which `regional_endpoint` has.
fn other_regions(region: Option<&str>, endpoints: Endpoints) -> BTreeMap<String, Url> {
    let others = endpoints.into_iter().filter(|(other, _, _)| Some(other.as_str()) != region);
    others.map(|(other, _, url)| (other, url)).collect()
}

/// One process for both ends needs the local database, and every region that it serves needs a lakeFS.
fn check_regions(
    root: &Section<'_>,
    region: Option<&str>,
    database: Option<&MirrorsDatabase>,
    endpoints: &Endpoints,
    served: &Served,
) {
    let local = matches!(database, Some(MirrorsDatabase::Local { .. }));
    if database.is_some() && !local && !served.is_empty() {
        let fix = "remove it, and run a process beside each lakeFS; or set mirrors_database.type to local";
        root.problem_at(root.place("also_serves"), "also_serves", "needs mirrors_database.type local", fix);
    }
    for (other, place, _) in served {
        let key = format!("also_serves.{other}");
        if Some(other.as_str()) == region {
            let fix = "name only other regions; this one's store is `blockstore`";
            root.problem_at(place.clone(), &key, "is this process's own region", fix);
        } else if !endpoints.iter().any(|(name, _, _)| name == other) {
            let fix = format!("add dst_endpoints.{other} with the URL of its lakeFS");
            root.problem_at(place.clone(), &key, "has no lakeFS URL", fix);
        }
    }
    for (other, place, _) in endpoints {
        let key = format!("dst_endpoints.{other}");
        if Some(other.as_str()) == region {
            root.warning_at(place.clone(), &key, "is this process's own region", "regional_endpoint is used for it");
        } else if local && !served.iter().any(|(name, _, _)| name == other) {
            let fix = format!("add also_serves.{other} with its blockstore, or mirrors to it cannot be made");
            root.warning_at(place.clone(), &key, "no process serves this region while the database is local", fix);
        }
    }
}
