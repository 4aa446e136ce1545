//! Which page is where.

use actix_web::http::header;
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, Scope};

use super::{assets, failure, gateways, guard, language, setup, sign_in};

/// Everything that is a page.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(assets::file)
        .service(setup::form)
        .service(setup::submit)
        .service(sign_in::form)
        .service(sign_in::submit)
        .service(language::choose)
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
        .service(gateways::bulk::resources())
        .service(gateways::bulk::show_progress)
        .default_service(web::to(failure::no_such_page))
}

async fn home() -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, "/gateways"))
        .finish()
}
