//! What runs on a switch, for readers in other rooms: the executor, the API.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Ingest;
use super::state::Connection;
use super::usable::is_refused_for_good;
pub use super::view::Cursor;
use super::view::{Changes as ChangedGateways, View};
use crate::carriers::{Attempt, Registration};
use crate::control::Signal;
use crate::event_socket::{Changes, Commands, QueryError};
use crate::gateway::GatewayName;
use crate::liveness::EventSocket;
use crate::observed::Row;
use crate::registration::State;

/// What changed on a switch since a reader's cursor, or all that runs on it.
#[derive(Debug, Clone)]
pub struct RunningChanges {
    /// There are no gateways but these. Otherwise all others are unchanged.
    pub is_complete: bool,
    pub gateways: Vec<RunningGateway>,
    pub removed: Vec<Arc<str>>,
    /// The profiles that run.
    pub profiles: BTreeSet<String>,
    /// Second gateways of a name, each with the other profile that it is in (FACTS 18).
    pub ghosts: Vec<(Arc<str>, String)>,
}

#[derive(Debug, Clone)]
pub struct RunningGateway {
    pub name: Arc<str>,
    /// `None` until an event or a snapshot names it.
    pub profile: Option<String>,
    pub state: Option<State>,
    /// How its registration stands. `None` if it is REGED or never registers.
    pub registration: Option<Registration>,
    /// `None` until the switch was asked; then its answer.
    pub revision: Option<Option<String>>,
    /// Whether calls can use it; `None` if unknown.
    pub usable: Option<bool>,
    /// Why not, if known: `403 Forbidden`.
    pub reason: Option<String>,
    /// Whether the carrier won't answer anything else to the same registration.
    pub is_refused_for_good: bool,
}

impl EventSocket for Ingest {
    fn switch(&self) -> &str {
        Ingest::switch(self)
    }

    fn signal(&self) -> Signal {
        match &self.lock().connection {
            Connection::Up { pulse, .. } => Signal::alive(pulse.owed_for()),
            Connection::Down {
                since, was_up: true, ..
            } => Signal::lost(since.elapsed()),
            Connection::Down { since, .. } => Signal::never(since.elapsed()),
        }
    }

    fn doubt(&self) {
        if let Connection::Up { pulse, .. } = &self.lock().connection {
            pulse.doubt();
        }
    }

    fn commands(&self) -> Option<Commands> {
        Ingest::commands(self).map(|(commands, _)| commands)
    }
}

impl Ingest {
    /// Whether the switch is connected and its gateways were read.
    pub fn is_known(&self) -> bool {
        self.lock().is_known()
    }

    /// What changed since `cursor`, which moves on. `None`, and the cursor stays, while it is not known what runs.
    ///
    /// Each reader keeps a cursor of its own and calls this whenever [`Ingest::changed`] says so. A
    /// reader that fell far behind gets everything.
    pub fn changes_since(&self, cursor: &mut Cursor) -> Option<RunningChanges> {
        let state = self.lock();
        if !state.is_known() {
            return None;
        }
        let profiles = state.profiles.clone()?;
        let ghosts = state.view.ghosts().to_vec();
        let (is_complete, names) = match state.view.changes_since(cursor) {
            ChangedGateways::All => (true, state.view.rows().map(|(name, _)| name.clone()).collect()),
            ChangedGateways::Only(names) => (false, names),
        };
        let (mut gateways, mut removed) = (Vec::with_capacity(names.len()), Vec::new());
        for name in names {
            match state.view.row(&name) {
                Some(row) => gateways.push(running(name, row, &state.view)),
                None => removed.push(name),
            }
        }
        Some(RunningChanges {
            is_complete,
            gateways,
            removed,
            profiles,
            ghosts,
        })
    }

    /// Changes whenever [`Ingest::changes_since`] may have something new.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// The revisions of the live gateways of this run of FreeSWITCH that are not being removed. `None` while it is not
    /// known what runs, or when the switch is in another run.
    pub fn revisions(&self, core_uuid: &str) -> Option<HashMap<Arc<str>, String>> {
        let state = self.lock();
        if !state.is_known() || !state.is_run(core_uuid) {
            return None;
        }
        let live = state.view.rows().filter(|(name, row)| {
            let is_leaving = matches!(row.state, Some(State::Unregister | State::Down));
            !is_leaving && state.view.is_revision_known(name)
        });
        Some(
            live.filter_map(|(name, row)| Some((name.clone(), row.revision.clone()?)))
                .collect(),
        )
    }

    /// The gateways that could carry calls when the switch was last heard of.
    pub fn usable(&self) -> HashSet<Arc<str>> {
        self.lock().usable()
    }

    /// The live gateway of that name, if there is one; it may be waiting for its deletion. The outer `None` while it
    /// is not known what runs.
    pub fn running(&self, gateway: &str) -> Option<Option<RunningGateway>> {
        let state = self.lock();
        state.is_known().then(|| {
            let row = state.view.row(gateway)?;
            Some(running(gateway.into(), row, &state.view))
        })
    }

    /// A number that distinguishes the live gateway of that name, if there is one, from its
    /// successors. The outer `None` while it is not known what runs.
    pub fn instance(&self, gateway: &str) -> Option<Option<u64>> {
        let state = self.lock();
        state.is_known().then(|| state.view.instance(gateway))
    }

    /// What is known of the registration of the live gateway of that name.
    pub fn attempt(&self, gateway: &str) -> Option<Attempt> {
        let state = self.lock();
        let row = state.view.row(gateway)?;
        Some(Attempt {
            instance: state.view.instance(gateway)?,
            since: row.since,
            progress: row.state.as_ref().into(),
        })
    }

    /// The commands connection, while the switch is connected.
    pub fn commands(&self) -> Option<(Commands, Changes)> {
        match &self.lock().connection {
            Connection::Up { commands, changes, .. } => Some((commands.clone(), changes.clone())),
            Connection::Down { .. } => None,
        }
    }

    /// Asks the switch for the revisions of live gateways and records them. Returns them in the order of the names, of
    /// which there may be [`crate::event_socket::SNAPSHOT_CHUNK`].
    ///
    /// # Errors
    /// As [`Commands::revisions`].
    pub async fn ask_revisions(
        &self,
        commands: &Commands,
        names: &[GatewayName],
    ) -> Result<Vec<Option<String>>, QueryError> {
        let instances: Vec<_> = {
            let state = self.lock();
            names.iter().map(|name| state.view.instance(name.as_str())).collect()
        };
        let revisions = commands.revisions(names).await?;
        let mut is_unstored = false;
        let mut state = self.lock();
        for ((name, instance), revision) in names.iter().zip(instances).zip(&revisions) {
            if let Some(instance) = instance {
                is_unstored |= state.view.set_revision(name.as_str(), instance, revision.clone());
            }
        }
        drop(state);
        if is_unstored {
            self.lookup_within(self.timing.settle);
        }
        self.notify_readers();
        Ok(revisions)
    }

    /// The switch asks for its configuration, as it does when it starts: connect soon.
    pub fn switch_starts(&self) {
        self.lock().started_at = Some(Instant::now());
        self.switch_starts.notify_one();
    }

    /// Something is not as expected: take a snapshot soon.
    pub fn snapshot_soon(&self) {
        self.snapshot_within(self.timing.settle);
    }

    /// mod_sofia does not answer, so it is not known what runs until it was read again.
    pub fn not_ready(&self) {
        self.lock().profiles = None;
        self.notify_readers();
        self.snapshot_soon();
    }
}

fn running(name: Arc<str>, row: &Row, view: &View) -> RunningGateway {
    RunningGateway {
        profile: row.profile.clone(),
        state: row.state.clone(),
        registration: registration(row),
        revision: view.is_revision_known(&name).then(|| row.revision.clone()),
        usable: row.usable,
        reason: row.reason.clone(),
        is_refused_for_good: is_refused_for_good(row),
        name,
    }
}

fn registration(row: &Row) -> Option<Registration> {
    let is_in_order = matches!(row.state, Some(State::Reged | State::Noreg));
    (!is_in_order).then(|| Registration {
        state: row.state.clone(),
        down_since: row.usable_since.filter(|_| row.usable == Some(false)),
        // It stays while the next try is under way.
        has_failed: row.reason.is_some(),
        refused: row.refused.clone(),
    })
}
