//! Files of the journal in a bucket: the one thing that lakemirror writes to an object store, and never to a blockstore's
//! prefix.
//!
//! Owns one upload and its proof. A copy counts only after it was read back from the store and found equal, byte for
//! byte. What is there and equal is left alone; repeating is harmless. Memory: a part of the stream at a time.

use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::DisplayErrorContext;
use aws_smithy_types::byte_stream::ByteStream;
use tokio::io::AsyncReadExt as _;

use super::{Checksums, S3Error, Settings, client};

/// The largest object of one PUT: S3's own limit.
const FILE_BYTES_MAX: u64 = 5 << 30;
/// The slowest upload that is waited for: a minute and a second for each of so many bytes.
const BYTES_PER_SECOND_MIN: u64 = 1 << 20;
const TIME_MIN: Duration = Duration::from_secs(60);
const READ_BYTES: usize = 256 << 10;
/// A journal's `FORMAT` has less.
const SMALL_BYTES_MAX: usize = 4096;

/// Why a file is not in the archive. What was there before is there still, or the new one whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The file itself.
    #[error("cannot read {path}")]
    File {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// More than one upload takes.
    #[error("{path} has {bytes} bytes, an upload takes {FILE_BYTES_MAX}: lower journal.seal.max_bytes")]
    TooLarge {
        /// Which.
        path: String,
        /// How many it has.
        bytes: u64,
    },
    /// The store did not answer, or refused.
    #[error(
        "cannot {action} {place}: {what}; see that the bucket is there and s3:PutObject and s3:GetObject are allowed on the prefix"
    )]
    Store {
        /// What was tried.
        action: &'static str,
        /// The object.
        place: String,
        /// The store's answer.
        what: String,
    },
    /// It was written, and reads as something else.
    #[error("{place} does not read as what was written to it: the segment stays where it is")]
    Differs {
        /// The object.
        place: String,
    },
    /// The prefix is another journal's.
    #[error("{place} is the FORMAT of another journal: give each journal an archive of its own")]
    AnotherJournal {
        /// The object.
        place: String,
    },
}

/// A copy that was read back and found equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// `s3://bucket/key`.
    pub place: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// BLAKE3 of the file.
    pub hash: [u8; 32],
}

/// A prefix of a bucket.
#[derive(Clone)]
pub struct Archive {
    base: aws_config::SdkConfig,
    settings: Settings,
    bucket: String,
    prefix: String,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Archive({})", self.place(""))
    }
}

/// What is in the store under a name.
enum There {
    Nothing,
    File { bytes: u64, hash: blake3::Hash },
}

impl Archive {
    /// Prepares a client; makes no request. Objects are `prefix/name`, or `name` with an empty prefix.
    ///
    /// # Errors
    /// Settings that cannot work.
    pub async fn new(settings: &Settings, bucket: &str, prefix: &str) -> Result<Self, S3Error> {
        let settings = Settings { checksums: Checksums::WhenRequired, ..settings.clone() };
        let base = client::base(&settings).await?;
        Ok(Self { base, settings, bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
    }

    fn key(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) }
    }

    fn place(&self, name: &str) -> String {
        format!("s3://{}/{}", self.bucket, self.key(name))
    }

    fn client(&self, bytes: u64) -> Client {
        let time = TIME_MIN + Duration::from_secs(bytes / BYTES_PER_SECOND_MIN);
        client::with_timeout(&self.base, &self.settings, time)
    }

    fn failed(&self, action: &'static str, name: &str, what: String) -> ArchiveError {
        ArchiveError::Store { action, place: self.place(name), what }
    }

    /// Copies the file of this name out of the journal's directory `dir`, after the journal's `FORMAT`.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub async fn put(&self, dir: &Path, name: &str) -> Result<Stored, ArchiveError> {
        self.put_format(dir).await?;
        let path = dir.join(name);
        let file = |source| ArchiveError::File { path: path.display().to_string(), source };
        let (bytes, hash) = hash_of(tokio::fs::File::open(&path).await.map_err(file)?).await.map_err(file)?;
        if bytes > FILE_BYTES_MAX {
            return Err(ArchiveError::TooLarge { path: path.display().to_string(), bytes });
        }
        let equal = |there: &There| matches!(there, There::File { bytes: b, hash: h } if (*b, *h) == (bytes, hash));
        let client = self.client(bytes);
        if !equal(&self.there(&client, name).await?) {
            let body = ByteStream::from_path(&path).await;
            let body = body.map_err(|error| file(std::io::Error::other(error)))?;
            let sent = client.put_object().bucket(&self.bucket).key(self.key(name)).body(body).send().await;
            sent.map_err(|error| self.failed("write", name, DisplayErrorContext(&error).to_string()))?;
            if !equal(&self.there(&client, name).await?) {
                return Err(ArchiveError::Differs { place: self.place(name) });
            }
        }
        Ok(Stored { place: self.place(name), bytes, hash: *hash.as_bytes() })
    }

    /// An archive has the `FORMAT` of its journal, and so is a journal's directory once it is downloaded.
    async fn put_format(&self, dir: &Path) -> Result<(), ArchiveError> {
        const NAME: &str = "FORMAT";
        let path = dir.join(NAME);
        let file = |source| ArchiveError::File { path: path.display().to_string(), source };
        let format = tokio::fs::read(&path).await.map_err(file)?;
        if format.len() > SMALL_BYTES_MAX {
            return Err(file(std::io::ErrorKind::FileTooLarge.into()));
        }
        let client = self.client(0);
        match self.there(&client, NAME).await? {
            There::File { hash, .. } if hash == blake3::hash(&format) => Ok(()),
            There::File { .. } => Err(ArchiveError::AnotherJournal { place: self.place(NAME) }),
            There::Nothing => {
                let body = ByteStream::from(format);
                let sent = client.put_object().bucket(&self.bucket).key(self.key(NAME)).body(body).send().await;
                sent.map_err(|error| self.failed("write", NAME, DisplayErrorContext(&error).to_string()))?;
                Ok(())
            }
        }
    }

    async fn there(&self, client: &Client, name: &str) -> Result<There, ArchiveError> {
        let got = client.get_object().bucket(&self.bucket).key(self.key(name)).send().await;
        let body = match got {
            Ok(got) => got.body,
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => {
                return Ok(There::Nothing);
            }
            Err(error) => return Err(self.failed("read", name, DisplayErrorContext(&error).to_string())),
        };
        let read = tokio::time::timeout(self.body_time(), hash_of(body.into_async_read())).await;
        match read {
            Ok(Ok((bytes, hash))) => Ok(There::File { bytes, hash }),
            Ok(Err(error)) => Err(self.failed("read", name, error.to_string())),
            Err(_) => Err(self.failed("read", name, "its body did not come in time".to_owned())),
        }
    }

    /// The longest that a body is waited for: the largest file at the slowest pace.
    fn body_time(&self) -> Duration {
        TIME_MIN + Duration::from_secs(FILE_BYTES_MAX / BYTES_PER_SECOND_MIN)
    }
}

async fn hash_of(mut bytes: impl tokio::io::AsyncRead + Unpin) -> std::io::Result<(u64, blake3::Hash)> {
    let (mut hasher, mut length) = (blake3::Hasher::new(), 0u64);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let got = bytes.read(&mut buffer).await?;
        if got == 0 {
            return Ok((length, hasher.finalize()));
        }
        hasher.update(buffer.get(..got).unwrap_or_default());
        length = length.saturating_add(got as u64);
    }
}
