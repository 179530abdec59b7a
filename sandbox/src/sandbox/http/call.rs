//! One call and its parameters.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, header};
use serde_json::Value;

use crate::sandbox::Sandbox;
use crate::sandbox::failure::{Failure, Kind, Outcome};
use crate::sandbox::lake::{Condition, Lake, Page};

/// Default number of items of a page.
const AMOUNT_DEFAULT: usize = 100;

/// One call, validated against its schema.
pub(super) struct Call {
    /// The sandbox that serves it.
    pub sandbox: Sandbox,
    /// The parameters in the path.
    pub params: Vec<(String, String)>,
    /// The query.
    pub query: Vec<(String, String)>,
    /// The body; null if there is none.
    pub body: Value,
    /// The headers.
    pub headers: HeaderMap,
    /// Whether the caller is the user.
    pub known: bool,
}

/// The decoded pairs of a query.
pub(super) fn parse_query(query: Option<&str>) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect()
}

/// Checks that the content type is JSON.
pub(super) fn check_content_type(headers: &HeaderMap) -> Outcome<()> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if given.split(';').next().unwrap_or_default().trim() == "application/json" {
        return Ok(());
    }
    let message = format!("request body has an error: header Content-Type has unexpected value \"{given}\"");
    Err(Failure::new(Kind::Invalid, message))
}

impl Call {
    /// The lakeFS installation.
    pub(super) fn lake(&self) -> &Lake {
        &self.sandbox.lake
    }

    /// A parameter in the path.
    pub(super) fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// A parameter in the query.
    pub(super) fn text(&self, name: &str) -> &str {
        self.query.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// All values of a repeated parameter in the query.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        self.query
            .iter()
            .filter(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.clone())
            .collect()
    }

    /// A boolean in the query, with its default.
    pub(super) fn flag_or(&self, name: &str, default: bool) -> bool {
        match self.text(name) {
            "" => default,
            value => value.starts_with(['t', 'T', '1']),
        }
    }

    /// A boolean in the query.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.flag_or(name, false)
    }

    /// The requested page.
    pub(super) fn page(&self) -> Page {
        let amount = self.text("amount").parse().ok().filter(|amount| *amount > 0).unwrap_or(AMOUNT_DEFAULT);
        Page { prefix: self.text("prefix").to_owned(), after: self.text("after").to_owned(), amount }
    }

    /// A string in the body.
    pub(super) fn field(&self, name: &str) -> &str {
        self.body.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A boolean in the body.
    pub(super) fn switch(&self, name: &str) -> bool {
        self.body.get(name).and_then(Value::as_bool).unwrap_or_default()
    }

    /// A number in the body.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.body.get(name).and_then(Value::as_i64)
    }

    /// A list of strings in the body.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let items = self.body.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// A map of strings in the body.
    pub(super) fn map(&self, name: &str) -> BTreeMap<String, String> {
        self.body.get(name).map(text_map).unwrap_or_default()
    }

    /// The precondition of the call.
    ///
    /// # Errors
    /// 501 for conditions that lakeFS's open-source edition does not support.
    pub(super) fn condition(&self) -> Outcome<Condition> {
        condition(&self.headers)
    }
}

/// See [`Call::condition`].
pub(super) fn condition(headers: &HeaderMap) -> Outcome<Condition> {
    match (headers.get(header::IF_MATCH), headers.get(header::IF_NONE_MATCH)) {
        (None, None) => Ok(Condition::None),
        (None, Some(value)) if value == "*" => Ok(Condition::Absent),
        _ => Err(Failure::new(Kind::NotImplemented, "Not Implemented")),
    }
}

/// A JSON object of strings as a map.
pub(super) fn text_map(value: &Value) -> BTreeMap<String, String> {
    let fields = value.as_object().into_iter().flatten();
    fields.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
