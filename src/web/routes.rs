//! Which page is where.

use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, Scope};

use super::address::see_other;
use super::{assets, failure, gateway, gateways, guard, history, language, people, plan, setup, sign_in, switches};

/// Everything that is a page.
pub fn configure(config: &mut ServiceConfig) {
    config
        .configure(failure::configure)
        .service(assets::file)
        .service(setup::form)
        .service(setup::submit)
        .service(sign_in::form)
        .service(sign_in::submit)
        .service(language::choose)
        .service(gateway::check)
        .service(gateway::submit_new)
        .service(gateway::submit_edit)
        .service(signed_in());
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
        .service(sign_in::sign_out)
        .service(gateways::list)
        .service(gateway::new)
        .service(gateway::edit)
        .service(gateway::view)
        .service(gateway::act)
        .service(history::list)
        .service(history::ask)
        .service(history::submit)
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
        .service(switches::list)
        .service(switches::pause)
        .service(switches::resume)
        .service(gateways::bulk::resources())
        .service(gateways::bulk::show_progress)
        .default_service(web::to(failure::no_such_page))
}

async fn home() -> HttpResponse {
    see_other("/gateways").finish()
}
