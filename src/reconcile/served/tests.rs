use super::super::plan::Limits;
use super::*;
use crate::gateway::{ProfileFacts, RawDomain, RawDomains, Rules};
use crate::reconcile::plan::Want;

fn desired(gateways: &[String], nodes: &str) -> Arc<Desired> {
    let external = ProfileName::parse("external").unwrap();
    let rules = Rules::new(external.clone(), [(external, ProfileFacts::default())].into());
    let value = format!(r#"{{"param":{{"register":"false"}}{nodes}}}"#).into_bytes();
    let fields = gateways.iter().map(|name| (name.clone().into_bytes(), value.clone()));
    let domain = ("acme".to_owned(), RawDomain::hash(fields));
    let raw: RawDomains = (!gateways.is_empty()).then_some(domain).into_iter().collect();
    Arc::new(Desired::build(&raw, &rules, None))
}

/// Gateways that together name this many switches, each switch twice. The first `without` gateways
/// are left out.
fn naming(switches: usize, without: usize) -> Arc<Desired> {
    let external = ProfileName::parse("external").unwrap();
    let rules = Rules::new(external.clone(), [(external, ProfileFacts::default())].into());
    let chunks: Vec<usize> = (0..switches).collect();
    let gateways = chunks.chunks(50).chain(chunks.chunks(64)).enumerate().skip(without);
    let fields = gateways.map(|(gateway, chunk)| {
        let nodes: Vec<_> = chunk.iter().map(|number| format!("\"n{number:04}\"")).collect();
        let value = format!(r#"{{"param":{{"register":"false"}},"nodes":[{}]}}"#, nodes.join(","));
        (format!("gw{gateway}").into_bytes(), value.into_bytes())
    });
    let raw: RawDomains = [("acme".to_owned(), RawDomain::hash(fields))].into();
    Arc::new(Desired::build(&raw, &rules, None))
}

fn some(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("gw{n}")).collect()
}

fn count(desired: &Desired) -> usize {
    desired.served().len()
}

const GUARD: Guard = Guard {
    limits: Limits { max_removals: None },
    window: Duration::from_secs(600),
    confirm: Duration::from_millis(250),
    settle: Duration::from_secs(60),
};

/// With fs1 and fs2 in the settings.
fn guarded(restored: Option<Arc<Desired>>) -> Served {
    Served::new(Some(GUARD), restored, ["fs1", "fs2"].map(str::to_owned))
}

fn names(names: &[String]) -> BTreeSet<GatewayName> {
    names.iter().map(|name| GatewayName::parse(name).unwrap()).collect()
}

/// A switch that runs these in its profile.
fn runs(ours: &[String]) -> Option<Runs> {
    Some(Runs {
        ours: names(ours).into_iter().collect(),
        unwanted: Arc::default(),
        profiles: [ProfileName::parse("external").unwrap()].into(),
    })
}

#[test]
fn a_flood_of_removals_is_held_until_it_is_undone_or_accepted() {
    let now = Instant::now();
    for size in [2, 3, 300] {
        let served = guarded(None);
        let (all, none) = (desired(&some(size), ""), desired(&[], ""));
        served.decide("fs1", &all, now);
        for _ in 0..3 {
            let (given, hold) = served.decide("fs1", &none, now);
            assert_eq!((count(&given), hold.is_some()), (size, true));
        }
        assert!(served.decide("fs1", &all, now).1.is_none());
        assert!(served.decide("fs1", &none, now).1.is_some());
        served.accept("fs1", &none, &names(&some(size)));
        let (given, hold) = served.decide("fs1", &none, now);
        assert_eq!((count(&given), hold), (0, None));
    }
}

#[test]
fn of_what_is_held_some_can_be_accepted() {
    let (served, now) = (guarded(None), Instant::now());
    let few = desired(&[some(10)[9..].to_vec(), vec!["new".to_owned()]].concat(), "");
    served.decide("fs1", &desired(&some(10), ""), now);
    assert!(served.decide("fs1", &few, now).1.is_some());
    let ordered = [&some(10)[..2], &["new".to_owned()]].concat();
    served.accept("fs1", &few, &names(&ordered));
    let (given, hold) = served.decide("fs1", &few, now);
    assert!(given.get("gw0").is_none() && given.get("new").is_some() && given.get("gw2").is_some());
    assert_eq!((count(&given), hold.map(|hold| hold.removals)), (9, Some(7)));
}

#[test]
fn without_a_guard_any_flood_goes_but_an_empty_store_is_held_until_it_is_filled_or_released() {
    let (served, now) = (Served::new(None, None, ["fs1".to_owned()]), Instant::now());
    served.decide("fs1", &desired(&some(9), ""), now);
    assert!(served.decide("fs1", &desired(&some(1), ""), now).1.is_none());
    let none = desired(&[], "");
    let (given, hold) = served.decide("fs1", &none, now);
    assert_eq!((count(&given), hold.is_some()), (1, true));
    assert!(served.decide("fs1", &desired(&some(2), ""), now).1.is_none());
    served.decide("fs1", &none, now);
    served.release_others(&[]);
    assert_eq!(count(&served.decide("fs1", &none, now).0), 0);
}

#[test]
fn what_is_added_waits_with_a_held_plan() {
    let (served, now) = (guarded(None), Instant::now());
    served.decide("fs1", &desired(&some(10), ""), now);
    let (given, hold) = served.decide("fs1", &desired(&["new".to_owned()], ""), now);
    assert!(hold.is_some() && given.get("new").is_none() && count(&given) == 10);
}

#[test]
fn a_switch_that_loses_its_gateways_to_another_is_guarded_by_itself() {
    let (served, now) = (guarded(None), Instant::now());
    served.decide("fs1", &desired(&some(4), ""), now);
    served.decide("fs2", &desired(&some(4), ""), now);
    let moved = desired(&some(4), r#","nodes":["fs2"]"#);
    assert!(served.decide("fs1", &moved, now).1.is_some());
    assert!(served.decide("fs2", &moved, now).1.is_none());
}

#[test]
fn what_an_earlier_trunkd_served_is_guarded_too() {
    let (served, now) = (guarded(Some(desired(&some(3), ""))), Instant::now());
    let (given, hold) = served.decide("fs1", &desired(&[], ""), now);
    assert!(hold.is_some() && count(&given) == 3 && served.holding("fs1").is_some());
    let (given, hold) = served.decide("fs1", &desired(&some(4), ""), now);
    assert!(hold.is_none() && count(&given) == 4 && served.holding("fs1").is_none());
}

#[test]
fn what_is_held_from_switches_without_an_executor_can_be_released() {
    let (served, now) = (guarded(None), Instant::now());
    let (all, none) = (desired(&some(3), ""), desired(&[], ""));
    let listed = ["fs1".to_owned(), "fs2".to_owned()];
    assert!(served.decide_all(&all, &listed, now).all_accepted);
    for switch in ["fs1", "unlisted"] {
        assert!(served.decide(switch, &none, now).1.is_some());
    }
    let others = served.decide_all(&none, &listed, now);
    assert!(others.held.is_some() && !others.all_accepted);
    served.release_others(&listed);
    assert!(served.decide("fs1", &none, now).1.is_some());
    assert_eq!(count(&served.decide("unlisted", &none, now).0), 0);
    served.decide("unlisted", &all, now);
    assert!(
        served.decide("unlisted", &none, now).1.is_some(),
        "the next flood is held again"
    );
}

#[test]
fn small_floods_add_up_until_the_window_has_moved_on() {
    let (served, start) = (guarded(None), Instant::now());
    let left = |from: usize| desired(&some(30)[from..], "");
    served.decide("fs1", &left(0), start);
    // The limit is 6 of 30.
    for gone in 1..=6 {
        assert!(served.decide("fs1", &left(gone), start).1.is_none());
    }
    let hold = served.decide("fs1", &left(7), start).1.unwrap();
    assert_eq!((hold.removals, hold.weight.earlier, hold.weight.ours), (1, 6, 30));
    let later = start + GUARD.window;
    assert!(
        served
            .decide("fs1", &left(7), later - Duration::from_millis(1))
            .1
            .is_some()
    );
    assert!(served.decide("fs1", &left(7), later).1.is_none());
}

#[test]
fn a_domain_that_is_written_anew_again_and_again_is_no_flood_of_removals() {
    let (served, now) = (guarded(None), Instant::now());
    let all = desired(&some(30), "");
    served.decide("fs1", &all, now);
    for tenant in 0..6 {
        let without: Vec<_> = some(30)
            .into_iter()
            .enumerate()
            .filter(|(n, _)| n / 5 != tenant)
            .collect();
        let without: Vec<_> = without.into_iter().map(|(_, name)| name).collect();
        assert!(
            served.decide("fs1", &desired(&without, ""), now).1.is_none(),
            "{tenant}"
        );
        assert!(served.decide("fs1", &desired(&some(30), ""), now).1.is_none());
    }
    // But a switch that boots in between was without them.
    served.answer("fs1", &desired(&some(30)[5..], ""), now);
    served.answer("fs1", &all, now);
    assert!(served.decide("fs1", &desired(&some(30)[..28], ""), now).1.is_some());
}

#[test]
fn what_other_trunkd_took_off_the_switch_counts_too() {
    let (served, now) = (guarded(None), Instant::now());
    served.decide("fs1", &desired(&some(30)[4..], ""), now);
    let gone: Vec<_> = names(&some(4))
        .into_iter()
        .map(|name| (name, GUARD.window / 2))
        .collect();
    served.note_removals("fs1", &gone, now);
    assert_eq!(served.recent("fs1", now), names(&some(4)));
    assert!(served.decide("fs1", &desired(&some(30)[7..], ""), now).1.is_some());
    assert!(
        served
            .decide("fs1", &desired(&some(30)[7..], ""), now + GUARD.window / 2)
            .1
            .is_none()
    );
}

#[test]
fn what_a_switch_does_not_run_while_it_runs_the_others_is_no_loss() {
    let (served, start) = (guarded(Some(desired(&some(20), ""))), Instant::now());
    let few = desired(&some(20)[15..], "");
    let held = |now| served.decide("fs1", &few, now).1.is_some();
    assert!(held(start), "it is not known what runs");
    // It boots: its profile runs, but no gateway yet.
    served.set_runs("fs1", runs(&[]), start);
    assert!(held(start) && held(start + GUARD.settle * 2));
    served.set_runs("fs1", runs(&some(20)[15..]), start);
    assert!(held(start));
    served.set_runs("fs1", runs(&some(20)[15..]), start);
    assert!(held(start + GUARD.settle - Duration::from_millis(1)));
    // Once lost from sight, it starts over.
    served.set_runs("fs1", None, start);
    served.set_runs("fs1", runs(&some(20)[15..]), start);
    let start = start + GUARD.settle;
    assert!(held(start));
    assert!(!held(start + GUARD.settle));
}

#[test]
fn what_is_agreed_elsewhere_is_served_unless_the_switch_runs_what_it_would_lose() {
    let now = Instant::now();
    let few = desired(&some(20)[15..], "");
    for (running, is_held) in [(15..20, false), (0..20, true)] {
        let served = guarded(Some(desired(&some(20), "")));
        served.set_runs("fs1", runs(&some(20)[running]), now);
        assert!(served.decide("fs1", &few, now).1.is_some());
        served.agree("fs1", &few);
        assert_eq!(served.decide("fs1", &few, now).1.is_some(), is_held);
        assert!(served.decide("fs2", &few, now).1.is_some(), "it was agreed for fs1");
    }
}

#[test]
fn a_switch_that_was_stopped_is_guarded_by_what_it_ran() {
    let (served, start) = (guarded(None), Instant::now());
    served.decide("fs1", &desired(&some(30), ""), start);
    served.set_runs("fs1", runs(&some(30)), start);
    // Four were removed but not killed, because reconciling was paused.
    served.decide("fs1", &desired(&some(30)[4..], ""), start);
    let mut now = start + GUARD.window;
    served.set_runs("fs1", None, now);
    let held = |now| served.decide("fs1", &desired(&some(30)[8..], ""), now).1;
    assert_eq!(held(now).map(|held| held.removals), Some(8));
    // It boots.
    served.set_runs("fs1", runs(&[]), now);
    assert!(held(now).is_some());
    now += GUARD.settle;
    served.set_runs("fs1", runs(&some(30)[4..]), now);
    assert!(held(now).is_none(), "it runs without the first four");
}

#[test]
fn what_goes_while_somebody_looks_did_not_go_by_a_boot() {
    let (served, now) = (guarded(None), Instant::now());
    served.decide("fs1", &desired(&some(30), ""), now);
    served.set_runs("fs1", runs(&some(30)), now);
    // The connection was lost and is back.
    served.set_runs("fs1", None, now);
    served.set_runs("fs1", runs(&some(30)), now);
    // An order removes ten, and an edit removes one.
    let few = desired(&some(30)[10..], "");
    served.approve("fs1", names(&some(10)));
    served.accept("fs1", &few, &names(&some(10)));
    assert!(served.decide("fs1", &few, now).1.is_none());
    served.set_runs("fs1", runs(&some(30)[10..]), now);
    served.approve("fs1", BTreeSet::new());
    assert!(served.decide("fs1", &desired(&some(30)[11..], ""), now).1.is_none());
}

#[test]
fn a_boot_does_no_more_than_the_plan_may_where_edits_wait() {
    let (served, start) = (guarded(None), Instant::now());
    served.decide("fs1", &desired(&some(30), ""), start);
    let mut now = start;
    let mut gone = 0;
    // The removals are never carried out, and each fits into its window.
    let held = loop {
        gone += 2;
        now += GUARD.window;
        let unwanted = names(&some(30)[..gone - 2]);
        let runs = runs(&some(30)).map(|runs| Runs {
            unwanted: Arc::new(unwanted),
            ..runs
        });
        served.set_runs("fs1", runs, now);
        if let Some(held) = served.decide("fs1", &desired(&some(30)[gone..], ""), now).1 {
            break held;
        }
    };
    assert_eq!((held.removals, gone), (8, 8));
    assert_eq!(count(&served.holding("fs1").unwrap()), 24);
}

#[test]
fn a_newcomer_is_guarded_like_all_others_however_many_asked_before() {
    let (served, now) = (guarded(None), Instant::now());
    served.answer("somebody", &desired(&some(10), ""), now);
    for number in 0..MOST_NAMED + 100 {
        served.answer(&format!("made-up-{number}"), &desired(&some(10), ""), now);
    }
    assert!(served.lock().named.is_empty());
    let none = desired(&[], "");
    for newcomer in ["newcomer", "made-up-7", "fs1", &"x".repeat(60_000)] {
        assert_eq!(count(&served.answer(newcomer, &none, now)), 10, "{newcomer:.20}");
    }
}

#[test]
fn a_switch_that_gateways_name_is_guarded_before_it_asks() {
    let (served, now) = (guarded(None), Instant::now());
    let named = desired(&some(10), r#","nodes":["named"]"#);
    let listed = ["fs1".to_owned(), "fs2".to_owned()];
    assert!(served.decide_all(&named, &listed, now).all_accepted);
    let elsewhere = desired(&some(10), r#","nodes":["elsewhere"]"#);
    assert!(served.decide_all(&elsewhere, &listed, now).held.is_some());
    assert_eq!(count(&served.answer("named", &elsewhere, now)), 10);
    assert_eq!(
        served.answer("elsewhere", &elsewhere, now).nodes().collect::<Vec<_>>(),
        ["elsewhere"]
    );
    served.release_others(&listed);
    served.decide_all(&desired(&some(10), ""), &listed, now);
    assert!(served.lock().named.is_empty(), "all get the same now");
}

#[test]
fn of_switches_that_gateways_name_so_many_are_kept_and_the_others_guarded_from_what_all_accepted() {
    let (served, now) = (guarded(None), Instant::now());
    let all = naming(MOST_NAMED + 2, 0);
    served.decide_all(&all, &[], now);
    assert_eq!(served.lock().named.len(), MOST_NAMED);
    let (first, beyond) = ("n0000".to_owned(), format!("n{:04}", MOST_NAMED + 1));
    served.answer(&first, &all, now);
    let given = served.decide(&beyond, &desired(&[], ""), now).0;
    assert_eq!(count(&given), count(&all), "there is no place for it");
    // A new switch replaces the one with the oldest request.
    served.answer(&beyond, &all, now);
    let states = served.lock();
    assert!(states.named.len() == MOST_NAMED && states.named.contains_key(&beyond));
    assert!(states.named.contains_key(&first));
}

#[test]
fn an_edit_is_decided_once_for_all_that_stand_at_the_same_state() {
    let (served, now) = (guarded(None), Instant::now());
    served.decide_all(&naming(1000, 0), &[], now);
    served.decide_all(&naming(1000, 1), &[], now);
    assert_eq!(served.lock().steps.taken(), 1);
}

#[test]
fn a_batch_is_for_its_switch_and_profile_alone() {
    let served = guarded(None);
    let profile = ProfileName::parse("external").unwrap();
    let batch = Start::Many(Arc::new([GatewayName::parse("a").unwrap()].into()));
    served.begin_start("fs1", &profile, batch);
    assert_eq!(served.batch("fs1", "EXTERNAL").unwrap().len(), 1);
    assert!(served.batch("fs1", "internal").is_none() && served.batch("fs2", "external").is_none());
    assert!(served.end_start("fs1").is_none(), "it did not ask");
    assert!(served.batch("fs1", "external").is_none());
}

#[test]
fn given_is_what_was_asked_for_by_that_start_alone() {
    let served = guarded(None);
    let (profile, key) = (ProfileName::parse("external").unwrap(), RevisionKey::new([7; 32]));
    let (names, now) = (some(2), desired(&some(2), ""));
    let name = |index: usize| GatewayName::parse(&names[index]).unwrap();
    let want = |index| Want::of(&now.served()[&name(index)].gateway, &key);
    let start = |what: Start, asked: [Option<&str>; 2], given: &Arc<Desired>| {
        served.begin_start("fs1", &profile, what);
        for (switch, profile) in [("fs1", "external"), ("fs2", "external"), ("fs1", "internal")] {
            let asked = asked[usize::from((switch, profile) != ("fs1", "external"))];
            served.record_given(switch, profile, asked, given, &key);
        }
        served.end_start("fs1")
    };
    let (one, all) = (Start::One(name(0)), Start::Many(Arc::new([name(0), name(1)].into())));
    let other = Some(names[1].as_str());
    let this = Some(names[0].as_str());
    assert!(start(one.clone(), [other, this], &now).is_none(), "asked for another");
    assert!(start(one.clone(), [None, this], &now).is_none(), "asked for all");
    assert!(start(all.clone(), [this, None], &now).is_none(), "asked for one");
    let given = start(one.clone(), [this, other], &now).unwrap();
    assert!(given.holds(&name(0), &want(0)) && !given.holds(&name(0), &want(1)));
    let given = start(all, [None, this], &now).unwrap();
    assert!(given.holds(&name(0), &want(0)) && given.holds(&name(1), &want(1)));
    let given = start(one, [this, other], &desired(&[], "")).unwrap();
    assert!(!given.holds(&name(0), &want(0)), "it was not in what was given");
}
