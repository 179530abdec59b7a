//! Object stores: one conformance suite against memory, directories, Ceph and S3Proxy, and faults with a scripted
//! server.

#[path = "objects/conformance.rs"]
mod conformance;
#[path = "objects/faults.rs"]
mod faults;
#[path = "objects/faulty_s3.rs"]
mod faulty_s3;
#[path = "objects/real_s3.rs"]
pub(crate) mod real_s3;
#[path = "objects/simple.rs"]
mod simple;
