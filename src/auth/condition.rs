//! Conditions of policy statements: whether they hold for a request (`pkg/auth/condition.go`).
//!
//! The only thing that a condition can ask about is where the request came from.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::arn::wildcard;

/// Operator → field → values, as in a policy.
pub(super) type Conditions = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// The one field that requests have.
const SOURCE_IP: &str = "SourceIp";

/// A condition that cannot be evaluated; lakeFS then denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unevaluable;

/// Where a request came from, by lakeFS's rule: the first entry of `X-Forwarded-For`, else `X-Real-IP`, else the peer.
/// Callers can write the headers themselves, so such conditions are as good as the proxy in front.
#[must_use]
pub fn source_ip(forwarded_for: Option<&str>, real_ip: Option<&str>, peer: IpAddr) -> String {
    let first = forwarded_for.and_then(|list| list.split(',').next()).map(str::trim);
    let named =
        first.filter(|text| !text.is_empty()).or_else(|| real_ip.map(str::trim).filter(|text| !text.is_empty()));
    named.map_or_else(|| peer.to_string(), str::to_owned)
}

/// Whether all conditions hold. A field that the request does not have makes its condition false, negated or not.
///
/// # Errors
/// [`Unevaluable`] for an unknown operator, and for a value or source that is no address; also where another
/// condition is false already, so that the answer does not depend on the order.
pub(super) fn hold(conditions: &Conditions, source: Option<&str>) -> Result<bool, Unevaluable> {
    let mut all = true;
    for (operator, fields) in conditions {
        for (field, values) in fields {
            let value = source.filter(|_| field == SOURCE_IP).filter(|value| !value.is_empty());
            all &= holds(operator, values, value)?;
        }
        if fields.is_empty() && !OPERATORS.contains(&operator.as_str()) {
            return Err(Unevaluable);
        }
    }
    Ok(all)
}

const OPERATORS: [&str; 4] = ["IpAddress", "NotIpAddress", "StringLike", "StringNotLike"];

fn holds(operator: &str, values: &[String], actual: Option<&str>) -> Result<bool, Unevaluable> {
    let address = |negated: bool| {
        let ranges = values.iter().map(|value| Range::parse(value.trim())).collect::<Option<Vec<_>>>();
        let (Some(ranges), Some(actual)) = (ranges, actual.map(str::parse::<IpAddr>).transpose().ok()) else {
            return Err(Unevaluable);
        };
        Ok(actual.is_some_and(|actual| ranges.iter().any(|range| range.contains(actual)) != negated))
    };
    let text =
        |negated: bool| Ok(actual.is_some_and(|actual| values.iter().any(|value| wildcard(value, actual)) != negated));
    let end = match operator {
        "IpAddress" => address(false),
        "NotIpAddress" => address(true),
        "StringLike" => text(false),
        "StringNotLike" => text(true),
        _ => Err(Unevaluable),
    }?;
    // Nothing to compare with is never true, not even negated.
    Ok(end && !values.is_empty())
}

/// Addresses that share their first `bits` bits with `network`.
struct Range {
    network: u128,
    bits: u32,
}

/// An address in 128 bits; IPv4 in its mapped form, so that both ways to write it are one.
fn wide(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl Range {
    /// One address, or an address and a prefix length.
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let (width, before) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let bits = match length {
            None => width,
            Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
        };
        (bits <= width).then(|| Self { network: wide(address), bits: bits + before })
    }

    fn contains(&self, address: IpAddr) -> bool {
        let differing = self.network ^ wide(address);
        self.bits == 0 || differing.leading_zeros() >= self.bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(operator: &str, field: &str, values: &[&str]) -> Conditions {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        [(operator.to_owned(), [(field.to_owned(), values)].into())].into()
    }

    #[test]
    fn each_operator() {
        let from = Some("10.1.2.3");
        for (operator, values, expected) in [
            ("IpAddress", &["10.0.0.0/8"][..], Ok(true)),
            ("IpAddress", &["192.168.0.0/16", " 10.1.2.3 "], Ok(true)),
            ("IpAddress", &["10.1.2.4", "10.1.2.2/32"], Ok(false)),
            ("IpAddress", &["0.0.0.0/0"], Ok(true)),
            ("IpAddress", &["::/0"], Ok(true)),
            ("IpAddress", &["::ffff:10.1.2.3"], Ok(true)),
            ("IpAddress", &["fe80::/10"], Ok(false)),
            ("NotIpAddress", &["10.0.0.0/8"], Ok(false)),
            ("NotIpAddress", &["11.0.0.0/8"], Ok(true)),
            ("IpAddress", &[], Ok(false)),
            ("NotIpAddress", &[], Ok(false)),
            ("IpAddress", &["10.0.0.0/33"], Err(Unevaluable)),
            ("IpAddress", &["10.0.0.0/+8"], Err(Unevaluable)),
            ("IpAddress", &["10.1.2.3", "elsewhere"], Err(Unevaluable)),
            ("StringLike", &["10.1.*"], Ok(true)),
            ("StringLike", &["10.2.*"], Ok(false)),
            ("StringNotLike", &["10.2.*"], Ok(true)),
            ("StringNotLike", &["10.2.*", "10.1.?.3"], Ok(false)),
            ("StringEquals", &["10.1.2.3"], Err(Unevaluable)),
        ] {
            assert_eq!(hold(&one(operator, "SourceIp", values), from), expected, "{operator} {values:?}");
        }
    }

    #[test]
    fn without_the_field_nothing_holds_and_all_must_hold() {
        for operator in OPERATORS {
            assert_eq!(hold(&one(operator, "SourceIp", &["1.2.3.4"]), None), Ok(false), "{operator}");
            assert_eq!(hold(&one(operator, "VpcId", &["1.2.3.4"]), Some("10.0.0.1")), Ok(false), "{operator}");
        }
        let mut both = one("IpAddress", "SourceIp", &["10.0.0.0/8"]);
        assert_eq!(hold(&both, Some("10.0.0.1")), Ok(true));
        both.extend(one("StringLike", "SourceIp", &["11.*"]));
        assert_eq!(hold(&both, Some("10.0.0.1")), Ok(false));
        both.extend(one("Unknown", "SourceIp", &["11.*"]));
        assert_eq!(hold(&both, Some("10.0.0.1")), Err(Unevaluable), "whatever the others say");
        assert_eq!(hold(&Conditions::new(), None), Ok(true));
        assert_eq!(hold(&one("IpAddress", "SourceIp", &["10.0.0.0/8"]), Some("proxy")), Err(Unevaluable));
    }

    #[test]
    fn the_source_is_the_first_forwarded_address() {
        let peer: IpAddr = "127.0.0.1".parse().unwrap();
        assert_eq!(source_ip(Some(" 1.1.1.1 , 2.2.2.2"), Some("3.3.3.3"), peer), "1.1.1.1");
        assert_eq!(source_ip(None, Some("3.3.3.3"), peer), "3.3.3.3");
        assert_eq!(source_ip(Some(""), None, peer), "127.0.0.1");
    }
}
