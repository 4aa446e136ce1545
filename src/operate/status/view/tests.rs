use jiff::Timestamp;

use super::*;
use crate::control::Waiting;
use crate::gateway::{Placed, PlacedFor, Placements, ProfileName, RawDomain, RevisionKey, Rules};
use crate::language::Bilingual;
use crate::reconcile::wants;

/// gw1 and gw10 are desired.
fn desired() -> Desired {
    let value = br#"{"param":{"register":"false","realm":"sip.example.net"}}"#;
    let fields = ["gw1", "gw10"].map(|name| (name.as_bytes().to_vec(), value.to_vec()));
    let rules = Rules::new(profile("external"), BTreeMap::new());
    Desired::build(&[("acme".to_owned(), RawDomain::hash(fields))].into(), &rules, None)
}

fn profile(name: &str) -> ProfileName {
    ProfileName::parse(name).unwrap()
}

fn name(name: &str) -> GatewayName {
    GatewayName::parse(name).unwrap()
}

fn view<'a>(desired: &'a Desired, report: Option<Report>) -> View<'a> {
    View {
        watched: true,
        asked: false,
        paused: false,
        drained: None,
        report,
        wants: wants(desired, &RevisionKey::new([7; 32]), "fs1"),
        has_key: true,
        desired,
    }
}

fn applying() -> Report {
    Report {
        mode: "apply".to_owned(),
        ..Report::default()
    }
}

/// A row with this revision.
fn running(revision: Option<&str>) -> Row {
    Row {
        revision: revision.map(str::to_owned),
        ..Row::unknown(Timestamp::UNIX_EPOCH)
    }
}

fn deviation(view: &View<'_>, name: &str, row: Option<&Row>) -> Option<Deviation> {
    view.deviation(name, row, view.wants.get(name), true)
}

#[test]
fn a_gateway_that_runs_what_redis_wants_has_no_deviation() {
    let desired = desired();
    let view = view(&desired, Some(applying()));
    let row = running(Some(&view.wants["gw1"].revision));
    assert_eq!(deviation(&view, "gw1", Some(&row)), None);
}

#[test]
fn what_runs_and_what_is_wanted_decide_what_is_wrong() {
    let desired = desired();
    let view = view(&desired, Some(applying()));
    let blocker = Blocker::InProgress;
    let old = running(Some("0123"));
    assert_eq!(
        deviation(&view, "gw1", None),
        Some(Deviation::Missing {
            blocker: Some(blocker.clone())
        })
    );
    assert_eq!(
        deviation(&view, "gw1", Some(&old)),
        Some(Deviation::Outdated {
            blocker: blocker.clone()
        })
    );
    assert_eq!(
        deviation(&view, "gone", Some(&old)),
        Some(Deviation::Unwanted { blocker })
    );
    assert_eq!(
        deviation(&view, "theirs", Some(&running(None))),
        Some(Deviation::NotOurs)
    );
    assert_eq!(
        view.deviation("gw1", None, view.wants.get("gw1"), false),
        Some(Deviation::SwitchNotConnected)
    );
    let stale = Row { stale: true, ..old };
    assert_eq!(
        deviation(&view, "gw1", Some(&stale)),
        Some(Deviation::SwitchUnreachable)
    );
}

#[test]
fn a_conflict_is_shown_at_the_gateway_it_names_and_at_no_other() {
    let desired = desired();
    let not_ours = Conflict::NotOurs {
        gateway: name("gw1"),
        profile: profile("external"),
        domain: "acme".to_owned(),
    };
    let view = view(
        &desired,
        Some(Report {
            conflicts: vec![not_ours.clone()],
            ..applying()
        }),
    );
    let row = running(None);
    let conflict = deviation(&view, "gw1", Some(&row));
    assert_eq!(conflict, Some(Deviation::Conflict { conflict: not_ours }));
    assert_eq!(deviation(&view, "gw10", Some(&row)), None);
}

#[test]
fn a_profile_that_does_not_run_is_shown_at_its_gateways() {
    let desired = desired();
    let of = |stopped: &str| {
        let conflict = Conflict::ProfileNotRunning {
            profile: profile(stopped),
            gateways: BTreeSet::new(),
        };
        let report = Report {
            conflicts: vec![conflict],
            ..applying()
        };
        deviation(&view(&desired, Some(report)), "gw1", None)
    };
    assert_eq!(
        of("external"),
        Some(Deviation::ProfileNotRunning {
            profile: profile("external")
        })
    );
    assert!(matches!(of("ext"), Some(Deviation::Missing { .. })));
}

#[test]
fn the_blocker_is_the_first_thing_that_must_change() {
    let desired = desired();
    let held = || Report {
        held: Some("removes 40 of 50".to_owned()),
        mode: "observe".to_owned(),
        ..Report::default()
    };
    let mut view = view(&desired, Some(held()));
    view.paused = true;
    view.watched = false;
    assert_eq!(view.blocker("gw1"), Blocker::NoTrunkd);
    view.watched = true;
    assert!(matches!(view.blocker("gw1"), Blocker::Held { .. }));
    view.report = Some(Report { held: None, ..held() });
    assert_eq!(view.blocker("gw1"), Blocker::Paused);
    view.paused = false;
    assert!(matches!(view.blocker("gw1"), Blocker::Mode { mode } if mode == "observe"));
    view.report = Some(applying());
    assert_eq!(view.blocker("gw1"), Blocker::InProgress);
    let waiting = Waiting {
        per_second: Some(5),
        gateways: ["gw1".to_owned()].into(),
    };
    view.report = Some(Report {
        waiting: [("sip.example.net".to_owned(), waiting)].into(),
        ..applying()
    });
    assert!(matches!(view.blocker("gw1"), Blocker::Pace { .. }));
    assert_eq!(view.blocker("gw2"), Blocker::InProgress);
    view.report = None;
    assert_eq!(view.blocker("gw1"), Blocker::NoReconciler);
}

#[test]
fn a_parked_version_says_so_until_it_is_edited() {
    let desired = desired();
    let parked = |revision: &str| Parked {
        code: Some("403".to_owned()),
        phrase: Some("Forbidden".to_owned()),
        next_try: Some(Timestamp::UNIX_EPOCH),
        ..Parked::by(revision, "trunkd", Timestamp::UNIX_EPOCH)
    };
    let report = |revision: &str| Report {
        parked: [("gw1".to_owned(), parked(revision))].into(),
        ..applying()
    };
    let revision = view(&desired, None).wants["gw1"].revision.clone();
    let (now, before) = (
        view(&desired, Some(report(&revision))),
        view(&desired, Some(report("r0"))),
    );
    let row = running(Some(&revision));
    for row in [Some(&row), None] {
        let said = deviation(&now, "gw1", row).unwrap();
        assert_eq!(
            said.to_string(),
            "parked: the carrier answers 403 Forbidden; next try at 1970-01-01 00:00:00 UTC"
        );
        said.message().check();
        assert!(said.is_failure());
    }
    assert_eq!(deviation(&before, "gw1", Some(&row)), None);
    let by_a_person = Deviation::Parked {
        parked: Parked::by(&revision, "user:alice", Timestamp::UNIX_EPOCH),
    };
    assert!(!by_a_person.is_failure());
}

#[test]
fn a_gateway_on_one_switch_says_where_it_belongs_and_who_must_take_it_over() {
    let value = br#"{"param":{"register":"false","realm":"sip.example.net"},"placement":"one"}"#;
    let raw = [("acme".to_owned(), RawDomain::hash([(b"gw1".to_vec(), value.to_vec())]))].into();
    let rules = Rules::new(profile("external"), BTreeMap::new());
    let on = |switch: Option<&str>| {
        let placed = switch.map(|switch| {
            let placed = Placed {
                switch: switch.to_owned(),
                epoch: 1,
                since: Timestamp::UNIX_EPOCH,
                reason: PlacedFor::First,
                by: String::new(),
                step: None,
            };
            (name("gw1"), placed)
        });
        let placements: Placements = placed.into_iter().collect();
        Desired::build_with(&raw, &placements.into(), &rules, None)
    };
    let (here, elsewhere, nowhere) = (on(Some("fs1")), on(Some("fs2")), on(None));
    let row = running(Some("0123"));
    let found = view(&elsewhere, Some(applying()));
    let moves = Deviation::Elsewhere {
        switch: "fs2".to_owned(),
        blocker: Blocker::InProgress,
    };
    assert_eq!(deviation(&found, "gw1", Some(&row)), Some(moves));
    let unplaced = view(&nowhere, Some(applying()));
    assert_eq!(
        deviation(&unplaced, "gw1", Some(&row)),
        None,
        "it stays until its switch is chosen"
    );
    let owner = view(&here, Some(applying()));
    let lost = owner.deviation("gw1", None, owner.wants.get("gw1"), false);
    assert_eq!(lost, Some(Deviation::NotTakenOver));
    let switch = owner.switch("fs1".to_owned(), SwitchState::default(), HashMap::new());
    assert_eq!((switch.placed, switch.gateways[0].failing), (1, true));
}
