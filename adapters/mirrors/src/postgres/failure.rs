//! What a failed statement or connection means. Codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>;
//! 40001 and 40003 as CockroachDB gives them: <https://www.cockroachlabs.com/docs/stable/common-errors>.

use std::error::Error;
use std::fmt::Write as _;
use std::io;

use lakemirror_core::causes::bounded;
use lakemirror_ports::FaultKind;
use tokio_postgres::error::DbError;

use super::super::attempts::{Effect, Failure};

/// The longest message made of an error and its causes, in bytes.
const MESSAGE_MAX: usize = 600;

/// What a failure speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The statement: its connection is as good as before.
    Statement,
    /// The server or the way to it: connections that were made like this one lead no further.
    Server,
}

/// What a failed statement or connection speaks of.
pub(super) fn scope(error: &tokio_postgres::Error) -> Scope {
    error.as_db_error().map_or(Scope::Server, |refusal| scope_of(refusal.code().code()))
}

/// A server that takes no writes any longer, goes down, has lost what it needs of others, or does not know us any more.
fn scope_of(code: &str) -> Scope {
    match (code, code.get(..2).unwrap_or_default()) {
        ("25006" | "57P01" | "57P02" | "57P03" | "57P04" | "57P05", _) | (_, "08" | "28") => Scope::Server,
        _ => Scope::Statement,
    }
}

/// A failed statement.
pub(super) fn of(error: &tokio_postgres::Error) -> Failure {
    match error.as_db_error() {
        Some(refusal) => of_refusal(refusal),
        None => Failure::new(FaultKind::Retry, Effect::Unknown, bounded(error, MESSAGE_MAX)),
    }
}

/// A connection that was not made.
pub(super) fn of_connect(error: &tokio_postgres::Error) -> Failure {
    if let Some(refusal) = error.as_db_error() {
        return of_refusal(refusal);
    }
    let (kind, advice) = match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(_)) => {
            (FaultKind::Denied, " (the server's certificate is not trusted: correct sslrootcert or the host's name)")
        }
        _ => (FaultKind::Retry, ""),
    };
    Failure::new(kind, Effect::None, format!("{}{advice}", bounded(error, MESSAGE_MAX)))
}

fn of_refusal(refusal: &DbError) -> Failure {
    let code = refusal.code().code();
    let (kind, effect, advice) = classify(code);
    let mut message = format!("{code} {}", refusal.message());
    if let Some(hint) = refusal.hint() {
        let _ = write!(message, "; {hint}");
    }
    message.truncate(message.floor_char_boundary(MESSAGE_MAX));
    if !advice.is_empty() {
        let _ = write!(message, " ({advice})");
    }
    Failure::new(kind, effect, message)
}

fn classify(code: &str) -> (FaultKind, Effect, &'static str) {
    let class = code.get(..2).unwrap_or_default();
    match (code, class) {
        ("40003", _) => (FaultKind::Retry, Effect::Unknown, ""),
        ("55P03", _) | (_, "40") => (FaultKind::Retry, Effect::NoneTryAgain, ""),
        (_, "28") => (FaultKind::Denied, Effect::None, "correct user and password in the connection string"),
        ("42501", _) => (
            FaultKind::Denied,
            Effect::None,
            "the user needs SELECT, INSERT, UPDATE and DELETE on lakemirror_kv, and CREATE on the schema to make it",
        ),
        ("3D000", _) => (FaultKind::Denied, Effect::None, "create the database, or correct the connection string"),
        ("3F000", _) => (FaultKind::Denied, Effect::None, "create the schema, or correct search_path"),
        ("42P01", _) => {
            (FaultKind::Retry, Effect::None, "the table was dropped; restart this process, which makes it again")
        }
        // Over a new connection, which the primary may take.
        ("25006", _) => (FaultKind::Retry, Effect::NoneTryAgain, "this is a standby: connect to the primary"),
        ("53300" | "57P03", _) => (FaultKind::Retry, Effect::None, ""),
        (_, "08" | "53" | "57" | "58" | "XX") => (FaultKind::Retry, Effect::Unknown, ""),
        _ => (FaultKind::Refused, Effect::None, ""),
    }
}

/// The TLS error below an error, which travels inside of I/O errors.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut cause: Option<&'a (dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            let inner: &(dyn Error + 'static) = inner;
            cause = Some(inner);
        } else {
            cause = error.source();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_certainly_not_done_is_made_again() {
        for (code, kind, effect) in [
            ("40001", FaultKind::Retry, Effect::NoneTryAgain),
            ("40P01", FaultKind::Retry, Effect::NoneTryAgain),
            ("40003", FaultKind::Retry, Effect::Unknown),
            ("57P01", FaultKind::Retry, Effect::Unknown),
            ("08006", FaultKind::Retry, Effect::Unknown),
            ("53300", FaultKind::Retry, Effect::None),
            ("25006", FaultKind::Retry, Effect::NoneTryAgain),
            ("28P01", FaultKind::Denied, Effect::None),
            ("42501", FaultKind::Denied, Effect::None),
            ("22000", FaultKind::Refused, Effect::None),
            ("", FaultKind::Refused, Effect::None),
        ] {
            let (found, done, _) = classify(code);
            assert_eq!((found, done), (kind, effect), "{code}");
        }
    }

    #[test]
    fn a_server_that_changed_is_told_from_a_statement_that_was_refused() {
        for code in ["25006", "57P01", "57P02", "57P03", "57P05", "08000", "08003", "08006", "08P01", "28000", "28P01"]
        {
            assert_eq!(scope_of(code), Scope::Server, "{code}");
        }
        for code in ["40001", "40P01", "23505", "42501", "42P01", "53300", "57014", "55P03", "25P02", "XX000", ""] {
            assert_eq!(scope_of(code), Scope::Statement, "{code}");
        }
    }
}
