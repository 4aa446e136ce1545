//! Live events (server-sent events).

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, get, web};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use utoipa::IntoParams;

use super::responses::{BadRequest, Forbidden, Unauthorized, Unavailable};
use crate::access::Caller;
use crate::language::{message, text};
use crate::operate::Service;
use crate::operate::live::{LiveEvent, LiveKind, LivePosition, Subscription};
use crate::portal::Problem;
use crate::portal::{Credential, SignedIn};

/// Streams at a time.
pub(super) const MAX_STREAMS: usize = 256;
/// A comment keeps proxies from closing a quiet stream. Then it is also checked whether the token or the
/// session still holds.
const COMMENT_EVERY: Duration = Duration::from_secs(15);
/// Bytes per write. A client that reads slowly costs this much, and not more.
const MAX_CHUNK_BYTES: usize = 8 * 1024;

const RESYNC: &str = "event: resync\ndata: {}\n\n";

/// Which events.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(super) struct EventParams {
    /// Only events about this domain, and about switches and plans.
    domain: Option<String>,
    /// Only events about the gateway of this name, and about switches and plans.
    name: Option<String>,
}

/// The streams that are open.
#[derive(Clone)]
pub(super) struct Streams(Arc<Semaphore>);

struct Stream {
    service: web::Data<Service>,
    caller: Caller,
    credential: Credential,
    params: EventParams,
    subscription: Subscription,
    /// Not sent yet.
    waiting: Vec<Arc<LiveEvent>>,
    _permit: OwnedSemaphorePermit,
}

impl Streams {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX_STREAMS)))
    }
}

/// Live events
///
/// Server-sent events: `gateway` (a state on a switch, as in the list), `switch`, `plan` (what is held,
/// paused or left to do), `history` (an entry), `redis` (`connected`: whether this trunkd can read Redis) and
/// `resync` (events were missed: read everything again). Send the last `id` as `Last-Event-ID` to go on, at any
/// trunkd. A comment comes every 15 seconds.
#[utoipa::path(
    tag = "Live events",
    params(EventParams, ("Last-Event-ID" = Option<String>, Header, description = "Where to go on")),
    context_path = "/api/v1",
    responses(
        (status = 200, description = "A stream that doesn't end", body = String, content_type = "text/event-stream"),
        BadRequest, Unauthorized, Forbidden, Unavailable,
    )
)]
#[get("/events")]
pub(super) async fn events(
    service: web::Data<Service>,
    streams: web::Data<Streams>,
    SignedIn(caller): SignedIn,
    credential: Credential,
    params: web::Query<EventParams>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let params = params.into_inner();
    if let Some(domain) = &params.domain {
        caller.check_sees(domain).map_err(crate::operate::OperateError::from)?;
    }
    let permit = streams.0.clone().try_acquire_owned().map_err(|_| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_streams",
            message!(
                "{MAX_STREAMS} event streams are open already: close some, or ask another trunkd",
                "已有 {MAX_STREAMS} 个事件流：请关闭一些，或者连接另一个 trunkd"
            ),
        )
    })?;
    let after = last_event_id(&request)?;
    let (subscription, missed) = service.subscribe(after.as_ref()).await?;
    let (is_lost, waiting) = match missed {
        Some(missed) => (false, missed),
        None => (true, Vec::new()),
    };
    let first = if is_lost { RESYNC } else { ": welcome\n\n" };
    let stream = Stream {
        service,
        caller,
        credential,
        params,
        subscription,
        waiting,
        _permit: permit,
    };
    let rest = stream::unfold(stream, |mut stream| async move {
        let chunk = stream.next().await?;
        Some((Ok::<Bytes, actix_web::Error>(chunk), stream))
    });
    let whole = futures_util::StreamExt::chain(stream::iter([Ok(Bytes::from_static(first.as_bytes()))]), rest);
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CONTENT_ENCODING, "identity"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(whole))
}

fn last_event_id(request: &HttpRequest) -> Result<Option<LivePosition>, Problem> {
    let Some(value) = request.headers().get("last-event-id") else {
        return Ok(None);
    };
    let position = value.to_str().ok().and_then(|value| value.parse().ok());
    position.map(Some).ok_or_else(|| {
        Problem::bad_request(
            "Last-Event-ID",
            text("Last-Event-ID is no id of an event", "Last-Event-ID 不是事件的 id"),
            text(
                "send back the `id` of an event, or leave it out",
                "请送回某个事件的 `id`，或者省略它",
            ),
        )
    })
}

impl Stream {
    /// The next bytes; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.chunk() {
                return Some(chunk);
            }
            match timeout(COMMENT_EVERY, self.subscription.next()).await {
                Ok(Some(more)) => self.waiting = more,
                Ok(None) => return Some(Bytes::from_static(RESYNC.as_bytes())),
                Err(_) => {
                    let access = self.service.access();
                    return match self.credential.caller(access).await {
                        // Redis is away: that is no reason to close it.
                        Ok(None) => None,
                        Ok(Some(_)) | Err(_) => Some(Bytes::from_static(b": still here\n\n")),
                    };
                }
            }
        }
    }

    /// Some of the events that wait, if they are for this client.
    fn chunk(&mut self) -> Option<Bytes> {
        let mut chunk = BytesMut::new();
        let mut taken = 0;
        for event in &self.waiting {
            if chunk.len() >= MAX_CHUNK_BYTES {
                break;
            }
            taken += 1;
            if event.is_for(&self.caller) && self.params.select(event) {
                chunk.extend_from_slice(&event.text);
            }
        }
        self.waiting.drain(..taken);
        (!chunk.is_empty()).then(|| chunk.freeze())
    }
}

impl EventParams {
    fn select(&self, event: &LiveEvent) -> bool {
        let is =
            |wanted: &Option<String>, value: Option<&str>| wanted.as_deref().is_none_or(|wanted| value == Some(wanted));
        match event.kind {
            LiveKind::Gateway | LiveKind::History => {
                is(&self.domain, event.domain.as_deref()) && is(&self.name, event.gateway.as_deref())
            }
            LiveKind::Switch | LiveKind::Plan | LiveKind::Resync | LiveKind::Redis => true,
        }
    }
}
