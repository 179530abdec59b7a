//! Rules for what a caller may send, as pure functions. Each refusal says what to change.

/// Longest storage namespace, in bytes.
const NAMESPACE_BYTES_MAX: usize = 1024;

/// The scheme that a blockstore's namespaces have, as lakeFS has them.
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
    /// What comes before `://`.
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

/// What must be known of a region's object store in order to judge namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blockstore {
    /// The scheme of its namespaces.
    pub scheme: Scheme,
    /// Which store it is: two regions with the same text use the same one. Made of the settings that decide where
    /// bytes are, such as a path or endpoint and region; never a secret.
    pub identity: String,
}

impl Blockstore {
    /// Whether both are one store.
    #[must_use]
    pub fn same_store(&self, other: &Self) -> bool {
        self == other
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

/// The mirror's region: a known one that is not the source's.
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

/// The form of a storage namespace: scheme, bucket and perhaps a prefix.
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
    if namespace.chars().any(|char| char.is_control() || char == ' ' || char == '?' || char == '#') {
        return refuse("has a blank, control character, ? or #: remove it");
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return refuse("names no bucket: use a form such as s3://bucket/prefix");
    }
    let path = prefix.strip_suffix('/').unwrap_or(prefix);
    let mut parts = path.split('/');
    if matches!(bucket, "." | "..") || parts.clone().any(|part| matches!(part, "." | "..")) {
        return refuse("has . or .. as a part of its path: remove it");
    }
    if !path.is_empty() && parts.any(str::is_empty) || prefix == "/" {
        return refuse("has an empty part in its path: remove the doubled slash");
    }
    Ok(())
}

/// The namespace's scheme fits the destination's object store.
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

/// Within one store, neither namespace lies in the other.
///
/// # Errors
/// What to change.
pub fn apart(mirror: &str, source: &str, store: &str) -> Result<(), String> {
    let within = |inner: &str, outer: &str| {
        format!("{}/", inner.trim_end_matches('/')).starts_with(&format!("{}/", outer.trim_end_matches('/')))
    };
    if within(mirror, source) || within(source, mirror) {
        return Err(format!(
            "storage_namespace {} overlaps the source's own namespace {source} in the same store ({store}): use a \
             namespace that the source's objects are replicated to",
            quoted(mirror)
        ));
    }
    Ok(())
}

/// A text of a caller for a message: quoted, escaped and of bounded length.
fn quoted(text: &str) -> String {
    const CHARS_MAX: usize = 100;
    let short: String = text.chars().take(CHARS_MAX).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("{short:?}{dots}")
}

#[cfg(test)]
mod tests;
