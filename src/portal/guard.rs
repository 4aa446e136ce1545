//! Who may call: networks, tokens, sessions; and that a browser's writes come from our own pages.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use std::future::{Ready, ready};

use super::problem::Problem;
use crate::access::{Access, Caller};
use crate::http::AllowList;
use crate::language::{Text, text};
use crate::operate::{OperateError, Service};
use crate::settings::ApiSettings;

/// The cookie of a session.
pub(crate) const COOKIE: &str = "trunkd_session";

const CROSS_SITE: Text = text(
    "this did not come from a page of trunkd: programs use a token instead of a cookie; behind a proxy set \
     api.public_url",
    "此请求并非来自 trunkd 的页面：程序请使用令牌而不是 Cookie；经由代理时请设置 api.public_url",
);
const SESSION_ENDED: Text = text("the session has ended: sign in again", "会话已结束：请重新登录");
const SIGN_IN: Text = text("sign in first", "请先登录");

/// What the guard works with.
pub(crate) struct Guard {
    allow: AllowList,
    behind_proxy: bool,
    /// Scheme and host as people see them; `None`: as the request says.
    public_url: Option<String>,
    is_tls: bool,
}

/// What the caller showed, to ask again whether it still holds.
#[derive(Clone)]
pub(crate) enum Credential {
    Token(String),
    Session(String),
}

/// In requests that come while Redis can't be asked: who had the session a moment ago.
struct Remembered(Caller);

/// Who calls. Taken by every handler that needs to know.
pub(crate) struct SignedIn(pub(crate) Caller);

impl Guard {
    pub(crate) fn new(settings: &ApiSettings) -> Self {
        Self {
            allow: AllowList::new(settings.allow.iter().copied()),
            behind_proxy: settings.behind_proxy,
            public_url: (!settings.public_url.is_empty()).then(|| settings.public_url.clone()),
            is_tls: settings.tls.is_some(),
        }
    }

    /// The client's address: that of the socket, or what a proxy says.
    pub(crate) fn peer(&self, request: &HttpRequest) -> Option<IpAddr> {
        let socket = request.peer_addr()?.ip();
        if !self.behind_proxy {
            return Some(socket);
        }
        let info = request.connection_info();
        let said = info.realip_remote_addr().and_then(|said| said.parse().ok());
        Some(said.unwrap_or(socket))
    }

    /// Scheme, host and port of this request, as a browser writes them in `Origin`.
    pub(crate) fn origin(&self, request: &HttpRequest) -> String {
        if let Some(url) = &self.public_url {
            return url.clone();
        }
        let host = |request: &HttpRequest| {
            let host = request.headers().get(header::HOST);
            host.and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned()
        };
        if self.behind_proxy {
            let info = request.connection_info();
            return format!("{}://{}", info.scheme(), info.host());
        }
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", host(request))
    }

    /// Whether cookies may only be sent over TLS.
    pub(crate) fn is_secure(&self, request: &HttpRequest) -> bool {
        self.origin(request).starts_with("https://")
    }

    /// Whether a browser sends this request from one of our own pages.
    fn is_same_origin(&self, request: &HttpRequest) -> bool {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        match (header("sec-fetch-site"), header("origin")) {
            (Some(site), _) => site == "same-origin",
            (None, Some(origin)) => origin == self.origin(request),
            (None, None) => false,
        }
    }
}

/// Refuses clients of networks that `api.allow` doesn't name.
pub(crate) async fn check_network(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let peer = request.peer_addr().map(|peer| peer.ip());
    let is_allowed = guard(request.request()).is_some_and(|guard| peer.is_some_and(|peer| guard.allow.permits(peer)));
    match is_allowed {
        true => Ok(next.call(request).await?.map_into_boxed_body()),
        false => Ok(request.error_response(Problem::new(
            StatusCode::FORBIDDEN,
            "network_not_allowed",
            text(
                "your address is in no network that api.allow names",
                "您的地址不在 api.allow 列出的任何网络中",
            ),
        ))),
    }
}

/// Finds out who calls. Everything behind this needs a token or a session.
pub(crate) async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    match caller(request.request()).await {
        Ok((caller, credential)) => {
            request.extensions_mut().insert(caller);
            request.extensions_mut().insert(credential);
            Ok(next.call(request).await?.map_into_boxed_body())
        }
        Err(problem) => Ok(request.error_response(problem)),
    }
}

/// Who calls, by token or by session.
///
/// While Redis is away, who was signed in a moment ago may read on, and is [`remembered`].
///
/// # Errors
/// 401 without either, 403 for a write by cookie from another site, 503 while Redis is away.
pub(crate) async fn caller(request: &HttpRequest) -> Result<(Caller, Credential), Problem> {
    let service = request
        .app_data::<web::Data<Service>>()
        .ok_or_else(|| Problem::unauthorized(SIGN_IN))?;
    let access = service.access();
    if let Some(value) = request.headers().get(header::AUTHORIZATION) {
        let token = value.to_str().ok().and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let credential = Credential::Token(token.unwrap_or_default().to_owned());
        let found = credential.caller(access).await?;
        return found.map(|caller| (caller, credential)).ok_or_else(|| {
            Problem::unauthorized(text(
                "the token is unknown, expired or revoked: make another with `trunkd token create`",
                "令牌不存在、已过期或已撤销：请用 `trunkd token create` 另建一个",
            ))
        });
    }
    let Some(cookie) = request.cookie(COOKIE) else {
        return Err(Problem::unauthorized(text(
            "sign in at POST /api/v1/session, or send `Authorization: Bearer` with a token of `trunkd token create`",
            "请在 POST /api/v1/session 登录，或者发送 `Authorization: Bearer` 和 `trunkd token create` 创建的令牌",
        )));
    };
    let credential = Credential::Session(cookie.value().to_owned());
    let found = match credential.caller(access).await {
        Ok(found) => found,
        Err(error) => {
            let reader = remember(request, access, cookie.value());
            return reader.map(|caller| (caller, credential)).ok_or_else(|| error.into());
        }
    };
    let caller = found.ok_or_else(|| Problem::unauthorized(SESSION_ENDED))?;
    check_origin(request)?;
    Ok((caller, credential))
}

/// Who had the session a moment ago, if this request only reads.
fn remember(request: &HttpRequest, access: &Access, cookie: &str) -> Option<Caller> {
    let caller = access.lately_by_session(cookie)?;
    request.extensions_mut().insert(Remembered(caller.clone()));
    (!is_write(request)).then_some(caller)
}

fn is_write(request: &HttpRequest) -> bool {
    !matches!(*request.method(), Method::GET | Method::HEAD)
}

/// Redis can't be asked, and this is who had the session a moment ago. He may read.
pub(crate) fn remembered(request: &HttpRequest) -> Option<Caller> {
    request.extensions().get::<Remembered>().map(|found| found.0.clone())
}

/// A browser's writes come from our own pages.
///
/// # Errors
/// 403 for a write from elsewhere.
pub(crate) fn check_origin(request: &HttpRequest) -> Result<(), Problem> {
    if is_write(request) && !guard(request).is_some_and(|guard| guard.is_same_origin(request)) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "cross_site", CROSS_SITE));
    }
    Ok(())
}

impl Credential {
    /// Whose it is; `None` if it no longer holds.
    pub(crate) async fn caller(&self, access: &Access) -> Result<Option<Caller>, OperateError> {
        let found = match self {
            Self::Token(token) => access.by_token(token).await,
            Self::Session(cookie) => access.by_session(cookie).await,
        };
        Ok(found?)
    }
}

impl FromRequest for Credential {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let credential = request.extensions().get::<Self>().cloned();
        ready(credential.ok_or_else(|| Problem::unauthorized(SIGN_IN)))
    }
}

pub(crate) fn guard(request: &HttpRequest) -> Option<&Arc<Guard>> {
    request.app_data::<web::Data<Arc<Guard>>>().map(|guard| guard.get_ref())
}

impl FromRequest for SignedIn {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = request.extensions().get::<Caller>().cloned();
        ready(caller.map(Self).ok_or_else(|| Problem::unauthorized(SIGN_IN)))
    }
}
