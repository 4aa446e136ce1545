//! A response to mod_xml_curl, without the HTTP around it.

use jiff::Timestamp;

use crate::sofia_conf::{NOT_FOUND, Text};

/// FreeSWITCH discards a larger response, unless its binding sets `response-max-bytes` (FACTS 5).
pub const FREESWITCH_MAX_BYTES: usize = 1024 * 1024;

#[derive(Debug, Clone)]
pub struct Response {
    pub outcome: RequestOutcome,
    /// XML with status 200, else a reason in plain text.
    pub body: Text,
    /// Since when the document is out of date, if it is.
    pub stale_since: Option<Timestamp>,
}

/// How a request ended; the label `outcome` of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequestOutcome {
    Served,
    NotFound,
    BadRequest,
    /// It came without credentials. If the binding's `auth-scheme` is `any`, every request first
    /// comes that way (FACTS 10).
    Challenged,
    Unauthorized,
    MethodNotAllowed,
    /// The body did not arrive in time.
    TimedOut,
    TooLarge,
    Unavailable,
    /// The handler panicked, which is a bug of trunkd.
    Failed,
    /// The client went away before it had its answer.
    Abandoned,
}

impl RequestOutcome {
    pub const ALL: [Self; 11] = [
        Self::Served,
        Self::NotFound,
        Self::BadRequest,
        Self::Challenged,
        Self::Unauthorized,
        Self::MethodNotAllowed,
        Self::TimedOut,
        Self::TooLarge,
        Self::Unavailable,
        Self::Failed,
        Self::Abandoned,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::NotFound => "not_found",
            Self::BadRequest => "bad_request",
            Self::Challenged => "challenged",
            Self::Unauthorized => "unauthorized",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TimedOut => "timed_out",
            Self::TooLarge => "too_large",
            Self::Unavailable => "unavailable",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }

    /// The HTTP status. "Not found" is a 200, so that mod_xml_curl logs no error (FACTS 7).
    pub fn status(self) -> u16 {
        match self {
            Self::Served | Self::NotFound => 200,
            Self::BadRequest => 400,
            Self::Challenged | Self::Unauthorized => 401,
            Self::MethodNotAllowed => 405,
            Self::TimedOut | Self::Abandoned => 408,
            Self::TooLarge => 413,
            Self::Failed => 500,
            Self::Unavailable => 503,
        }
    }
}

impl Response {
    /// The constant response to everything that trunkd does not serve.
    pub fn not_found() -> Self {
        Self::new(RequestOutcome::NotFound, NOT_FOUND.into())
    }

    /// A refusal. `reason` names the fix, and no secret.
    pub fn refused(outcome: RequestOutcome, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        reason.push('\n');
        Self::new(outcome, reason.into())
    }

    /// The refusal of a request whose handler panicked.
    pub fn failed() -> Self {
        Self::refused(
            RequestOutcome::Failed,
            "trunkd failed on this request: its log says more",
        )
    }

    pub(super) fn new(outcome: RequestOutcome, body: Text) -> Self {
        Self {
            outcome,
            body,
            stale_since: None,
        }
    }
}
