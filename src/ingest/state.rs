//! What the tasks of one switch share, behind one lock.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::backlog::Backlog;
use super::schedule::Schedule;
use super::snapshot::RunIdentity;
use super::view::View;
use crate::event_socket::{Changes, Commands, Pulse};
use crate::observed::Sighting;

/// FreeSWITCH accepts connections only after all its modules are loaded.
const STARTING: Duration = Duration::from_secs(15);

pub(super) struct SwitchState {
    pub(super) view: View,
    /// The profiles that run; `None` until the first snapshot of this run was applied.
    pub(super) profiles: Option<BTreeSet<String>>,
    /// This run of the switch has announced its end.
    pub(super) is_shutting_down: bool,
    /// What could carry calls before it did: FreeSWITCH deletes its gateways one by one then.
    pub(super) usable_before: HashSet<Arc<str>>,
    pub(super) backlog: Backlog,
    /// When the batch that is being written was first tried.
    pub(super) writing_since: Option<Instant>,
    pub(super) connection: Connection,
    pub(super) schedule: Schedule,
    /// When it last asked for the configuration of a profile that starts.
    pub(super) started_at: Option<Instant>,
}

pub(super) enum Connection {
    Up {
        commands: Commands,
        changes: Changes,
        identity: RunIdentity,
        since: Timestamp,
        pulse: Arc<Pulse>,
    },
    Down {
        /// Since when it has not answered.
        since: Instant,
        /// When that was noticed, by the wall clock.
        at: Timestamp,
        /// The last error.
        reason: Option<String>,
        /// Whether a connection was lost; if not, there was none yet.
        was_up: bool,
        /// The last sighting of the switch, in ms by Redis's clock, when its states were marked stale.
        stale_as_of_ms: Option<u64>,
    },
}

impl SwitchState {
    pub(super) fn new(view: View, backlog: Backlog, now: Instant) -> Self {
        Self {
            view,
            profiles: None,
            is_shutting_down: false,
            usable_before: HashSet::new(),
            backlog,
            writing_since: None,
            connection: Connection::none(),
            schedule: Schedule::new(now),
            started_at: None,
        }
    }

    /// The gateways that could carry calls when the switch was last heard of.
    pub(super) fn usable(&self) -> HashSet<Arc<str>> {
        if self.is_shutting_down {
            return self.usable_before.clone();
        }
        let usable = self.view.rows().filter(|(_, row)| row.usable == Some(true));
        usable.map(|(name, _)| name.clone()).collect()
    }

    /// Whether it may accept connections at any moment.
    pub(super) fn is_starting(&self) -> bool {
        self.started_at.is_some_and(|at| at.elapsed() < STARTING)
    }

    /// The switch is connected, and its gateways were read.
    pub(super) fn is_known(&self) -> bool {
        let is_up = matches!(&self.connection, Connection::Up { commands, .. } if !commands.is_over());
        is_up && !self.is_shutting_down && self.profiles.is_some()
    }

    /// Whether we are still connected to this run.
    pub(super) fn is_run(&self, core_uuid: &str) -> bool {
        matches!(&self.connection, Connection::Up { identity, .. } if identity.core_uuid == core_uuid)
    }
}

impl Connection {
    /// There was none yet.
    pub(super) fn none() -> Self {
        Self::Down {
            since: Instant::now(),
            at: Timestamp::now(),
            was_up: false,
            reason: None,
            stale_as_of_ms: None,
        }
    }

    /// What it is once it was lost for this reason.
    pub(super) fn lost(&self, reason: String) -> Self {
        let (now, owed_for) = (Instant::now(), self.owed_for());
        Self::Down {
            since: now.checked_sub(owed_for).unwrap_or(now),
            at: Timestamp::now(),
            was_up: true,
            reason: Some(reason),
            stale_as_of_ms: None,
        }
    }

    /// How long the switch has owed a sign of life.
    pub(super) fn owed_for(&self) -> Duration {
        match self {
            Self::Up { pulse, .. } => pulse.owed_for(),
            Self::Down { .. } => Duration::ZERO,
        }
    }

    pub(super) fn sighting(&self) -> Sighting {
        match self {
            Self::Up { identity, since, .. } => Sighting::Connected {
                core_uuid: identity.core_uuid.clone(),
                since: *since,
            },
            Self::Down { at, reason, .. } => Sighting::Disconnected {
                since: *at,
                reason: reason.clone(),
            },
        }
    }
}
