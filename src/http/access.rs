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
use crate::xml_curl::{Answer, FREESWITCH_MAX_BYTES, Gateway, Kind, Outcome, SofiaConf};

#[derive(Default)]
pub(super) struct Throttles {
    refused: [Throttle; Outcome::COUNT],
    oversized: [Throttle; Kind::COUNT],
}

/// One request: counted when its answer is known, and logged when this is dropped. Without an
/// answer it is counted then too, which is however the request ends: also when the handler panicked
/// or the client went away.
pub(super) struct Record {
    started: Instant,
    throttles: Arc<Throttles>,
    peer: Option<SocketAddr>,
    pub(super) asked: Option<SofiaConf>,
    answered: Option<(Answer, Duration)>,
}

impl Record {
    pub(super) fn new(throttles: Arc<Throttles>, peer: Option<SocketAddr>) -> Self {
        Self {
            started: Instant::now(),
            throttles,
            peer,
            asked: None,
            answered: None,
        }
    }

    /// Counts the answer. The log line is written when the record is dropped.
    pub(super) fn answered(&mut self, answer: &Answer) {
        let elapsed = self.started.elapsed();
        let kind = self.kind();
        counter!(XML_CURL_REQUESTS, "kind" => kind.as_str(), "outcome" => answer.outcome.as_str()).increment(1);
        histogram!(XML_CURL_SECONDS, "kind" => kind.as_str()).record(elapsed);
        if answer.outcome == Outcome::Served {
            histogram!(XML_CURL_BYTES, "kind" => kind.as_str()).record(answer.body.len() as f64);
            self.warn_of_size(kind, answer.body.len());
        }
        self.answered = Some((answer.clone(), elapsed));
    }

    fn kind(&self) -> Kind {
        self.asked.as_ref().map_or(Kind::Other, SofiaConf::kind)
    }

    fn warn_of_size(&self, kind: Kind, bytes: usize) {
        if bytes <= FREESWITCH_MAX_BYTES {
            return;
        }
        counter!(XML_CURL_OVERSIZED).increment(1);
        if let Some(held) = self.throttles.oversized[kind as usize].pass(Instant::now()) {
            // Room to grow, and never beyond what FreeSWITCH reads with atoi.
            let room = bytes.saturating_mul(4).next_power_of_two().min(1 << 30);
            warn!(
                kind = kind.as_str(),
                bytes,
                held,
                "the answer is over 1 MiB: FreeSWITCH throws it away (\"Oversized file detected\") unless its xml_curl binding \
                 has <param name=\"response-max-bytes\" value=\"{room}\"/>"
            );
        }
    }

    /// Of what is no request for `sofia.conf`, only refusals are worth a line.
    fn log_refusal(&self, answer: &Answer) {
        let outcome = answer.outcome.as_str();
        let reason = answer.body.to_string();
        let (peer, reason) = (Peer(self.peer), shown(reason.trim_end()));
        match answer.outcome {
            Outcome::Served | Outcome::NotFound => trace!(%peer, outcome, "not sofia.conf"),
            // Every request begins so where the binding's auth-scheme is `any`.
            Outcome::Challenged => debug!(%peer, outcome, "asked for credentials"),
            _ => {
                if let Some(held) = self.throttles.refused[answer.outcome as usize].pass(Instant::now()) {
                    warn!(%peer, outcome, held, "refused: {reason}");
                }
            }
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.answered.is_none() {
            let unanswered = if std::thread::panicking() {
                Outcome::Failed
            } else {
                Outcome::Abandoned
            };
            self.answered(&Answer::refused(unanswered, ""));
        }
        let Some((answer, elapsed)) = self.answered.take() else {
            return;
        };
        match &self.asked {
            Some(asked) => log(asked, &answer, elapsed),
            None => self.log_refusal(&answer),
        }
    }
}

/// One line for each request for `sofia.conf`. Never its headers: they hold credentials.
fn log(asked: &SofiaConf, answer: &Answer, elapsed: Duration) {
    macro_rules! line {
        ($level:ident, $($message:tt)+) => {
            $level!(
                kind = asked.kind().as_str(),
                profile = asked.profile.as_deref().map(name),
                gateway = match &asked.gateway {
                    Gateway::NotAsked => None,
                    Gateway::All => Some("_all_".to_owned()),
                    Gateway::One(gateway) => Some(name(gateway)),
                },
                node = name(&asked.node),
                outcome = answer.outcome.as_str(),
                bytes = answer.body.len(),
                ms = ms(elapsed),
                stale_since = answer.stale_since.map(tracing::field::display),
                $($message)+
            )
        };
    }
    match answer.outcome {
        // One for each gateway that changes: a line a piece is for who looks for it.
        Outcome::Served if asked.kind() == Kind::Startgw => line!(debug, "sofia.conf"),
        Outcome::Served => line!(info, "sofia.conf"),
        Outcome::NotFound => line!(
            info,
            "sofia.conf: no template is for this profile; FreeSWITCH takes its XML on disk"
        ),
        Outcome::Abandoned => line!(warn, "sofia.conf: the client went away before it had its answer"),
        Outcome::Failed => line!(
            error,
            "sofia.conf: the handler panicked; FreeSWITCH takes its XML on disk"
        ),
        _ => {
            let reason = answer.body.to_string();
            line!(
                warn,
                "sofia.conf: {}; FreeSWITCH takes its XML on disk",
                shown(reason.trim_end())
            )
        }
    }
}

/// A name from a form, as a log shows it.
fn name(given: &str) -> String {
    shown(given).to_string()
}

/// The socket's peer as logs show it: without the `::ffff:` that a dual-stack socket puts before an
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
