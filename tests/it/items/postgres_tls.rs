//! TLS to PostgreSQL, in libpq's modes. The server's certificate is for `localhost`, signed by its own CA.

use lakemirror::engine::ports::{Fault, FaultKind};
use lakemirror::mirrors::Items as _;
use lakemirror::mirrors::postgres::OpenError;

use super::postgres::{open, server};

/// Queries whether the connection with these parameters reaches the server.
async fn ask(host: &str, port: &str, parameters: &str) -> Result<(), Fault> {
    let login = format!("host={host} port={port} user=postgres password=p1 dbname=postgres {parameters}");
    open(&login, "tls").await.unwrap().get("a").await.map(|_| ())
}

#[tokio::test]
async fn certificates_are_checked_as_the_mode_says() {
    let Some((address, authority)) = server("certificates") else { return };
    let port = address.rsplit(':').next().unwrap();
    let own = format!("sslrootcert={authority}");
    for (host, parameters) in [
        ("localhost", format!("sslmode=verify-full {own}")),
        ("127.0.0.1", format!("sslmode=verify-ca {own}")),
        ("127.0.0.1", format!("sslmode=require {own}")),
        ("127.0.0.1", "sslmode=require".to_owned()),
        ("127.0.0.1", "sslmode=prefer".to_owned()),
        ("127.0.0.1", String::new()),
    ] {
        ask(host, port, &parameters).await.unwrap_or_else(|fault| panic!("{host} {parameters}: {fault}"));
    }
    for (host, parameters) in [
        ("127.0.0.1", format!("sslmode=verify-full {own}")),
        ("localhost", "sslmode=verify-full sslrootcert=system".to_owned()),
        ("localhost", "sslmode=verify-ca sslrootcert=system".to_owned()),
    ] {
        let fault = ask(host, port, &parameters).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Denied, "{host} {parameters}: {fault}");
        assert!(fault.message.contains("is not trusted"), "{fault}");
    }
}

#[tokio::test]
async fn encrypted_connection_is_encrypted() {
    let Some((address, _)) = server("encryption") else { return };
    let port = address.rsplit(':').next().unwrap();
    // The server confirms it: it accepts this login over TLS only.
    for (mode, encrypted) in [("require", "true"), ("prefer", "true"), ("disable", "false")] {
        let login = format!("host=127.0.0.1 port={port} user=postgres password=p1 dbname=postgres sslmode={mode}");
        let login = format!("{login} application_name=lm_{mode}");
        let items = open(&login, "tls").await.unwrap();
        items.get("a").await.unwrap();
        let (client, driver) = tokio_postgres::connect(
            &format!("host=127.0.0.1 port={port} user=postgres password=p1"),
            tokio_postgres::NoTls,
        )
        .await
        .unwrap();
        tokio::spawn(driver);
        let row = client
            .query_one(
                "SELECT ssl::text FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = $1",
                &[&format!("lm_{mode}")],
            )
            .await
            .unwrap();
        assert_eq!(row.get::<_, String>(0), encrypted, "{mode}");
    }
}

#[tokio::test]
async fn certificate_files_that_cannot_be_read_are_named() {
    let error =
        open("host=127.0.0.1 user=x sslmode=verify-full sslrootcert=/nowhere/ca.pem", "tls").await.err().unwrap();
    assert!(matches!(error, OpenError::Tls { .. }));
    assert!(error.to_string().contains("sslrootcert=/nowhere/ca.pem"), "{error}");
    let empty = tempfile::NamedTempFile::new().unwrap();
    let path = empty.path().display();
    let error = open(&format!("host=127.0.0.1 user=x sslmode=require sslrootcert={path}"), "tls").await.err().unwrap();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("no certificate"), "{error}");
}
