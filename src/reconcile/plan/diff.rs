//! Compares the desired with the actual state of one switch and makes the plan. Pure: no async, no
//! I/O, no clock.
//!
//! The differing gateways are tracked as either side changes, so the cost of a plan depends on the
//! number of differences, not of gateways.
//!
//! *Ours* is a gateway that carries a revision. Any other gateway is never killed or restarted
//! unless an operator asked for it by name (`adopt`). Only differing gateways are touched, because
//! each restart costs FreeSWITCH memory until the profile restarts (FACTS 28).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use crate::control::Conflict;
use crate::gateway::{Gateway, GatewayName, ProfileName, RevisionKey, former_revisions, revision};

/// A gateway as it should be on this switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Want {
    pub profile: ProfileName,
    /// A digest of everything that matters to FreeSWITCH.
    pub revision: String,
    /// The revisions of the same version under keys that were replaced since. A gateway that runs
    /// with one of them is not restarted.
    #[serde(skip)]
    pub former: Box<[String]>,
    /// Whether FreeSWITCH registers it: its start sends a REGISTER to the carrier.
    pub registers: bool,
    #[serde(serialize_with = "domain_text")]
    pub domain: Arc<str>,
}

impl Want {
    pub fn of(gateway: &Gateway, key: &RevisionKey) -> Self {
        Self {
            profile: gateway.profile.clone(),
            revision: revision(gateway, key),
            former: former_revisions(gateway, key),
            registers: gateway.registers(),
            domain: gateway.domain.clone(),
        }
    }

    /// Whether a revision that was read from a switch is of this version.
    pub fn is_revision(&self, revision: &str) -> bool {
        revision == self.revision || self.former.iter().any(|former| former == revision)
    }

    /// Whether this is what runs.
    fn is_run_as(&self, have: &Have) -> bool {
        let revision = have.revision.as_deref();
        have.profile == self.profile && revision.is_some_and(|revision| self.is_revision(revision))
    }
}

/// A gateway as the switch runs it: the one that FreeSWITCH finds under its name, not a ghost and
/// not one that waits to be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Have {
    pub profile: ProfileName,
    /// `None`: not ours.
    pub revision: Option<String>,
    /// Whether its state is other than NOREG: then a kill takes one more tick, and perhaps an
    /// un-REGISTER (FACTS 22).
    pub registers: bool,
}

impl Have {
    pub fn is_ours(&self) -> bool {
        self.revision.is_some()
    }
}

/// What a switch runs. Built only from complete reads: a failed read is never an empty `Actual`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Actual {
    pub gateways: BTreeMap<GatewayName, Have>,
    /// The running profiles.
    pub profiles: BTreeSet<ProfileName>,
    /// Second gateways with the same name, in another profile than the one that FreeSWITCH finds
    /// under that name (FACTS 18).
    pub ghosts: BTreeSet<(GatewayName, ProfileName)>,
}

impl Actual {
    /// The names of the gateways that carry a revision.
    pub fn ours(&self) -> BTreeSet<GatewayName> {
        let ours = self.gateways.iter().filter(|(_, have)| have.is_ours());
        ours.map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn count_ours(&self) -> usize {
        self.gateways.values().filter(|have| have.is_ours()).count()
    }
}

/// One change of one gateway. In JSON:
/// `{"action": "restart", "gateway": …, "from": {…}, "to": {…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "lowercase")]
pub enum Action {
    Start {
        gateway: GatewayName,
        to: Want,
    },
    /// Kill in the old profile, then start in the new one. They are usually the same.
    Restart {
        gateway: GatewayName,
        from: Have,
        to: Want,
    },
    Kill {
        gateway: GatewayName,
        from: Have,
    },
}

impl Action {
    pub fn gateway(&self) -> &GatewayName {
        match self {
            Self::Start { gateway, .. } | Self::Restart { gateway, .. } | Self::Kill { gateway, .. } => gateway,
        }
    }

    /// The gateway to kill.
    pub fn from(&self) -> Option<&Have> {
        match self {
            Self::Start { .. } => None,
            Self::Restart { from, .. } | Self::Kill { from, .. } => Some(from),
        }
    }

    /// The gateway to start.
    pub fn to(&self) -> Option<&Want> {
        match self {
            Self::Start { to, .. } | Self::Restart { to, .. } => Some(to),
            Self::Kill { .. } => None,
        }
    }

    /// Whether `startgw` must wait for the `gateway_delete` of the killed gateway.
    ///
    /// A gateway that doesn't register has no REGISTER to race with (FACTS 23), so its successor
    /// may start without waiting. In another profile it must still wait: FreeSWITCH would forget
    /// the old gateway by its bare name, keep it under `profile::name`, and make a ghost of any
    /// gateway that comes back there.
    pub fn awaits_deletion(&self) -> bool {
        match self {
            Self::Restart { from, to, .. } => from.registers || from.profile != to.profile,
            Self::Start { .. } | Self::Kill { .. } => false,
        }
    }
}

/// The smallest change that makes a switch run what is desired.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Plan {
    /// Sorted by gateway name, at most one per gateway.
    pub actions: Vec<Action>,
    /// How many desired gateways already run as they should.
    pub unchanged: usize,
    /// What stops a desired gateway from running, now or later. An operator must fix it.
    pub conflicts: Vec<Conflict>,
}

impl Plan {
    /// The gateways that are killed and not started again. The guard judges these.
    pub fn removals(&self) -> BTreeSet<GatewayName> {
        let killed = self.actions.iter().filter_map(|action| match action {
            Action::Kill { gateway, .. } => Some(gateway.clone()),
            Action::Start { .. } | Action::Restart { .. } => None,
        });
        killed.collect()
    }

    /// Restarts of gateways that may not have changed: their revision was made with an unknown key.
    pub fn unknown_restarts<'a>(&'a self, key: &'a RevisionKey) -> impl Iterator<Item = &'a GatewayName> {
        self.actions.iter().filter_map(|action| match action {
            Action::Restart { gateway, from, .. } => {
                let revision = from.revision.as_deref()?;
                (!key.can_tell(revision)).then_some(gateway)
            }
            Action::Start { .. } | Action::Kill { .. } => None,
        })
    }
}

fn domain_text<S: serde::Serializer>(domain: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(domain)
}

/// The gateways that do not run as wanted. Call [`Differences::update`] after each change of what
/// is wanted or what runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Differences(BTreeSet<GatewayName>);

impl Differences {
    pub fn between(wants: &BTreeMap<GatewayName, Want>, actual: &Actual) -> Self {
        let mut differences = Self::default();
        let unwanted = actual.gateways.keys().filter(|name| !wants.contains_key(*name));
        for name in wants.keys().chain(unwanted) {
            differences.update(name, wants, actual);
        }
        differences
    }

    /// How many of these run as they should, by domain.
    pub fn unchanged(&self, wants: &BTreeMap<GatewayName, Want>) -> BTreeMap<Arc<str>, usize> {
        let mut unchanged = BTreeMap::new();
        for (_, want) in wants.iter().filter(|(name, _)| !self.0.contains(*name)) {
            *unchanged.entry(want.domain.clone()).or_default() += 1;
        }
        unchanged
    }

    pub fn contains(&self, gateway: &GatewayName) -> bool {
        self.0.contains(gateway)
    }

    pub fn names(&self) -> impl Iterator<Item = &GatewayName> {
        self.0.iter()
    }

    /// Compares this gateway again, after it or its wanted version may have changed.
    pub fn update(&mut self, gateway: &GatewayName, wants: &BTreeMap<GatewayName, Want>, actual: &Actual) {
        let differs = match (wants.get(gateway), actual.gateways.get(gateway)) {
            (Some(want), Some(have)) => !want.is_run_as(have),
            (Some(_), None) => true,
            (None, have) => have.is_some_and(Have::is_ours),
        };
        if differs {
            self.0.insert(gateway.clone());
        } else {
            self.0.remove(gateway);
        }
    }

    /// The plan for these differences. `adopt` are names of gateways to take over although they are
    /// not ours.
    ///
    /// A gateway is started or restarted only in a running profile. A gateway of ours that is no
    /// longer wanted is killed in any profile: it is listed, so its profile runs.
    pub fn plan(&self, wants: &BTreeMap<GatewayName, Want>, actual: &Actual, adopt: &BTreeSet<GatewayName>) -> Plan {
        let mut actions = Vec::new();
        let mut idle: BTreeMap<&ProfileName, BTreeSet<GatewayName>> = BTreeMap::new();
        let mut not_ours = Vec::new();
        let mut unchanged = wants.len();
        for gateway in &self.0 {
            let have = actual.gateways.get(gateway);
            let Some(want) = wants.get(gateway) else {
                actions.extend(have.cloned().map(|from| Action::Kill {
                    gateway: gateway.clone(),
                    from,
                }));
                continue;
            };
            unchanged -= 1;
            match have {
                Some(have) if !have.is_ours() && !adopt.contains(gateway) => {
                    not_ours.push(Conflict::NotOurs {
                        gateway: gateway.clone(),
                        profile: have.profile.clone(),
                        domain: want.domain.to_string(),
                    });
                    continue;
                }
                _ if !actual.profiles.contains(&want.profile) => {
                    idle.entry(&want.profile).or_default().insert(gateway.clone());
                    continue;
                }
                _ => {}
            }
            let (gateway, to) = (gateway.clone(), want.clone());
            actions.push(match have.cloned() {
                Some(from) => Action::Restart { gateway, from, to },
                None => Action::Start { gateway, to },
            });
        }
        let idle = idle.into_iter().map(|(profile, gateways)| Conflict::ProfileNotRunning {
            profile: profile.clone(),
            gateways,
        });
        let ghosts = actual.ghosts.iter().map(|(gateway, profile)| Conflict::Ghost {
            gateway: gateway.clone(),
            profile: profile.clone(),
        });
        Plan {
            actions,
            unchanged,
            conflicts: idle.chain(not_ours).chain(ghosts).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
