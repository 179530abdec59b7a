//! The connection string: where, as whom, and how much of TLS is checked.
//!
//! Owns what libpq and lakeFS's driver understand and our client does not: the `sslmode`s that check certificates, the
//! certificate files, and settings of the session, which become `options`. The rest is the client's to read. Sources:
//! <https://www.postgresql.org/docs/current/libpq-connect.html>, <https://pkg.go.dev/github.com/jackc/pgx/v5/pgconn#ParseConfig>.

use std::path::PathBuf;
use std::str::FromStr as _;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::OpenError;

/// What the client reads itself.
const PASSED_ON: [&str; 20] = [
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "sslnegotiation",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
    "database",
    "sslmode",
];
/// What others read in such strings and what means nothing here: pools of drivers, lakeFS's own table, GSSAPI.
const IGNORED: [&str; 8] = [
    "lakefskv_table",
    "fallback_application_name",
    "default_query_exec_mode",
    "statement_cache_capacity",
    "description_cache_capacity",
    "gssencmode",
    "sslsni",
    "sslcompression",
];
/// What would change whom we are or what is trusted, if it were ignored.
const REFUSED: [&str; 9] = [
    "passfile",
    "service",
    "servicefile",
    "sslcrl",
    "sslcrldir",
    "sslpassword",
    "requirepeer",
    "require_auth",
    "ssl_min_protocol_version",
];

/// Parameters and their values, in the order in which they were written.
type Pairs = Vec<(String, String)>;

/// How much of the server's certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// Nothing: encrypted, with whoever answers.
    Nothing,
    /// That a trusted authority has signed it.
    Authority,
    /// That, and that it is for this host.
    AuthorityAndName,
}

/// What TLS needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tls {
    pub(super) check: Check,
    /// PEM file of trusted authorities; `None`: those of the system.
    pub(super) authorities: Option<PathBuf>,
    /// PEM files of our own certificate and its key.
    pub(super) identity: Option<(PathBuf, PathBuf)>,
}

/// A connection string that was understood.
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) tls: Tls,
}

impl Address {
    /// Hosts and database, for messages.
    pub(super) fn place(&self) -> String {
        let ports = self.config.get_ports();
        let port = |n: usize| ports.get(n).or(ports.first()).copied().unwrap_or(5432);
        let hosts = self.config.get_hosts().iter().enumerate().map(|(n, host)| match host {
            Host::Tcp(host) => format!("{host}:{}", port(n)),
            Host::Unix(path) => path.display().to_string(),
        });
        let addresses = self.config.get_hostaddrs().iter().enumerate();
        let mut hosts: Vec<String> = hosts.collect();
        if hosts.is_empty() {
            hosts = addresses.map(|(n, address)| format!("{address}:{}", port(n))).collect();
        }
        let database = self.config.get_dbname().or(self.config.get_user()).unwrap_or("postgres");
        format!("postgres {}/{database}", hosts.join(","))
    }
}

/// Reads a connection string.
///
/// # Errors
/// [`OpenError::ConnectionString`], which never repeats a value: it may be the password.
pub(super) fn parse(text: &str) -> Result<Address, OpenError> {
    read(text.trim()).map_err(|what| OpenError::ConnectionString { what })
}

fn read(text: &str) -> Result<Address, String> {
    let is_url = text.starts_with("postgres://") || text.starts_with("postgresql://");
    let (start, pairs) = if is_url { split_url(text)? } else { ("", split_pairs(text)?) };
    let mut ssl = Ssl::default();
    let (mut passed, mut options) = (Vec::new(), String::new());
    for (key, value) in pairs {
        match key.as_str() {
            "sslmode" => ssl.mode = Some(value),
            "sslrootcert" => ssl.authorities = Some(value),
            "sslcert" => ssl.certificate = Some(value),
            "sslkey" => ssl.key = Some(value),
            "database" => passed.push(("dbname".to_owned(), value)),
            "options" => push_option(&mut options, &value),
            key if REFUSED.contains(&key) => return Err(format!("{key} is not supported here; leave it out")),
            known if PASSED_ON.contains(&known) => passed.push((key, value)),
            ignored if IGNORED.contains(&ignored) || ignored.starts_with("pool_") => {}
            _ => push_option(&mut options, &format!("-c {key}={}", escaped(&value))),
        }
    }
    if !options.is_empty() {
        passed.push(("options".to_owned(), options));
    }
    // The client's message names the parameter, not its value.
    let joined = if is_url { format!("{start}{}", to_query(&passed)) } else { to_pairs(&passed) };
    let mut config = Config::from_str(&joined).map_err(|error| reason(&error))?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err("it names no host; write postgres://user:password@host:5432/database".to_owned());
    }
    let (mode, tls) = ssl.settle()?;
    config.ssl_mode(mode);
    Ok(Address { config, tls })
}

#[derive(Default)]
struct Ssl {
    mode: Option<String>,
    authorities: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

impl Ssl {
    /// With the meanings that libpq gives, also that of a root certificate beside `require`.
    fn settle(self) -> Result<(SslMode, Tls), String> {
        let has_authorities = self.authorities.is_some();
        let (mode, check) = match self.mode.as_deref() {
            None | Some("prefer" | "allow") => (SslMode::Prefer, Check::Nothing),
            Some("disable") => (SslMode::Disable, Check::Nothing),
            Some("require") if has_authorities => (SslMode::Require, Check::Authority),
            Some("require") => (SslMode::Require, Check::Nothing),
            Some("verify-ca") => (SslMode::Require, Check::Authority),
            Some("verify-full") => (SslMode::Require, Check::AuthorityAndName),
            Some(_) => {
                return Err("sslmode must be disable, allow, prefer, require, verify-ca or verify-full".to_owned());
            }
        };
        let identity = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            (None, None) => None,
            _ => return Err("sslcert and sslkey go together; set both or none".to_owned()),
        };
        let authorities = self.authorities.filter(|path| path != "system").map(PathBuf::from);
        Ok((mode, Tls { check, authorities, identity }))
    }
}

/// The part before the parameters, and the parameters.
fn split_url(text: &str) -> Result<(&str, Pairs), String> {
    let (start, query) = text.split_once('?').unwrap_or((text, ""));
    let decode = |text: &str| {
        percent_decode_str(text)
            .decode_utf8()
            .map(|text| text.into_owned())
            .map_err(|_| "a parameter is not UTF-8".to_owned())
    };
    let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
    let pairs = parameters.map(|parameter| match parameter.split_once('=') {
        Some((key, value)) => Ok((decode(key)?, decode(value)?)),
        None => Err("a parameter has no value".to_owned()),
    });
    Ok((start, pairs.collect::<Result<_, String>>()?))
}

fn to_query(pairs: &[(String, String)]) -> String {
    let pair = |(key, value): &(String, String)| format!("{key}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
    let query = pairs.iter().map(pair).collect::<Vec<_>>().join("&");
    if query.is_empty() { query } else { format!("?{query}") }
}

/// `key = value` pairs; a value may be in single quotes, a backslash takes the next character as it is.
fn split_pairs(text: &str) -> Result<Pairs, String> {
    let (mut pairs, mut rest) = (Vec::new(), text.trim_start());
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').ok_or("it is neither a postgres:// URL nor key=value pairs")?;
        let (value, left) = take_value(after.trim_start())?;
        pairs.push((key.trim().to_owned(), value));
        rest = left.trim_start();
    }
    Ok(pairs)
}

fn take_value(text: &str) -> Result<(String, &str), String> {
    let (quoted, text) = text.strip_prefix('\'').map_or((false, text), |inner| (true, inner));
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            space if space.is_whitespace() && !quoted => return Ok((value, text.get(at..).unwrap_or_default())),
            other => value.push(other),
        }
    }
    if quoted { Err("a quote is not closed".to_owned()) } else { Ok((value, "")) }
}

fn to_pairs(pairs: &[(String, String)]) -> String {
    let quoted = |value: &str| value.replace('\\', "\\\\").replace('\'', "\\'");
    pairs.iter().map(|(key, value)| format!("{key}='{}'", quoted(value))).collect::<Vec<_>>().join(" ")
}

fn push_option(options: &mut String, option: &str) {
    if !options.is_empty() {
        options.push(' ');
    }
    options.push_str(option);
}

/// A value within `options`, where spaces part words.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace(' ', "\\ ")
}

fn reason(error: &tokio_postgres::Error) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string);
    source.unwrap_or_else(|| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        parse(text).unwrap().config
    }

    fn fault(text: &str) -> String {
        parse(text).err().unwrap().to_string()
    }

    #[test]
    fn both_forms_mean_the_same() {
        let url = "postgres://me:p%40s%20s%3F'@db.example:6432/mirrors?sslmode=verify-full&sslrootcert=%2Fca.pem\
                   &connect_timeout=7&search_path=a%20b&pool_max_conns=9&lakefskv_table=kv";
        let pairs = r"host=db.example port=6432 user = me password='p@s s?\'' dbname=mirrors sslmode=verify-full
                      sslrootcert=/ca.pem connect_timeout=7 search_path='a b' ";
        let (url, pairs) = (parse(url).unwrap(), parse(pairs).unwrap());
        assert_eq!(url.config, pairs.config);
        assert_eq!(url.tls, pairs.tls);
        assert_eq!(url.tls.check, Check::AuthorityAndName);
        assert_eq!(url.tls.authorities, Some("/ca.pem".into()));
        assert_eq!(url.config.get_options(), Some(r"-c search_path=a\ b"));
        assert_eq!(url.config.get_password(), Some(b"p@s s?'".as_slice()));
        assert_eq!(url.place(), "postgres db.example:6432/mirrors");
    }

    #[test]
    fn places_name_every_host_and_no_secret() {
        let address = parse("postgres://me:canary@a,b:7/x?host=c").unwrap();
        assert!(!address.place().contains("canary"));
        assert_eq!(parse("host=/run/pg user=me").unwrap().place(), "postgres /run/pg/me");
        assert_eq!(parse("hostaddr=10.0.0.1 dbname=d").unwrap().place(), "postgres 10.0.0.1:5432/d");
    }

    #[test]
    fn modes_check_what_libpq_checks() {
        for (mode, expected, check) in [
            ("", SslMode::Prefer, Check::Nothing),
            ("sslmode=disable", SslMode::Disable, Check::Nothing),
            ("sslmode=require", SslMode::Require, Check::Nothing),
            ("sslmode=require sslrootcert=x", SslMode::Require, Check::Authority),
            ("sslmode=verify-ca", SslMode::Require, Check::Authority),
            ("sslmode=verify-full sslrootcert=system", SslMode::Require, Check::AuthorityAndName),
        ] {
            let address = parse(&format!("host=h {mode}")).unwrap();
            assert_eq!((address.config.get_ssl_mode(), address.tls.check), (expected, check), "{mode}");
        }
        assert_eq!(config("host=h options='-c a=1' b=2").get_options(), Some("-c a=1 -c b=2"));
    }

    #[test]
    fn what_cannot_be_used_is_said_without_its_value() {
        for (text, expected) in [
            ("canary", "neither a postgres:// URL nor key=value pairs"),
            ("host=h password='canary", "a quote is not closed"),
            ("user=me", "it names no host"),
            ("host=h sslmode=canary", "sslmode must be"),
            ("host=h port=canary", "port"),
            ("host=h passfile=canary", "passfile is not supported"),
            ("host=h sslcert=canary", "sslcert and sslkey go together"),
            ("postgres://h/d?canary", "a parameter has no value"),
            ("postgres://u:canary@h:port/d", "port"),
        ] {
            let found = fault(text);
            assert!(found.contains(expected), "{text}: {found}");
            assert!(found.starts_with("mirrors_database.postgres.connection_string"), "{found}");
            assert!(!found.contains("canary"), "{found}");
        }
    }
}
