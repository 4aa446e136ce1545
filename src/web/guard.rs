//! Pages are for people who are signed in; everybody else gets the sign-in page.

use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{HttpMessage, HttpResponse};
use futures_util::{Stream, StreamExt};
use tokio::time::timeout;

use super::address::{local_path, see_other};
use super::failure::Failure;
use super::kept::keep;
use crate::portal::{caller, check_origin};

/// How long the rest of a refused request is read.
const DRAINED_FOR: Duration = Duration::from_secs(10);

/// Lets a request pass if somebody is signed in.
pub(super) async fn require_session(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    keep(&mut request).await;
    let problem = match caller(request.request()).await {
        Ok((caller, _)) => {
            request.extensions_mut().insert(caller);
            return Ok(next.call(request).await?.map_into_boxed_body());
        }
        Err(problem) => problem,
    };
    drain(request.take_payload()).await;
    let is_unknown = problem.status == StatusCode::UNAUTHORIZED.as_u16();
    let response = match is_unknown && *request.method() == Method::GET {
        true => to_sign_in(request.uri().path_and_query().map_or("/", |path| path.as_str())),
        false => Failure::from(problem).response(request.request()),
    };
    Ok(request.into_response(response))
}

/// Lets a request pass unless it is a write from another site.
pub(super) async fn require_own_page(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    match check_origin(request.request()) {
        Ok(()) => Ok(next.call(request).await?.map_into_boxed_body()),
        Err(problem) => {
            let response = Failure::from(problem).response(request.request());
            Ok(request.into_response(response))
        }
    }
}

/// Reads the rest of a request that is refused: a browser that still sends would not show the answer.
pub(super) async fn drain(mut body: impl Stream<Item = Result<Bytes, PayloadError>> + Unpin) {
    let reading = async { while let Some(Ok(_)) = body.next().await {} };
    // Who sends for longer sees that the connection is closed.
    let _ = timeout(DRAINED_FOR, reading).await;
}

fn to_sign_in(wanted: &str) -> HttpResponse {
    let next: String = form_urlencoded::byte_serialize(local_path(wanted).as_bytes()).collect();
    see_other(format!("/sign-in?next={next}")).finish()
}
