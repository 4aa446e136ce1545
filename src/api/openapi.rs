//! The OpenAPI document, made from the code.

use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{
    bulk, carriers, events, files, gateways, history, import, jobs, lists, params, people, placement, session, status,
    switches,
};
use crate::portal::{COOKIE, Problem};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "trunkd",
        description = "SIP gateways of FreeSWITCH: read, write, and watch them. Every error is a problem document (RFC \
                       9457) whose `reason` is a word for programs. Findings, and what `errors` says of them, are in \
                       English or Chinese: see `Accept-Language` and `Content-Language`. Times are RFC 3339 in UTC."
    ),
    paths(
        lists::gateways,
        lists::domains,
        lists::switches,
        carriers::carriers,
        bulk::bulk,
        bulk::restarts,
        import::import_foreign,
        files::export,
        files::import,
        status::status,
        gateways::get_gateway,
        gateways::put_gateway,
        gateways::patch_gateway,
        gateways::delete_gateway,
        gateways::copy_gateway,
        gateways::rename_gateway,
        gateways::reveal_secret,
        gateways::gateway_xml,
        jobs::restart_gateway,
        jobs::register_gateway,
        jobs::unregister_gateway,
        jobs::park_gateway,
        jobs::unpark_gateway,
        events::events,
        history::gateway_history,
        params::params,
        history::get_history,
        history::revert,
        switches::plan,
        switches::apply,
        switches::pause,
        switches::resume,
        placement::where_is,
        placement::move_gateway,
        placement::placement,
        placement::drain,
        placement::drain_progress,
        placement::undrain,
        placement::plan_rebalance,
        placement::rebalance,
        session::sign_in,
        session::set_up,
        session::who_am_i,
        session::sign_out,
        people::users,
        people::add_user,
        people::remove_user,
        people::set_password,
        people::tokens,
        people::create_token,
        people::revoke_token,
    ),
    components(schemas(Problem)),
    modifiers(&Security),
    security(("token" = []), ("session" = []))
)]
struct Api;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        let token = Http::builder()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token of `trunkd token create`"))
            .build();
        components.add_security_scheme("token", SecurityScheme::Http(token));
        let cookie = ApiKey::Cookie(ApiKeyValue::with_description(COOKIE, "What POST /session sets"));
        components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    }
}

/// The document, as `/api/openapi.json` has it.
pub fn document() -> Document {
    Api::openapi()
}
