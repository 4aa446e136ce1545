//! The certificate files of `redis.tls`. Every error names the file and the fix,
//! and none shows the content.

use std::path::Path;
use std::sync::Arc;

use redis::{ClientTlsConfig, TlsCertificates};
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};

use super::error::StoreError;
use crate::files;
use crate::settings::RedisTlsSettings;

/// Five times the size of all well-known authorities together.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The certificates, for the redis crate and for our own connections.
pub(crate) struct Tls {
    pub(crate) certificates: Option<TlsCertificates>,
    pub(crate) config: Arc<ClientConfig>,
}

impl Tls {
    /// Reads and checks the files. Without any, the server's certificate is checked against the
    /// well-known authorities.
    pub(crate) fn read(tls: Option<&RedisTlsSettings>) -> Result<Self, StoreError> {
        let ca = tls.and_then(|tls| tls.ca.as_deref());
        let ca = ca.map(|path| Ok((path, read("ca", path)?))).transpose()?;
        let roots = match &ca {
            Some((path, bytes)) => authorities(path, bytes)?,
            None => webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
        };
        let config = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(|error| StoreError::Settings(format!("redis.tls: {error}")))?
            .with_root_certificates(roots);
        let (config, client_tls) = match tls.map(|tls| (&tls.cert, &tls.key)) {
            Some((Some(cert), Some(key))) => {
                let client = ClientTlsConfig {
                    client_cert: read("cert", cert)?,
                    client_key: read("key", key)?,
                };
                (with_client_certificate(config, cert, key, &client)?, Some(client))
            }
            _ => (config.with_no_client_auth(), None),
        };
        let certificates = tls.map(|_| TlsCertificates {
            client_tls,
            root_cert: ca.map(|(_, bytes)| bytes),
        });
        Ok(Self {
            certificates,
            config: config.into(),
        })
    }
}

fn authorities(path: &Path, bytes: &[u8]) -> Result<RootCertStore, StoreError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain("ca", path, bytes)? {
        roots.add(certificate).map_err(|error| {
            file_error(
                "ca",
                path,
                &format!("contains a certificate that cannot be an authority's: {error}"),
            )
        })?;
    }
    Ok(roots)
}

/// Checks at start, not at the first connection, that the key belongs to the certificate.
fn with_client_certificate(
    config: ConfigBuilder<ClientConfig, WantsClientCert>,
    cert: &Path,
    key: &Path,
    client: &ClientTlsConfig,
) -> Result<ClientConfig, StoreError> {
    let chain = chain("cert", cert, &client.client_cert)?;
    let private = PrivateKeyDer::from_pem_slice(&client.client_key).map_err(|_| {
        file_error(
            "key",
            key,
            "contains no private key that trunkd can use: it must be PEM, and not encrypted",
        )
    })?;
    config.with_client_auth_cert(chain, private).map_err(|error| {
        let cert = cert.display();
        file_error(
            "key",
            key,
            &format!("is not the key of the first certificate in {cert}: {error}"),
        )
    })
}

fn read(key: &str, path: &Path) -> Result<Vec<u8>, StoreError> {
    files::read(path, MAX_FILE_BYTES)
        .map_err(|error| StoreError::Settings(format!("redis.tls.{key}: cannot read {}: {error}", path.display())))
}

fn chain(key: &str, path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    // The parser's error may quote a line of the file.
    let certificates = CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(file_error(
            key,
            path,
            "contains no certificate, or a damaged one: it must be PEM, with BEGIN CERTIFICATE lines",
        )),
    }
}

fn file_error(key: &str, path: &Path, problem: &str) -> StoreError {
    StoreError::Settings(format!("redis.tls.{key}: {} {problem}", path.display()))
}
