//! From settings to a store and a checker over it.
//!
//! Owns which adapter a kind of blockstore gets and with which limits. Makes no request.

use std::sync::Arc;

use thiserror::Error;

use lakemirror_ports::Destination;
use lakemirror_ports::clock::{Clock, Entropy};

use super::checker::{Checker, Limits};
use super::{Store, local, s3};

/// The blockstore of one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settings {
    /// `type: s3`.
    S3(s3::Settings),
    /// `type: local`.
    Local(local::Settings),
    /// Any other type, by its name in the configuration, such as `gs`.
    Other(String),
}

/// A blockstore that cannot be used as it is configured.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// A type that lakeFS knows and lakemirror does not yet.
    #[error("blockstore.type {kind:?} is not supported yet; supported are s3 and local")]
    Unsupported {
        /// As configured.
        kind: String,
    },
    /// The S3 settings cannot work.
    #[error("the S3 blockstore cannot be used")]
    S3(#[from] s3::S3Error),
}

/// A store, without pacing or repeats of its own.
///
/// # Errors
/// [`ConnectError`].
pub async fn open(settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Store>, ConnectError> {
    match settings {
        Settings::S3(settings) => Ok(Arc::new(s3::S3::new(settings, Arc::clone(clock)).await?)),
        Settings::Local(settings) => Ok(Arc::new(local::Local::new(settings))),
        Settings::Other(kind) => Err(ConnectError::Unsupported { kind: kind.clone() }),
    }
}

/// A store with its checker.
///
/// # Errors
/// [`ConnectError`].
pub async fn connect(
    settings: &Settings,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<Arc<dyn Destination>, ConnectError> {
    let store = open(settings, &clock).await?;
    Ok(Arc::new(Checker::new(store, limits(settings), clock, entropy)))
}

/// How hard a store of these settings may be asked.
#[must_use]
pub fn limits(settings: &Settings) -> Limits {
    match settings {
        Settings::S3(s3) => {
            Limits { requests_per_second: s3.requests_per_second.or(Limits::S3.requests_per_second), ..Limits::S3 }
        }
        Settings::Local(_) | Settings::Other(_) => Limits::LOCAL,
    }
}
