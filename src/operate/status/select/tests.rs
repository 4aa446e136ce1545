use super::super::model::{Counts, OnSwitch, Switch, Unplaced, VERSION};
use super::*;
use crate::language::Text;
use crate::observed::SwitchState;

fn gateway(name: &str, domain: &str, condition: Condition) -> Gateway {
    let on = OnSwitch {
        switch: "fs1",
        watched: true,
    };
    Gateway {
        domain: Some(domain.to_owned()),
        ..Gateway::from_row(on, name.to_owned(), None, condition)
    }
}

fn switch(name: &str, gateways: Vec<Gateway>) -> Switch {
    Switch {
        name: name.to_owned(),
        state: SwitchState {
            connected: true,
            since: String::new(),
            core_uuid: String::new(),
            last_seen: String::new(),
            reason: None,
        },
        watched: true,
        asked: false,
        paused: false,
        drained: None,
        placed: 0,
        mode: None,
        held: None,
        is_store_empty: false,
        removals_left: None,
        conflicts: Vec::new(),
        counts: Counts::of(&gateways),
        gateways,
    }
}

/// fs1 has `a` (up) and `b` (down) of acme, fs2 has `a` (up) of acme and `c` (missing) of beta; `d` is on no switch.
fn status() -> Status {
    let unplaced = Unplaced {
        name: "d".to_owned(),
        domain: "beta".to_owned(),
        profile: "external".to_owned(),
        nodes: Vec::new(),
        note: Text::EMPTY.into(),
    };
    let fs1 = vec![
        gateway("a", "acme", Condition::Up),
        gateway("b", "acme", Condition::Down),
    ];
    let fs2 = vec![
        gateway("a", "acme", Condition::Up),
        gateway("c", "beta", Condition::Missing),
    ];
    Status {
        version: VERSION,
        well: false,
        redis_down: None,
        switches: vec![switch("fs1", fs1), switch("fs2", fs2)],
        on_no_switch: vec![unplaced],
        carriers: Default::default(),
        findings: Vec::new(),
    }
}

/// What is left, as `switch/gateway`, and whether that is well.
fn selected(selection: &Selection) -> (Vec<String>, bool) {
    let mut status = status();
    selection.apply(&mut status).unwrap();
    let placed = status.switches.iter().flat_map(|switch| {
        let gateways = switch.gateways.iter();
        gateways.map(move |gateway| format!("{}/{}", switch.name, gateway.name))
    });
    let unplaced = status.on_no_switch.iter().map(|gateway| format!("-/{}", gateway.name));
    (placed.chain(unplaced).collect(), status.well)
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn a_state_is_a_condition_or_freeswitchs_word_and_nothing_else() {
    assert_eq!("down".parse(), Ok(StateFilter::Condition(Condition::Down)));
    assert_eq!("DOWN".parse(), Ok(StateFilter::State(State::Down)));
    assert_eq!("fail_wait".parse(), Ok(StateFilter::State(State::FailWait)));
    for wrong in ["", "REGD", "Up"] {
        assert!(wrong.parse::<StateFilter>().is_err(), "{wrong}");
    }
}

#[test]
fn only_what_is_selected_decides_whether_all_is_well() {
    let all = selected(&Selection::default());
    assert_eq!(all, (names(&["fs1/a", "fs1/b", "fs2/a", "fs2/c", "-/d"]), false));
    let one_gateway = Selection {
        names: names(&["a"]),
        ..Selection::default()
    };
    assert_eq!(selected(&one_gateway), (names(&["fs1/a", "fs2/a"]), true));
    let one_switch = Selection {
        switches: names(&["fs1"]),
        ..Selection::default()
    };
    assert_eq!(selected(&one_switch), (names(&["fs1/a", "fs1/b"]), false));
    let one_domain = Selection {
        domains: names(&["beta"]),
        ..Selection::default()
    };
    assert_eq!(selected(&one_domain), (names(&["fs2/c", "-/d"]), false));
    let up = Selection {
        states: vec![StateFilter::Condition(Condition::Up)],
        ..Selection::default()
    };
    assert_eq!(selected(&up), (names(&["fs1/a", "fs2/a"]), true));
    let failing = Selection {
        failing: true,
        ..Selection::default()
    };
    assert_eq!(selected(&failing), (names(&["fs1/b", "fs2/c", "-/d"]), false));
}

#[test]
fn a_limit_keeps_the_worst_over_all_switches_and_does_not_change_what_is_well() {
    let limited = |limit| {
        selected(&Selection {
            limit: Some(limit),
            ..Selection::default()
        })
    };
    assert_eq!(limited(0), (names(&[]), false));
    assert_eq!(limited(1), (names(&["-/d"]), false));
    assert_eq!(limited(2), (names(&["fs1/b", "-/d"]), false));
    assert_eq!(limited(3), (names(&["fs1/b", "fs2/c", "-/d"]), false));
}

#[test]
fn a_name_that_is_nowhere_is_an_error() {
    let fails = |selection: Selection| selection.apply(&mut status()).unwrap_err();
    let switch = fails(Selection {
        switches: names(&["fs3"]),
        ..Selection::default()
    });
    assert!(
        matches!(&switch, OperateError::UnknownSwitch { name, known } if name == "fs3" && known.len() == 2),
        "{switch}"
    );
    let gateway = fails(Selection {
        names: names(&["z"]),
        ..Selection::default()
    });
    assert!(
        matches!(&gateway, OperateError::UnknownGateway(name) if name == "z"),
        "{gateway}"
    );
    let domain = fails(Selection {
        domains: names(&["gamma"]),
        ..Selection::default()
    });
    assert!(
        matches!(&domain, OperateError::UnknownDomain(name) if name == "gamma"),
        "{domain}"
    );
}
