//! A store of directories, as lakeFS's `local` blockstore lays it out: `<path>/<bucket>/<key>`.
//!
//! Owns the way from a key to a file, and the outcomes of file system errors. The walk in the order of keys is
//! [`walk`]'s, symbolic links are [`links`]'s. Keys are cleaned as paths, as lakeFS does; those that a directory cannot
//! hold, or that would leave it, are absent. Calls that block run on tokio's blocking threads, a bounded number at a
//! time.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Semaphore;

use lakemirror_graveler::address::clean;
use lakemirror_ports::{Fault, FaultKind, Fetched, Location};

use super::{Costs, Found, Page, Store, fault};

mod links;
mod walk;

use links::{LinkError, follow};

/// Calls to the file system at a time.
const CALLS_MAX: usize = 16;

/// Where the directories are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `blockstore.local.path`; has one directory for each bucket.
    pub path: PathBuf,
}

/// The store.
#[derive(Debug)]
pub struct Local {
    root: Arc<Path>,
    name: String,
    calls: Arc<Semaphore>,
}

impl Local {
    /// A store over the directory, which need not exist yet: calls say so where it matters.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let name = format!("directory {}", settings.path.display());
        Self { root: settings.path.as_path().into(), name, calls: Arc::new(Semaphore::new(CALLS_MAX)) }
    }

    /// Runs `work` on a blocking thread, at most [`CALLS_MAX`] at a time.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        // The permit moves into the work: a caller that goes away must not lift the limit.
        let permit = Arc::clone(&self.calls).acquire_owned().await.ok();
        let root = Arc::clone(&self.root);
        let joined = tokio::task::spawn_blocking(move || {
            let result = work(&root);
            drop(permit);
            result
        });
        match joined.await {
            Ok(result) => result,
            Err(error) => Err(fault(FaultKind::Retry, format!("access to {}", self.name), error.to_string())),
        }
    }
}

#[async_trait]
impl Store for Local {
    fn name(&self) -> &str {
        &self.name
    }

    fn costs(&self) -> Costs {
        Costs::HEAD_ONLY
    }

    async fn get(&self, at: &Location, limit: u64) -> Result<Fetched, Fault> {
        let at = at.clone();
        self.blocking(move |root| get(root, &at, limit)).await
    }

    async fn head(&self, bucket: &str, key: &str) -> Result<Found, Fault> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.blocking(move |root| head(root, &bucket, &key)).await
    }

    async fn list(&self, bucket: &str, prefix: &str, after: &str, max: usize) -> Result<Page, Fault> {
        let (bucket, prefix, after) = (bucket.to_owned(), prefix.to_owned(), after.to_owned());
        self.blocking(move |root| list(root, &bucket, &prefix, &after, max)).await
    }
}

/// The path below the root that bucket and key name, cleaned as lakeFS does it; `None` if they name none.
fn place(bucket: &str, key: &str) -> Option<String> {
    if !is_segment(bucket) || key.is_empty() || key.contains('\0') {
        return None;
    }
    clean(&format!("{bucket}/{key}")).filter(|path| !path.is_empty())
}

fn is_segment(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..") && !segment.contains(['\0', std::path::MAIN_SEPARATOR])
}

/// What stands at a path below the root.
enum There {
    File(PathBuf, Metadata),
    Nothing,
}

/// Looks up a cleaned path.
fn look(root: &Path, path: &str) -> Result<There, LinkError> {
    match follow(root, path) {
        Ok(Some((at, found))) if found.is_file() => Ok(There::File(at, found)),
        Ok(_) => Ok(There::Nothing),
        Err(LinkError::Io(error)) if means_absent(&error) => Ok(There::Nothing),
        Err(error) => Err(error),
    }
}

/// Errors that mean that there is no such file, as opposed to that it cannot be said.
fn means_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename)
}

/// A missing file is only absent if the root is there: an unmounted volume must not look like an empty one.
fn ensure_root(root: &Path) -> Result<(), Fault> {
    let call = format!("access to blockstore.local.path {}", root.display());
    match std::fs::metadata(root) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(fault(FaultKind::Refused, call, "it is not a directory: correct blockstore.local.path")),
        Err(error) if means_absent(&error) => Err(fault(
            FaultKind::Refused,
            call,
            "the directory does not exist: mount or create it, or correct blockstore.local.path",
        )),
        Err(error) => Err(io_fault(call, &error)),
    }
}

fn io_fault(call: String, error: &io::Error) -> Fault {
    let kind = if error.kind() == ErrorKind::PermissionDenied { FaultKind::Denied } else { FaultKind::Retry };
    fault(kind, call, error.to_string())
}

fn link_fault(call: String, error: &LinkError) -> Fault {
    match error {
        LinkError::Io(error) => io_fault(call, error),
        LinkError::Leaves { .. } | LinkError::Endless { .. } => fault(FaultKind::Refused, call, error.to_string()),
    }
}

fn head(root: &Path, bucket: &str, key: &str) -> Result<Found, Fault> {
    let Some(path) = place(bucket, key) else { return Ok(Found::Absent) };
    match look(root, &path) {
        Ok(There::File(_, found)) => Ok(Found::Present { size: found.len() }),
        Ok(There::Nothing) => ensure_root(root).map(|()| Found::Absent),
        Err(LinkError::Io(error)) if error.kind() == ErrorKind::PermissionDenied => {
            ensure_root(root).map(|()| Found::Forbidden)
        }
        Err(error) => Err(link_fault(format!("look at {bucket}/{key} below {}", root.display()), &error)),
    }
}

fn get(root: &Path, at: &Location, limit: u64) -> Result<Fetched, Fault> {
    let call = || format!("read {}/{} below {}", at.bucket, at.key, root.display());
    let Some(path) = place(&at.bucket, &at.key) else {
        return Err(fault(FaultKind::Refused, call(), "the key is not the name of a file below the directory"));
    };
    match look(root, &path) {
        Ok(There::File(path, found)) => match read_at_most(&path, found.len(), limit) {
            Ok(Some(bytes)) => Ok(Fetched::Bytes(bytes)),
            Ok(None) => {
                let message = format!("the file has {} bytes, more than the limit of {limit}", found.len());
                Err(fault(FaultKind::Refused, call(), message))
            }
            Err(error) if means_absent(&error) => Ok(Fetched::Absent),
            Err(error) => Err(io_fault(call(), &error)),
        },
        Ok(There::Nothing) => ensure_root(root).map(|()| Fetched::Absent),
        Err(error) => Err(link_fault(call(), &error)),
    }
}

/// Reads a file, or nothing of it where it is larger than `limit`, also if it grew in the meantime.
fn read_at_most(path: &Path, expected: u64, limit: u64) -> io::Result<Option<Bytes>> {
    if expected > limit {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= limit);
    Ok(fits.then(|| bytes.into()))
}

fn list(root: &Path, bucket: &str, prefix: &str, after: &str, max: usize) -> Result<Page, Fault> {
    if !is_segment(bucket) {
        return Ok(Page::default());
    }
    match walk::page(root, bucket, prefix, after, max) {
        Ok(page) if page.is_empty() => ensure_root(root).map(|()| page),
        Ok(page) => Ok(page),
        Err(LinkError::Io(error)) if means_absent(&error) => ensure_root(root).map(|()| Page::default()),
        Err(error) => Err(link_fault(format!("list {bucket} below {}", root.display()), &error)),
    }
}

#[cfg(test)]
mod tests;
