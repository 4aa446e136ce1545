//! Desired against actual of one switch → plan. Pure: no async, no I/O, no clock.
//!
//! Which gateways differ is followed as either side changes, so that a plan costs what differs, not what there is.
//!
//! *Ours* is a gateway that carries a revision. What is not ours is never killed nor restarted, unless somebody asked for that by name
//! (`adopt`). Only what differs is touched: gateways cost FreeSWITCH memory until their profile restarts (FACTS 28).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use crate::control::Conflict;
use crate::gateway::{Gateway, GatewayName, ProfileName, RevisionKey, former_revisions, revision};

/// A gateway as it is to be on this switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Want {
    pub profile: ProfileName,
    /// Of what it means to FreeSWITCH.
    pub revision: String,
    /// What the same version was stamped with under keys that were replaced since: one that runs with
    /// such a revision is not restarted.
    #[serde(skip)]
    pub former: Box<[String]>,
    /// Whether FreeSWITCH is to register it: its start is a REGISTER at the carrier.
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

/// A gateway as the switch runs it: the one that FreeSWITCH finds under its name, no ghost and none that waits to be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Have {
    pub profile: ProfileName,
    /// `None`: not ours.
    pub revision: Option<String>,
    /// Whether its state is other than NOREG: to kill it takes a tick more, and perhaps an un-REGISTER (FACTS 22).
    pub registers: bool,
}

impl Have {
    pub fn is_ours(&self) -> bool {
        self.revision.is_some()
    }
}

/// What a switch runs. Only what was read in full may become one: a failed read is never an empty `Actual`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Actual {
    pub gateways: BTreeMap<GatewayName, Have>,
    /// Those that run.
    pub profiles: BTreeSet<ProfileName>,
    /// Second gateways of a name, in another profile than the one that FreeSWITCH finds under it (FACTS 18).
    pub ghosts: BTreeSet<(GatewayName, ProfileName)>,
}

impl Actual {
    /// The names of the gateways that carry a revision.
    pub fn ours(&self) -> BTreeSet<GatewayName> {
        let ours = self.gateways.iter().filter(|(_, have)| have.is_ours());
        ours.map(|(name, _)| name.clone()).collect()
    }
}

/// One change of one gateway. In JSON: `{"action": "restart", "gateway": …, "from": {…}, "to": {…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "lowercase")]
pub enum Action {
    Start {
        gateway: GatewayName,
        to: Want,
    },
    /// Kill in the old profile, then start in the new one; mostly they are the same.
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

    /// What is killed.
    pub fn from(&self) -> Option<&Have> {
        match self {
            Self::Start { .. } => None,
            Self::Restart { from, .. } | Self::Kill { from, .. } => Some(from),
        }
    }

    /// What is started.
    pub fn to(&self) -> Option<&Want> {
        match self {
            Self::Start { to, .. } | Self::Restart { to, .. } => Some(to),
            Self::Kill { .. } => None,
        }
    }

    /// Whether `startgw` must wait for the `gateway_delete` of what was killed.
    ///
    /// One that doesn't register has no REGISTER to race (FACTS 23), so its successor may start at once; but not in another profile: FreeSWITCH
    /// would forget the old one by its name alone, keep it under `profile::name`, and make a ghost of whatever comes back there.
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
    /// By gateway name, at most one a gateway.
    pub actions: Vec<Action>,
    /// How many desired gateways run as they should.
    pub unchanged: usize,
    /// What keeps a desired gateway from its place, or will: an operator must fix it.
    pub conflicts: Vec<Conflict>,
}

impl Plan {
    /// The gateways that are killed and not started again: what the guard judges.
    pub fn removals(&self) -> BTreeSet<GatewayName> {
        let killed = self.actions.iter().filter_map(|action| match action {
            Action::Kill { gateway, .. } => Some(gateway.clone()),
            Action::Start { .. } | Action::Restart { .. } => None,
        });
        killed.collect()
    }

    /// The gateways that are restarted though nobody can tell whether they changed: their revision was
    /// made with a key that is not known.
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

/// The gateways that are not as they are wanted. Whoever changes what is wanted or what runs says so by [`Differences::update`].
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

    /// This gateway may be another than when it was looked at last, or wanted otherwise.
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

    /// What is to be done about them. `adopt` are names that may be taken over from whoever made them.
    ///
    /// A gateway is started, or restarted, only in a profile that runs. One of ours that nobody wants is killed in whatever profile it is: that
    /// it is listed proves that its profile runs.
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
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn diff(wants: &BTreeMap<GatewayName, Want>, actual: &Actual, adopt: &BTreeSet<GatewayName>) -> Plan {
        Differences::between(wants, actual).plan(wants, actual, adopt)
    }

    /// The actions done on a FreeSWITCH that goes by its own rules: it kills by name whatever the profile [18], skips a gateway that is there [19],
    /// makes a ghost of one that is there in another profile [18], and starts nothing in a profile that doesn't run.
    fn apply(plan: &Plan, actual: &Actual) -> Actual {
        let mut after = actual.clone();
        for action in &plan.actions {
            let gateway = action.gateway();
            if action.from().is_some() {
                after.gateways.remove(gateway);
            }
            let Some(want) = action.to().filter(|want| after.profiles.contains(&want.profile)) else {
                continue;
            };
            match after.gateways.get(gateway) {
                Some(there) if there.profile == want.profile => {}
                Some(_) => drop(after.ghosts.insert((gateway.clone(), want.profile.clone()))),
                None => drop(after.gateways.insert(gateway.clone(), as_run(want))),
            }
        }
        after
    }

    /// What a switch has that took what is wanted.
    fn as_run(want: &Want) -> Have {
        Have {
            profile: want.profile.clone(),
            revision: Some(want.revision.clone()),
            registers: want.registers,
        }
    }

    fn gateway(name: &str) -> GatewayName {
        GatewayName::parse(name).unwrap()
    }

    fn profile(name: &str) -> ProfileName {
        ProfileName::parse(name).unwrap()
    }

    fn want(in_profile: &str, revision: &str) -> Want {
        Want {
            profile: profile(in_profile),
            revision: revision.to_owned(),
            former: Box::default(),
            registers: true,
            domain: Arc::from("acme"),
        }
    }

    fn ours(in_profile: &str, revision: &str) -> Have {
        as_run(&want(in_profile, revision))
    }

    fn not_ours(in_profile: &str) -> Have {
        Have {
            revision: None,
            ..ours(in_profile, "")
        }
    }

    fn desired<const N: usize>(gateways: [(&str, Want); N]) -> BTreeMap<GatewayName, Want> {
        gateways.map(|(name, want)| (gateway(name), want)).into()
    }

    /// A switch that runs the profiles external and internal.
    fn actual<const N: usize>(gateways: [(&str, Have); N]) -> Actual {
        Actual {
            gateways: gateways.map(|(name, have)| (gateway(name), have)).into(),
            profiles: ["external", "internal"].map(profile).into(),
            ghosts: BTreeSet::new(),
        }
    }

    fn nobody() -> BTreeSet<GatewayName> {
        BTreeSet::new()
    }

    #[test]
    fn each_gateway_gets_the_one_action_it_needs() {
        let desired = desired([
            ("changed", want("external", "2")),
            ("moved", want("internal", "1")),
            ("new", want("external", "1")),
            ("same", want("external", "1")),
        ]);
        let actual = actual([
            ("changed", ours("external", "1")),
            ("gone", ours("internal", "1")),
            ("moved", ours("external", "1")),
            ("same", ours("external", "1")),
            ("theirs", not_ours("external")),
        ]);
        let plan = diff(&desired, &actual, &nobody());
        assert_eq!(
            plan.actions,
            [
                Action::Restart {
                    gateway: gateway("changed"),
                    from: ours("external", "1"),
                    to: want("external", "2")
                },
                Action::Kill {
                    gateway: gateway("gone"),
                    from: ours("internal", "1")
                },
                Action::Restart {
                    gateway: gateway("moved"),
                    from: ours("external", "1"),
                    to: want("internal", "1")
                },
                Action::Start {
                    gateway: gateway("new"),
                    to: want("external", "1")
                },
            ]
        );
        assert_eq!((plan.unchanged, plan.conflicts.len()), (1, 0));
        assert_eq!(plan.removals(), [gateway("gone")].into());
        assert_eq!(actual.ours().len(), 4);
    }

    #[test]
    fn a_gateway_of_that_name_that_is_not_ours_is_told_and_only_taken_over_when_asked() {
        let desired = desired([("gw", want("internal", "1"))]);
        let actual = actual([("gw", not_ours("external")), ("other", not_ours("external"))]);
        let plan = diff(&desired, &actual, &nobody());
        assert_eq!(plan.actions, []);
        assert_eq!(
            plan.conflicts.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "gateway gw of domain acme is left alone: profile external has one of this name without a revision, so it is not ours; \
              `trunkd apply --adopt` takes it over"
            ]
        );
        let plan = diff(&desired, &actual, &["gw", "other"].map(gateway).into());
        assert_eq!(
            plan.actions,
            [Action::Restart {
                gateway: gateway("gw"),
                from: not_ours("external"),
                to: want("internal", "1")
            }]
        );
        assert_eq!(plan.conflicts, []);
    }

    #[test]
    fn nothing_is_started_in_a_profile_that_does_not_run_and_the_old_one_stays() {
        let names: Vec<_> = (0..7).map(|n| format!("new{n}")).collect();
        let mut desired = desired([("moved", want("later", "1")), ("there", want("later", "1"))]);
        desired.extend(names.iter().map(|name| (gateway(name), want("later", "1"))));
        let actual = actual([("moved", ours("external", "1")), ("there", ours("later", "1"))]);
        let plan = diff(&desired, &actual, &nobody());
        assert_eq!((plan.actions.len(), plan.unchanged), (0, 1));
        assert_eq!(
            plan.conflicts.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "profile later does not run on this switch, and has to for moved, new0, new1, new2, new3 and 3 more; \
              `sofia profile later start` starts it"
            ]
        );
    }

    #[test]
    fn what_is_ours_and_not_wanted_goes_from_any_profile() {
        let actual = actual([("gw", ours("no-template-of-ours", "1"))]);
        let plan = diff(&BTreeMap::new(), &actual, &nobody());
        assert_eq!(plan.removals(), [gateway("gw")].into());
    }

    #[test]
    fn a_ghost_is_told_and_is_no_gateway() {
        let desired = desired([("gw", want("internal", "1"))]);
        let mut actual = actual([]);
        actual.ghosts.insert((gateway("gw"), profile("external")));
        actual.ghosts.insert((gateway("theirs"), profile("external")));
        let plan = diff(&desired, &actual, &nobody());
        assert_eq!(
            plan.actions,
            [Action::Start {
                gateway: gateway("gw"),
                to: want("internal", "1")
            }]
        );
        assert_eq!(
            plan.conflicts[0].to_string(),
            "gateway gw has a ghost in profile external, whose answers are booked on the live one; \
             `sofia profile external restart` removes it, and hangs up the calls of that profile"
        );
        assert_eq!(plan.conflicts.len(), 2);
    }

    #[test]
    fn only_a_restart_without_registration_in_its_own_profile_starts_at_once() {
        let noreg = |have: Have| Have {
            registers: false,
            ..have
        };
        let restart = |from, to| Action::Restart {
            gateway: gateway("gw"),
            from,
            to,
        };
        assert!(restart(ours("external", "1"), want("external", "2")).awaits_deletion());
        assert!(!restart(noreg(ours("external", "1")), want("external", "2")).awaits_deletion());
        assert!(restart(noreg(ours("external", "1")), want("internal", "2")).awaits_deletion());
        assert!(
            !Action::Start {
                gateway: gateway("gw"),
                to: want("external", "2")
            }
            .awaits_deletion()
        );
    }

    #[test]
    fn a_plan_is_plain_in_json() {
        let desired = desired([("gw", want("external", "2")), ("late", want("later", "1"))]);
        let actual = actual([("gw", ours("internal", "1")), ("old", ours("external", "1"))]);
        let plan = diff(&desired, &actual, &nobody());
        assert_eq!(
            serde_json::to_value(&plan).unwrap(),
            json!({
                "actions": [
                    {"action": "restart", "gateway": "gw",
                     "from": {"profile": "internal", "revision": "1", "registers": true},
                     "to": {"profile": "external", "revision": "2", "registers": true, "domain": "acme"}},
                    {"action": "kill", "gateway": "old", "from": {"profile": "external", "revision": "1", "registers": true}},
                ],
                "unchanged": 0,
                "conflicts": [{"conflict": "profile_not_running", "profile": "later", "gateways": ["late"]}],
            })
        );
    }

    // A world small enough that names, profiles and revisions meet.
    const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    const PROFILES: [&str; 3] = ["p", "q", "r"];
    const REVISIONS: [&str; 2] = ["1", "2"];

    fn any_name() -> impl Strategy<Value = GatewayName> {
        prop::sample::select(&NAMES[..]).prop_map(gateway)
    }

    fn any_profile() -> impl Strategy<Value = ProfileName> {
        prop::sample::select(&PROFILES[..]).prop_map(profile)
    }

    prop_compose! {
        fn any_want()(profile in any_profile(), revision in prop::sample::select(&REVISIONS[..]), registers: bool) -> Want {
            Want { profile, revision: revision.to_owned(), former: Box::default(), registers, domain: Arc::from("acme") }
        }
    }

    fn any_desired() -> impl Strategy<Value = BTreeMap<GatewayName, Want>> {
        prop::collection::btree_map(any_name(), any_want(), 0..=NAMES.len())
    }

    prop_compose! {
        /// Of any switch; a gateway's profile runs, as FreeSWITCH has it.
        fn any_actual()(
            haves in prop::collection::btree_map(any_name(), (any_want(), any::<bool>()), 0..=NAMES.len()),
            idle in prop::collection::btree_set(any_profile(), 0..=PROFILES.len()),
            ghosts in prop::collection::btree_set((any_name(), any_profile()), 0..3),
        ) -> Actual {
            let have = |(want, ours): (Want, bool)| {
                let have = as_run(&want);
                Have { revision: have.revision.filter(|_| ours), ..have }
            };
            let gateways: BTreeMap<_, _> = haves.into_iter().map(|(name, given)| (name, have(given))).collect();
            let in_use: BTreeSet<_> = gateways.values().map(|have: &Have| have.profile.clone()).collect();
            let profiles = PROFILES.iter().map(|name| profile(name)).filter(|p| in_use.contains(p) || !idle.contains(p));
            Actual { profiles: profiles.collect(), gateways, ghosts }
        }
    }

    fn any_adopt() -> impl Strategy<Value = BTreeSet<GatewayName>> {
        prop::collection::btree_set(any_name(), 0..3)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn what_is_ours_is_as_desired_after_the_plan(d in any_desired(), a in any_actual(), adopt in any_adopt()) {
            let after = apply(&diff(&d, &a, &adopt), &a);
            let is_free = |name: &GatewayName| adopt.contains(name) || a.gateways.get(name).is_none_or(Have::is_ours);
            let reachable = |name: &GatewayName, want: &Want| is_free(name) && a.profiles.contains(&want.profile);
            for (name, want) in &d {
                if reachable(name, want) {
                    let run = after.gateways.get(name);
                    prop_assert_eq!(run.map(|have| (&have.profile, have.revision.as_ref())), Some((&want.profile, Some(&want.revision))));
                } else {
                    prop_assert_eq!(after.gateways.get(name), a.gateways.get(name));
                }
            }
            for name in after.ours() {
                prop_assert!(d.contains_key(&name));
            }
        }

        #[test]
        fn differences_that_are_followed_are_those_of_now(
            mut d in any_desired(), mut a in any_actual(), later in any_desired(), later_on in any_actual()
        ) {
            let mut followed = Differences::between(&d, &a);
            for name in NAMES.map(gateway) {
                match later.get(&name) {
                    Some(want) => drop(d.insert(name.clone(), want.clone())),
                    None => drop(d.remove(&name)),
                }
                followed.update(&name, &d, &a);
                match later_on.gateways.get(&name) {
                    Some(have) => drop(a.gateways.insert(name.clone(), have.clone())),
                    None => drop(a.gateways.remove(&name)),
                }
                followed.update(&name, &d, &a);
                prop_assert_eq!(&followed, &Differences::between(&d, &a));
            }
        }

        #[test]
        fn what_runs_as_desired_needs_no_action(d in any_desired()) {
            let a = Actual { gateways: d.iter().map(|(name, want)| (name.clone(), as_run(want))).collect(), ..Actual::default() };
            prop_assert_eq!(diff(&d, &a, &nobody()), Plan { unchanged: d.len(), ..Plan::default() });
        }

        #[test]
        fn nothing_not_ours_is_ever_touched(d in any_desired(), a in any_actual(), adopt in any_adopt()) {
            let plan = diff(&d, &a, &adopt);
            let after = apply(&plan, &a);
            for (name, have) in a.gateways.iter().filter(|(_, have)| !have.is_ours()) {
                if adopt.contains(name) && d.contains_key(name) {
                    prop_assert!(!plan.removals().contains(name));
                } else {
                    prop_assert!(plan.actions.iter().all(|action| action.gateway() != name));
                    prop_assert_eq!(after.gateways.get(name), Some(have));
                }
            }
        }

        #[test]
        fn after_a_plan_there_is_nothing_left_to_do(d in any_desired(), a in any_actual(), adopt in any_adopt()) {
            let plan = diff(&d, &a, &adopt);
            let again = diff(&d, &apply(&plan, &a), &adopt);
            prop_assert_eq!(again.actions, []);
            prop_assert_eq!(again.conflicts, plan.conflicts);
        }

        #[test]
        fn a_plan_makes_no_ghost_and_a_ghost_makes_no_action(d in any_desired(), a in any_actual(), adopt in any_adopt()) {
            let plan = diff(&d, &a, &adopt);
            prop_assert_eq!(&apply(&plan, &a).ghosts, &a.ghosts);
            let without = diff(&d, &Actual { ghosts: BTreeSet::new(), ..a.clone() }, &adopt);
            prop_assert_eq!((plan.actions, plan.unchanged), (without.actions, without.unchanged));
            prop_assert_eq!(plan.conflicts.len(), without.conflicts.len() + a.ghosts.len());
        }

        #[test]
        fn every_desired_gateway_is_accounted_for_once_and_no_gateway_has_two_actions(
            d in any_desired(), a in any_actual(), adopt in any_adopt()
        ) {
            let plan = diff(&d, &a, &adopt);
            let names: Vec<_> = plan.actions.iter().map(Action::gateway).collect();
            prop_assert!(names.is_sorted_by(|one, next| one < next));
            let told: usize = plan.conflicts.iter().map(|conflict| match conflict {
                Conflict::ProfileNotRunning { gateways, .. } => gateways.len(),
                Conflict::NotOurs { .. } => 1,
                Conflict::Ghost { .. } => 0,
            }).sum();
            let started = plan.actions.iter().filter(|action| action.to().is_some()).count();
            prop_assert_eq!(started + told + plan.unchanged, d.len());
        }

        #[test]
        fn the_order_in_which_things_were_read_does_not_matter(
            (listed, shuffled) in any_desired().prop_map(Vec::from_iter).prop_flat_map(|d| (Just(d.clone()), Just(d).prop_shuffle())),
            (a, gateways) in any_actual().prop_flat_map(|a| {
                let gateways: Vec<_> = a.gateways.clone().into_iter().collect();
                (Just(a), Just(gateways).prop_shuffle())
            }),
        ) {
            let reread = Actual { gateways: gateways.into_iter().collect(), ..a.clone() };
            prop_assert_eq!(
                diff(&listed.into_iter().collect(), &a, &nobody()),
                diff(&shuffled.into_iter().collect(), &reread, &nobody())
            );
        }
    }
}
