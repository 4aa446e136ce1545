//! The desired gateways and a switch, as the executor needs them: the implementors of `reconcile`'s
//! traits.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use super::source::LiveSource;
use crate::carriers::Attempt;
use crate::event_socket::{Changes, Commands, QueryError};
use crate::gateway::GatewayName;
use crate::ingest::{Cursor, Ingest};
use crate::reconcile::{DesiredSource, Known, Listed, Refreshed, RunningSource, Seen, Switch, Unknown, Wanted};

impl DesiredSource for LiveSource {
    async fn wanted(&self) -> Option<Wanted> {
        let current = self.all().await.ok()?;
        // A stale state is good enough to be served, but not to kill gateways by.
        current.stale.is_none().then_some(Wanted {
            desired: current.desired,
            key: current.key,
        })
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// A switch as `ingest` knows it, with the executor's place among its changes.
pub(super) struct LiveSwitch(pub(super) Arc<Ingest>, pub(super) Mutex<Cursor>);

impl RunningSource for LiveSwitch {
    fn revisions(&self, core_uuid: &str) -> Option<HashMap<Arc<str>, String>> {
        self.0.revisions(core_uuid)
    }

    fn usable(&self) -> HashSet<Arc<str>> {
        self.0.usable()
    }

    fn starts(&self) {
        self.0.switch_starts();
    }
}

impl Switch for LiveSwitch {
    fn name(&self) -> &str {
        self.0.switch()
    }

    fn is_known(&self) -> bool {
        self.0.is_known()
    }

    fn refresh(&self, known: &mut Known) -> Result<Refreshed, Unknown> {
        // The value is replaced whole.
        let mut cursor = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let running = self.0.changes_since(&mut cursor).ok_or(Unknown)?;
        let now = Instant::now();
        let ghosts = running.ghosts.iter().map(|(name, profile)| (&**name, profile.as_str()));
        let profiles = running.profiles.iter().map(String::as_str);
        let gateways = running.gateways.iter().map(|gateway| Listed {
            name: &gateway.name,
            profile: gateway.profile.as_deref(),
            state: gateway.state.as_ref(),
            registration: gateway.registration.as_ref(),
            revision: gateway.revision.as_ref().map(Option::as_deref),
            seen: Seen {
                usable: gateway.usable,
                reason: gateway.reason.clone(),
                is_refused_for_good: gateway.is_refused_for_good,
            },
        });
        if running.is_complete {
            *known = Known::new(profiles, ghosts, gateways, now);
            return Ok(Refreshed::All);
        }
        known.set_profiles_and_ghosts(profiles, ghosts);
        let mut changed = Vec::with_capacity(running.gateways.len() + running.removed.len());
        for listed in gateways {
            if let Ok(name) = GatewayName::parse(listed.name) {
                known.set(name.clone(), &listed, now);
                changed.push(name);
            }
        }
        for name in running.removed.iter().filter_map(|name| GatewayName::parse(name).ok()) {
            known.forget(&name);
            changed.push(name);
        }
        Ok(Refreshed::Changes(changed))
    }

    fn instance(&self, gateway: &GatewayName) -> Result<Option<u64>, Unknown> {
        self.0.instance(gateway.as_str()).ok_or(Unknown)
    }

    fn attempt(&self, gateway: &GatewayName) -> Option<Attempt> {
        self.0.attempt(gateway.as_str())
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed()
    }

    fn commands(&self) -> Option<(Commands, Changes)> {
        self.0.commands()
    }

    async fn ask_revisions(
        &self,
        commands: &Commands,
        gateways: &[GatewayName],
    ) -> Result<Vec<Option<String>>, QueryError> {
        self.0.ask_revisions(commands, gateways).await
    }

    fn survey_soon(&self) {
        self.0.snapshot_soon();
    }

    fn not_ready(&self) {
        self.0.not_ready();
    }
}
