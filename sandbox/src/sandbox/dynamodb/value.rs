//! Attribute values: the supported types, their JSON form, and their sizes for the limits.
//!
//! Supported are S, N (integers only), B, BOOL and NULL. Other types are refused.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// DynamoDB's limit for the digits of a number.
const DIGITS_MAX: usize = 38;

/// The attributes of an item by name, or some of them.
pub(super) type Attributes = BTreeMap<String, Value>;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Value {
    /// A string.
    S(String),
    /// An integer in its shortest form, so that equal numbers are equal strings.
    N(#[serde(deserialize_with = "number")] String),
    /// Bytes.
    B(Bytes),
    /// A boolean.
    #[serde(rename = "BOOL")]
    Bool(bool),
    /// Null.
    #[serde(rename = "NULL")]
    Null(bool),
}

/// Bytes; base64 in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(|_| de::Error::custom("a binary value is not base64"))
    }
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    whole(&text).ok_or_else(|| {
        de::Error::custom(format!(
            "{text:?} is not a whole number of at most {DIGITS_MAX} digits, this sandbox has no other"
        ))
    })
}

/// The shortest form of an integer.
fn whole(text: &str) -> Option<String> {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match digits.trim_start_matches('0') {
        "" => Some("0".to_owned()),
        short => (short.len() <= DIGITS_MAX).then(|| format!("{sign}{short}")),
    }
}

impl Value {
    /// The type as DynamoDB names it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::S(_) => "S",
            Self::N(_) => "N",
            Self::B(_) => "B",
            Self::Bool(_) => "BOOL",
            Self::Null(_) => "NULL",
        }
    }

    /// The bytes of a value that can be a key.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::S(text) => Some(text.as_bytes()),
            Self::B(bytes) => Some(&bytes.0),
            Self::N(_) | Self::Bool(_) | Self::Null(_) => None,
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::S(text) => text.len(),
            // Two digits per byte, and one extra byte.
            Self::N(digits) => digits.trim_start_matches('-').len().div_ceil(2) + 1,
            Self::B(bytes) => bytes.0.len(),
            Self::Bool(_) | Self::Null(_) => 1,
        }
    }
}

/// The size of an item: the names and values of its attributes.
pub(super) fn size(item: &Attributes) -> usize {
    item.iter().map(|(name, value)| name.len() + value.size()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_what_they_are() {
        for (text, short) in [("7", Some("7")), ("007", Some("7")), ("-0", Some("0")), ("-012", Some("-12"))] {
            assert_eq!(whole(text).as_deref(), short, "{text}");
        }
        let long = "1".repeat(39);
        for text in ["", "-", "1.0", "1e3", "+1", " 1", "x", long.as_str()] {
            assert_eq!(whole(text), None, "{text}");
        }
    }

    #[test]
    fn json_is_dynamodbs() {
        for text in [r#"{"S":"a"}"#, r#"{"N":"18446744073709551615"}"#, r#"{"B":"AAH/"}"#, r#"{"BOOL":true}"#] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&value).unwrap(), text);
        }
        for text in [r#"{"SS":["a"]}"#, r#"{"B":"!"}"#, r#"{"N":1}"#, r#"{"S":"a","N":"1"}"#, "{}", r#"{"M":{}}"#] {
            assert!(serde_json::from_str::<Value>(text).is_err(), "{text}");
        }
    }
}
