//! Evaluates conditions of policy statements for a request (`pkg/auth/condition.go`).
//!
//! The only condition is on the address that the request came from.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::arn::wildcard;

/// Operator → field → values, as in a policy.
pub(super) type Conditions = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// The one field that requests have.
const SOURCE_IP: &str = "SourceIp";

/// A condition that cannot be evaluated; lakeFS then denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unevaluable;

/// The address that a request came from: the peer of the connection or, if that is a trusted proxy, what it reports. That
/// is the last address of `X-Forwarded-For` that is not itself a trusted proxy, else `X-Real-IP`. Anybody can set these
/// headers, so they are ignored from other peers. (lakeFS accepts them from everybody.)
#[must_use]
pub fn source_ip(forwarded_for: Option<&str>, real_ip: Option<&str>, peer: IpAddr, trusted: &[IpNet]) -> String {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let peer = peer.to_canonical();
    if !is_trusted(&peer) {
        return peer.to_string();
    }
    let address = |text: &str| text.trim().parse::<IpAddr>().ok().map(|address| address.to_canonical());
    let mut last = peer;
    // From the nearest on: what precedes an untrusted address was written by it.
    for text in forwarded_for.into_iter().flat_map(|list| list.rsplit(',')) {
        let Some(named) = address(text) else { return last.to_string() };
        if !is_trusted(&named) {
            return named.to_string();
        }
        last = named;
    }
    let real = if forwarded_for.is_none() { real_ip.and_then(address) } else { None };
    real.unwrap_or(last).to_string()
}

/// Whether all conditions hold. A condition on a field that the request does not have is false, even if negated.
///
/// # Errors
/// [`Unevaluable`] for an unknown operator, and for a value or source that is not an address. This also applies if
/// another condition is false already, so that the result does not depend on the order.
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
    // Without values to compare with, a condition is never true, even if negated.
    Ok(end && !values.is_empty())
}

/// The addresses that share their first `bits` bits with `network`.
struct Range {
    network: u128,
    bits: u32,
}

/// An address in 128 bits. IPv4 is mapped to IPv6, so that both notations are equal.
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
    fn only_trusted_proxies_are_believed_about_where_a_request_came_from() {
        let peer: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
        let proxies: Vec<IpNet> = vec!["127.0.0.0/8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
        for (forwarded, real, trusted, expected) in [
            (Some("1.1.1.1"), Some("3.3.3.3"), &[][..], "127.0.0.1"),
            (Some("1.1.1.1"), None, &proxies, "1.1.1.1"),
            (Some(" 9.9.9.9 , 1.1.1.1, 10.0.0.7"), None, &proxies, "1.1.1.1"),
            (Some("10.0.0.9, 10.0.0.7"), None, &proxies, "10.0.0.9"),
            (Some("1.1.1.1, unknown, 10.0.0.7"), None, &proxies, "10.0.0.7"),
            (Some(""), Some("3.3.3.3"), &proxies, "127.0.0.1"),
            (None, Some("3.3.3.3"), &proxies, "3.3.3.3"),
            (None, Some("3.3.3.3"), &[], "127.0.0.1"),
            (None, None, &proxies, "127.0.0.1"),
        ] {
            assert_eq!(source_ip(forwarded, real, peer, trusted), expected, "{forwarded:?} {real:?}");
        }
    }
}
