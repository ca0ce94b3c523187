//! TLS through rustls with the ring provider, given explicitly so that no process-wide default is
//! needed.

use std::path::Path;
use std::sync::Arc;

use rsqoop_connector::{Error, ErrorKind, Result, TlsMode, TlsOptions};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject;

/// The TLS configuration of a target; `None` when TLS is off.
///
/// # Errors
/// `Config` for a file that is missing or holds no certificate or key.
pub(crate) fn client_config(options: &TlsOptions) -> Result<Option<Arc<ClientConfig>>> {
    if options.mode == TlsMode::Disable {
        return Ok(None);
    }
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| config_error(format!("TLS cannot be set up: {e}")))?;
    let verifier = verifier(options, provider)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let config = match (&options.cert, &options.key) {
        (Some(cert), Some(key)) => {
            let key_der =
                PrivateKeyDer::from_pem_file(key).map_err(|e| pem_error("client key", key, &e))?;
            builder
                .with_client_auth_cert(certificates("client certificate", cert)?, key_der)
                .map_err(|e| {
                    config_error(format!("the client certificate and key do not fit: {e}"))
                })?
        }
        (None, None) => builder.with_no_client_auth(),
        _ => {
            return Err(config_error("a client certificate and its key go together")
                .hint("give both sslCert and sslKey"));
        }
    };
    Ok(Some(Arc::new(config)))
}

fn config_error(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message)
}

fn pem_error(what: &str, path: &Path, error: &rustls_pki_types::pem::Error) -> Error {
    config_error(format!("the {what} file {} cannot be used: {error}", path.display()))
}

fn certificates(what: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let list = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| pem_error(what, path, &e))?;
    if list.is_empty() {
        let text = format!("the {what} file {} holds no PEM certificate", path.display());
        return Err(config_error(text));
    }
    Ok(list)
}

fn verifier(
    options: &TlsOptions,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>> {
    // A CA file that was named must be usable even where the mode does not check.
    let named = options.ca.as_deref().map(|p| certificates("CA certificate", p)).transpose()?;
    if matches!(options.mode, TlsMode::Disable | TlsMode::Prefer | TlsMode::Require) {
        return Ok(Arc::new(Unchecked(provider)));
    }
    let mut roots = RootCertStore::empty();
    match named {
        Some(list) => {
            for cert in list {
                roots
                    .add(cert)
                    .map_err(|e| config_error(format!("a CA certificate is not usable: {e}")))?;
            }
        }
        None => {
            // A single unreadable file among the system's own does not matter.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(config_error("this system has no trusted CA certificates")
            .hint("name the server's CA file: sslCa=/path/ca.pem"));
    }
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|e| config_error(format!("the CA certificates cannot be used: {e}")))?;
    if options.mode == TlsMode::VerifyFull { Ok(inner) } else { Ok(Arc::new(AnyName(inner))) }
}

/// For modes that encrypt without checking who answers.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Checks the chain but not the name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // The name is compared only after the chain was found good.
        match self.0.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
