//! Text that must not be printed: keys, passwords, session tokens, the signing key.
//!
//! This module owns the type and the only way to read it. It does not protect memory; it protects logs, messages and
//! answers: `Debug` and `Display` show `***`, and there is no `Serialize`. Values come from the configuration and from
//! requests. They leave only through [`Secret::expose`], at the place that signs, compares or sends.

use std::fmt;

use subtle::ConstantTimeEq;

/// The printed form of every secret.
const MASK: &str = "***";

/// A secret text. Comparing two secrets takes the same time wherever they differ (but depends on their lengths).
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Call this only where the text is used, never on the way to a log or a message.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the text is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed_not_even_inside_something_else() {
        #[derive(Debug)]
        #[expect(dead_code, reason = "only printed")]
        struct Settings {
            key: Option<Secret>,
        }
        let secret = Secret::new("canary");
        let printed = format!("{secret} {secret:?} {secret:#?} {:?}", Settings { key: Some(secret.clone()) });
        assert!(!printed.contains("canary"), "{printed}");
        assert_eq!(printed, "*** *** *** Settings { key: Some(***) }");
    }

    #[test]
    fn secrets_are_equal_if_their_texts_are() {
        assert_eq!(Secret::new("a"), Secret::from("a"));
        assert_ne!(Secret::new("a"), Secret::from("b"));
        assert_ne!(Secret::new("a"), Secret::from("aa"));
        assert_eq!(Secret::from("a".to_owned()).expose(), "a");
        assert!(Secret::default().is_empty());
    }
}
