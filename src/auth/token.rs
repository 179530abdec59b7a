//! Verifies lakeFS's session tokens with the secret that every lakeFS of the installation shares.
//!
//! Checks one token's signature, lifetime, audience and user. As in lakeFS (checked on a server): HS256, HS384 and HS512
//! pass; `exp` is required; `aud` is `login` or missing, and an array of audiences fails; `iss` and `nbf` are ignored.
//! The directory decides whether the user exists.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde::Deserialize;
use sha2::{Sha256, Sha384, Sha512};

use lakemirror_core::secret::Secret;

/// The maximum length of a token, in bytes.
const TOKEN_MAX: usize = 16 << 10;
/// The audience of session tokens.
const AUDIENCE: &str = "login";

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    sub: Option<String>,
    /// Seconds since 1970, a fraction allowed.
    exp: f64,
    /// Only a string: an array fails to parse and so is rejected.
    #[serde(default)]
    aud: Option<String>,
}

/// The user that a valid token names; `None` for any invalid token.
pub(super) fn verify(token: &str, key: &Secret, now_ms: u64) -> Option<String> {
    if token.len() > TOKEN_MAX || key.is_empty() {
        return None;
    }
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let header: Header = decode(header)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let genuine = match header.alg.as_str() {
        "HS256" => signed_by::<Hmac<Sha256>>(key, signed, &signature),
        "HS384" => signed_by::<Hmac<Sha384>>(key, signed, &signature),
        "HS512" => signed_by::<Hmac<Sha512>>(key, signed, &signature),
        _ => false,
    };
    if !genuine {
        return None;
    }
    let claims: Claims = decode(claims)?;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^53")]
    let alive = (now_ms as f64) < claims.exp * 1000.0;
    let audience = claims.aud.as_deref().is_none_or(|audience| audience.is_empty() || audience == AUDIENCE);
    claims.sub.filter(|user| alive && audience && !user.is_empty())
}

/// Compares in constant time.
fn signed_by<M: Mac + hmac::digest::KeyInit>(key: &Secret, signed: &str, signature: &[u8]) -> bool {
    let Ok(mut mac) = <M as Mac>::new_from_slice(key.expose().as_bytes()) else { return false };
    mac.update(signed.as_bytes());
    mac.verify_slice(signature).is_ok()
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "the-one-lakefs-uses";
    const NOW_MS: u64 = 1_795_451_810_500;

    fn mac<M: Mac + hmac::digest::KeyInit>(key: &str, text: &str) -> Vec<u8> {
        let mut mac = <M as Mac>::new_from_slice(key.as_bytes()).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    }

    fn token(alg: &str, key: &str, claims: &str) -> String {
        let encode = |text: &[u8]| URL_SAFE_NO_PAD.encode(text);
        let signed =
            format!("{}.{}", encode(format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#).as_bytes()), encode(claims.as_bytes()));
        let signature = match alg {
            "HS384" => mac::<Hmac<Sha384>>(key, &signed),
            "HS512" => mac::<Hmac<Sha512>>(key, &signed),
            "none" => vec![],
            _ => mac::<Hmac<Sha256>>(key, &signed),
        };
        format!("{signed}.{}", encode(&signature))
    }

    fn check(token: &str) -> Option<String> {
        verify(token, &KEY.into(), NOW_MS)
    }

    const GOOD: &str = r#"{"iss":"auth","jti":"1","aud":"login","sub":"admin","iat":1795451800,"exp":1795451900}"#;

    #[test]
    fn the_cases_of_a_real_server() {
        for (name, alg, key, claims, passes) in [
            ("ok", "HS256", KEY, GOOD, true),
            ("hs512", "HS512", KEY, GOOD, true),
            ("hs384", "HS384", KEY, GOOD, true),
            ("expired", "HS256", KEY, r#"{"aud":"login","sub":"admin","exp":1795451810}"#, false),
            ("alive by a fraction", "HS256", KEY, r#"{"aud":"login","sub":"admin","exp":1795451810.6}"#, true),
            ("noexp", "HS256", KEY, r#"{"aud":"login","sub":"admin"}"#, false),
            ("noaud", "HS256", KEY, r#"{"sub":"admin","exp":1795451900}"#, true),
            ("otheraud", "HS256", KEY, r#"{"aud":"other","sub":"admin","exp":1795451900}"#, false),
            ("arr", "HS256", KEY, r#"{"aud":["login"],"sub":"admin","exp":1795451900}"#, false),
            ("iss", "HS256", KEY, r#"{"iss":"else","aud":"login","sub":"admin","exp":1795451900}"#, true),
            ("nbf", "HS256", KEY, r#"{"nbf":1795459999,"aud":"login","sub":"admin","exp":1795451900}"#, true),
            ("other key", "HS256", "another", GOOD, false),
            ("none", "none", KEY, GOOD, false),
            ("nosub", "HS256", KEY, r#"{"aud":"login","exp":1795451900}"#, false),
            ("emptysub", "HS256", KEY, r#"{"sub":"","aud":"login","exp":1795451900}"#, false),
            ("exp as text", "HS256", KEY, r#"{"sub":"admin","exp":"1795451900"}"#, false),
            ("not an object", "HS256", KEY, "7", false),
        ] {
            assert_eq!(check(&token(alg, key, claims)).as_deref(), passes.then_some("admin"), "{name}");
        }
    }

    #[test]
    fn a_token_that_a_real_lakefs_signed_passes_in_its_time() {
        let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJqdGkiOiI2NDFkZWJkOS1hYTRkLTQxYTYtOTQ4OC04YWE0NDM4MmU4M2\
            EiLCJpc3MiOiJhdXRoIiwic3ViIjoiYWRtaW4iLCJhdWQiOiJsb2dpbiIsImlhdCI6MTc5NTQ3NTM3NiwiZXhwIjoxNzk2MDgwMTc2fQ.\
            aXF01GpJZQ5kYachx59bVPb-u4vUv29niUKRjvc17Sc";
        assert_eq!(verify(token, &KEY.into(), 1_796_080_175_999).as_deref(), Some("admin"));
        assert_eq!(verify(token, &KEY.into(), 1_796_080_176_000), None, "it has expired");
    }

    #[test]
    fn a_right_signature_under_another_algorithm_fails() {
        let good = token("HS256", KEY, GOOD);
        let (_, rest) = good.split_once('.').unwrap();
        let renamed = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS512","typ":"JWT"}"#);
        assert_eq!(check(&format!("{renamed}.{rest}")), None);
        assert_eq!(check(&good), Some("admin".into()));
    }

    #[test]
    fn damage_anywhere_fails_and_never_panics() {
        let good = token("HS256", KEY, GOOD);
        for at in 0..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            if changed != good {
                assert_eq!(check(&changed), None, "byte {at}");
            }
            assert_eq!(check(&good[..at]), None, "cut at {at}");
        }
        for text in ["", ".", "..", "...", "a.b.c", "e30.e30."] {
            assert_eq!(check(text), None);
        }
        assert_eq!(check(&format!("{good}.{good}")), None);
        assert_eq!(verify(&token("HS256", "", GOOD), &Secret::default(), NOW_MS), None, "no key verifies nothing");
        assert_eq!(check(&"a".repeat(TOKEN_MAX + 1)), None);
    }
}
