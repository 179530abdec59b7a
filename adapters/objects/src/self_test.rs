//! Whether a bucket can be mirrored into: asked once, when a mirror or the service starts.
//!
//! Owns two questions to a [`Store`] and what their answers mean to an operator. Changes nothing.

use lakemirror_ports::clock::Entropy;
use lakemirror_ports::{Fault, FaultKind};

use super::{Found, Store};

/// Lists one key below `prefix` (of the storage namespace; credentials may be limited to it) and asks for one that
/// cannot exist.
///
/// # Errors
/// What an operator has to mend, or [`FaultKind::Retry`] where the store cannot be reached now: no such bucket, wrong
/// credentials, wrong region, no permission to list (without which S3 says 403 of everything that has not arrived
/// yet), something that is not an S3 endpoint.
pub async fn self_test(store: &dyn Store, bucket: &str, prefix: &str, entropy: &dyn Entropy) -> Result<(), Fault> {
    store.list(bucket, prefix, "", 1).await?;
    let key = format!("{prefix}_lakemirror-self-test/{:016x}{:016x}", entropy.random_u64(), entropy.random_u64());
    match store.head(bucket, &key).await? {
        Found::Absent => Ok(()),
        Found::Forbidden => Err(verdict(
            store,
            bucket,
            FaultKind::Denied,
            Some(403),
            "asking for a missing object is answered with 403: these credentials need s3:GetObject and s3:ListBucket on \
             the whole bucket, else a missing object cannot be told from a forbidden one",
        )),
        Found::Present { .. } | Found::Archived { .. } | Found::Deleted => Err(verdict(
            store,
            bucket,
            FaultKind::Contradiction,
            None,
            "an object of a random name is said to exist: what answers there is no object store, or answers everything",
        )),
    }
}

fn verdict(store: &dyn Store, bucket: &str, kind: FaultKind, status: Option<u16>, message: &str) -> Fault {
    let call = format!("self test of bucket {bucket} at {}", store.name());
    Fault { kind, call, status, message: message.to_owned() }
}
