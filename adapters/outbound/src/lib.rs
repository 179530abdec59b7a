//! How this process reaches HTTP servers, whatever client it uses: through which proxy, and how much of an answer it
//! takes.
//!
//! The environment is read once ([`Proxies::of_process`]); the clients of lakeFS, S3 and DynamoDB all get what was read.

#[cfg(feature = "aws")]
pub mod aws;
pub mod proxy;

pub use proxy::Proxies;

/// The longest body of an error that is read. What errors say takes a few hundred bytes.
pub const ERROR_BYTES_MAX: usize = 64 << 10;
