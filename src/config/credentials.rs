//! The key pairs of the replication user: `dst_credentials`, a region each, over the common pair.
//!
//! Open-source lakeFS has one user with one pair, so that two installations that were there before have two. A pair comes
//! from one place as a whole or in halves: the environment goes before the file, as everywhere.

use std::collections::{BTreeMap, BTreeSet};

use url::Url;

use super::LakefsCredentials;
use super::problem::Place;
use super::reader::Section;

/// The map's name in the file.
const NAME: &str = "dst_credentials";
const KEY_ID: &str = "access_key_id";
const SECRET: &str = "secret_access_key";

/// This region's pair, and that of every other region that is known. `None` means that a problem was noted.
pub(super) fn read(
    root: &Section<'_>,
    own: Option<&str>,
    endpoints: &[(String, Place, Url)],
) -> Option<(LakefsCredentials, BTreeMap<String, LakefsCredentials>)> {
    let regions: BTreeSet<&str> = endpoints.iter().map(|(region, _, _)| region.as_str()).chain(own).collect();
    let names: Vec<String> = regions.iter().map(|region| (*region).to_owned()).collect();
    let found = root.map_of_sections_with(NAME, &names, read_pair);
    let mut pairs = BTreeMap::new();
    let mut whole = true;
    for (region, place, pair) in found {
        if !regions.contains(region.as_str()) {
            let key = format!("{NAME}.{region}");
            let fix = format!("it is not used; add dst_endpoints.{region}, or remove it");
            root.warning_at(place, &key, "no lakeFS of this region is configured", fix);
        }
        match pair {
            Pair::Of(pair) => drop(pairs.insert(region, pair)),
            Pair::None => {}
            Pair::Wrong => whole = false,
        }
    }
    let all_named = !regions.is_empty() && regions.iter().all(|region| pairs.contains_key(*region));
    let common = read_common(root, all_named && whole);
    if !whole || own.is_none() {
        return None;
    }
    let of = |region: &str| pairs.get(region).or(common.as_ref()).cloned();
    let others = regions.iter().filter(|region| Some(**region) != own);
    let others = others.map(|region| Some(((*region).to_owned(), of(region)?))).collect::<Option<_>>()?;
    Some((of(own?)?, others))
}

/// What the settings of one region come to.
enum Pair {
    Of(LakefsCredentials),
    None,
    Wrong,
}

fn read_pair(section: &Section<'_>) -> Pair {
    let (access_key_id, secret_access_key) = (section.text(KEY_ID), section.secret(SECRET));
    if access_key_id.is_none() && secret_access_key.is_none() {
        return Pair::None;
    }
    let fix = "set access_key_id and secret_access_key of this region's lakeFS, or neither to use the common pair";
    let access_key_id = section.required(KEY_ID, access_key_id, fix);
    let secret_access_key = section.required(SECRET, secret_access_key, fix);
    match access_key_id.zip(secret_access_key) {
        Some((access_key_id, secret_access_key)) => Pair::Of(LakefsCredentials { access_key_id, secret_access_key }),
        None => Pair::Wrong,
    }
}

/// The common pair, which is needed as soon as a region has none of its own.
fn read_common(root: &Section<'_>, all_named: bool) -> Option<LakefsCredentials> {
    let (access_key_id, secret) = (root.text("lakefs_access_key_id"), root.secret("lakefs_secret_access_key"));
    if all_named && access_key_id.is_none() && secret.is_none() {
        return None;
    }
    let fix = "set it to the replication user's key, the same in every region, or set dst_credentials for each region";
    let access_key_id = root.required("lakefs_access_key_id", access_key_id, fix);
    let secret_access_key = root.required("lakefs_secret_access_key", secret, fix);
    Some(LakefsCredentials { access_key_id: access_key_id?, secret_access_key: secret_access_key? })
}
