//! Authentication: HTTP Basic with the one key pair, or a JSON web token as Bearer or in the session cookie.
//!
//! The rules for tokens are lakeFS's: HS256, HS384 or HS512 with the shared secret; `exp` is required and in the
//! future; `aud` is `login`, empty or absent, and never a list; `sub` is the user; other claims are ignored.

use std::fmt;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

use super::failure::{Failure, Kind, Outcome};
use super::lake::USER;

/// How long a login lasts, in seconds.
const LOGIN_SECONDS: i64 = 7 * 24 * 3600;
/// The name of the session cookie.
pub(super) const COOKIE: &str = "internal_auth_session";

/// A key pair.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The public half.
    pub access_key_id: String,
    /// The secret half; never printed.
    pub secret_access_key: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// Checks callers.
pub(super) struct Access {
    credentials: Credentials,
    secret_key: String,
}

/// `error authenticating request`: lakeFS's response to wrong or missing credentials.
pub(super) fn unauthenticated() -> Failure {
    Failure::new(Kind::Unauthorized, "error authenticating request")
}

impl Access {
    /// Accepts this key pair, and tokens signed with this key.
    pub(super) fn new(credentials: Credentials, secret_key: String) -> Self {
        Self { credentials, secret_key }
    }

    /// Whether the caller is the user; false without credentials.
    ///
    /// # Errors
    /// The credentials are wrong; missing ones are not an error.
    pub(super) fn check(&self, headers: &HeaderMap, now: i64) -> Outcome<bool> {
        let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or("");
        let (scheme, rest) = authorization.split_once(' ').unwrap_or_default();
        let right = if scheme.eq_ignore_ascii_case("bearer") {
            self.is_token(rest.trim(), now)
        } else if let Some((id, secret)) = basic(scheme, rest) {
            self.is_pair(&id, &secret)
        } else if let Some(token) = cookie(headers) {
            self.is_token(token, now)
        } else {
            return Ok(false);
        };
        if right { Ok(true) } else { Err(unauthenticated()) }
    }

    /// Whether this is the key pair.
    pub(super) fn is_pair(&self, id: &str, secret: &str) -> bool {
        let same = |a: &str, b: &str| bool::from(a.as_bytes().ct_eq(b.as_bytes()));
        same(id, &self.credentials.access_key_id) & same(secret, &self.credentials.secret_access_key)
    }

    /// A token for the user, and its expiry (seconds since 1970).
    pub(super) fn login(&self, now: i64, id: &str) -> (String, i64) {
        let expires = now.saturating_add(LOGIN_SECONDS);
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = json!({"jti": id, "iss": "auth", "sub": USER, "aud": "login", "iat": now, "exp": expires});
        let signed = format!("{}.{}", part(json!({"alg": "HS256", "typ": "JWT"})), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(mac::<Hmac<Sha256>>(&self.secret_key, &signed));
        (format!("{signed}.{signature}"), expires)
    }

    fn is_token(&self, token: &str, now: i64) -> bool {
        self.verified_claims(token).is_some_and(|claims| claims_hold(&claims, now))
    }

    fn verified_claims(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (head, claims) = signed.split_once('.')?;
        let json = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        let wanted = match json(head)?.get("alg")?.as_str()? {
            "HS256" => mac::<Hmac<Sha256>>(&self.secret_key, signed),
            "HS384" => mac::<Hmac<Sha384>>(&self.secret_key, signed),
            "HS512" => mac::<Hmac<Sha512>>(&self.secret_key, signed),
            _ => return None,
        };
        let given = URL_SAFE_NO_PAD.decode(signature).ok()?;
        (!wanted.is_empty() && bool::from(wanted.ct_eq(&given))).then(|| json(claims))?
    }
}

fn claims_hold(claims: &Value, now: i64) -> bool {
    let fresh = claims.get("exp").and_then(Value::as_f64).is_some_and(|exp| exp > now as f64);
    let for_login = match claims.get("aud") {
        None | Some(Value::Null) => true,
        Some(Value::String(aud)) => aud.is_empty() || aud == "login",
        Some(_) => false,
    };
    fresh && for_login && claims.get("sub").and_then(Value::as_str) == Some(USER)
}

fn mac<M: Mac + hmac::digest::KeyInit>(key: &str, text: &str) -> Vec<u8> {
    match <M as Mac>::new_from_slice(key.as_bytes()) {
        Ok(mac) => mac.chain_update(text).finalize().into_bytes().to_vec(),
        Err(_) => Vec::new(),
    }
}

fn basic(scheme: &str, rest: &str) -> Option<(String, String)> {
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|line| line.split(';')).find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}
