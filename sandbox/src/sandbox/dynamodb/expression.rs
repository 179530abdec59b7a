//! Condition expressions: parsed into terms that must all hold, and evaluated against an item.
//!
//! ```text
//! expression = term *("AND" term)
//! term       = "attribute_exists(" name ")" / "attribute_not_exists(" name ")"
//!            / "begins_with(" name "," :value ")" / name "=" :value
//! ```
//!
//! Nothing else is supported. Any other expression, an undefined value and an unused value are refused.

use std::collections::BTreeSet;

use super::failure::Failure;
use super::value::{Attributes, Value};

/// Maximum number of terms of one expression.
const TERMS_MAX: usize = 16;
const KNOWN: &str =
    "attribute_exists(Name), attribute_not_exists(Name), begins_with(Name, :value) and Name = :value, joined by AND";

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Term {
    /// The attribute exists.
    Exists(String),
    /// The attribute does not exist.
    NotExists(String),
    /// The attribute exists, has the same type, and begins with the value.
    BeginsWith(String, Value),
    /// The attribute exists, has the same type, and is equal.
    Equals(String, Value),
}

impl Term {
    fn holds(&self, item: &Attributes) -> bool {
        match self {
            Self::Exists(name) => item.contains_key(name),
            Self::NotExists(name) => !item.contains_key(name),
            Self::Equals(name, value) => item.get(name) == Some(value),
            Self::BeginsWith(name, prefix) => item.get(name).is_some_and(|value| {
                let both = value.bytes().zip(prefix.bytes());
                value.kind() == prefix.kind() && both.is_some_and(|(value, prefix)| value.starts_with(prefix))
            }),
        }
    }
}

/// Whether all terms hold. An item that does not exist has no attributes.
pub(super) fn holds(terms: &[Term], item: Option<&Attributes>) -> bool {
    let nothing = Attributes::new();
    let item = item.unwrap_or(&nothing);
    terms.iter().all(|term| term.holds(item))
}

/// Parses the expression in the request's field `field`, with the request's values.
pub(super) fn parse(field: &str, text: &str, values: &Attributes) -> Result<Vec<Term>, Failure> {
    let mut parser = Parser { field, text, tokens: tokens(field, text)?.into_iter(), values, used: BTreeSet::new() };
    let mut terms = vec![parser.term()?];
    while let Some(word) = parser.tokens.next() {
        if !word.eq_ignore_ascii_case("AND") || terms.len() == TERMS_MAX {
            return Err(unknown(field, text));
        }
        terms.push(parser.term()?);
    }
    let unused: Vec<&str> = values.keys().map(String::as_str).filter(|name| !parser.used.contains(*name)).collect();
    if !unused.is_empty() {
        let message = "Value provided in ExpressionAttributeValues unused in expressions: keys:";
        return Err(Failure::invalid(format!("{message} {{{}}}", unused.join(", "))));
    }
    Ok(terms)
}

struct Parser<'a> {
    field: &'a str,
    text: &'a str,
    tokens: std::vec::IntoIter<&'a str>,
    values: &'a Attributes,
    used: BTreeSet<&'a str>,
}

impl<'a> Parser<'a> {
    fn term(&mut self) -> Result<Term, Failure> {
        match self.next()? {
            "attribute_exists" => Ok(Term::Exists(self.only_name()?)),
            "attribute_not_exists" => Ok(Term::NotExists(self.only_name()?)),
            "begins_with" => {
                self.mark("(")?;
                let name = self.name()?;
                self.mark(",")?;
                let value = self.value()?;
                self.mark(")")?;
                match value.bytes() {
                    Some(_) => Ok(Term::BeginsWith(name, value)),
                    None => Err(Failure::invalid(format!(
                        "Invalid {}: Incorrect operand type for operator or function; operator or function: begins_with, operand type: {}",
                        self.field,
                        value.kind()
                    ))),
                }
            }
            name => {
                let name = self.checked(name)?;
                self.mark("=")?;
                Ok(Term::Equals(name, self.value()?))
            }
        }
    }

    fn only_name(&mut self) -> Result<String, Failure> {
        self.mark("(")?;
        let name = self.name()?;
        self.mark(")")?;
        Ok(name)
    }

    fn next(&mut self) -> Result<&'a str, Failure> {
        self.tokens.next().ok_or_else(|| unknown(self.field, self.text))
    }

    fn mark(&mut self, mark: &str) -> Result<(), Failure> {
        if self.next()? == mark { Ok(()) } else { Err(unknown(self.field, self.text)) }
    }

    fn name(&mut self) -> Result<String, Failure> {
        let name = self.next()?;
        self.checked(name)
    }

    fn checked(&self, name: &str) -> Result<String, Failure> {
        let letter = name.starts_with(|first: char| first.is_ascii_alphabetic());
        if letter { Ok(name.to_owned()) } else { Err(unknown(self.field, self.text)) }
    }

    fn value(&mut self) -> Result<Value, Failure> {
        let name = self.next()?;
        if !name.starts_with(':') {
            return Err(unknown(self.field, self.text));
        }
        self.used.insert(name);
        self.values.get(name).cloned().ok_or_else(|| {
            Failure::invalid(format!(
                "Invalid {}: An expression attribute value used in expression is not defined; attribute value: {name}",
                self.field
            ))
        })
    }
}

/// Splits into words (names, and values with their colon) and punctuation.
fn tokens<'a>(field: &str, text: &'a str) -> Result<Vec<&'a str>, Failure> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (mut tokens, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' | ')' | ',' | '=' => 1,
            first if first == ':' || word(first) => {
                rest.char_indices().skip(1).find(|(_, c)| !word(*c)).map_or(rest.len(), |(at, _)| at)
            }
            _ => return Err(unknown(field, text)),
        };
        let (token, after) = rest.split_at_checked(length).ok_or_else(|| unknown(field, text))?;
        tokens.push(token);
        rest = after.trim_start();
    }
    Ok(tokens)
}

fn unknown(field: &str, text: &str) -> Failure {
    let shown: String = text.chars().take(200).collect();
    Failure::invalid(format!("Invalid {field}: this sandbox cannot read {shown:?}; it knows {KNOWN}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::dynamodb::value::Bytes;

    fn values(given: &[(&str, &str)]) -> Attributes {
        given.iter().map(|(name, text)| ((*name).to_owned(), Value::S((*text).to_owned()))).collect()
    }

    #[test]
    fn terms_are_evaluated_on_existing_attributes() {
        let item: Attributes =
            [("a".to_owned(), Value::S("xyz".into())), ("b".to_owned(), Value::N("7".into()))].into();
        let given = values(&[(":x", "x"), (":xyz", "xyz")]);
        for (text, used, wanted, without) in [
            ("attribute_exists(a)", "", true, false),
            ("attribute_not_exists(a)", "", false, true),
            ("attribute_not_exists ( c )", "", true, true),
            ("begins_with(a, :x)", ":x", true, false),
            ("begins_with(b,:x)", ":x", false, false),
            ("a=:xyz", ":xyz", true, false),
            ("a = :x", ":x", false, false),
            ("b = :x", ":x", false, false),
            ("a = :xyz and attribute_exists(b)", ":xyz", true, false),
            ("a = :xyz AND attribute_exists(c)", ":xyz", false, false),
        ] {
            let given = given.iter().filter(|(name, _)| *name == used).map(|(n, v)| (n.clone(), v.clone())).collect();
            let terms = parse("ConditionExpression", text, &given).unwrap();
            assert_eq!((holds(&terms, Some(&item)), holds(&terms, None)), (wanted, without), "{text}");
        }
    }

    #[test]
    fn other_expressions_are_refused_and_quoted() {
        for text in [
            "",
            "a",
            "a =",
            "a = b",
            "a <> :x",
            "a < :x",
            "NOT a = :x",
            "(a = :x)",
            "a = :x OR a = :x",
            "a = :x a = :x",
            "#a = :x",
            "a.b = :x",
            "a[0] = :x",
            "size(a) = :x",
            "attribute_exists()",
            "attribute_exists(:x)",
            "begins_with(a)",
            "begins_with(a, :x",
            "a = :x AND",
            "a IN (:x)",
            "1a = :x",
            "a = :x; b = :x",
            "ä = :x",
        ] {
            let failure = parse("ConditionExpression", text, &values(&[(":x", "x")])).unwrap_err();
            assert!(failure.message.contains(&format!("cannot read {text:?}")), "{text}: {failure:?}");
        }
        let many = ["a = :x"; 17].join(" AND ");
        assert!(parse("ConditionExpression", &many, &values(&[(":x", "x")])).is_err());
    }

    #[test]
    fn values_are_given_and_used() {
        let undefined = parse("ConditionExpression", "a = :y", &values(&[(":x", "x")])).unwrap_err();
        assert!(undefined.message.contains("is not defined; attribute value: :y"), "{undefined:?}");
        let unused = parse("ConditionExpression", "a = :x", &values(&[(":x", "x"), (":z", "z")])).unwrap_err();
        assert!(unused.message.ends_with("keys: {:z}"), "{unused:?}");
        let number: Attributes = [(":n".to_owned(), Value::N("1".into()))].into();
        assert!(parse("ConditionExpression", "begins_with(a, :n)", &number).is_err());
        let bytes: Attributes = [(":b".to_owned(), Value::B(Bytes(vec![1])))].into();
        assert!(parse("ConditionExpression", "begins_with(a, :b)", &bytes).is_ok());
    }
}
