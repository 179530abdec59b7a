//! The identity of a blockstore: the settings that determine where bytes are stored, and nothing else.

use std::path::{Path, PathBuf};

use lakemirror_ports::{Inode, Machine, StoreIdentity};
use url::{Host, Url};

use crate::config::{Blockstore, S3Blockstore};

/// Prefixes of regions and their partitions. Any other region is in `aws`.
const PARTITIONS: [(&str, &str); 7] = [
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("us-isof-", "aws-iso-f"),
    ("eu-isoe-", "aws-iso-e"),
    ("eusc-", "aws-eusc"),
];

/// Domains of AWS's own endpoints.
const AWS_DOMAINS: [&str; 4] = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".amazonaws.eu"];

/// The identity of a blockstore. `variable` reads the environment, where the AWS SDK finds settings that are not given.
#[must_use]
pub fn of(blockstore: &Blockstore, variable: impl Fn(&str) -> Option<String>) -> StoreIdentity {
    match blockstore {
        Blockstore::Local { path } => local(path, machine()),
        Blockstore::S3(s3) => s3_identity(s3, &variable, machine),
        Blockstore::Gs(_) | Blockstore::Azure(_) => StoreIdentity::Unknown,
    }
}

fn local(path: &Path, machine: Machine) -> StoreIdentity {
    let real = std::fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned());
    StoreIdentity::Local { machine, path: real.display().to_string(), inode: inode(&real) }
}

fn inode(path: &PathBuf) -> Option<Inode> {
    use std::os::unix::fs::MetadataExt as _;
    let found = std::fs::metadata(path).ok()?;
    Some(Inode { device: found.dev(), number: found.ino() })
}

/// Every machine has an id of its running kernel, also within containers. The id of the installation may be missing.
fn machine() -> Machine {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    Machine { boot: read("/proc/sys/kernel/random/boot_id"), installation: read("/etc/machine-id") }
}

fn s3_identity(
    s3: &S3Blockstore,
    variable: &dyn Fn(&str) -> Option<String>,
    machine: impl FnOnce() -> Machine,
) -> StoreIdentity {
    let inherited = || variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL"))?.parse().ok();
    let endpoint: Option<Url> = s3.endpoint.clone().or_else(inherited);
    match endpoint.as_ref().filter(|endpoint| !is_aws(endpoint)) {
        Some(endpoint) => StoreIdentity::S3 { endpoint: place(endpoint), machine: is_loopback(endpoint).then(machine) },
        None => {
            let named = endpoint.as_ref().and_then(Url::host_str).and_then(region_in);
            let region = named.or_else(|| s3.region.clone()).or_else(|| variable("AWS_REGION"));
            let region = region.or_else(|| variable("AWS_DEFAULT_REGION")).unwrap_or_default();
            StoreIdentity::Aws { partition: partition(&region).to_owned() }
        }
    }
}

/// Host, port and path. The scheme is left out: one server may be reached with TLS and without.
fn place(endpoint: &Url) -> String {
    let port = endpoint.port().map_or(String::new(), |port| format!(":{port}"));
    let host = endpoint.host_str().unwrap_or_default().trim_end_matches('.');
    format!("{host}{port}{}", endpoint.path().trim_end_matches('/'))
}

fn is_loopback(endpoint: &Url) -> bool {
    match endpoint.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn is_aws(endpoint: &Url) -> bool {
    let host = endpoint.host_str().unwrap_or_default().trim_end_matches('.');
    AWS_DOMAINS.iter().any(|domain| host.ends_with(domain))
}

/// The region in the name of an AWS host.
fn region_in(host: &str) -> Option<String> {
    let is_region = |part: &&str| part.split('-').count() >= 3 && part.ends_with(|last: char| last.is_ascii_digit());
    host.split('.').rev().find(is_region).map(str::to_owned)
}

fn partition(region: &str) -> &'static str {
    PARTITIONS.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("aws", |(_, partition)| partition)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::S3Checksum;
    use lakemirror_ports::Sameness;

    fn s3(region: Option<&str>, endpoint: Option<&str>) -> Blockstore {
        Blockstore::S3(Box::new(S3Blockstore {
            region: region.map(str::to_owned),
            profile: None,
            endpoint: endpoint.map(|endpoint| endpoint.parse().unwrap()),
            force_path_style: false,
            credentials: None,
            credentials_file: None,
            discover_bucket_region: true,
            max_retries: None,
            checksum: S3Checksum::WhenRequired,
        }))
    }

    fn none(_: &str) -> Option<String> {
        None
    }

    fn aws(partition: &str) -> StoreIdentity {
        StoreIdentity::Aws { partition: partition.to_owned() }
    }

    #[test]
    fn all_of_a_partition_is_one_store_whatever_the_region() {
        for (region, endpoint, want) in [
            (Some("us-east-1"), None, "aws"),
            (Some("eu-west-1"), None, "aws"),
            (None, None, "aws"),
            (Some("cn-north-1"), None, "aws-cn"),
            (Some("us-gov-west-1"), None, "aws-us-gov"),
            (None, Some("https://s3.eu-west-1.amazonaws.com"), "aws"),
            (None, Some("https://s3.us-gov-west-1.amazonaws.com/"), "aws-us-gov"),
            (None, Some("https://s3.cn-north-1.amazonaws.com.cn"), "aws-cn"),
            (None, Some("https://bucket.vpce-1a2b-5e6f.s3.us-east-1.vpce.amazonaws.com"), "aws"),
        ] {
            assert_eq!(of(&s3(region, endpoint), none), aws(want), "{region:?} {endpoint:?}");
        }
        let inherited = |name: &str| (name == "AWS_REGION").then(|| "cn-northwest-1".to_owned());
        assert_eq!(of(&s3(None, None), inherited), aws("aws-cn"));
    }

    #[test]
    fn another_server_is_its_endpoint_in_one_form() {
        let of = |endpoint: &str| of(&s3(Some("us-east-1"), Some(endpoint)), none);
        let want = StoreIdentity::S3 { endpoint: "ceph.example:7480/s3".to_owned(), machine: None };
        for endpoint in ["http://ceph.example:7480/s3", "https://CEPH.example:7480/s3/", "http://ceph.example.:7480/s3"]
        {
            assert_eq!(of(endpoint), want, "{endpoint}");
        }
        assert_eq!(of("http://ceph.example").compare(&of("https://ceph.example:443/")), Sameness::Same);
        assert_eq!(of("http://ceph-a.example").compare(&of("http://ceph-b.example")), Sameness::Different);
        let StoreIdentity::S3 { machine: Some(machine), .. } = of("http://127.0.0.1:9000") else { panic!() };
        assert!(!machine.boot.is_empty(), "a loopback address is another server on each machine");
        let inherited = |name: &str| (name == "AWS_ENDPOINT_URL_S3").then(|| "http://minio:9000".to_owned());
        let found = super::of(&s3(None, None), inherited);
        assert_eq!(found, StoreIdentity::S3 { endpoint: "minio:9000".to_owned(), machine: None });
    }

    #[test]
    fn a_directory_is_itself_by_every_path_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link, other) = (dir.path().join("a"), dir.path().join("b"), dir.path().join("c"));
        std::fs::create_dir(&real).unwrap();
        std::fs::create_dir(&other).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let of = |path: &Path| of(&Blockstore::Local { path: path.to_owned() }, none);
        assert_eq!(of(&real).compare(&of(&link)), Sameness::Same);
        assert_eq!(of(&real).compare(&of(&other)), Sameness::Different);
        assert_eq!(of(&dir.path().join("later")).compare(&of(&real)), Sameness::Different);
    }
}
