//! TLS for the connections to the database: rustls, with as much checking as the connection string asks for.
//!
//! Owns the trust decision; `tokio-postgres-rustls` connects rustls with the database client and offers channel binding. The
//! verifier is our own, because libpq's `require` and `verify-ca` check less than any verifier of a library does.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme, WantsVerifier,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::OpenError;
use super::address::{Check, Tls};

type BoxError = Box<dyn Error + Send + Sync>;

/// Reads the certificates and settles what is checked.
///
/// # Errors
/// [`OpenError::Tls`], with the parameter and the file that cannot be used.
pub(super) fn connector(tls: &Tls) -> Result<MakeRustlsConnect, OpenError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| OpenError::Tls { what: "ring".to_owned(), source: error.into() })?;
    let builder = verified(builder, tls, &provider)?;
    let config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let failed = |path: &Path, source: BoxError| OpenError::Tls {
                what: format!("sslcert and sslkey ({})", path.display()),
                source,
            };
            let chain = certificates(certificate).map_err(|error| failed(certificate, error))?;
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| failed(key, error.into()))?;
            builder.with_client_auth_cert(chain, secret).map_err(|error| failed(key, error.into()))?
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

fn verified(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
    tls: &Tls,
    provider: &Arc<CryptoProvider>,
) -> Result<ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>, OpenError> {
    let authority = match tls.check {
        Check::Nothing => None,
        Check::Authority | Check::AuthorityAndName => Some(authority(tls, provider)?),
    };
    Ok(match (authority, tls.check) {
        (Some(authority), Check::AuthorityAndName) => builder.with_webpki_verifier(authority),
        (authority, _) => {
            let lenient = Lenient { authority, provider: Arc::clone(provider) };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(lenient))
        }
    })
}

fn authority(tls: &Tls, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, OpenError> {
    let what = || match &tls.authorities {
        Some(path) => format!("sslrootcert={}", path.display()),
        None => "the system's certificates (name a file with sslrootcert)".to_owned(),
    };
    let roots = roots(tls.authorities.as_deref()).map_err(|source| OpenError::Tls { what: what(), source })?;
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| OpenError::Tls { what: what(), source: error.into() })
}

fn roots(path: Option<&Path>) -> Result<RootCertStore, BoxError> {
    let mut roots = RootCertStore::empty();
    match path {
        Some(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate)?;
            }
        }
        // Some of a system's certificates are always too old to be read.
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    if roots.is_empty() {
        return Err("there is no certificate in it".into());
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, BoxError> {
    Ok(CertificateDer::pem_file_iter(path)?.collect::<Result<_, _>>()?)
}

/// Accepts certificates for other names (`verify-ca`) or any at all (`require`, `prefer`), as libpq does. That the server
/// holds the certificate's key is checked all the same.
#[derive(Debug)]
struct Lenient {
    authority: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(authority) = &self.authority else { return Ok(ServerCertVerified::assertion()) };
        // The name is looked at last: with this answer, all the rest was in order.
        match authority.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
