//! Which call is where.

use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::{HttpRequest, HttpResponse, web};
use utoipa_swagger_ui::SwaggerUi;

use super::events::Streams;
use super::{
    body, bulk, carriers, events, files, gateways, history, import, jobs, lists, openapi, params, people, placement,
    session, status, switches,
};
use crate::language::message;
use crate::portal::{Problem, authenticate};
use crate::shown::shown;

/// The API, to be registered at a listener.
#[derive(Clone)]
pub struct Api {
    streams: web::Data<Streams>,
}

impl Api {
    #[allow(clippy::new_without_default, reason = "each one counts its own streams")]
    pub fn new() -> Self {
        Self {
            streams: web::Data::new(Streams::new()),
        }
    }

    /// Everything below `/api`.
    pub fn configure(&self, config: &mut web::ServiceConfig) {
        let calls = web::scope("/api/v1").app_data(self.streams.clone());
        config
            .service(calls.configure(body::configure).configure(open).service(protected()))
            .service(documentation())
            .service(web::scope("/api").default_service(web::to(not_found)));
    }
}

/// What asks for neither token nor session.
fn open(config: &mut web::ServiceConfig) {
    config.service(session::sign_in).service(session::set_up);
}

/// Everything else of the API.
fn protected() -> impl actix_web::dev::HttpServiceFactory {
    web::scope("")
        .wrap(from_fn(authenticate))
        .service(lists::gateways)
        .service(bulk::resource())
        .service(bulk::restarts)
        .service(import::resource())
        .service(files::export)
        .service(files::resource())
        .service(lists::domains)
        .service(lists::switches)
        .service(carriers::carriers)
        .service(status::status)
        .service(gateways::get_gateway)
        .service(gateways::put_gateway)
        .service(gateways::patch_gateway)
        .service(gateways::delete_gateway)
        .service(gateways::copy_gateway)
        .service(gateways::rename_gateway)
        .service(gateways::reveal_secret)
        .service(gateways::gateway_xml)
        .service(jobs::restart_gateway)
        .service(jobs::register_gateway)
        .service(jobs::unregister_gateway)
        .service(jobs::park_gateway)
        .service(jobs::unpark_gateway)
        .service(events::events)
        .service(history::gateway_history)
        .service(params::params)
        .service(history::get_history)
        .service(history::revert)
        .service(switches::plan)
        .service(switches::apply)
        .service(switches::pause)
        .service(switches::resume)
        .service(placement::where_is)
        .service(placement::move_gateway)
        .service(placement::placement)
        .service(placement::drain)
        .service(placement::drain_progress)
        .service(placement::undrain)
        .service(placement::plan_rebalance)
        .service(placement::rebalance)
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

async fn not_found(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let path = shown(request.path());
    let detail = message!(
        "there is nothing at {path}: see /api/docs",
        "{path} 处没有内容：见 /api/docs"
    );
    Err(Problem::new(StatusCode::NOT_FOUND, "no_such_path", detail))
}
