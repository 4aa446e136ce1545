//! Asks the trunkd that runs with the same settings, as `trunkd health` does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::{Client, redirect};

use super::security::AllowList;
use super::tls::{TlsError, client_config};
use crate::settings::HttpSettings;
use crate::shown::with_causes;

/// For everything, from the connection to the last byte. Shorter than the 5 s that an orchestrator
/// usually gives a health check.
const TIMEOUT: Duration = Duration::from_secs(3);
/// `/health` of a thousand switches takes a quarter of this.
const MAX_BODY: usize = 1024 * 1024;

/// What `/health` answered.
#[derive(Debug)]
pub struct OwnAnswer {
    pub url: String,
    pub status: u16,
    pub body: Vec<u8>,
}

/// There is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    #[error("http.listen is {0}, and only trunkd's log has the port that it took: give it with --listen")]
    NoPort(SocketAddr),
    #[error("http.allow doesn't let this machine ask at {0}: add {ip} to it", ip = .0.ip())]
    NotAllowed(SocketAddr),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("no answer from {url}: {reason}")]
    NoAnswer { url: String, reason: String },
}

/// Asks `/health` at the address of `http.listen`. A listener that wants a certificate is shown the
/// one of `http.tls`.
///
/// # Errors
/// [`OwnError`]; any HTTP status is an answer.
pub async fn ask_health(settings: &HttpSettings) -> Result<OwnAnswer, OwnError> {
    let address = reachable(settings.listen);
    if address.port() == 0 {
        return Err(OwnError::NoPort(address));
    }
    // The kernel takes an address of this machine as the source of a connection to it.
    if !AllowList::new(settings.allow.iter().copied()).permits(address.ip()) {
        return Err(OwnError::NotAllowed(address));
    }
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{address}/health");
    let config = client_config("http.tls", settings.tls.as_ref())?;
    match get(config, &url).await {
        Ok((status, body)) => Ok(OwnAnswer { url, status, body }),
        Err(error) => Err(OwnError::NoAnswer {
            reason: reason(error),
            url,
        }),
    }
}

async fn get(config: rustls::ClientConfig, url: &str) -> reqwest::Result<(u16, Vec<u8>)> {
    let client = Client::builder()
        .tls_backend_preconfigured(config)
        .timeout(TIMEOUT)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .build()?;
    let mut response = client.get(url).send().await?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await?
        && body.len() < MAX_BODY
    {
        body.extend_from_slice(&chunk);
    }
    Ok((response.status().as_u16(), body))
}

fn reason(error: reqwest::Error) -> String {
    match error.is_timeout() {
        true => format!("it does not answer within {} s", TIMEOUT.as_secs()),
        false => with_causes(&error.without_url()),
    }
}

/// A listener on every address is asked on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
