//! For a client that asks this trunkd itself.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use super::{TlsError, TlsProblem, certificates, private_key, provider};
use crate::settings::TlsSettings;

/// If the listener wants a certificate from its clients, this one shows the listener's own.
///
/// # Errors
/// [`TlsError`].
pub(in crate::http) fn client_config(
    section: &'static str,
    files: Option<&TlsSettings>,
) -> Result<ClientConfig, TlsError> {
    config(files).map_err(|problem| TlsError::new(section, problem))
}

fn config(files: Option<&TlsSettings>) -> Result<ClientConfig, TlsProblem> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsProblem::Protocol)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider())));
    match files.filter(|files| files.client_ca.is_some()) {
        None => Ok(builder.with_no_client_auth()),
        Some(files) => builder
            .with_client_auth_cert(certificates("cert", &files.cert)?, private_key(&files.key)?)
            .map_err(TlsProblem::Protocol),
    }
}

/// Nothing secret is sent, and the certificate names another host than the address that is asked.
/// A renewed certificate that trunkd has not read yet is no reason to call it unhealthy either.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
