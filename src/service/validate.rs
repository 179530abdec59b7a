//! Validation of what a caller sends, as pure functions. Each error says what to change.

use lakemirror_graveler::address::{Namespace, clean};
use lakemirror_ports::{Sameness, StoreIdentity};

/// Longest storage namespace, in bytes.
const NAMESPACE_BYTES_MAX: usize = 1024;

/// The schemes of storage namespaces, as lakeFS has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `s3://bucket/prefix`.
    S3,
    /// `local://folder`.
    Local,
    /// `gs://bucket/prefix`.
    Gs,
    /// `https://account.blob.core.windows.net/container/prefix`.
    Azure,
}

impl Scheme {
    /// The text before `://`.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Local => "local",
            Self::Gs => "gs",
            Self::Azure => "https",
        }
    }
}

/// The properties of a region's object store that namespaces are validated against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blockstore {
    /// The scheme of its namespaces.
    pub scheme: Scheme,
    /// Which store it is.
    pub identity: StoreIdentity,
}

impl Blockstore {
    /// Whether both are known to be the same store.
    #[must_use]
    pub fn same_store(&self, other: &Self) -> bool {
        self.identity.compare(&other.identity) == Sameness::Same
    }
}

/// lakeFS's rule for repository names, `^[a-z0-9][a-z0-9-]{2,62}$`.
///
/// # Errors
/// What to change.
pub fn name(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (3..=63).contains(&name.len()) && name.bytes().all(allowed) && !name.starts_with('-') {
        return Ok(());
    }
    Err(format!(
        "name {} is not a repository name: use 3 to 63 lower-case letters, digits and hyphens, not starting with a hyphen",
        quoted(name)
    ))
}

/// Checks the mirror's region: a known one that is not the source's.
///
/// # Errors
/// What to change.
pub fn region(region: &str, own: &str, known: &[&str]) -> Result<(), String> {
    let choices = if known.is_empty() {
        "no other region is configured in dst_endpoints".to_owned()
    } else {
        format!("use one of {}", known.join(", "))
    };
    if region == own {
        return Err(format!("region {own} is the source's own: a mirror must be in another region; {choices}"));
    }
    if known.contains(&region) {
        return Ok(());
    }
    Err(format!("region {} is not known here: {choices}", quoted(region)))
}

/// Checks the form of a storage namespace: scheme, bucket and an optional prefix. What lakeFS accepts is accepted, `a//b`,
/// blanks and `#` included. What lakeFS would read as another place is refused, so that the place that a caller is
/// authorized for is the place that is used.
///
/// # Errors
/// What to change.
pub fn namespace(namespace: &str) -> Result<(), String> {
    let refuse = |what: &str| Err(format!("storage_namespace {} {what}", quoted(namespace)));
    let Some((scheme, rest)) = namespace.split_once("://") else {
        return refuse("is not a URI: use a form such as s3://bucket/prefix");
    };
    if scheme.is_empty() || !scheme.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return refuse("has no proper scheme: use a form such as s3://bucket/prefix");
    }
    if namespace.len() > NAMESPACE_BYTES_MAX {
        return Err(format!("storage_namespace has {} bytes, it may have {NAMESPACE_BYTES_MAX}", namespace.len()));
    }
    if let Some(hidden) = namespace.chars().find(|char| is_hidden(*char)) {
        let what = format!("has a character that is not seen ({}): remove it", hidden.escape_unicode());
        return refuse(&what);
    }
    if namespace.contains('\\') {
        return refuse("has a backslash: write a slash");
    }
    if namespace.contains('?') {
        return refuse("has a question mark, at which lakeFS ends it: remove it");
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return refuse("names no bucket: use a form such as s3://bucket/prefix");
    }
    if bucket.contains('@') {
        return refuse("has user information before an @, which is no part of a bucket's name: remove it");
    }
    if matches!(bucket, "." | "..") || prefix.split('/').any(|part| part == "..") {
        return refuse("has .. as a part of its path, or . as its bucket: write out the place that is meant");
    }
    if has_disguise(rest) {
        return refuse(
            "hides a dot, slash, backslash or control character in a percent-escape: write out the place that is meant",
        );
    }
    match read_as(rest) {
        Some(read) if read == rest.strip_suffix('/').unwrap_or(rest) => Ok(()),
        Some(read) => refuse(&format!("is read by lakeFS as {}: write it so", quoted(&format!("{scheme}://{read}")))),
        None => refuse("cannot be read as a bucket and a prefix: use a form such as s3://bucket/prefix"),
    }
}

/// Bucket and prefix as lakeFS reads them. The rules of S3 apply to every scheme: a text that two readers take for
/// different places is always refused.
fn read_as(rest: &str) -> Option<String> {
    let read = Namespace::parse(&format!("s3://{rest}")).ok()?;
    Some(if read.prefix().is_empty() {
        read.bucket().to_string()
    } else {
        format!("{}/{}", read.bucket(), read.prefix())
    })
}

/// Control characters, characters that change the direction of text, and invisible ones.
fn is_hidden(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
        || matches!(char, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Whether a percent-escape stands for a character that changes the meaning of a path.
fn has_disguise(text: &str) -> bool {
    text.split('%').skip(1).any(|after| {
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.is_some_and(|byte| byte.is_ascii_control() || matches!(byte, b'.' | b'/' | b'\\'))
    })
}

/// The namespace that a local store uses instead of this one, if it differs: its folders are cleaned as paths. A caller
/// must be authorized for both.
#[must_use]
pub fn cleaned(namespace: &str) -> Option<String> {
    let path = namespace.strip_prefix("local://")?;
    let clean = clean(path)?;
    (clean != path.strip_suffix('/').unwrap_or(path)).then(|| format!("local://{clean}"))
}

/// Checks that the namespace's scheme fits the destination's object store.
///
/// # Errors
/// What to change.
pub fn scheme(namespace: &str, region: &str, scheme: Scheme) -> Result<(), String> {
    let wanted = scheme.text();
    match namespace.split_once("://") {
        Some((found, _)) if found == wanted => Ok(()),
        _ => Err(format!(
            "storage_namespace {} does not fit region {region}, whose object store has {wanted}:// namespaces",
            quoted(namespace)
        )),
    }
}

/// Checks that, within one store, neither namespace contains the other.
///
/// # Errors
/// What to change.
pub fn apart(mirror: &str, source: &str, store: &StoreIdentity) -> Result<(), String> {
    if overlap(mirror, source) {
        return Err(format!(
            "storage_namespace {} overlaps the source's own namespace {source} in the same store ({store}): use a \
             namespace that the source's objects are replicated to",
            quoted(mirror)
        ));
    }
    Ok(())
}

/// Whether one of two namespaces in the same store contains the other.
#[must_use]
pub fn overlap(one: &str, other: &str) -> bool {
    match (Namespace::parse(one), Namespace::parse(other)) {
        (Ok(one), Ok(other)) => one.overlaps(&other),
        _ => one == other,
    }
}

/// A caller's text for a message: quoted, escaped and of limited length.
pub(super) fn quoted(text: &str) -> String {
    const CHARS_MAX: usize = 100;
    let short: String = text.chars().take(CHARS_MAX).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("{short:?}{dots}")
}

#[cfg(test)]
mod tests;
