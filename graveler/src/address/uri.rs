//! Absolute URIs as Go's `net/url.ParseRequestURI` reads them, as far as lakeFS looks at the result.
//!
//! Owns the one subtle rule: a path is percent-decoded only if encoding it again gives the same text; otherwise it is
//! taken verbatim (`RawPath`). So `a%20b` means `a b`, while `a%2Fb`, `a b` and `a%20b(1)` mean themselves.

use super::Unresolvable;

/// What lakeFS uses of a URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Uri {
    /// In lower case.
    pub(super) scheme: String,
    /// Without user information, with a port if there is one.
    pub(super) host: String,
    /// From its first slash up to a question mark; a number sign is part of it.
    pub(super) path: Vec<u8>,
}

impl Uri {
    pub(super) fn parse(text: &str) -> Result<Self, Unresolvable> {
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(Unresolvable::NotAUri);
        }
        let (scheme, rest) = split_scheme(text).ok_or(Unresolvable::NotAUri)?;
        let scheme = scheme.to_ascii_lowercase();
        let rest = rest.split_once('?').map_or(rest, |(before, _query)| before);
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None if rest.starts_with('/') => ("", rest),
            // An opaque URI such as `mailto:x` has neither host nor path.
            None => ("", ""),
        };
        let host = host(&scheme, authority)?;
        Ok(Self { scheme, host, path: effective_path(path)? })
    }
}

/// A letter, then letters, digits, `+`, `-` and `.` up to a colon.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let letter_first = scheme.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    (letter_first && scheme.bytes().all(allowed)).then_some((scheme, rest))
}

/// The host with its port, percent-decoded; a bracketed address is refused, being no bucket's name.
fn host(scheme: &str, authority: &str) -> Result<String, Unresolvable> {
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let user_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=@%".contains(&byte);
    let allowed =
        |byte: u8| !byte.is_ascii() || byte.is_ascii_alphanumeric() || b"!\"$%&'()*+,-.:;<=>]_~".contains(&byte);
    // In a host only bytes beyond ASCII and the percent sign itself may be escaped.
    let mut escapes = host.split('%').skip(1);
    let escapes_allowed = escapes.all(|escape| escape.starts_with("25") || !escape.starts_with(is_low_digit));
    let port_at = if scheme.starts_with("http") { host.find(':') } else { host.rfind(':') };
    let port = port_at.and_then(|at| host.get(at + 1..)).unwrap_or_default();
    let port_allowed = port.bytes().all(|byte| byte.is_ascii_digit());
    if !(user.bytes().all(user_allowed) && host.bytes().all(allowed) && escapes_allowed && port_allowed) {
        return Err(Unresolvable::BadHost);
    }
    decode(user)?;
    String::from_utf8(decode(host)?).map_err(|_| Unresolvable::NotUtf8)
}

fn is_low_digit(digit: char) -> bool {
    ('0'..='7').contains(&digit)
}

fn effective_path(path: &str) -> Result<Vec<u8>, Unresolvable> {
    let decoded = decode(path)?;
    if encode(&decoded) == path { Ok(decoded) } else { Ok(path.as_bytes().to_vec()) }
}

fn decode(path: &str) -> Result<Vec<u8>, Unresolvable> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            out.push(byte);
            rest = after;
            continue;
        }
        let (digits, after) = after.split_first_chunk::<2>().ok_or(Unresolvable::BadEscape)?;
        let mut decoded = [0];
        hex::decode_to_slice(digits, &mut decoded).map_err(|_| Unresolvable::BadEscape)?;
        out.extend_from_slice(&decoded);
        rest = after;
    }
    Ok(out)
}

fn encode(path: &[u8]) -> String {
    let mut out = String::with_capacity(path.len());
    for &byte in path {
        if byte.is_ascii_alphanumeric() || b"$&+,-./:;=@_~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&hex::encode_upper([byte]));
        }
    }
    out
}
