//! The identity that a caller claims: the `Authorization` header, parsed but not checked.
//!
//! Secrets are kept in [`Hidden`], which prints as `***`.

use std::fmt;

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::{ApiError, ErrorCode};

/// The longest header that is parsed, in bytes. lakeFS's session tokens have some hundreds.
const HEADER_BYTES_MAX: usize = 8 * 1024;

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text. Only for checking and comparing.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The credentials in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// No credentials.
    Anonymous,
    /// HTTP Basic with a lakeFS key pair.
    Basic {
        /// The access key id, which is not secret.
        access_key_id: String,
        /// The secret access key.
        secret_access_key: Hidden,
    },
    /// lakeFS's session token as Bearer.
    Bearer {
        /// The token.
        token: Hidden,
    },
}

impl Credentials {
    /// Parses a request's headers. Without the header the result is [`Credentials::Anonymous`].
    ///
    /// # Errors
    /// `Unauthenticated` for a header that is neither valid Basic nor Bearer. The error never quotes the header.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, ApiError> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Ok(Self::Anonymous) };
        let malformed = |what: &str| ApiError::new(ErrorCode::Unauthenticated, what);
        if values.next().is_some() {
            return Err(malformed("more than one Authorization header: send one"));
        }
        if value.len() > HEADER_BYTES_MAX {
            return Err(malformed("the Authorization header is longer than any of lakeFS's credentials"));
        }
        let text = value.to_str().map_err(|_| malformed("the Authorization header is not ASCII text"))?;
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text, ""));
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("basic") {
            basic(rest).ok_or_else(|| {
                malformed(
                    "the Authorization header's Basic part must be base64 of access key id, colon, secret access key",
                )
            })
        } else if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() {
            Ok(Self::Bearer { token: Hidden::new(rest) })
        } else {
            Err(malformed(
                "the Authorization header must be Basic with a lakeFS key pair or Bearer with a session token",
            ))
        }
    }
}

impl Credentials {
    /// Formats the header again in its plainest form, for checkers that take one.
    #[must_use]
    pub fn to_header(&self) -> Option<Hidden> {
        match self {
            Self::Anonymous => None,
            Self::Basic { access_key_id, secret_access_key } => {
                let pair = format!("{access_key_id}:{}", secret_access_key.expose());
                Some(Hidden::new(format!("Basic {}", STANDARD.encode(pair))))
            }
            Self::Bearer { token } => Some(Hidden::new(format!("Bearer {}", token.expose()))),
        }
    }
}

fn basic(encoded: &str) -> Option<Credentials> {
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (key, secret) = decoded.split_once(':')?;
    Some(Credentials::Basic { access_key_id: key.to_owned(), secret_access_key: Hidden::new(secret) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(header: &str) -> Result<Credentials, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, header.parse().unwrap());
        Credentials::from_headers(&headers)
    }

    #[test]
    fn both_schemes_in_any_case() {
        let pair = STANDARD.encode("AKIA:se:cret");
        for scheme in ["Basic", "basic", "BASIC "] {
            let Ok(Credentials::Basic { access_key_id, secret_access_key }) = parse(&format!("{scheme} {pair}")) else {
                panic!("{scheme}")
            };
            assert_eq!((access_key_id.as_str(), secret_access_key.expose()), ("AKIA", "se:cret"));
        }
        let (token, again) = (parse("bearer  a.b.c").unwrap(), Hidden::new("Bearer a.b.c"));
        assert_eq!(token.to_header(), Some(again));
        assert_eq!(parse(&format!("bAsIc {pair}")).unwrap().to_header(), Some(Hidden::new(format!("Basic {pair}"))));
        assert_eq!(parse("bearer a.b.c").unwrap(), Credentials::Bearer { token: Hidden::new("a.b.c") });
        assert_eq!(Credentials::from_headers(&HeaderMap::new()).unwrap(), Credentials::Anonymous);
    }

    #[test]
    fn what_is_malformed_is_unauthenticated_and_not_quoted() {
        let no_colon = format!("Basic {}", STANDARD.encode("canary"));
        for header in ["Basic canary!", "Basic", "Bearer", "Digest canary", "canary", &no_colon] {
            let error = parse(header).unwrap_err();
            assert_eq!(error.code, ErrorCode::Unauthenticated);
            assert!(!error.message.contains("canary"), "{error}");
        }
    }

    #[test]
    fn a_header_longer_than_any_credentials_is_unauthenticated() {
        let long = format!("Basic {}", STANDARD.encode(format!("AKIA:{}", "s".repeat(60_000))));
        assert_eq!(parse(&long).unwrap_err().code, ErrorCode::Unauthenticated);
    }

    #[test]
    fn secrets_are_not_printed() {
        let basic = parse(&format!("Basic {}", STANDARD.encode("AKIA:canary"))).unwrap();
        let printed = format!("{basic:?} {:?}", parse("Bearer canary").unwrap());
        assert!(!printed.contains("canary") && printed.contains("AKIA"), "{printed}");
    }
}
