//! The listener: actix-web's own server.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header;
use actix_web::middleware::{Compress, DefaultHeaders, from_fn};
use actix_web::{App, HttpServer, web};
use rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use super::guard::{self, Guard};
use crate::http::{TlsError, server_config};
use crate::operate::Service;
use crate::settings::ApiSettings;

/// Open connections. Event streams are counted apart.
const MAX_CONNECTIONS: usize = 1024;
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
    tls: Option<ServerConfig>,
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
        Ok(Self {
            listener,
            tls: settings.tls.as_ref().map(server_config).transpose()?,
            guard: Arc::new(Guard::new(settings)),
            service,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
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
                .wrap(Compress::default())
                .wrap(security_headers())
                .configure(configure.clone())
        })
        .workers(WORKERS)
        .max_connections(MAX_CONNECTIONS)
        .client_request_timeout(HEAD_TIMEOUT)
        .shutdown_timeout(SHUTDOWN_TIMEOUT.as_secs())
        .disable_signals()
        .shutdown_signal(stop.cancelled_owned());
        let server = match self.tls {
            Some(tls) => server.listen_rustls_0_23(self.listener, tls)?,
            None => server.listen(self.listener)?,
        };
        server.run().await
    }
}

fn security_headers() -> DefaultHeaders {
    // swagger-ui sets styles of its own and shows images as data.
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                          connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    DefaultHeaders::new()
        .add((header::CONTENT_SECURITY_POLICY, POLICY))
        .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .add((header::REFERRER_POLICY, "no-referrer"))
        .add((header::X_FRAME_OPTIONS, "DENY"))
        .add((header::CACHE_CONTROL, "no-store"))
}
