//! A live event.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::super::Caller;
use super::position::LivePosition;
use crate::access::Role;

/// One event, ready to be sent.
#[derive(Debug, Clone)]
pub struct LiveEvent {
    pub kind: LiveKind,
    pub domain: Option<Arc<str>>,
    pub gateway: Option<Arc<str>>,
    pub(super) is_about_people: bool,
    /// Only for who sees all domains, or only for all others. `None`: for both.
    pub(super) for_all_domains: Option<bool>,
    /// JSON in one line.
    pub(super) data: String,
    /// As a server-sent event: `id`, `event` and `data`.
    pub text: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveKind {
    /// A gateway's state on a switch.
    Gateway,
    /// A switch was connected, lost, or taken out.
    Switch,
    /// What is held, paused or left to do on a switch.
    Plan,
    /// An entry of the history.
    History,
    /// Events were missed: read everything again.
    Resync,
    /// Redis can't be read any more, or can be again.
    Redis,
}

impl LiveKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Switch => "switch",
            Self::Plan => "plan",
            Self::History => "history",
            Self::Resync => "resync",
            Self::Redis => "redis",
        }
    }
}

impl LiveEvent {
    pub(super) fn new(kind: LiveKind, data: &impl Serialize) -> Self {
        Self {
            kind,
            domain: None,
            gateway: None,
            is_about_people: false,
            for_all_domains: None,
            data: serde_json::to_string(data).unwrap_or_default(),
            text: Bytes::new(),
        }
    }

    pub(super) fn at(mut self, position: &LivePosition) -> Self {
        let Self { kind, data, .. } = &self;
        self.text = format!("id: {position}\nevent: {}\ndata: {data}\n\n", kind.as_str()).into();
        self.data = String::new();
        self
    }
}

impl LiveEvent {
    /// Whether the caller may see it.
    pub fn is_for(&self, caller: &Caller) -> bool {
        if self.for_all_domains.is_some_and(|all| all != caller.sees_all()) {
            return false;
        }
        match self.kind {
            LiveKind::Gateway => caller.sees_in(self.domain.as_deref()),
            // As in the history itself.
            LiveKind::History => match (&self.domain, &self.gateway) {
                (None, None) => self.may_see_people(caller),
                (domain, _) => caller.sees_in(domain.as_deref()),
            },
            LiveKind::Switch | LiveKind::Plan | LiveKind::Resync | LiveKind::Redis => true,
        }
    }

    fn may_see_people(&self, caller: &Caller) -> bool {
        !self.is_about_people || caller.requires(Role::Admin).is_ok()
    }
}
