//! The cookie of a session.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::cookie::{Cookie, SameSite};
use secrecy::ExposeSecret;

use super::guard::{COOKIE, guard};
use super::problem::Problem;
use crate::access;
use crate::language::text;

/// Scripts can't read it, other sites can't send it.
pub(crate) fn session_cookie(request: &HttpRequest, signed_in: &access::SignedIn) -> Cookie<'static> {
    let is_secure = guard(request).is_some_and(|guard| guard.is_secure(request));
    Cookie::build(COOKIE, signed_in.cookie.expose_secret().to_owned())
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(is_secure)
        .finish()
}

/// Takes the cookie away.
pub(crate) fn no_session_cookie() -> Cookie<'static> {
    let mut removal = Cookie::build(COOKIE, "").path("/").finish();
    removal.make_removal();
    removal
}

/// The address of the client.
///
/// # Errors
/// It is unknown.
pub(crate) fn peer(request: &HttpRequest) -> Result<IpAddr, Problem> {
    let peer = guard(request).and_then(|guard| guard.peer(request));
    peer.ok_or_else(|| Problem::unauthorized(text("the address of the client is unknown", "客户端的地址未知")))
}
