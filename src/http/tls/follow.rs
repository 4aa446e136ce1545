//! For a server that takes one configuration for good: each handshake uses what was loaded last.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};

use super::{HTTP_1_1, Tls, TlsError, TlsProblem, provider};

/// Asks [`Tls`] at each handshake.
struct Follower(Arc<Tls>);

impl Tls {
    /// A configuration that follows the files. No session is resumed: its client would not be checked
    /// against a new revocation list.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn following(self: &Arc<Self>) -> Result<ServerConfig, TlsError> {
        let follower = Arc::new(Follower(self.clone()));
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::new(self.section, TlsProblem::Protocol(error)))?;
        let builder = match self.current.load().verifier.is_some() {
            true => builder.with_client_cert_verifier(follower.clone()),
            false => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(follower);
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

impl Follower {
    /// Whether there is one never changes: the settings say so.
    fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, Error> {
        let none = || Error::General("no authority for clients is loaded".to_owned());
        self.0.current.load().verifier.clone().ok_or_else(none)
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the files of {}", self.0.section)
    }
}

impl ResolvesServerCert for Follower {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.current().cert_resolver.resolve(hello)
    }
}

impl ClientCertVerifier for Follower {
    /// A hint, which clients do without: the authorities may change.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verifier()?.verify_client_cert(certificate, chain, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier()?.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier()?.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
