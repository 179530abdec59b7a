//! Validates requests against the schemas of the API before anything else, with the messages of lakeFS's validator.
//!
//! `schemas.json` contains the schemas of request bodies by name (field names, types and limits of lakeFS's API). Query
//! parameters are described by [`Param`]s at the routes. The first problem is the response.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::failure::{Failure, Kind, Outcome};

/// The schemas of request bodies, by name.
static SCHEMAS: LazyLock<Map<String, Value>> =
    LazyLock::new(|| serde_json::from_str(include_str!("schemas.json")).unwrap_or_default());

const REPOSITORY_NAME: &str = "^[a-z0-9][a-z0-9-]{2,62}$";
const NAMESPACE: &str = "^(s3|gs|https?|mem|local|transient)://.*$";
const RANGE: &str = "^bytes=((\\d*-\\d*,? ?)+)$";
const DATE_TIME: &str = "^[0-9]{4}-(0[1-9]|10|11|12)-(0[1-9]|[12][0-9]|3[01])T([0-1][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\\.[0-9]+)?(Z|(\\+|-)[0-9]{2}:[0-9]{2})?$";

/// A query parameter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Param {
    /// Its name.
    pub name: &'static str,
    /// Whether it is required.
    pub required: bool,
    /// Its type.
    pub sort: Sort,
}

/// The type of a query parameter.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sort {
    /// Any string.
    Text,
    /// `true` or `false`.
    Flag,
    /// The number of items of a page.
    Amount,
    /// One of two values, and the default.
    OneOf([&'static str; 2], &'static str),
    /// A point in time.
    Date,
}

fn invalid(message: String) -> Failure {
    Failure::new(Kind::Invalid, message)
}

/// Indented JSON with an indented margin, as lakeFS's validator prints schemas and values.
fn printed(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.replace('\n', "\n  ")
}

fn with_schema(problem: &str, schema: &Value, value: &Value) -> String {
    format!("{problem}\nSchema:\n  {}\n\nValue:\n  {}\n", printed(schema), printed(value))
}

/// Checks a query.
///
/// # Errors
/// `Invalid` for the first invalid parameter.
pub(super) fn query(params: &[Param], query: &[(String, String)]) -> Outcome<()> {
    for param in params {
        let given = query.iter().find(|(name, _)| name == param.name).map(|(_, value)| value.as_str());
        let outcome = match given {
            None if param.required => Err("value is required but missing".to_owned()),
            None => Ok(()),
            Some(value) => param.sort.check(value),
        };
        outcome.map_err(|problem| invalid(format!("parameter \"{}\" in query has an error: {problem}", param.name)))?;
    }
    Ok(())
}

impl Sort {
    fn check(self, value: &str) -> Result<(), String> {
        match self {
            Self::Text => Ok(()),
            Self::Flag
                if matches!(
                    value,
                    "true" | "false" | "1" | "0" | "t" | "f" | "T" | "F" | "TRUE" | "FALSE" | "True" | "False"
                ) =>
            {
                Ok(())
            }
            Self::Flag => Err(format!("value {value}: an invalid boolean: invalid syntax")),
            Self::Amount => amount(value),
            Self::OneOf(allowed, _) if allowed.contains(&value) => Ok(()),
            Self::OneOf(allowed, default) => {
                let schema = json!({"default": default, "enum": allowed, "type": "string"});
                Err(with_schema(&not_allowed(&json!(allowed)), &schema, &json!(value)))
            }
            Self::Date if value.parse::<jiff::Timestamp>().is_ok() => Ok(()),
            Self::Date => Err(format!(
                "string doesn't match the format \"date-time\": string doesn't match pattern \"{DATE_TIME}\""
            )),
        }
    }
}

fn amount(value: &str) -> Result<(), String> {
    let number: i64 = value.parse().map_err(|_| format!("value {value}: an invalid integer: invalid syntax"))?;
    let problem = match number {
        1001.. => "number must be at most 1000",
        ..-1 => "number must be at least -1",
        _ => return Ok(()),
    };
    let schema = json!({"default": 100, "maximum": 1000, "minimum": -1, "type": "integer"});
    Err(with_schema(problem, &schema, &json!(number)))
}

fn not_allowed(allowed: &Value) -> String {
    format!("value is not one of the allowed values {allowed}")
}

/// Validates a `{type}` in a path.
///
/// # Errors
/// `Invalid` if it is none of the allowed values.
pub(super) fn path_enum(name: &str, allowed: &[&str], value: &str) -> Outcome<()> {
    if allowed.contains(&value) {
        return Ok(());
    }
    let schema = json!({"enum": allowed, "type": "string"});
    let problem = with_schema(&not_allowed(&json!(allowed)), &schema, &json!(value));
    Err(invalid(format!("parameter \"{name}\" in path has an error: {problem}")))
}

/// Validates a `Range` header.
///
/// # Errors
/// `Invalid` if it is not a list of byte ranges.
pub(super) fn range_header(value: &str) -> Outcome<()> {
    let plausible = value.strip_prefix("bytes=").is_some_and(|ranges| {
        ranges.contains('-') && ranges.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b',' | b' '))
    });
    if plausible {
        return Ok(());
    }
    let schema = json!({"pattern": RANGE, "type": "string"});
    let problem = with_schema(&mismatch(RANGE), &schema, &json!(value));
    Err(invalid(format!("parameter \"Range\" in header has an error: {problem}")))
}

fn mismatch(pattern: &str) -> String {
    format!("string doesn't match the regular expression \"{pattern}\"")
}

/// Parses a body and validates it against the schema of that name; missing fields get their defaults.
///
/// # Errors
/// `Invalid` if it is not JSON or does not match the schema.
pub(super) fn body(schema: &str, bytes: &[u8]) -> Outcome<Value> {
    let wrong = |problem: String| invalid(format!("request body has an error: {problem}"));
    if bytes.is_empty() {
        return Err(wrong("value is required but missing".to_owned()));
    }
    let mut value: Value = serde_json::from_slice(bytes).map_err(|error| {
        let said = if error.is_eof() { "unexpected EOF".to_owned() } else { error.to_string() };
        wrong(format!("failed to decode request body: {said}"))
    })?;
    let (named, list) = match schema.strip_prefix("[]") {
        Some(items) => (json!({"items": reference(items), "type": "array"}), true),
        None => (reference(schema), false),
    };
    check(&named, &mut value, "").map_err(|(at, problem)| {
        let at = if at.is_empty() { String::new() } else { format!("Error at \"{at}\": ") };
        let of = if list { String::new() } else { format!(" #/components/schemas/{schema}") };
        wrong(format!("doesn't match schema{of}: {at}{problem}"))
    })?;
    Ok(value)
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

type Problem = (String, String);

fn check(schema: &Value, value: &mut Value, at: &str) -> Result<(), Problem> {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let named = name.rsplit('/').next().and_then(|name| SCHEMAS.get(name));
        return named.map_or(Ok(()), |schema| check(schema, value, at));
    }
    let wrong = |problem: &str, value: &Value| Err((at.to_owned(), with_schema(problem, schema, value)));
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => check_object(schema, value, at),
        Some("array") => {
            let Value::Array(items) = value else { return wrong("value must be an array", value) };
            let of = schema.get("items").unwrap_or(&Value::Null);
            items.iter_mut().enumerate().try_for_each(|(index, item)| check(of, item, &format!("{at}/{index}")))
        }
        Some("string") => match check_text(schema, value) {
            Some(problem) => wrong(&problem, value),
            None => Ok(()),
        },
        Some("integer") => match check_integer(schema, value) {
            Some(problem) => wrong(&problem, value),
            None => Ok(()),
        },
        Some("boolean") if !value.is_boolean() => wrong("value must be a boolean", value),
        _ => Ok(()),
    }
}

fn check_text(schema: &Value, value: &Value) -> Option<String> {
    if value.is_null() && schema.get("nullable") == Some(&Value::Bool(true)) {
        return None;
    }
    let Some(text) = value.as_str() else { return Some("value must be a string".to_owned()) };
    if let Some(allowed) = schema.get("enum")
        && !allowed.as_array().is_some_and(|allowed| allowed.contains(value))
    {
        return Some(not_allowed(allowed));
    }
    if let Some(least) = schema.get("minLength").and_then(Value::as_u64)
        && (text.chars().count() as u64) < least
    {
        return Some(format!("minimum string length is {least}"));
    }
    let pattern = schema.get("pattern").and_then(Value::as_str)?;
    (!holds(pattern, text)).then(|| mismatch(pattern))
}

/// The two patterns that occur in the schemas.
fn holds(pattern: &str, text: &str) -> bool {
    match pattern {
        REPOSITORY_NAME => {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            (3..=63).contains(&text.len())
                && text.bytes().all(|byte| plain(byte) || byte == b'-')
                && !text.starts_with('-')
        }
        NAMESPACE => ["s3://", "gs://", "http://", "https://", "mem://", "local://", "transient://"]
            .iter()
            .any(|scheme| text.starts_with(scheme)),
        _ => true,
    }
}

fn check_integer(schema: &Value, value: &Value) -> Option<String> {
    let Some(number) = value.as_i64() else { return Some("value must be an integer".to_owned()) };
    let limit = |name: &str| schema.get(name).and_then(Value::as_i64);
    if let Some(least) = limit("minimum").filter(|least| number < *least) {
        return Some(format!("number must be at least {least}"));
    }
    limit("maximum").filter(|most| number > *most).map(|most| format!("number must be at most {most}"))
}

fn check_object(schema: &Value, value: &mut Value, at: &str) -> Result<(), Problem> {
    let Value::Object(fields) = value else {
        return Err((at.to_owned(), with_schema("value must be an object", schema, value)));
    };
    let empty = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    for (name, property) in properties {
        if fields.get(name).is_none_or(Value::is_null)
            && let Some(default) = property.get("default")
        {
            fields.insert(name.clone(), default.clone());
        }
    }
    let others = schema.get("additionalProperties").filter(|others| others.is_object());
    for (name, field) in fields.iter_mut() {
        if let Some(schema) = properties.get(name).or(others) {
            check(schema, field, &format!("{at}/{name}"))?;
        }
    }
    let required = schema.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    match required.iter().filter_map(Value::as_str).find(|name| !fields.contains_key(*name)) {
        None => Ok(()),
        Some(name) => {
            let problem = format!("property \"{name}\" is missing");
            Err((format!("{at}/{name}"), with_schema(&problem, schema, value)))
        }
    }
}
