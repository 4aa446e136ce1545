//! Errors as problem documents (RFC 9457).

use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{self, AccessError};
use crate::gateway::ValueChange;
use crate::language::{Bilingual, Language, Message, Text, message, serialize_in, text};
use crate::operate::OperateError;
use crate::operate::gateways::bulk::BulkAnswer;
use crate::operate::gateways::{GatewayDetail, ProblemField};
use crate::operate::listing::{ListState, QueryError};
use crate::operate::placement::Rebalance;
use crate::operate::plan::ShownPlan;
use crate::operate::transfer::TransferReport;

/// How long a client should wait before it asks again, if Redis is away.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A problem document: what went wrong, and what to do about it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// A short text for the status.
    pub title: &'static str,
    /// A word for programs, such as `no_such_gateway`.
    pub reason: &'static str,
    /// What happened, for people, in the language of the request.
    pub detail: Message,
    /// Each problem of what was sent.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<ProblemError>)]
    pub errors: Box<[ProblemError]>,
    #[serde(flatten)]
    pub now: Option<Box<Now>>,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

/// What is there now, if a write was for something else.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Now {
    /// With status 412: the gateway as it is now, or `null` if it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<Option<Box<GatewayDetail>>>,
    /// If a revert is refused because the gateway was edited since: what was changed since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Vec<ValueChange>>,
    /// And what the revert would change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revert: Option<Vec<ValueChange>>,
    /// If an approval is refused because the plan is another one: the plan now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Box<ShownPlan>>,
    /// If a rebalance is refused because other moves would be made: those.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rebalance: Option<Box<Rebalance>>,
    /// If a change of many gateways failed half-way: what is done, and what is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bulk: Option<Box<BulkAnswer>>,
    /// If an import failed half-way: which domains are written, and which are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import: Option<Box<TransferReport>>,
}

/// A problem at one place of what was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ProblemError {
    /// A JSON pointer into the body, or the name of a parameter; empty for the whole.
    pub pointer: String,
    pub reason: Message,
    pub fix: Message,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, reason: &'static str, detail: impl Into<Message>) -> Self {
        Self {
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or_default(),
            reason,
            detail: detail.into(),
            errors: Box::default(),
            now: None,
            retry_after: None,
        }
    }

    /// What was sent makes no sense.
    pub(crate) fn bad_request(pointer: impl Into<String>, reason: impl Into<Message>, fix: impl Into<Message>) -> Self {
        let reason = reason.into();
        let mut problem = Self::new(StatusCode::BAD_REQUEST, "bad_request", reason.clone());
        problem.errors = Box::new([ProblemError {
            pointer: pointer.into(),
            reason,
            fix: fix.into(),
        }]);
        problem
    }

    /// The same at a place inside of the body.
    pub(crate) fn inside(mut self, place: &str) -> Self {
        for error in &mut self.errors {
            error.pointer.insert_str(0, place);
        }
        self
    }

    pub(crate) fn unauthorized(detail: Text) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "not_signed_in", detail)
    }

    fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// For a word of `state` that there isn't.
    fn unknown_state() -> Self {
        let groups = ListState::ALL.map(ListState::as_str).join(", ");
        Self::bad_request(
            "state",
            text("there is no such state", "没有这样的状态"),
            message!(
                "write some of {groups}, or FreeSWITCH's own words, such as REGED or FAIL_WAIT",
                "可用 {groups}，或者 FreeSWITCH 自己的词，例如 REGED 或 FAIL_WAIT"
            ),
        )
    }

    fn of_access(error: &AccessError) -> Self {
        let (status, reason) = match error {
            AccessError::Store(_) => {
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, "redis_unavailable", error.message())
                    .retry_after(RETRY_AFTER);
            }
            AccessError::TooMany { retry_after } => {
                return Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", error.message())
                    .retry_after(*retry_after);
            }
            AccessError::Busy => {
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", error.message())
                    .retry_after(Duration::from_secs(1));
            }
            AccessError::WrongCredentials => (StatusCode::UNAUTHORIZED, "wrong_credentials"),
            AccessError::WrongSetupCode => (StatusCode::UNAUTHORIZED, "wrong_setup_code"),
            AccessError::UnknownUser(_) => (StatusCode::NOT_FOUND, "no_such_user"),
            AccessError::UnknownToken(_) => (StatusCode::NOT_FOUND, "no_such_token"),
            AccessError::UserExists(_) | AccessError::TokenExists(_) => (StatusCode::CONFLICT, "name_taken"),
            AccessError::LastAdmin(_) => (StatusCode::CONFLICT, "last_admin"),
            AccessError::UserChanged(_) => (StatusCode::CONFLICT, "changed_meanwhile"),
            AccessError::Full { .. } => (StatusCode::CONFLICT, "full"),
            AccessError::BadName(_)
            | AccessError::PasswordTooShort { .. }
            | AccessError::PasswordTooLong { .. }
            | AccessError::AdminOfSomeDomains
            | AccessError::NoDomains => (StatusCode::UNPROCESSABLE_ENTITY, "refused"),
            AccessError::Hash(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        Self::new(status, reason, error.message())
    }
}

impl From<OperateError> for Problem {
    fn from(error: OperateError) -> Self {
        let (status, reason) = match &error {
            OperateError::Forbidden(access::Forbidden::Role { .. }) => (StatusCode::FORBIDDEN, "role_too_low"),
            OperateError::Forbidden(access::Forbidden::Domain { .. }) => (StatusCode::FORBIDDEN, "domain_not_yours"),
            OperateError::Access(error) => return Self::of_access(error),
            OperateError::Query(QueryError::State { .. }) => return Self::unknown_state(),
            OperateError::BulkStopped { .. } | OperateError::TransferStopped { .. } => return Self::of_stopped(error),
            OperateError::TooManyGateways { .. }
            | OperateError::TooManyBytes { .. }
            | OperateError::TooManyInDomain { .. } => (StatusCode::BAD_REQUEST, "too_many_gateways"),
            OperateError::WantedTwice { .. }
            | OperateError::NothingWanted
            | OperateError::Files(_)
            | OperateError::Query(QueryError::Cursor) => (StatusCode::BAD_REQUEST, "bad_request"),
            OperateError::Interrupted => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            OperateError::NoSuchDomain(_) | OperateError::UnknownDomain(_) => (StatusCode::NOT_FOUND, "no_such_domain"),
            OperateError::NoSuchGateway { .. } | OperateError::UnknownGateway(_) | OperateError::InNoDomain(_) => {
                (StatusCode::NOT_FOUND, "no_such_gateway")
            }
            OperateError::NoSuchUpload => (StatusCode::NOT_FOUND, "no_such_upload"),
            OperateError::NoSecret { .. } => (StatusCode::NOT_FOUND, "no_such_secret"),
            OperateError::NotServed(_) => (StatusCode::NOT_FOUND, "not_served"),
            OperateError::CannotMove { .. } => (StatusCode::CONFLICT, "cannot_move"),
            OperateError::RebalanceChanged(_) => (StatusCode::CONFLICT, "rebalance_changed"),
            OperateError::NoSuchEntry(_) => (StatusCode::NOT_FOUND, "no_such_entry"),
            OperateError::UnknownSwitch { .. } | OperateError::NoSwitch => (StatusCode::NOT_FOUND, "no_such_switch"),
            OperateError::NameTaken(_) => (StatusCode::CONFLICT, "name_taken"),
            OperateError::InSeveralDomains { .. } => (StatusCode::CONFLICT, "several_domains"),
            OperateError::NotAnObject(_) => (StatusCode::CONFLICT, "not_an_object"),
            OperateError::EditedSince { .. } => (StatusCode::CONFLICT, "edited_since"),
            OperateError::CannotRevert(_) => (StatusCode::CONFLICT, "cannot_revert"),
            OperateError::PlanChanged(_) => (StatusCode::CONFLICT, "plan_changed"),
            OperateError::AllDomains => (StatusCode::FORBIDDEN, "domain_not_yours"),
            OperateError::OtherCount { .. } => (StatusCode::CONFLICT, "changed_meanwhile"),
            OperateError::Contended(_) => (StatusCode::CONFLICT, "contended"),
            OperateError::WrongType { .. } => (StatusCode::CONFLICT, "wrong_type"),
            OperateError::ModeOff => (StatusCode::CONFLICT, "mode_off"),
            OperateError::NoneServes => (StatusCode::CONFLICT, "none_serves"),
            OperateError::NotConnected(_) => (StatusCode::CONFLICT, "switch_not_connected"),
            OperateError::SwitchUnread { .. } => (StatusCode::CONFLICT, "switch_not_connected"),
            OperateError::Import(_) => (StatusCode::UNPROCESSABLE_ENTITY, "unreadable"),
            OperateError::NoLastGood(_) | OperateError::LastGood(_) => (StatusCode::CONFLICT, "no_last_good_state"),
            OperateError::Precondition { .. } => (StatusCode::PRECONDITION_FAILED, "changed_meanwhile"),
            OperateError::Refused(_) | OperateError::MeansAll(_) => (StatusCode::UNPROCESSABLE_ENTITY, "refused"),
            OperateError::TooManyJobs(_) | OperateError::TooManyUploads => {
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", error.message()).retry_after(RETRY_AFTER);
            }
            OperateError::Unreadable { .. } | OperateError::Store(_) => {
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, "redis_unavailable", error.message())
                    .retry_after(RETRY_AFTER);
            }
            OperateError::Writing(_) => {
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, "redis_refused", error.message())
                    .retry_after(RETRY_AFTER);
            }
            OperateError::OwnPassword | OperateError::NoPassword(_) => (StatusCode::UNPROCESSABLE_ENTITY, "refused"),
            OperateError::Settings(_) | OperateError::Templates(_) | OperateError::DefaultProfile(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "settings")
            }
        };
        Self::new(status, reason, error.message()).with_details(error)
    }
}

impl Problem {
    /// Ended half-way: the cause, and what is done.
    fn of_stopped(error: OperateError) -> Self {
        let detail = error.message();
        match error {
            OperateError::BulkStopped { cause, done } => Self {
                detail,
                ..Self::from(*cause).now(Now {
                    bulk: Some(done),
                    ..Now::default()
                })
            },
            OperateError::TransferStopped { cause, done } => Self {
                detail,
                ..Self::from(*cause).now(Now {
                    import: Some(done),
                    ..Now::default()
                })
            },
            error => Self::from(error),
        }
    }

    fn now(self, now: Now) -> Self {
        Self {
            now: Some(Box::new(now)),
            ..self
        }
    }

    fn with_details(self, error: OperateError) -> Self {
        match error {
            OperateError::Refused(problems) => Self {
                errors: problems.into_iter().map(ProblemError::from).collect(),
                ..self
            },
            OperateError::Precondition { now } => self.now(Now {
                current: Some(now),
                ..Now::default()
            }),
            OperateError::PlanChanged(plan) => self.now(Now {
                plan: Some(plan),
                ..Now::default()
            }),
            OperateError::RebalanceChanged(rebalance) => self.now(Now {
                rebalance: Some(rebalance),
                ..Now::default()
            }),
            OperateError::EditedSince { since, revert } => self.now(Now {
                since: Some(since),
                revert: Some(revert),
                ..Now::default()
            }),
            _ => self,
        }
    }

    /// The answer in this language.
    pub(super) fn in_language(&self, language: Language) -> HttpResponse {
        let mut response = serialize_in(language, || self.error_response());
        let headers = response.headers_mut();
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Language"));
        headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
        response
    }
}

impl From<ProblemField> for ProblemError {
    fn from(problem: ProblemField) -> Self {
        Self {
            pointer: problem.pointer,
            reason: problem.reason,
            fix: problem.fix,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail.en())
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((header::CONTENT_TYPE, "application/problem+json"));
        if let Some(after) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, after.as_millis().div_ceil(1000).to_string()));
        }
        if self.status == StatusCode::UNAUTHORIZED.as_u16() {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"trunkd\""));
        }
        let current = self.now.as_ref().and_then(|now| now.current.as_ref()?.as_ref());
        if let Some(etag) = current.and_then(|current| current.etag.as_ref()) {
            response.insert_header((header::ETAG, format!("\"{}\"", etag.as_str())));
        }
        response.json(self)
    }
}
