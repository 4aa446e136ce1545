//! The pages. Thin: they parse a request, call `operate`, and render HTML.
//!
//! Never holds decisions or Redis, and never uses `api`.

mod setup_page;

use actix_web::web::ServiceConfig;

/// Everything that is a page.
pub fn configure(config: &mut ServiceConfig) {
    config.service(setup_page::page).service(setup_page::submit);
}
