//! The metrics and the log line of a request to `/xml_curl`.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::metrics::{counter, histogram};
use tracing::{debug, error, info, trace, warn};

use crate::metrics::{XML_CURL_BYTES, XML_CURL_OVERSIZED, XML_CURL_REQUESTS, XML_CURL_SECONDS};
use crate::shown::shown;
use crate::telemetry::ms;
use crate::throttle::Throttle;
use crate::xml_curl::{
    FREESWITCH_MAX_BYTES, RequestKind, RequestOutcome, RequestedGateway, Response, SofiaConfRequest,
};

/// One throttle for each kind of line that any client can cause.
#[derive(Default)]
pub(super) struct Throttles {
    refused: [Throttle; RequestOutcome::ALL.len()],
    oversized: [Throttle; RequestKind::ALL.len()],
}

/// Counts one request when its response is known, and logs it when dropped. A request that ends
/// without a response (the handler panicked, or the client went away) is counted when dropped.
pub(super) struct RequestLog {
    started: Instant,
    throttles: Arc<Throttles>,
    peer: Option<SocketAddr>,
    pub(super) request: Option<SofiaConfRequest>,
    response: Option<(Response, Duration)>,
}

impl RequestLog {
    pub(super) fn new(throttles: Arc<Throttles>, peer: Option<SocketAddr>) -> Self {
        Self {
            started: Instant::now(),
            throttles,
            peer,
            request: None,
            response: None,
        }
    }

    /// Counts the response.
    pub(super) fn respond(&mut self, response: &Response) {
        let elapsed = self.started.elapsed();
        let kind = self.kind();
        counter!(XML_CURL_REQUESTS, "kind" => kind.as_str(), "outcome" => response.outcome.as_str()).increment(1);
        histogram!(XML_CURL_SECONDS, "kind" => kind.as_str()).record(elapsed);
        if response.outcome == RequestOutcome::Served {
            histogram!(XML_CURL_BYTES, "kind" => kind.as_str()).record(response.body.len() as f64);
            self.warn_of_size(kind, response.body.len());
        }
        self.response = Some((response.clone(), elapsed));
    }

    fn kind(&self) -> RequestKind {
        self.request.as_ref().map_or(RequestKind::Other, SofiaConfRequest::kind)
    }

    fn warn_of_size(&self, kind: RequestKind, bytes: usize) {
        if bytes <= FREESWITCH_MAX_BYTES {
            return;
        }
        counter!(XML_CURL_OVERSIZED).increment(1);
        if let Some(held) = self.throttles.oversized[kind as usize].pass(Instant::now()) {
            let limit = suggested_limit(bytes);
            warn!(
                kind = kind.as_str(),
                bytes,
                held,
                "the answer is over 1 MiB: FreeSWITCH discards it (\"Oversized file detected\") unless its \
                 xml_curl binding has <param name=\"response-max-bytes\" value=\"{limit}\"/>"
            );
        }
    }

    /// Logs a request that was not read, or is not for `sofia.conf`. Only refusals are worth a
    /// line.
    fn log_refusal(&self, response: &Response) {
        let outcome = response.outcome.as_str();
        let peer = Peer(self.peer);
        match response.outcome {
            RequestOutcome::Served | RequestOutcome::NotFound => trace!(%peer, outcome, "not sofia.conf"),
            // Every request begins like this if the binding's auth-scheme is `any`.
            RequestOutcome::Challenged => debug!(%peer, outcome, "asked for credentials"),
            _ => {
                if let Some(held) = self.throttles.refused[response.outcome as usize].pass(Instant::now()) {
                    let reason = response.body.to_string();
                    warn!(%peer, outcome, held, "refused: {}", shown(reason.trim_end()));
                }
            }
        }
    }
}

impl Drop for RequestLog {
    fn drop(&mut self) {
        if self.response.is_none() {
            let unanswered = if std::thread::panicking() {
                RequestOutcome::Failed
            } else {
                RequestOutcome::Abandoned
            };
            self.respond(&Response::refused(unanswered, ""));
        }
        let Some((response, elapsed)) = self.response.take() else {
            return;
        };
        match &self.request {
            Some(request) => log(request, &response, elapsed),
            None => self.log_refusal(&response),
        }
    }
}

/// Writes one line for a request for `sofia.conf`. It never has headers: they hold credentials.
fn log(request: &SofiaConfRequest, response: &Response, elapsed: Duration) {
    macro_rules! line {
        ($level:ident, $($message:tt)+) => {
            $level!(
                kind = request.kind().as_str(),
                profile = request.profile.as_deref().map(name),
                gateway = match &request.gateway {
                    RequestedGateway::Absent => None,
                    RequestedGateway::All => Some("_all_".to_owned()),
                    RequestedGateway::One(gateway) => Some(name(gateway)),
                },
                node = name(&request.node),
                outcome = response.outcome.as_str(),
                bytes = response.body.len(),
                ms = ms(elapsed),
                stale_since = response.stale_since.map(tracing::field::display),
                $($message)+
            )
        };
    }
    match response.outcome {
        // There is one for each gateway that changes.
        RequestOutcome::Served if request.kind() == RequestKind::Startgw => line!(debug, "sofia.conf"),
        RequestOutcome::Served => line!(info, "sofia.conf"),
        RequestOutcome::NotFound => line!(
            info,
            "sofia.conf: no template is for this profile; FreeSWITCH uses its XML on disk"
        ),
        RequestOutcome::Abandoned => line!(warn, "sofia.conf: the client went away before it got its answer"),
        RequestOutcome::Failed => line!(
            error,
            "sofia.conf: the handler panicked; FreeSWITCH uses its XML on disk"
        ),
        _ => {
            let reason = response.body.to_string();
            line!(
                warn,
                "sofia.conf: {}; FreeSWITCH uses its XML on disk",
                shown(reason.trim_end())
            )
        }
    }
}

/// A name from a form, made safe for the log.
fn name(given: &str) -> String {
    shown(given).to_string()
}

/// The socket's peer for the log, without the `::ffff:` that a dual-stack socket puts before an
/// IPv4 address.
pub(super) struct Peer(pub(super) Option<SocketAddr>);

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(peer) => write!(f, "{}", peer.ip().to_canonical()),
            None => f.write_str("unknown"),
        }
    }
}

/// A value for `response-max-bytes` that leaves room to grow, but not more than FreeSWITCH can read
/// with atoi.
fn suggested_limit(bytes: usize) -> usize {
    bytes.saturating_mul(4).next_power_of_two().min(1 << 30)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suggested_limit_leaves_room_and_fits_an_int() {
        assert_eq!(suggested_limit(FREESWITCH_MAX_BYTES + 1), 8 * FREESWITCH_MAX_BYTES);
        assert!(i32::try_from(suggested_limit(usize::MAX / 8)).is_ok());
    }
}
