//! What mod_xml_curl asks → what FreeSWITCH reads.
//!
//! A form becomes a typed [`Request`], and a request for `sofia.conf` becomes an [`Answer`]. What an answer is made from comes
//! through [`Source`]; nothing here knows of Redis, of the event socket, or of the HTTP server that carries the bytes.
//!
//! Only an answer with status 200 is read; at any other FreeSWITCH takes its XML on disk, and so it does at a "not found"
//! (FACTS 7). So "not found" is said of what is not ours and of nothing else: a gateway that is not there is an answer
//! without it.

mod documents;
mod request;
mod unknown;

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::gateway::Desired;
use crate::gateway::RevisionKey;
use crate::sofia_conf::{GatewayQuery, NOT_FOUND, Query, Templates, Text};
use documents::{Found, NotWritten};

pub use documents::Documents;
pub use request::{BadRequest, Gateway, Kind, Request, SofiaConf};
pub use unknown::UnknownSwitches;

/// An answer larger than this FreeSWITCH throws away whole, unless its binding sets `response-max-bytes` (FACTS 5).
pub const FREESWITCH_MAX_BYTES: usize = 1024 * 1024;

/// What an answer is made from.
pub trait Source: Send + Sync + 'static {
    /// The gateways that whoever asks is to have as of now, at least those that are asked for: every write that Redis acknowledged before
    /// the call is in them.
    ///
    /// # Errors
    /// [`Unavailable`] when Redis cannot be used and no good state was ever seen. With one, that state is the answer, and its
    /// `stale_since` says how old it is.
    fn desired(&self, asked: &SofiaConf) -> impl Future<Output = Result<Current, Unavailable>> + Send;
}

#[derive(Debug, Clone)]
pub struct Current {
    pub desired: Arc<Desired>,
    pub key: RevisionKey,
    pub templates: Arc<Templates>,
    /// Since when Redis could not be asked, when this is the last good state and not the present one.
    pub stale_since: Option<Timestamp>,
    /// Nobody else is to have this state: its document is not kept.
    pub is_for_one: bool,
}

/// Why nothing can be served; the text is shown to whoever asks, so it holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

#[derive(Debug, Clone)]
pub struct Answer {
    pub outcome: Outcome,
    /// XML with status 200, else a reason in plain text.
    pub body: Text,
    /// See [`Current::stale_since`].
    pub stale_since: Option<Timestamp>,
}

/// How a request ended; the label `outcome` of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    Served,
    NotFound,
    BadRequest,
    /// No credentials came with it. Where the binding's `auth-scheme` is `any` every request first comes so (FACTS 10).
    Challenged,
    Unauthorized,
    MethodNotAllowed,
    /// The body did not come in time.
    TimedOut,
    TooLarge,
    Unavailable,
    /// A bug of ours: the handler panicked.
    Failed,
    /// The client went away before it had its answer.
    Abandoned,
}

impl Outcome {
    pub const COUNT: usize = Outcome::Abandoned as usize + 1;

    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Served => "served",
            Outcome::NotFound => "not_found",
            Outcome::BadRequest => "bad_request",
            Outcome::Challenged => "challenged",
            Outcome::Unauthorized => "unauthorized",
            Outcome::MethodNotAllowed => "method_not_allowed",
            Outcome::TimedOut => "timed_out",
            Outcome::TooLarge => "too_large",
            Outcome::Unavailable => "unavailable",
            Outcome::Failed => "failed",
            Outcome::Abandoned => "abandoned",
        }
    }

    /// The HTTP status. "Not found" is a 200 to mod_xml_curl, so that it logs no error (FACTS 7).
    pub fn status(self) -> u16 {
        match self {
            Outcome::Served | Outcome::NotFound => 200,
            Outcome::BadRequest => 400,
            Outcome::Challenged | Outcome::Unauthorized => 401,
            Outcome::MethodNotAllowed => 405,
            Outcome::TimedOut | Outcome::Abandoned => 408,
            Outcome::TooLarge => 413,
            Outcome::Failed => 500,
            Outcome::Unavailable => 503,
        }
    }
}

impl Answer {
    /// The constant answer to everything that trunkd does not serve.
    pub fn not_found() -> Self {
        Self::new(Outcome::NotFound, NOT_FOUND.into())
    }

    /// Refuses with a reason that names the fix and no secret.
    pub fn refused(outcome: Outcome, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        reason.push('\n');
        Self::new(outcome, reason.into())
    }

    fn new(outcome: Outcome, body: Text) -> Self {
        Self {
            outcome,
            body,
            stale_since: None,
        }
    }
}

/// Answers a request for `sofia.conf`.
///
/// A profile that no template is for is not found. A gateway that does not exist, is not this profile's, or could not even be
/// a name, gets the profile without gateways: FreeSWITCH then adds none, where at "not found" it would look for the name in
/// the XML on its disk.
pub async fn answer(source: &impl Source, documents: &Documents, request: &SofiaConf) -> Answer {
    let asked = Instant::now();
    let current = match source.desired(request).await {
        Ok(current) => current,
        Err(unavailable) => return Answer::refused(Outcome::Unavailable, unavailable.to_string()),
    };
    let profile = match &request.profile {
        Some(asked) => match profile_name(&current.templates, asked) {
            Some(name) => Some(name),
            None => return Answer::not_found(),
        },
        None => None,
    };
    let query = Query {
        profile,
        gateway: match &request.gateway {
            Gateway::NotAsked => GatewayQuery::None,
            Gateway::All => GatewayQuery::All,
            Gateway::One(name) => GatewayQuery::One(name),
        },
        // Always named: a gateway meant for some switches must not go to one that does not say which it is.
        node: Some(&request.node),
    };
    let found = match request.gateway {
        Gateway::NotAsked | Gateway::All if !current.is_for_one => documents.get(&current, &query, asked).await,
        _ => {
            let document = current
                .templates
                .next_document(&current.desired, &current.key, &query, None);
            Ok(Found {
                document: document.map(|document| document.text().clone()),
                outdated_since: None,
            })
        }
    };
    let (document, outdated_since) = match found {
        Ok(found) => (found.document, found.outdated_since),
        Err(NotWritten) => return Answer::refused(Outcome::Failed, "trunkd failed on this request: its log says more"),
    };
    let answer = match document {
        Some(document) => Answer::new(Outcome::Served, document),
        None => Answer::not_found(),
    };
    Answer {
        stale_since: current.stale_since.or(outdated_since),
        ..answer
    }
}

/// The template's own spelling of a profile: mod_sofia finds a profile in the answer in any case of its letters
/// (config_sofia in sofia.c), so `sofia profile EXTERNAL start` asks for one that exists.
fn profile_name<'a>(templates: &'a Templates, asked: &str) -> Option<&'a str> {
    let names = || templates.profile_names().map(|name| name.as_str());
    names()
        .find(|name| *name == asked)
        .or_else(|| names().find(|name| name.eq_ignore_ascii_case(asked)))
}
