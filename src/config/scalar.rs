//! The text of one value → what it stands for: durations, numbers, booleans, URLs, addresses.
//!
//! Pure. Owns no key names and no places; an error is the sentence that follows the key in a message and never
//! quotes more than a short value. Secrets do not come through here.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

/// What is wrong with a value, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadValue {
    pub(crate) what: String,
    pub(crate) fix: String,
}

/// How much of a wrong value a message quotes, in characters.
const QUOTED_MAX: usize = 60;

pub(crate) fn bad<T>(what: impl Into<String>, fix: impl Into<String>) -> Result<T, BadValue> {
    Err(BadValue { what: what.into(), fix: fix.into() })
}

/// A value for a message: in backticks, cut where it is long.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(QUOTED_MAX).flat_map(char::escape_debug).collect();
    if text.chars().count() > QUOTED_MAX {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// Go's duration notation (`time.ParseDuration`): numbers with units, largest first by custom but in any order.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// `1m30s`, `1.5h`, `500ms`, `0`. A number without a unit is refused: it would be nanoseconds to some readers and
/// seconds to others. Negative durations mean nothing here.
pub(crate) fn duration(text: &str) -> Result<Duration, BadValue> {
    let fix = "write numbers with units ns, us, ms, s, m or h, such as 30s, 1m30s or 24h";
    let not_one = || BadValue { what: format!("{} is not a duration", quoted(text)), fix: fix.to_owned() };
    if text.starts_with('-') {
        return bad(format!("{} is negative", quoted(text)), "write a duration of 0 or more");
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit()) {
        return bad(format!("{} has no unit", quoted(text)), fix);
    }
    let mut total_ns: u128 = 0;
    while !rest.is_empty() {
        let (ns, after) = term(rest).ok_or_else(not_one)?;
        total_ns = total_ns.saturating_add(ns);
        rest = after;
    }
    if text.trim_start_matches('+').is_empty() {
        return Err(not_one());
    }
    let ns = u64::try_from(total_ns).ok().filter(|ns| i64::try_from(*ns).is_ok());
    match ns {
        Some(ns) => Ok(Duration::from_nanos(ns)),
        None => bad(format!("{} is more than 292 years", quoted(text)), fix),
    }
}

/// One number with its unit, in nanoseconds, and what follows it.
fn term(text: &str) -> Option<(u128, &str)> {
    let number_len = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at_checked(number_len)?;
    let unit_len = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at_checked(unit_len)?;
    let unit_ns = u128::from(UNITS.iter().find(|(name, _)| *name == unit)?.1);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole_ns = digits(whole)?.saturating_mul(unit_ns);
    // More than 18 digits after the point are below a nanosecond even of an hour.
    let kept: String = fraction.chars().take(18).collect();
    let scale = 10_u128.checked_pow(u32::try_from(kept.len()).ok()?)?;
    let fraction_ns = digits(&kept)?.saturating_mul(unit_ns) / scale;
    Some((whole_ns.saturating_add(fraction_ns), rest))
}

/// A run of decimal digits; empty is 0, too long saturates.
fn digits(text: &str) -> Option<u128> {
    if text.is_empty() {
        return Some(0);
    }
    if text.len() > 30 {
        return Some(u128::MAX);
    }
    text.parse().ok()
}

/// A whole number. Underscores and signs are not read.
pub(crate) fn integer(text: &str) -> Result<u64, BadValue> {
    let fix = "write a whole number in digits, such as 1000";
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_digit()) {
        return bad(format!("{} is not a whole number", quoted(text)), fix);
    }
    text.parse().or_else(|_| bad(format!("{} is too large", quoted(text)), fix))
}

/// A number such as `0.5`.
pub(crate) fn fraction(text: &str) -> Result<f64, BadValue> {
    let fix = "write a number such as 0.5";
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => bad(format!("{} is not a number", quoted(text)), fix),
    }
}

/// `true` or `false`, and what else Go's `strconv.ParseBool` takes, so that rendered charts keep their meaning.
pub(crate) fn boolean(text: &str) -> Result<bool, BadValue> {
    match text {
        "true" | "True" | "TRUE" | "t" | "T" | "1" => Ok(true),
        "false" | "False" | "FALSE" | "f" | "F" | "0" => Ok(false),
        _ => bad(format!("{} is neither true nor false", quoted(text)), "write true or false"),
    }
}

/// An `http` or `https` URL of a server. Credentials, a query and a fragment have no place in it.
pub(crate) fn endpoint(text: &str) -> Result<Url, BadValue> {
    let fix = "write the server's address, such as https://lakefs.example.com or http://127.0.0.1:8000";
    let url = match Url::parse(text) {
        Ok(url) => url,
        // A URL that does not parse may hold a password: the text is not quoted.
        Err(error) => return bad(format!("is not a URL ({error})"), fix),
    };
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return bad("is not an http or https URL with a host", fix);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return bad("holds credentials", "take them out of the URL; they belong into the settings for credentials");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return bad("has a query or a fragment", fix);
    }
    Ok(url)
}

/// lakeFS's own address without the API's path, which `lakectl` users are used to writing.
pub(crate) fn lakefs_endpoint(text: &str) -> Result<Url, BadValue> {
    let mut url = endpoint(text)?;
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/api/v1").unwrap_or(path).to_owned();
    url.set_path(&path);
    Ok(url)
}

/// `host:port` in the forms that Go listens on: without a host it is every address of both families.
pub(crate) fn listen_address(text: &str) -> Result<String, BadValue> {
    let fix = "write host:port, such as :8008, 127.0.0.1:8008 or [::]:8008";
    let Some((host, port)) = text.rsplit_once(':') else {
        return bad(format!("{} has no port", quoted(text)), fix);
    };
    if port.parse::<u16>().is_err() || !port.chars().all(|c| c.is_ascii_digit()) {
        return bad(format!("{} has no port of 0 to 65535", quoted(text)), fix);
    }
    if host.is_empty() {
        return Ok(text.to_owned());
    }
    let in_brackets = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    let valid = match in_brackets {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')),
    };
    if valid { Ok(text.to_owned()) } else { bad(format!("{} names no host", quoted(text)), fix) }
}

/// A network, or one address: `10.0.0.0/8`, `192.168.1.7`, `fd00::/8`.
pub(crate) fn network(text: &str) -> Result<IpNet, BadValue> {
    let one = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>().or_else(|_| one()).or_else(|_| {
        bad(format!("{} is no network", quoted(text)), "write an address, or one with a prefix length: 10.0.0.0/8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_in_gos_notation() {
        let ms = Duration::from_millis;
        for (text, want) in [
            ("0", ms(0)),
            ("0s", ms(0)),
            ("1m30s", ms(90_000)),
            ("24h", ms(86_400_000)),
            ("500ms", ms(500)),
            ("1.5h", ms(5_400_000)),
            (".5s", ms(500)),
            ("1.s", ms(1000)),
            ("+2s", ms(2000)),
            ("2us", Duration::from_micros(2)),
            ("2µs", Duration::from_micros(2)),
            ("7ns", Duration::from_nanos(7)),
            ("0.1234567890123456789012s", Duration::from_nanos(123_456_789)),
        ] {
            assert_eq!(duration(text), Ok(want), "{text}");
        }
    }

    #[test]
    fn other_durations_are_refused_with_the_reason() {
        for text in ["", "+", "1x", "s", "1 s", "1m 30s", ".s", "1.2.3s", "1,5s", "1d", "1S", "ms", "٣s"] {
            let error = duration(text).expect_err(text);
            assert!(error.what.contains("not a duration"), "{text}: {error:?}");
        }
        assert!(duration("60").unwrap_err().what.contains("no unit"));
        assert!(duration("-1s").unwrap_err().what.contains("negative"));
        assert!(duration("9999999999h").unwrap_err().what.contains("292 years"));
        assert!(duration(&format!("{}h", "9".repeat(100))).unwrap_err().what.contains("292 years"));
    }

    proptest! {
        #[test]
        fn a_duration_written_out_is_read_back(h in 0_u64..1000, m in 0_u64..60, s in 0_u64..60, ms in 0_u64..1000) {
            let want = Duration::from_millis(((h * 60 + m) * 60 + s) * 1000 + ms);
            prop_assert_eq!(duration(&format!("{h}h{m}m{s}s{ms}ms")), Ok(want));
            prop_assert_eq!(duration(&format!("{h}h{m}m{s}.{ms:03}s")), Ok(want));
        }

        #[test]
        fn no_text_makes_them_panic(text in "\\PC{0,40}") {
            let _ = (duration(&text), integer(&text), fraction(&text), boolean(&text));
            let _ = (lakefs_endpoint(&text), listen_address(&text));
        }
    }

    #[test]
    fn numbers_and_booleans() {
        assert_eq!(integer("1073741824"), Ok(1 << 30));
        for text in ["", "-1", "1.5", "1e3", "1_000", "abc"] {
            assert!(integer(text).is_err(), "{text}");
        }
        assert!(integer("99999999999999999999").unwrap_err().what.contains("too large"));
        assert_eq!(fraction("0.5"), Ok(0.5));
        assert!(fraction("NaN").is_err() && fraction("inf").is_err() && fraction("half").is_err());
        assert_eq!((boolean("true"), boolean("0")), (Ok(true), Ok(false)));
        assert!(boolean("yes").is_err());
    }

    #[test]
    fn endpoints_are_servers_and_nothing_else() {
        assert_eq!(endpoint("http://127.0.0.1:8000").unwrap().as_str(), "http://127.0.0.1:8000/");
        for text in ["", "lakefs:8000", "ftp://x", "127.0.0.1:8000", "http://", "http://h/?a=1", "http://h/#f"] {
            assert!(endpoint(text).is_err(), "{text}");
        }
        let error = endpoint("http://me:hush@h").unwrap_err();
        assert!(!format!("{error:?}").contains("hush"), "{error:?}");
        for text in ["https://h/p/api/v1/", "https://h/p/api/v1", "https://h/p/", "https://h/p"] {
            assert_eq!(lakefs_endpoint(text).unwrap().as_str(), "https://h/p", "{text}");
        }
    }

    #[test]
    fn listen_addresses() {
        for (text, want) in
            [(":8008", ":8008"), ("0.0.0.0:80", "0.0.0.0:80"), ("127.0.0.1:0", "127.0.0.1:0"), ("[::]:80", "[::]:80")]
        {
            assert_eq!(listen_address(text), Ok(want.to_owned()));
        }
        assert_eq!(listen_address("localhost:8008"), Ok("localhost:8008".to_owned()));
        for text in ["", "8008", "h:", "h:x", "h:65536", "h:+80", "::1:80", "[::1:80", "a b:80", "http://h:80"] {
            assert!(listen_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quoted_values_are_short_and_printable() {
        assert_eq!(quoted("a\nb"), "`a\\nb`");
        assert!(quoted(&"x".repeat(1000)).chars().count() < 70);
    }
}
