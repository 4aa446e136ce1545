//! One receiver over HTTP: a post, and what its answer means.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};

use super::error::WebhookError;
use super::retry_after;
use super::signature::signature;
use crate::files;
use crate::settings::{WebhookSettings, WebhookUrl};
use crate::shown::with_causes;

/// Five times the size of all well-known authorities together.
const MAX_CA_BYTES: u64 = 1024 * 1024;

pub(super) struct Receiver {
    client: Client,
    url: WebhookUrl,
    secret: Option<SecretString>,
}

/// What became of a post.
#[derive(Debug)]
pub(super) enum Answer {
    Taken,
    /// 410: the receiver wants no more.
    Gone,
    Failed {
        reason: String,
        /// How long it asks us to wait.
        retry_after: Option<Duration>,
    },
}

/// What is posted.
#[derive(Debug)]
pub(super) struct Post<'a> {
    pub(super) event: &'a str,
    /// The entry's id.
    pub(super) id: &'a str,
    pub(super) body: &'a str,
}

impl Receiver {
    pub(super) fn new(settings: &WebhookSettings, timeout: Duration) -> Result<Self, WebhookError> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls(settings.ca.as_deref())?)
            .timeout(timeout)
            // A redirect would send the entry, signed, to whom the settings don't name.
            .redirect(redirect::Policy::none())
            // Only the settings read the environment.
            .no_proxy()
            .pool_max_idle_per_host(1)
            .user_agent(concat!("trunkd/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| WebhookError::Client(explain(&error)))?;
        Ok(Self {
            client,
            url: settings.url.clone(),
            secret: settings.secret.clone(),
        })
    }

    pub(super) fn url(&self) -> &WebhookUrl {
        &self.url
    }

    pub(super) async fn post(&self, post: &Post<'_>) -> Answer {
        let now = Timestamp::now();
        let timestamp = now.as_second().to_string();
        let mut request = self
            .client
            .post(self.url.full().clone())
            .header(CONTENT_TYPE, "application/json")
            .header("X-Trunkd-Event", post.event)
            .header("X-Trunkd-Delivery", post.id);
        if let Some(secret) = &self.secret {
            let signature = signature(secret.expose_secret(), &timestamp, post.body);
            request = request.header("X-Trunkd-Signature", signature);
        }
        let request = request
            .header("X-Trunkd-Timestamp", timestamp)
            .body(post.body.to_owned());
        match request.send().await {
            Ok(response) => answer(&response, now),
            Err(error) => Answer::Failed {
                reason: explain(&error.without_url()),
                retry_after: None,
            },
        }
    }
}

fn answer(response: &Response, now: Timestamp) -> Answer {
    let status = response.status();
    match status {
        _ if status.is_success() => Answer::Taken,
        StatusCode::GONE => Answer::Gone,
        _ => {
            let wait = response
                .headers()
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok());
            let hint = match status.is_redirection() {
                true => "; redirects are not followed: write the new URL into the settings",
                false => "",
            };
            Answer::Failed {
                reason: format!("it answers {status}{hint}"),
                retry_after: wait.and_then(|wait| retry_after::parse(wait, now)),
            }
        }
    }
}

/// reqwest's own text ends before the reason.
fn explain(error: &reqwest::Error) -> String {
    match error.is_timeout() {
        true => "it does not answer in time".to_owned(),
        false => with_causes(error),
    }
}

fn tls(ca: Option<&Path>) -> Result<ClientConfig, WebhookError> {
    let roots = match ca {
        Some(path) => authorities(path)?,
        None => webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
    };
    let config = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| WebhookError::Client(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn authorities(path: &Path) -> Result<RootCertStore, WebhookError> {
    let bytes = files::read(path, MAX_CA_BYTES).map_err(|source| WebhookError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let damaged = || WebhookError::Authorities { path: path.to_owned() };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        // The parser's error may quote a line of the file.
        let certificate = certificate.map_err(|_| damaged())?;
        roots.add(certificate).map_err(|_| damaged())?;
    }
    match roots.is_empty() {
        true => Err(damaged()),
        false => Ok(roots),
    }
}
