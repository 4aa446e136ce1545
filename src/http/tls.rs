//! Certificate files → the configuration of rustls. Every error names the file and the fix, and
//! none shows what is in a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

use crate::metrics;
use crate::settings::TlsSettings;

mod follow;
mod own;

pub(super) use own::client_config;

/// By ALPN.
const HTTP_1_1: &[u8] = b"http/1.1";

/// A file of `http.tls` or `api.tls` that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{section}{problem}")]
pub struct TlsError {
    /// Where the settings name the file: `http.tls`.
    section: &'static str,
    problem: Box<TlsProblem>,
}

impl TlsError {
    fn new(section: &'static str, problem: TlsProblem) -> Self {
        let problem = Box::new(problem);
        Self { section, problem }
    }
}

/// Follows the name of the section.
#[derive(Debug, thiserror::Error)]
enum TlsProblem {
    #[error(".{key}: cannot read {}: {source}", path.display())]
    Unreadable {
        key: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        ".{key}: {} is damaged: a PEM section in it does not begin, end or decode as it should; \
         create the file again",
        path.display()
    )]
    Damaged { key: &'static str, path: PathBuf },
    #[error(".{key}: {} contains no certificate; it must be PEM, with BEGIN CERTIFICATE lines", path.display())]
    NoCertificate { key: &'static str, path: PathBuf },
    #[error(
        ".key: {} contains no private key that is ready to use; it must be PEM, and not encrypted \
         (`openssl pkey -in FILE -out FILE.plain` takes the passphrase off)", path.display()
    )]
    NoKey { path: PathBuf },
    #[error(
        ": the key in {} and the first certificate in {} cannot be used together: {source}; the \
         server's own certificate comes first in the chain", key.display(), cert.display()
    )]
    Pair {
        cert: PathBuf,
        key: PathBuf,
        source: rustls::Error,
    },
    #[error(".client_ca: a certificate in {} cannot be trusted as an authority: {reason}", path.display())]
    ClientCa { path: PathBuf, reason: String },
    #[error(
        ".client_crl: {} holds no revocation list; it must be PEM, with BEGIN X509 CRL lines \
         (`openssl crl -inform DER -in FILE -out FILE.pem` writes it so)", path.display()
    )]
    NoCrl { path: PathBuf },
    #[error(".client_crl: a revocation list in {} cannot be used: {reason}", path.display())]
    ClientCrl { path: PathBuf, reason: String },
    #[error(".client_crl: it does nothing without client_ca: set client_ca too, or remove client_crl")]
    CrlWithoutCa,
    #[error(": {0}")]
    Protocol(rustls::Error),
}

/// The TLS files of a section, and what was loaded from them.
pub struct Tls {
    section: &'static str,
    files: TlsSettings,
    current: ArcSwap<Loaded>,
}

struct Loaded {
    config: Arc<ServerConfig>,
    /// What clients see of the chain.
    leaf: CertificateDer<'static>,
    /// `None`: clients need no certificate.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
}

impl Tls {
    /// `section` is where the settings name the files, such as `http.tls`.
    ///
    /// # Errors
    /// A file that cannot be used: see [`TlsError`].
    pub fn load(section: &'static str, files: TlsSettings) -> Result<Self, TlsError> {
        let current = load(&files).map_err(|problem| TlsError::new(section, problem))?;
        report_expiry(section, &current.leaf);
        Ok(Self {
            section,
            files,
            current: ArcSwap::from_pointee(current),
        })
    }

    /// Where the settings name the files.
    pub fn section(&self) -> &'static str {
        self.section
    }

    /// Loads the files again, for a renewed certificate or a new revocation list. Open connections
    /// stay open.
    ///
    /// # Errors
    /// As [`Tls::load`]; then the configuration loaded before stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let section = self.section;
        let loaded = load(&self.files).map_err(|problem| TlsError::new(section, problem))?;
        report_expiry(section, &loaded.leaf);
        self.current.store(Arc::new(loaded));
        Ok(())
    }

    pub(super) fn current(&self) -> Arc<ServerConfig> {
        self.current.load().config.clone()
    }
}

/// TLS 1.2 and 1.3 for HTTP/1.1. With `client_ca`, a client needs a certificate from one of the
/// authorities in that file; with `client_crl`, one that is not revoked.
fn load(files: &TlsSettings) -> Result<Loaded, TlsProblem> {
    let provider = provider();
    let chain = certificates("cert", &files.cert)?;
    let leaf = chain[0].clone();
    let private_key = private_key(&files.key)?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(TlsProblem::Protocol)?;
    let crl = files.client_crl.as_deref();
    let verifier = match &files.client_ca {
        Some(ca) => Some(client_verifier(ca, crl, provider)?),
        None if crl.is_some() => return Err(TlsProblem::CrlWithoutCa),
        None => None,
    };
    let builder = match verifier.clone() {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(chain, private_key)
        .map_err(|source| TlsProblem::Pair {
            cert: files.cert.clone(),
            key: files.key.clone(),
            source,
        })?;
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    let config = Arc::new(config);
    Ok(Loaded { config, leaf, verifier })
}

/// When the certificate that clients see stops being valid, in Unix time. rustls looks neither at
/// that nor at anything else in it.
fn report_expiry(section: &'static str, leaf: &CertificateDer<'_>) {
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(leaf) else {
        return tracing::warn!("{section}.cert: when the certificate expires is not known: it can't be read");
    };
    let expires_at = certificate.validity().not_after.timestamp();
    ::metrics::gauge!(metrics::TLS_EXPIRY, "section" => section).set(expires_at as f64);
}

/// Not the default of the process, which another crate could install.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// With revocation lists, every certificate in a client's chain must be covered by one: an
/// authority without a list lets nobody in. An expired list stays in use; otherwise a late renewal
/// would lock out all switches.
fn client_verifier(
    ca: &Path,
    crl: Option<&Path>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsProblem> {
    let refused = |reason: String| TlsProblem::ClientCa {
        path: ca.to_owned(),
        reason,
    };
    let mut roots = RootCertStore::empty();
    for authority in certificates("client_ca", ca)? {
        roots.add(authority).map_err(|error| refused(error.to_string()))?;
    }
    let lists = crl.map(revocation_lists).transpose()?.unwrap_or_default();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).with_crls(lists);
    verifier.build().map_err(|error| match (error, crl) {
        (VerifierBuilderError::InvalidCrl(error), Some(crl)) => TlsProblem::ClientCrl {
            path: crl.to_owned(),
            reason: format!("{error:?}"),
        },
        (error, _) => refused(error.to_string()),
    })
}

fn revocation_lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsProblem> {
    pem_items("client_crl", path, |path| TlsProblem::NoCrl { path })
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsProblem> {
    pem_items(key, path, |path| TlsProblem::NoCertificate { key, path })
}

/// Every item of this kind in a PEM file; `none` is the error if there is none.
fn pem_items<T: PemObject>(
    key: &'static str,
    path: &Path,
    none: impl FnOnce(PathBuf) -> TlsProblem,
) -> Result<Vec<T>, TlsProblem> {
    let items: Vec<T> = T::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unusable(key, path, error))?;
    match items.is_empty() {
        true => Err(none(path.to_owned())),
        false => Ok(items),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsProblem> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsProblem::NoKey { path: path.to_owned() },
        error => unusable("key", path, error),
    })
}

/// Leaves out the parser's message, unless it is an I/O error: it quotes the line that it failed
/// on, which may be part of a key.
fn unusable(key: &'static str, path: &Path, error: pem::Error) -> TlsProblem {
    let path = path.to_owned();
    match error {
        pem::Error::Io(source) => TlsProblem::Unreadable { key, path, source },
        _ => TlsProblem::Damaged { key, path },
    }
}

#[cfg(test)]
mod tests;
