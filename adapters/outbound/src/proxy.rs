//! `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in upper and lower case.
//!
//! Owns which server is reached through which proxy. Loopback addresses are always reached directly, and so are
//! link-local ones, where clouds have their credentials. `NO_PROXY` holds names (with everything below them), addresses,
//! networks and `*`, separated by commas, each with a port if it is only about that port.

use std::net::IpAddr;
use std::sync::Arc;

use url::{Host, Url};

use lakemirror_core::secret::Secret;

/// Which proxies there are, and which servers are reached without one. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proxies(Arc<Inner>);

#[derive(Debug, PartialEq, Eq, Default)]
struct Inner {
    http: Option<Proxy>,
    https: Option<Proxy>,
    direct: Vec<Direct>,
}

/// A proxy; its URL may hold a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy(Secret);

/// An entry of `NO_PROXY`.
#[derive(Debug, PartialEq, Eq)]
struct Direct {
    what: Match,
    port: Option<u16>,
}

#[derive(Debug, PartialEq, Eq)]
enum Match {
    All,
    /// A name, and every name that ends in it after a dot.
    Domain(String),
    /// The addresses that share this many bits with it.
    Network(IpAddr, u32),
}

impl Proxy {
    /// Its URL, with a password where it has one: for clients, never for messages.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    fn parse(text: &str) -> Option<Self> {
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&with_scheme).ok()?;
        (matches!(url.scheme(), "http" | "https") && url.has_host()).then(|| Self(Secret::new(url.as_str())))
    }
}

impl Proxies {
    /// As this process's environment has them. What cannot be used is said in the log.
    #[must_use]
    pub fn of_process() -> Self {
        let (proxies, unusable) = Self::read(|name| std::env::var(name).ok());
        for name in unusable {
            tracing::warn!(
                "{name} is not used: it is not the URL of an http or https proxy; write http://host:port, or unset it"
            );
        }
        proxies
    }

    /// As variables have them; and the names of those that cannot be used. An empty variable counts as not set.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> (Self, Vec<&'static str>) {
        // Within a CGI program, callers decide about HTTP_PROXY.
        if variable("REQUEST_METHOD").is_some() {
            return (Self::default(), Vec::new());
        }
        let set = |name: &'static str| {
            let value = variable(name).map(|value| value.trim().to_owned());
            value.filter(|value| !value.is_empty()).map(|value| (name, value))
        };
        let mut unusable = Vec::new();
        let mut proxy = |upper: &'static str, lower: &'static str| {
            let (name, value) = set(upper).or_else(|| set(lower))?;
            let proxy = Proxy::parse(&value);
            if proxy.is_none() {
                unusable.push(name);
            }
            proxy
        };
        let all = proxy("ALL_PROXY", "all_proxy");
        let http = proxy("HTTP_PROXY", "http_proxy").or_else(|| all.clone());
        let https = proxy("HTTPS_PROXY", "https_proxy").or(all);
        let direct = set("NO_PROXY").or_else(|| set("no_proxy")).map(|(_, value)| value).unwrap_or_default();
        let direct = direct.split(',').filter_map(Direct::parse).collect();
        (Self(Arc::new(Inner { http, https, direct })), unusable)
    }

    /// The proxy through which a server is reached; `None` for one that is reached directly.
    #[must_use]
    pub fn of(&self, server: &Url) -> Option<&Proxy> {
        let proxy = match server.scheme() {
            "http" => self.0.http.as_ref(),
            "https" => self.0.https.as_ref(),
            _ => None,
        }?;
        let (host, port) = (server.host()?, server.port_or_known_default());
        let address = match &host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(IpAddr::V4(*address)),
            Host::Ipv6(address) => Some(IpAddr::V6(*address)),
        };
        let name = match host {
            Host::Domain(name) => name.trim_end_matches('.').to_ascii_lowercase(),
            Host::Ipv4(_) | Host::Ipv6(_) => String::new(),
        };
        let never = is_local(address, &name);
        let direct = never || self.0.direct.iter().any(|direct| direct.covers(&name, address, port));
        (!direct).then_some(proxy)
    }

    /// The proxies themselves: for `http` servers, and for `https` ones.
    #[must_use]
    pub fn all(&self) -> [Option<&Proxy>; 2] {
        [self.0.http.as_ref(), self.0.https.as_ref()]
    }
}

fn is_local(address: Option<IpAddr>, name: &str) -> bool {
    match address {
        Some(IpAddr::V4(address)) => address.is_loopback() || address.is_link_local(),
        Some(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unicast_link_local() || address.segments() == METADATA_V6
        }
        None => name == "localhost" || name.ends_with(".localhost"),
    }
}

/// `fd00:ec2::254`, where AWS's machines find their credentials.
const METADATA_V6: [u16; 8] = [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254];

impl Direct {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        if text.is_empty() {
            return None;
        }
        let (host, port) = split_port(&text);
        let what = match host {
            "*" => Match::All,
            host => match network(host) {
                Some((address, bits)) => Match::Network(address, bits),
                None => {
                    let name = host.strip_prefix('*').unwrap_or(host);
                    Match::Domain(name.trim_matches('.').to_owned())
                }
            },
        };
        Some(Self { what, port })
    }

    fn covers(&self, name: &str, address: Option<IpAddr>, port: Option<u16>) -> bool {
        let host = match &self.what {
            Match::All => true,
            Match::Domain(domain) => {
                let before = name.strip_suffix(domain.as_str());
                !domain.is_empty() && before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
            }
            Match::Network(network, bits) => address.is_some_and(|address| shares(address, *network, *bits)),
        };
        host && (self.port.is_none() || self.port == port)
    }
}

/// A host and the port behind it, if there is one: `h:1`, `[::1]:1`, but not `::1`.
fn split_port(text: &str) -> (&str, Option<u16>) {
    let split = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => port.parse().ok().map(|port| (host, port)),
        _ => None,
    };
    let (host, port) = split.map_or((text, None), |(host, port)| (host, Some(port)));
    (host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host), port)
}

fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(most), |bits| bits.parse().ok().filter(|bits| *bits <= most))?;
    Some((address, bits))
}

fn shares(one: IpAddr, other: IpAddr, bits: u32) -> bool {
    let differ = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => u128::from(one.to_bits() ^ other.to_bits()) << 96,
        (IpAddr::V6(one), IpAddr::V6(other)) => one.to_bits() ^ other.to_bits(),
        _ => return false,
    };
    differ.leading_zeros() >= bits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        let found =
            |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
        Proxies::read(found).0
    }

    fn of<'p>(proxies: &'p Proxies, server: &str) -> Option<&'p str> {
        proxies.of(&server.parse().unwrap()).map(Proxy::expose)
    }

    #[test]
    fn each_scheme_has_its_proxy_in_upper_or_lower_case() {
        let both = proxies(&[("HTTP_PROXY", "http://p:1"), ("https_proxy", "http://me:hush@q:2")]);
        assert_eq!(of(&both, "http://lake"), Some("http://p:1/"));
        assert_eq!(of(&both, "https://lake"), Some("http://me:hush@q:2/"));
        assert!(!format!("{both:?}").contains("hush"));
        let upper_first = proxies(&[("HTTP_PROXY", "upper:1"), ("http_proxy", "lower:1")]);
        assert_eq!(of(&upper_first, "http://lake"), Some("http://upper:1/"));
        let all = proxies(&[("all_proxy", "http://a"), ("HTTPS_PROXY", "https://q"), ("HTTP_PROXY", " ")]);
        assert_eq!((of(&all, "http://lake"), of(&all, "https://lake")), (Some("http://a/"), Some("https://q/")));
        assert_eq!(of(&proxies(&[("HTTP_PROXY", "p"), ("REQUEST_METHOD", "GET")]), "http://lake"), None);
        assert_eq!(of(&Proxies::default(), "http://lake"), None);
        let socks = |name: &str| (name == "HTTPS_PROXY").then(|| "socks5://p:1".to_owned());
        assert_eq!(Proxies::read(socks), (Proxies::default(), vec!["HTTPS_PROXY"]));
    }

    #[test]
    fn what_is_excepted_is_reached_directly() {
        let direct = |rules: &str, server: &str| {
            let proxies = proxies(&[("HTTP_PROXY", "p:1"), ("HTTPS_PROXY", "p:1"), ("no_proxy", rules)]);
            of(&proxies, server).is_none()
        };
        for (rules, server, want) in [
            ("example.com", "http://example.com", true),
            ("example.com", "https://lake.EXAMPLE.com.", true),
            (".example.com", "http://lake.example.com", true),
            ("*.example.com", "http://lake.example.com", true),
            ("example.com", "http://badexample.com", false),
            ("other, example.com ,", "http://example.com", true),
            ("example.com:8000", "http://example.com:8000", true),
            ("example.com:8000", "http://example.com", false),
            ("example.com:443", "https://example.com", true),
            ("*", "https://anything", true),
            ("10.0.0.0/8", "http://10.20.30.40:9000", true),
            ("10.0.0.0/8", "http://11.20.30.40", false),
            ("10.0.0.0/8:9000", "http://10.1.1.1:9000", true),
            ("192.168.1.7", "http://192.168.1.7", true),
            ("192.168.1.7", "http://192.168.1.8", false),
            ("fd00::/8", "http://[fd12::1]", true),
            ("[fd12::1]:80", "http://[fd12::1]", true),
            ("10.0.0.0/99", "http://10.0.0.1", false),
            ("0.0.0.0/0", "http://8.8.8.8", true),
            ("", "http://lake", false),
            // Never through a proxy.
            ("", "http://127.0.0.1:8000", true),
            ("", "http://localhost", true),
            ("", "http://[::1]", true),
            ("", "http://169.254.169.254/latest", true),
            ("", "http://169.254.170.2/creds", true),
            ("", "http://[fd00:ec2::254]/latest", true),
        ] {
            assert_eq!(direct(rules, server), want, "{rules:?} {server}");
        }
    }
}
