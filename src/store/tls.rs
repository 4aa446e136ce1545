//! The certificate files of `redis.tls`. Every error names the file and the mend, and none shows what a file holds.

use std::path::Path;

use redis::{ClientTlsConfig, TlsCertificates};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::StoreError;
use crate::settings::RedisTlsSettings;

/// Reads the files, and sees that they can be used.
pub(super) fn certificates(tls: &RedisTlsSettings) -> Result<TlsCertificates, StoreError> {
    let root_cert = tls.ca.as_deref().map(authorities).transpose()?;
    let client_tls = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => Some(shown(cert, key)?),
        _ => None,
    };
    Ok(TlsCertificates { client_tls, root_cert })
}

fn authorities(path: &Path) -> Result<Vec<u8>, StoreError> {
    let bytes = read("ca", path)?;
    let mut roots = RootCertStore::empty();
    for certificate in chain("ca", path, &bytes)? {
        roots.add(certificate).map_err(|error| {
            refused(
                "ca",
                path,
                &format!("holds a certificate that cannot be an authority's: {error}"),
            )
        })?;
    }
    Ok(bytes)
}

fn shown(cert: &Path, key: &Path) -> Result<ClientTlsConfig, StoreError> {
    let client = ClientTlsConfig {
        client_cert: read("cert", cert)?,
        client_key: read("key", key)?,
    };
    let chain = chain("cert", cert, &client.client_cert)?;
    let private = PrivateKeyDer::from_pem_slice(&client.client_key).map_err(|_| {
        refused(
            "key",
            key,
            "holds no private key that is ready to use: it must be PEM, and not encrypted",
        )
    })?;
    // Tried here, so that a key that is another certificate's is told at start and not at each connection.
    let config = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Settings(format!("redis.tls: {error}")))?
        .with_root_certificates(RootCertStore::empty())
        .with_client_auth_cert(chain, private);
    config.map_err(|error| {
        let cert = cert.display();
        refused(
            "key",
            key,
            &format!("is not the key of the first certificate in {cert}: {error}"),
        )
    })?;
    Ok(client)
}

fn read(key: &str, path: &Path) -> Result<Vec<u8>, StoreError> {
    std::fs::read(path)
        .map_err(|error| StoreError::Settings(format!("redis.tls.{key}: cannot read {}: {error}", path.display())))
}

fn chain(key: &str, path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    // What the parser says may quote a line of the file.
    let certificates = CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(refused(
            key,
            path,
            "holds no certificate, or a damaged one: it must be PEM, with BEGIN CERTIFICATE lines",
        )),
    }
}

fn refused(key: &str, path: &Path, what: &str) -> StoreError {
    StoreError::Settings(format!("redis.tls.{key}: {} {what}", path.display()))
}
