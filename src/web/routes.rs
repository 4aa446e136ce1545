//! Which page is where.

use actix_web::dev::HttpServiceFactory;
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig, get, post, resource};
use actix_web::{HttpResponse, Resource, Scope};

use super::address::see_other;
use super::{
    assets, carriers, failure, gateway, gateways, guard, history, import, language, people, plan, runbooks, setup,
    sign_in, switches,
};

/// Everything that is a page.
pub fn configure(config: &mut ServiceConfig) {
    config
        .configure(failure::configure)
        .service(assets::file)
        .service(runbooks::page)
        .service(from_here(
            resource("/setup")
                .route(get().to(setup::form))
                .route(post().to(setup::submit)),
        ))
        .service(from_here(
            resource("/sign-in")
                .route(get().to(sign_in::form))
                .route(post().to(sign_in::submit)),
        ))
        .service(from_here(resource("/sign-out").route(post().to(sign_in::sign_out))))
        .service(from_here(resource("/language").route(post().to(language::choose))))
        .service(gateway::check)
        .service(gateway::submit_new)
        .service(gateway::submit_edit)
        .service(signed_in());
}

/// Its forms are sent from our own pages only.
fn from_here(resource: Resource) -> impl HttpServiceFactory {
    resource.wrap(from_fn(guard::require_own_page))
}

/// Pages for people who are signed in.
fn signed_in() -> Scope<
    impl actix_web::dev::ServiceFactory<
        actix_web::dev::ServiceRequest,
        Config = (),
        Response = actix_web::dev::ServiceResponse<impl actix_web::body::MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    web::scope("")
        .wrap(from_fn(guard::require_session))
        .route("/", web::get().to(home))
        .service(gateways::list)
        .service(gateway::new)
        .service(gateway::edit)
        .service(gateway::view)
        .service(gateway::act)
        .service(history::list)
        .service(history::ask)
        .service(history::submit)
        .service(import::form)
        .service(import::take)
        .service(import::from_switch)
        .service(import::review)
        .service(import::decide)
        .service(people::list)
        .service(people::add_user)
        .service(people::remove_user)
        .service(people::set_password)
        .service(people::create_token)
        .service(people::revoke_token)
        .service(people::password_form)
        .service(people::change_password)
        .service(plan::page)
        .service(plan::release)
        .service(carriers::list)
        .service(switches::list)
        .service(switches::pause)
        .service(switches::resume)
        .service(switches::ask_to_drain)
        .service(switches::start_drain)
        .service(switches::end_drain)
        .service(switches::show_moves)
        .service(switches::start_moves)
        .service(gateways::bulk::resources())
        .service(gateways::bulk::show_progress)
        .default_service(web::to(failure::no_such_page))
}

async fn home() -> HttpResponse {
    see_other("/gateways").finish()
}
