use proptest::prelude::*;
use serde_json::json;

use super::*;

fn diff(wants: &BTreeMap<GatewayName, Want>, actual: &Actual, adopt: &BTreeSet<GatewayName>) -> Plan {
    Differences::between(wants, actual).plan(wants, actual, adopt)
}

/// Performs the actions on a model of FreeSWITCH: it kills by name in any profile [18], skips a
/// gateway that is already there [19], makes a ghost of one that exists in another profile [18],
/// and starts nothing in a profile that doesn't run.
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

/// What a switch has after it accepted `want`.
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

// Small enough that names, profiles and revisions collide.
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
    /// The state of any switch. A gateway's profile always runs, as in FreeSWITCH.
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
