//! Why an operation failed. `Display` is what a person reads; the fields are for programs.

mod chinese;

use std::collections::BTreeSet;
use std::fmt;

use super::files::FilesError;
use super::gateways::bulk::BulkAnswer;
use super::gateways::{GatewayDetail, ProblemField};
use super::listing::QueryError;
use super::placement::{CannotMove, Rebalance};
use super::plan::ShownPlan;
use super::transfer::{DomainOutcome, MAX_PER_DOMAIN, TransferReport};
use crate::access::{AccessError, Forbidden};
use crate::desired::{LastGoodError, Unavailable};
use crate::gateway::{NameError, ValueChange};
use crate::import::ImportError;
use crate::language::Text;
use crate::redis::StoreError;
use crate::settings::{Settings, SettingsError};
use crate::shown::shown;
use crate::sofia_conf::TemplateError;

#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("this is your own password: to change it, give the present one too")]
    OwnPassword,
    #[error("{0} has no password: only users have one")]
    NoPassword(String),
    #[error(transparent)]
    Templates(#[from] TemplateError),
    #[error("templates.default_profile: {0}")]
    DefaultProfile(NameError),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    LastGood(#[from] LastGoodError),
    /// Redis can't be read. For the embedded one that usually means that trunkd doesn't run.
    #[error("{context}{}: {reason}", Unreadable { server })]
    Unreadable {
        /// `None` for the embedded Redis.
        server: Option<String>,
        reason: String,
        /// What else is wrong, before the message.
        context: String,
    },
    #[error("there is no switch \"{}\"; known are {}", shown(name), Known(known))]
    UnknownSwitch { name: String, known: BTreeSet<String> },
    /// The switch doesn't answer, or not as expected.
    #[error("cannot read what the switch {} has: {}", shown(switch), shown(reason))]
    SwitchUnread { switch: String, reason: String },
    #[error("the settings name no switch: add a [[switch]] for each FreeSWITCH")]
    NoSwitch,
    #[error("there is no gateway {0:?}, neither on a switch nor in Redis")]
    UnknownGateway(String),
    #[error("there is no gateway of a domain {0:?}")]
    UnknownDomain(String),
    #[error("reconcile.mode is \"off\", so trunkd changes no switch: set it to \"apply\" or \"observe\"")]
    ModeOff,
    #[error("no trunkd serves this Redis: start `trunkd serve`")]
    NoneServes,
    #[error(
        "the trunkd that serves is not connected to {0}: `trunkd status` and its log say why; or choose another switch"
    )]
    NotConnected(String),
    #[error("too many jobs are waiting for the switch {0}: try again when it has caught up")]
    TooManyJobs(String),
    #[error(
        "FreeSWITCH takes the name \"{0}\" to mean every gateway of the profile: rename the gateway, or restart it"
    )]
    MeansAll(String),
    #[error(
        "there is no last good state in data_dir {0}: run this where `trunkd serve` runs, with its settings and \
         as its user or root"
    )]
    NoLastGood(String),
    #[error(
        "the key of domain {} is a {kind} and no hash: move it away, then run this again",
        shown(domain)
    )]
    WrongType { domain: String, kind: String },
    /// Redis refused a write, or is away. Nothing was written, unless the connection broke before the
    /// answer.
    #[error("nothing was written: {0}")]
    Writing(StoreError),
    #[error("there is no domain \"{}\"", shown(.0))]
    NoSuchDomain(String),
    #[error("the domain \"{}\" has no gateway \"{}\"", shown(domain), shown(gateway))]
    NoSuchGateway { domain: String, gateway: String },
    #[error("no domain has a gateway \"{}\"", shown(.0))]
    InNoDomain(String),
    #[error(
        "several domains have a gateway \"{}\": {}; name one of them",
        shown(gateway),
        Known(domains)
    )]
    InSeveralDomains { gateway: String, domains: BTreeSet<String> },
    #[error("the domain has a gateway \"{}\" already: choose another name", shown(.0))]
    NameTaken(String),
    #[error("the gateway \"{}\" is not served: see its findings", shown(.0))]
    NotServed(String),
    #[error("the gateway \"{}\" can't move to {}: {why}", shown(gateway), shown(to))]
    CannotMove {
        gateway: String,
        to: String,
        why: CannotMove,
    },
    #[error("other moves would be made by now: look at them again")]
    RebalanceChanged(Box<Rebalance>),
    #[error("the value of gateway \"{}\" is no JSON object: replace it whole", shown(.0))]
    NotAnObject(String),
    #[error("the gateway \"{}\" has no secret \"{}\"", shown(gateway), shown(secret))]
    NoSecret { gateway: String, secret: String },
    /// Another version stands there than the one that the write is for.
    #[error("the gateway is not what it was: read it again, and decide whether the change still makes sense")]
    Precondition {
        /// As it is now; `None` if it is gone.
        now: Option<Box<GatewayDetail>>,
    },
    #[error("FreeSWITCH would refuse this gateway")]
    Refused(Vec<ProblemField>),
    #[error("there is no entry \"{}\" in the history", shown(.0))]
    NoSuchEntry(String),
    #[error("this can't be undone: {}", .0.en)]
    CannotRevert(Text),
    /// The gateway was edited after the entry that is to be undone.
    #[error("the gateway was edited since: look at both differences, and force it if it is still right")]
    EditedSince {
        /// What was changed since.
        since: Vec<ValueChange>,
        /// What the revert would change.
        revert: Vec<ValueChange>,
    },
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error("trunkd is stopping")]
    Interrupted,
    #[error("the plan is another one by now: look at it again")]
    PlanChanged(Box<ShownPlan>),
    #[error("to take over gateways that trunkd did not start needs all domains, and yours are only some")]
    AllDomains,
    #[error("these are {chosen} gateways, and at most {most} are changed at once: choose fewer")]
    TooManyGateways { chosen: usize, most: usize },
    #[error("the new values would take more than {most} bytes: change fewer gateways at once")]
    TooManyBytes { most: usize },
    /// Not what the person was shown. Nothing was done.
    #[error("this would be about {now} gateways and not {expected}: look at it again")]
    OtherCount { expected: usize, now: usize },
    /// A change of many gateways ended half-way. What is done stays done, and the same call goes on with
    /// the rest.
    #[error(
        "{} of {} gateways are written, then this failed: {}",
        done.counts.changed, done.counts.matched, bare(cause)
    )]
    BulkStopped { cause: Box<Self>, done: Box<BulkAnswer> },
    /// A list names one gateway twice.
    #[error(
        "the gateway \"{}\" of domain \"{}\" is there twice: {} and {}",
        shown(gateway), shown(domain), shown(&places[0]), shown(&places[1])
    )]
    WantedTwice {
        domain: String,
        gateway: String,
        places: [String; 2],
    },
    #[error("the files name no gateway, so the whole set would be removed: add --allow-empty if that is right")]
    NothingWanted,
    #[error(
        "{changes} gateways of domain \"{}\" would change, and at most {MAX_PER_DOMAIN} are written in one step: \
         use fewer files at once",
        shown(domain)
    )]
    TooManyInDomain { domain: String, changes: usize },
    /// Some domains are written, and then Redis failed. The same transfer goes on with the rest.
    #[error(
        "{} gateways are written, then this failed: {}",
        done.changes(DomainOutcome::Written), bare(cause)
    )]
    TransferStopped {
        cause: Box<Self>,
        done: Box<TransferReport>,
    },
    /// It was written or discarded, or its time is over.
    #[error("this upload is no longer kept: it was written, discarded, or its 15 minutes are over; upload it again")]
    NoSuchUpload,
    #[error("too many imports are being read at the moment: try again when they are done")]
    TooManyUploads,
    #[error("others write the gateway \"{}\" all the time: try again", shown(.0))]
    Contended(String),
}

impl OperateError {
    pub fn unreadable(settings: &Settings, error: impl fmt::Display) -> Self {
        Self::Unreadable {
            server: (!settings.redis.embedded).then(|| settings.redis.shown_url()),
            reason: error.to_string(),
            context: String::new(),
        }
    }

    /// Puts another problem in front.
    pub fn after(self, problem: impl fmt::Display) -> Self {
        match self {
            Self::Unreadable { server, reason, .. } => Self::Unreadable {
                server,
                reason,
                context: format!("{problem}: "),
            },
            error => error,
        }
    }

    /// An error of Redis gets the server's name, others stay.
    #[must_use]
    pub fn naming_server(self, settings: &Settings) -> Self {
        match self {
            Self::Store(error) | Self::Access(AccessError::Store(error)) => Self::unreadable(settings, error),
            error => error,
        }
    }

    /// For `map_err` of errors of Redis.
    pub(super) fn at(settings: &Settings) -> impl Fn(StoreError) -> Self + Copy + '_ {
        move |error| Self::unreadable(settings, error)
    }

    /// For `map_err` of errors of a write.
    pub(super) fn writing(settings: &Settings) -> impl Fn(StoreError) -> Self + Copy + '_ {
        move |error| match error {
            StoreError::Timeout { .. } => Self::unreadable(settings, error),
            error => Self::Writing(error),
        }
    }

    pub(super) fn unavailable(settings: &Settings) -> impl Fn(Unavailable) -> Self + Copy + '_ {
        move |error| Self::unreadable(settings, error)
    }
}

/// Without the claim that nothing was written.
fn bare(error: &OperateError) -> String {
    match error {
        OperateError::Writing(error) => error.to_string(),
        error => error.to_string(),
    }
}

struct Unreadable<'a> {
    server: &'a Option<String>,
}

impl fmt::Display for Unreadable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.server {
            None => f.write_str("the embedded Redis does not answer; it runs while `trunkd serve` does"),
            Some(server) => write!(f, "cannot read Redis at {server}"),
        }
    }
}

struct Known<'a>(&'a BTreeSet<String>);

impl fmt::Display for Known<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none: name yours in [[switch]] of the settings");
        }
        let names: Vec<_> = self.0.iter().map(|name| shown(name).to_string()).collect();
        f.write_str(&names.join(", "))
    }
}
