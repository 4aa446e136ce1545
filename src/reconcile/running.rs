//! Which gateways a rescan is for. FreeSWITCH's `rescan` only adds: it parses every gateway of the answer, in a time that
//! grows with the square of their number and under a lock, and passes over all that run already (FACTS 52, 53).
//!
//! What runs is asked for when it is needed, not kept: an answer is as fresh as the last event that came.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::all_cores::on_all_cores;
use crate::gateway::{Desired, Gateway, GatewayName};
use crate::gateway::{RevisionKey, revision};

/// A switch that can tell what it runs.
pub trait RunningSource: Send + Sync {
    /// The live gateways that are not on their way out, and the revision of each. `None` while that is not known of the
    /// run of FreeSWITCH with this Core-UUID.
    fn revisions(&self, core_uuid: &str) -> Option<HashMap<Arc<str>, String>>;
}

/// What the switches in the settings run. Shared in an `Arc`.
#[derive(Default)]
pub struct Running {
    switches: Mutex<BTreeMap<String, Known>>,
}

#[derive(Clone)]
struct Known {
    switch: Arc<dyn RunningSource>,
    /// Whether trunkd starts by itself what is missing there.
    is_kept_complete: bool,
}

/// Who asks for a rescan, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Rescan<'a> {
    pub switch: &'a str,
    /// Of the run of FreeSWITCH that asks, when it said so.
    pub core_uuid: Option<&'a str>,
    pub profile: &'a str,
}

impl Running {
    /// A switch of the settings.
    pub fn add(&self, name: &str, switch: Arc<dyn RunningSource>) {
        let known = Known {
            switch,
            is_kept_complete: false,
        };
        self.lock().insert(name.to_owned(), known);
    }

    /// Says whether trunkd starts by itself what is missing on a switch. An event tells of a gateway that was killed by
    /// hand only a second or two later, so where nobody else would start it a rescan gets it in any case.
    pub fn is_kept_complete(&self, name: &str, is_kept_complete: bool) {
        if let Some(known) = self.lock().get_mut(name) {
            known.is_kept_complete = is_kept_complete;
        }
    }

    /// Of the gateways that a switch is to run, those that it does not run in this version, in the profile. `None` when
    /// that is not known, or none is to be left out: all of them then.
    pub fn missing(&self, asks: Rescan<'_>, desired: &Desired, key: &RevisionKey) -> Option<BTreeSet<GatewayName>> {
        let known = self.lock().get(asks.switch).cloned();
        let known = known.filter(|known| known.is_kept_complete)?;
        let runs = known.switch.revisions(asks.core_uuid?)?;
        let gateways = desired.served().values().map(|entry| &entry.gateway);
        let wanted: Vec<_> = gateways
            .filter(|gateway| gateway.profile.as_str().eq_ignore_ascii_case(asks.profile))
            .filter(|gateway| gateway.serves(Some(asks.switch)))
            .collect();
        let missing = missing(&wanted, key, &runs);
        (missing.len() < wanted.len()).then_some(missing)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        // Each entry is replaced whole.
        self.switches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn missing(wanted: &[&Gateway], key: &RevisionKey, runs: &HashMap<Arc<str>, String>) -> BTreeSet<GatewayName> {
    let parts = on_all_cores(wanted, |part| {
        let missing = part.iter().filter(|gateway| {
            runs.get(gateway.name.as_str())
                .is_none_or(|runs| *runs != revision(gateway, key))
        });
        missing.map(|gateway| gateway.name.clone()).collect::<Vec<_>>()
    });
    parts.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::{ProfileFacts, ProfileName, RawDomain, Rules};

    const KEY: RevisionKey = RevisionKey::new([7; 32]);

    /// What FreeSWITCH with the Core-UUID `run` runs.
    struct Switch(HashMap<Arc<str>, String>);

    impl RunningSource for Switch {
        fn revisions(&self, core_uuid: &str) -> Option<HashMap<Arc<str>, String>> {
            (core_uuid == "run").then(|| self.0.clone())
        }
    }

    fn desired() -> Desired {
        let profiles =
            ["external", "internal"].map(|name| (ProfileName::parse(name).unwrap(), ProfileFacts::default()));
        let rules = Rules::new(ProfileName::parse("external").unwrap(), profiles.into());
        let gateway = |more: &str| format!(r#"{{"param":{{"register":"false"}}{more}}}"#).into_bytes();
        let fields = [
            ("runs", ""),
            ("is-older", ""),
            ("is-not-there", ""),
            ("elsewhere", r#","nodes":["fs2"]"#),
            ("inside", r#","profile":"internal""#),
        ];
        let fields = fields.map(|(name, more)| (name.as_bytes().to_vec(), gateway(more)));
        Desired::build(&[("acme".to_owned(), RawDomain::hash(fields))].into(), &rules, None)
    }

    fn running(desired: &Desired) -> Running {
        let right = |name: &str| revision(&desired.get(name).unwrap().gateway, &KEY);
        let runs = [
            ("runs", right("runs")),
            ("is-older", "older".to_owned()),
            ("theirs", String::new()),
        ];
        let running = Running::default();
        let switch = Switch(runs.map(|(name, revision)| (name.into(), revision)).into());
        running.add("fs1", Arc::new(switch));
        running
    }

    const ASKS: Rescan<'static> = Rescan {
        switch: "fs1",
        core_uuid: Some("run"),
        profile: "External",
    };

    #[test]
    fn what_is_missing_is_what_does_not_run_in_the_wanted_version() {
        let desired = desired();
        let running = running(&desired);
        running.is_kept_complete("fs1", true);
        let missing = |asks| {
            let names = running.missing(asks, &desired, &KEY).unwrap();
            names.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(missing(ASKS), ["is-not-there", "is-older"]);
        let inside = Rescan {
            profile: "internal",
            ..ASKS
        };
        assert!(
            running.missing(inside, &desired, &KEY).is_none(),
            "all of them are missing"
        );
    }

    #[test]
    fn nothing_is_left_out_while_it_is_not_known_or_nobody_would_start_it() {
        let desired = desired();
        let running = running(&desired);
        let is_known = |asks| running.missing(asks, &desired, &KEY).is_some();
        assert!(!is_known(ASKS), "trunkd does not say yet that it would start it");
        running.is_kept_complete("fs1", true);
        running.is_kept_complete("fs2", true);
        assert!(is_known(ASKS));
        let others = [
            Rescan { switch: "fs2", ..ASKS },
            Rescan {
                core_uuid: Some("another"),
                ..ASKS
            },
            Rescan {
                core_uuid: None,
                ..ASKS
            },
        ];
        for asks in others {
            assert!(!is_known(asks), "{asks:?}");
        }
    }
}
