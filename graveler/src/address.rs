//! Where an entry's object is: storage namespace and address resolved to scheme, bucket and key.
//!
//! Owns lakeFS's rules (`pkg/block/namespace.go`, `pkg/block/s3/adapter.go`, `pkg/block/local/adapter.go`); [`uri`]
//! owns the behaviour of Go's URL parser that they rest on. Asks no store whether anything is there.

mod uri;

use std::fmt;
use std::sync::Arc;

use self::uri::Uri;
use super::entry::AddressType;

/// lakeFS's default for `committed.block_storage_prefix`, under which metadata files are.
pub const METADATA_PREFIX_DEFAULT: &str = "_lakefs";
const LOCAL: &str = "local://";

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// `s3`.
    S3,
    /// `gs`.
    Gs,
    /// `http` and `https`, which lakeFS takes for Azure.
    Azure,
    /// `local`.
    Local,
    /// `mem` and `memory`.
    Mem,
}

impl Scheme {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "s3" => Some(Self::S3),
            "gs" => Some(Self::Gs),
            "http" | "https" => Some(Self::Azure),
            "local" => Some(Self::Local),
            "mem" | "memory" => Some(Self::Mem),
            _ => None,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::S3 => "s3",
            Self::Gs => "gs",
            Self::Azure => "https",
            Self::Local => "local",
            Self::Mem => "mem",
        })
    }
}

/// An address or namespace that names no object: which, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("address {address:?} cannot be resolved: {why}")]
pub struct AddressError {
    /// The address or the namespace at fault.
    pub address: String,
    /// What is wrong with it.
    pub why: Unresolvable,
}

/// Why an address names no object. lakeFS cannot read such an entry either.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unresolvable {
    /// No URI with a scheme, or one with control characters.
    #[error("it is not an absolute URI")]
    NotAUri,
    /// A scheme that lakeFS does not know.
    #[error("its scheme {0:?} is none of s3, gs, http, https, local, mem")]
    UnknownScheme(String),
    /// A `%` that is not followed by two hexadecimal digits.
    #[error("it has a percent sign without two hexadecimal digits")]
    BadEscape,
    /// A host that Go's parser refuses, or one in a form that no bucket has.
    #[error("its host is not a bucket's name")]
    BadHost,
    /// Nothing between `//` and the path.
    #[error("it has no bucket")]
    NoBucket,
    /// Nothing behind the bucket.
    #[error("it has no key")]
    NoKey,
    /// Its percent-decoded key is not UTF-8.
    #[error("its key is not UTF-8 once decoded")]
    NotUtf8,
    /// An address type that lakeFS does not have.
    #[error("its address type is {0}, expected 0, 1 or 2")]
    UnknownType(i32),
}

/// How an object's place was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reach {
    /// Below the repository's namespace: it moves with the namespace to a mirror.
    Relative,
    /// By a full URI: the same object whatever repository asks, even where it happens to lie below the namespace.
    Full,
}

/// The place of an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resolved {
    /// Whether it is relative to the namespace.
    pub reach: Reach,
    /// The kind of store.
    pub scheme: Scheme,
    /// The bucket; for a local store the first folder, empty for an absolute path outside the store.
    pub bucket: Arc<str>,
    /// The key, verbatim. A local store cleans it as a path, which is the store's matter.
    pub key: String,
}

/// A repository's storage namespace, such as `s3://bucket/prefix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    scheme: Scheme,
    bucket: Arc<str>,
    /// Without a slash behind it; empty for a whole bucket.
    prefix: String,
}

impl Namespace {
    /// Parses a namespace as lakeFS stores it, with or without a slash at its end.
    ///
    /// # Errors
    /// It is no URI of a known scheme with a bucket.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        Self::parse_parts(text).map_err(|why| AddressError { address: text.to_owned(), why })
    }

    fn parse_parts(text: &str) -> Result<Self, Unresolvable> {
        let (scheme, host, path) = split(text)?;
        let base = host + &path;
        let base = base.strip_suffix('/').unwrap_or(&base);
        let (bucket, prefix) = base.split_once('/').unwrap_or((base, ""));
        if bucket.is_empty() {
            return Err(Unresolvable::NoBucket);
        }
        Ok(Self { scheme, bucket: bucket.into(), prefix: prefix.to_owned() })
    }

    /// The kind of store.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The bucket, or the first folder of a local store.
    pub fn bucket(&self) -> &Arc<str> {
        &self.bucket
    }

    /// The prefix of all keys, without a slash behind it; empty for a whole bucket.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether one of the two lies in the other, given that they are in one store.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (one, other) = (self.place(), other.place());
        one.starts_with(&other) || other.starts_with(&one)
    }

    /// What all of its keys begin with, the scheme and bucket before it. A local store's paths are cleaned, as the store
    /// does: there, `a//b` and `a/./b` are one folder.
    fn place(&self) -> String {
        let path = format!("{}/{}", self.bucket, self.prefix);
        let path = match self.scheme {
            Scheme::Local => clean(&path).unwrap_or(path),
            _ if self.prefix.is_empty() => self.bucket.to_string(),
            _ => path,
        };
        format!("{}://{path}/", self.scheme)
    }

    /// The key of something below the namespace, such as `data/…`.
    pub fn key(&self, relative: &str) -> String {
        if self.prefix.is_empty() {
            return relative.to_owned();
        }
        let mut key = String::with_capacity(self.prefix.len() + 1 + relative.len());
        key.push_str(&self.prefix);
        key.push('/');
        key.push_str(relative);
        key
    }

    /// The key of a range or metarange file; `metadata_prefix` is [`METADATA_PREFIX_DEFAULT`] unless configured.
    pub fn metadata_key(&self, metadata_prefix: &str, id: impl fmt::Display) -> String {
        self.key(&format!("{metadata_prefix}/{id}"))
    }

    /// Finds an entry's object.
    ///
    /// # Errors
    /// The address names no object; lakeFS cannot read it either.
    pub fn resolve(&self, address: &str, kind: AddressType) -> Result<Resolved, AddressError> {
        let found = match kind {
            AddressType::Relative => self.relative(address),
            AddressType::Full => full(address),
            AddressType::ByPrefixDeprecated => match full(address) {
                // What lakeFS could parse as a URI stays one, even if no object can be there.
                Err(
                    Unresolvable::NotAUri
                    | Unresolvable::UnknownScheme(_)
                    | Unresolvable::BadEscape
                    | Unresolvable::BadHost,
                ) => self.relative(address),
                other => other,
            },
            AddressType::Unknown(number) => Err(Unresolvable::UnknownType(number)),
        };
        found.map_err(|why| AddressError { address: address.to_owned(), why })
    }

    fn relative(&self, address: &str) -> Result<Resolved, Unresolvable> {
        if address.is_empty() {
            return Err(Unresolvable::NoKey);
        }
        let (scheme, bucket) = (self.scheme, Arc::clone(&self.bucket));
        Ok(Resolved { reach: Reach::Relative, scheme, bucket, key: self.key(address) })
    }
}

/// A path as lakeFS's local store cleans it (Go's `path.Join`): without empty parts and `.`, and with `..` taken back.
/// `None` for one that leaves the folder that it is relative to.
#[must_use]
pub fn clean(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn full(address: &str) -> Result<Resolved, Unresolvable> {
    let (scheme, bucket, path) = split(address)?;
    if bucket.is_empty() && scheme != Scheme::Local {
        return Err(Unresolvable::NoBucket);
    }
    let key = path.strip_prefix('/').unwrap_or(&path);
    if key.is_empty() {
        return Err(Unresolvable::NoKey);
    }
    Ok(Resolved { reach: Reach::Full, scheme, bucket: bucket.into(), key: key.to_owned() })
}

/// Scheme, host and path. lakeFS's local store takes everything behind `local://` as it is.
fn split(text: &str) -> Result<(Scheme, String, String), Unresolvable> {
    if let Some(path) = text.strip_prefix(LOCAL) {
        let (host, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
        return Ok((Scheme::Local, host.to_owned(), rest.to_owned()));
    }
    let Uri { scheme, host, path } = Uri::parse(text)?;
    let scheme = Scheme::parse(&scheme).ok_or(Unresolvable::UnknownScheme(scheme))?;
    let path = String::from_utf8(path).map_err(|_| Unresolvable::NotUtf8)?;
    Ok((scheme, host, path))
}

#[cfg(test)]
mod tests;
