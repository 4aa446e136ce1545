//! The listener: actix-web's own server.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::{Compress, DefaultHeaders, Next, from_fn};
use actix_web::{App, HttpServer, web};
use tokio_util::sync::CancellationToken;

use super::guard::{self, Guard};
use super::language;
use crate::http::{Tls, TlsError};
use crate::operate::Service;
use crate::settings::ApiSettings;

/// Open connections. Event streams are counted apart.
const MAX_CONNECTIONS: usize = 1024;
/// Bytes that wait in an event stream whose client reads slowly. Other answers are written whole.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;
/// Time for a request's head to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long requests in flight may take when trunkd stops.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);
/// Threads that answer. Lists are made on other threads.
const WORKERS: usize = 1;

#[derive(Debug, thiserror::Error)]
pub enum PortalError {
    #[error("{0}")]
    Tls(#[from] TlsError),
    #[error("the API cannot listen on {address}: {source}; choose another api.listen, or stop what listens there")]
    Listen { address: SocketAddr, source: io::Error },
}

/// A socket that listens.
pub struct Portal {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    guard: Arc<Guard>,
    service: Arc<Service>,
}

impl Portal {
    /// Opens the socket.
    ///
    /// # Errors
    /// [`PortalError`].
    pub fn bind(settings: &ApiSettings, service: Arc<Service>) -> Result<Self, PortalError> {
        let address = settings.listen;
        let listener = TcpListener::bind(address).map_err(|source| PortalError::Listen { address, source })?;
        let tls = settings
            .tls
            .clone()
            .map(|files| Tls::load("api.tls", files))
            .transpose()?;
        Ok(Self {
            listener,
            tls: tls.map(Arc::new),
            guard: Arc::new(Guard::new(settings)),
            service,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Its TLS files, if it has any.
    pub fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.clone()
    }

    /// Serves what `configure` registers until `stop`, then finishes the requests in flight.
    ///
    /// # Errors
    /// The workers can't be started.
    pub async fn run(
        self,
        configure: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let (guard, service) = (web::Data::new(self.guard), web::Data::from(self.service));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(guard.clone())
                .app_data(service.clone())
                .wrap(from_fn(guard::check_network))
                .wrap(from_fn(language::translate_problems))
                .wrap(Compress::default())
                .wrap(security_headers())
                .wrap(from_fn(set_policy))
                .configure(configure.clone())
        })
        .workers(WORKERS)
        .max_connections(MAX_CONNECTIONS)
        .h1_write_buffer_size(WRITE_BUFFER_BYTES)
        .client_request_timeout(HEAD_TIMEOUT)
        .shutdown_timeout(SHUTDOWN_TIMEOUT.as_secs())
        .disable_signals()
        .shutdown_signal(stop.cancelled_owned());
        let server = match self.tls {
            Some(tls) => server.listen_rustls_0_23(self.listener, tls.following().map_err(io::Error::other)?)?,
            None => server.listen(self.listener)?,
        };
        server.run().await
    }
}

fn security_headers() -> DefaultHeaders {
    DefaultHeaders::new()
        .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .add((header::REFERRER_POLICY, "no-referrer"))
        .add((header::X_FRAME_OPTIONS, "DENY"))
        .add((header::CACHE_CONTROL, "no-store"))
}

/// Nothing comes from elsewhere, and nothing in a page is a script or a style.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// swagger-ui sets styles of its own.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' \
                           data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

async fn set_policy(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let policy = match request.path().starts_with("/api/docs") {
        true => DOCS_POLICY,
        false => POLICY,
    };
    let mut response = next.call(request).await?;
    let policy = HeaderValue::from_static(policy);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}
