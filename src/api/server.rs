//! The listener of the operators' side: actix-web's own server.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::middleware::{Compress, DefaultHeaders, from_fn};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use tokio_util::sync::CancellationToken;
use utoipa_swagger_ui::SwaggerUi;

use super::events::Streams;
use super::guard::{self, Guard};
use super::problem::Problem;
use super::{body, events, gateways, history, lists, openapi, params, people, session, setup_page, switches};
use crate::http::{Tls, TlsError};
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
pub enum ApiError {
    #[error("{0}")]
    Tls(#[from] TlsError),
    #[error("the API cannot listen on {address}: {source}; choose another api.listen, or stop what listens there")]
    Listen { address: SocketAddr, source: io::Error },
}

/// The API on a socket that listens.
pub struct Api {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    guard: Arc<Guard>,
    service: Arc<Service>,
}

impl Api {
    /// Opens the socket.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn bind(settings: &ApiSettings, service: Arc<Service>) -> Result<Self, ApiError> {
        let address = settings.listen;
        let listener = TcpListener::bind(address).map_err(|source| ApiError::Listen { address, source })?;
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

    /// Serves until `stop`, then finishes the requests in flight.
    ///
    /// # Errors
    /// The workers can't be started.
    pub async fn run(self, stop: CancellationToken) -> io::Result<()> {
        let (guard, service) = (web::Data::new(self.guard), web::Data::from(self.service));
        let streams = web::Data::new(Streams::new());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(guard.clone())
                .app_data(service.clone())
                .app_data(streams.clone())
                .configure(body::configure)
                .wrap(from_fn(guard::check_network))
                .wrap(Compress::default())
                .wrap(security_headers())
                .service(web::scope("/api/v1").configure(open).service(protected()))
                .service(setup_page::page)
                .service(setup_page::submit)
                .service(documentation())
                .default_service(web::to(not_found))
        })
        .workers(WORKERS)
        .max_connections(MAX_CONNECTIONS)
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

/// What asks for neither token nor session.
fn open(config: &mut web::ServiceConfig) {
    config.service(session::sign_in).service(session::set_up);
}

/// Everything else of the API.
fn protected() -> impl actix_web::dev::HttpServiceFactory {
    web::scope("")
        .wrap(from_fn(guard::authenticate))
        .service(lists::gateways)
        .service(lists::domains)
        .service(lists::switches)
        .service(gateways::get_gateway)
        .service(gateways::put_gateway)
        .service(gateways::patch_gateway)
        .service(gateways::delete_gateway)
        .service(gateways::copy_gateway)
        .service(gateways::rename_gateway)
        .service(gateways::reveal_secret)
        .service(gateways::gateway_xml)
        .service(events::events)
        .service(history::gateway_history)
        .service(params::params)
        .service(history::get_history)
        .service(history::revert)
        .service(switches::plan)
        .service(switches::apply)
        .service(switches::pause)
        .service(switches::resume)
        .service(session::who_am_i)
        .service(session::sign_out)
        .service(people::users)
        .service(people::add_user)
        .service(people::remove_user)
        .service(people::set_password)
        .service(people::tokens)
        .service(people::create_token)
        .service(people::revoke_token)
        .default_service(web::to(not_found))
}

/// `/api/openapi.json`, and a page that needs no internet.
fn documentation() -> SwaggerUi {
    SwaggerUi::new("/api/docs/{_:.*}").url("/api/openapi.json", openapi::document())
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

async fn not_found(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let detail = format!(
        "there is nothing at {}: see /api/docs",
        crate::shown::shown(request.path())
    );
    Err(Problem::new(StatusCode::NOT_FOUND, "no_such_path", detail))
}
