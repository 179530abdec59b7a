//! The identity of a region's object store, by which another region can tell whether it has the same one.
//!
//! This module owns the comparison. Two stores are treated as different only if that is certain: a mirror in the
//! source's own place would show everything as complete although no byte had been copied.

use serde::{Deserialize, Serialize};

/// An object store as its region describes it. Never contains a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StoreIdentity {
    /// AWS's own S3. Bucket names are unique within a partition, whatever the region.
    Aws {
        /// The partition, such as `aws` or `aws-cn`.
        partition: String,
    },
    /// Another server that speaks S3.
    S3 {
        /// Host, path, and the port unless it is the scheme's default.
        endpoint: String,
        /// The machine, if the endpoint is a loopback address, which means another server on each machine.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        machine: Option<Machine>,
    },
    /// Directories on one machine.
    Local {
        /// The machine.
        machine: Machine,
        /// The directory, with links resolved.
        path: String,
        /// The directory as the machine's kernel identifies it, whatever path it is mounted at; none if it did not
        /// exist.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inode: Option<Inode>,
    },
    /// Unknown to this version: an older definition without an identity, or a newer kind of store.
    #[serde(other)]
    Unknown,
}

/// A machine. Both ids are the same in all containers on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Machine {
    /// The running kernel's id, unique to this machine and new after each start. Empty if the system does not provide
    /// it.
    pub boot: String,
    /// The installation's id; empty if there is none.
    #[serde(default)]
    pub installation: String,
}

/// A directory's number within a running kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Inode {
    /// The file system.
    pub device: u64,
    /// The directory in it.
    pub number: u64,
}

/// The result of comparing two identities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sameness {
    /// One store: equal names are one place.
    Same,
    /// Two stores: equal names are two places.
    Different,
    /// One of them is not known.
    Unknown,
}

impl StoreIdentity {
    /// Whether both identities denote one store.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Sameness {
        let same = match (self, other) {
            (Self::Unknown, _) | (_, Self::Unknown) => return Sameness::Unknown,
            (Self::Aws { partition }, Self::Aws { partition: other }) => partition == other,
            (Self::S3 { endpoint, machine }, Self::S3 { endpoint: other, machine: others }) => {
                let machines = machine.as_ref().zip(others.as_ref());
                endpoint == other && machines.is_none_or(|(one, other)| one.is(other))
            }
            (
                Self::Local { machine, path, inode },
                Self::Local { machine: others, path: other_path, inode: other_inode },
            ) => match (inode, other_inode) {
                (Some(inode), Some(other)) if !machine.boot.is_empty() && machine.boot == others.boot => inode == other,
                _ => machine.is(others) && path == other_path,
            },
            _ => false,
        };
        if same { Sameness::Same } else { Sameness::Different }
    }
}

impl Machine {
    /// Whether both are one machine, perhaps restarted in between.
    fn is(&self, other: &Self) -> bool {
        self.boot == other.boot || !self.installation.is_empty() && self.installation == other.installation
    }
}

impl std::fmt::Display for StoreIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Aws { partition } => write!(f, "S3 of AWS, partition {partition}"),
            Self::S3 { endpoint, .. } => write!(f, "S3 at {endpoint}"),
            Self::Local { path, .. } => write!(f, "directory {path}"),
            Self::Unknown => f.write_str("a store that is not known"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(boot: &str, installation: &str) -> Machine {
        Machine { boot: boot.to_owned(), installation: installation.to_owned() }
    }

    fn local(machine: Machine, path: &str, number: Option<u64>) -> StoreIdentity {
        let inode = number.map(|number| Inode { device: 1, number });
        StoreIdentity::Local { machine, path: path.to_owned(), inode }
    }

    fn s3(endpoint: &str, machine: Option<Machine>) -> StoreIdentity {
        StoreIdentity::S3 { endpoint: endpoint.to_owned(), machine }
    }

    #[test]
    fn stores_are_different_only_where_that_is_certain() {
        let aws = |partition: &str| StoreIdentity::Aws { partition: partition.to_owned() };
        let (a, b) = (machine("a", ""), machine("b", ""));
        for (one, other, want) in [
            (aws("aws"), aws("aws"), Sameness::Same),
            (aws("aws"), aws("aws-cn"), Sameness::Different),
            (aws("aws"), s3("ceph", None), Sameness::Different),
            (s3("ceph-a", None), s3("ceph-b", None), Sameness::Different),
            (s3("ceph", None), s3("ceph", None), Sameness::Same),
            (s3("127.0.0.1:9000", Some(a.clone())), s3("127.0.0.1:9000", Some(b.clone())), Sameness::Different),
            (s3("127.0.0.1:9000", Some(a.clone())), s3("127.0.0.1:9000", Some(a.clone())), Sameness::Same),
            (aws("aws"), StoreIdentity::Unknown, Sameness::Unknown),
            // One path on two machines, and two paths to one directory.
            (local(a.clone(), "/data", Some(2)), local(b.clone(), "/data", Some(2)), Sameness::Different),
            (local(a.clone(), "/data", None), local(b.clone(), "/data", None), Sameness::Different),
            (local(a.clone(), "/data", Some(2)), local(a.clone(), "/mnt", Some(2)), Sameness::Same),
            (local(a.clone(), "/data", Some(2)), local(a.clone(), "/data", Some(3)), Sameness::Different),
            (local(a.clone(), "/data", None), local(a, "/data", Some(3)), Sameness::Same),
            // The machine was restarted between the two.
            (local(machine("c", "i"), "/data", Some(2)), local(machine("d", "i"), "/data", Some(9)), Sameness::Same),
        ] {
            assert_eq!(one.compare(&other), want, "{one:?} {other:?}");
            assert_eq!(other.compare(&one), want, "{other:?} {one:?}");
        }
    }

    #[test]
    fn an_identity_round_trips_and_a_newer_kind_reads_as_unknown() {
        for identity in [
            StoreIdentity::Aws { partition: "aws".to_owned() },
            s3("h:9000/p", Some(machine("a", "b"))),
            local(machine("a", ""), "/d", Some(7)),
        ] {
            let text = serde_json::to_string(&identity).unwrap();
            assert_eq!(serde_json::from_str::<StoreIdentity>(&text).unwrap(), identity, "{text}");
        }
        let newer = serde_json::from_str::<StoreIdentity>(r#"{"kind":"tape","drive":3}"#).unwrap();
        assert_eq!(newer, StoreIdentity::Unknown);
    }
}
