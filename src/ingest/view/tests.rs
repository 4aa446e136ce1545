use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::snapshots::row_from_snapshot;
use super::*;
use crate::event_socket::{Event, GatewayDetails, GatewayEvent, GatewayStatus, Subclass, parse_gateways};
use crate::registration::PingStatus;

fn event(subclass: Subclass, gateway: &str, sequence: u64, state: Option<State>) -> GatewayEvent {
    GatewayEvent {
        json: Bytes::new(),
        subclass,
        gateway: gateway.into(),
        profile: (subclass != Subclass::State).then(|| "external".to_owned()),
        ping: state.as_ref().map(|_| PingStatus::Down),
        state,
        status: None,
        phrase: None,
        realm: None,
        core_uuid: "core".into(),
        switchname: "fs1".into(),
        sequence,
        at: at(sequence),
    }
}

fn at(sequence: u64) -> Timestamp {
    Timestamp::from_second(1_795_400_000 + i64::try_from(sequence).unwrap()).unwrap()
}

fn add(gateway: &str, sequence: u64) -> GatewayEvent {
    event(Subclass::Add, gateway, sequence, None)
}

fn state(gateway: &str, sequence: u64, state: State) -> GatewayEvent {
    event(Subclass::State, gateway, sequence, Some(state))
}

fn delete(gateway: &str, sequence: u64) -> GatewayEvent {
    event(Subclass::Delete, gateway, sequence, None)
}

fn listed(name: &str, state: State) -> GatewayStatus {
    GatewayStatus {
        name: name.into(),
        profile: "external".into(),
        state,
        ping: PingStatus::Up,
        uptime: None,
        details: GatewayDetails::default(),
    }
}

fn view_of(events: &[GatewayEvent]) -> View {
    let mut view = View::default();
    for event in events {
        view.apply_event(event);
    }
    view
}

fn state_of(view: &View, name: &str) -> Option<State> {
    view.row(name).and_then(|row| row.state.clone())
}

#[test]
fn a_delete_after_its_successors_add_leaves_the_successor() {
    let mut view = view_of(&[add("g", 1), state("g", 2, State::Reged), add("g", 3)]);
    assert_eq!(view.apply_event(&delete("g", 4)).change, Change::Nothing);
    assert!(view.row("g").is_some());
    assert_eq!(view.apply_event(&delete("g", 5)).change, Change::Delete);
    assert!(view.row("g").is_none());
}

#[test]
fn a_predecessors_delete_that_comes_twice_counts_once() {
    let mut view = view_of(&[add("g", 1), state("g", 2, State::Reged), add("g", 3), delete("g", 4)]);
    let again = view.apply_event(&delete("g", 4));
    assert_eq!((again.change, again.is_older), (Change::Nothing, true));
    assert!(view.row("g").is_some());
}

#[test]
fn the_recorded_replacement_ends_registered() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/recordings/event_socket/killgw-startgw-rescan.txt"
    );
    let recording = std::fs::read_to_string(path).unwrap();
    let mut view = View::default();
    view.apply_snapshot(
        &[listed("gw_ok", State::Reged), listed("gw_noreg", State::Noreg)],
        387,
        at(0),
    );
    for part in recording.split("Content-Type: text/event-json\n\n").skip(1) {
        let json = &part[..part.find('}').unwrap() + 1];
        let Event::Gateway(event) = Event::parse(json.to_owned().into()).unwrap() else {
            panic!("{json}")
        };
        view.apply_event(&event);
    }
    assert_eq!(state_of(&view, "gw_ok"), Some(State::Reged));
    assert_eq!(view.row("gw_noreg").unwrap().state, None);
    let refused = view.row("gw_bad").unwrap();
    assert_eq!(refused.state, Some(State::FailWait));
    assert_eq!(
        (refused.status.as_deref(), refused.phrase.as_deref()),
        (Some("403"), Some("Forbidden"))
    );
}

#[test]
fn a_predecessors_down_is_not_the_successors() {
    let mut view = view_of(&[
        add("g", 1),
        state("g", 2, State::Reged),
        add("g", 3),
        state("g", 4, State::Trying),
    ]);
    assert_eq!(view.apply_event(&state("g", 5, State::Down)).change, Change::Nothing);
    assert_eq!(state_of(&view, "g"), Some(State::Trying));
}

#[test]
fn a_delete_that_overtook_its_successors_add_does_not_cost_the_successor() {
    let mut view = view_of(&[add("g", 1), state("g", 2, State::Reged)]);
    assert_eq!(view.apply_event(&delete("g", 4)).change, Change::Delete);
    let restored = view.apply_event(&add("g", 3));
    assert!(matches!(restored.change, Change::Set(_)));
    assert_eq!(
        restored.mark, 4,
        "else Redis, which saw the delete, would take it for old"
    );
    assert!(view.row("g").is_some());
}

#[test]
fn an_add_that_comes_after_its_own_delete_brings_nothing_back() {
    let mut view = view_of(&[delete("g", 2)]);
    assert_eq!(view.apply_event(&add("g", 1)).change, Change::Nothing);
    assert!(view.row("g").is_none());
    assert!(view.take_unsettled());
}

#[test]
fn a_revision_is_unknown_until_an_event_or_a_snapshot_carries_it() {
    let mut view = view_of(&[add("g", 1), state("g", 2, State::Reged)]);
    let asked = |view: &mut View, revision: &str| {
        let instance = view.instance("g").unwrap();
        view.set_revision("g", instance, Some(revision.to_owned()))
    };
    let is_open = |view: &View| view.incomplete().count() == 1;
    assert!(asked(&mut view, "r1") && is_open(&view));
    view.mark_snapshot_stored();
    assert!(is_open(&view), "the event is newer than the snapshot");
    view.apply_event(&state("g", 3, State::Trying));
    assert!(!is_open(&view));
    assert!(!asked(&mut view, "r1"), "nothing new");
    assert!(asked(&mut view, "r2"));
    view.apply_snapshot(&[listed("g", State::Trying)], 3, at(3));
    assert!(is_open(&view));
    view.mark_snapshot_stored();
    assert!(!is_open(&view));
    assert!(asked(&mut view, "r3"));
    let taken = view.apply_lookups(&[("g".into(), Some(listed("g", State::Trying)))], 3, at(4));
    view.mark_stored(&taken);
    assert!(!is_open(&view));
}

#[test]
fn a_reconnect_reuses_no_instance() {
    let mut view = view_of(&[add("g", 1)]);
    let before = view.instance("g");
    view.reset();
    view.apply_event(&add("g", 2));
    assert_ne!(view.instance("g"), before);
}

#[test]
fn a_gateway_is_complete_with_its_state_and_its_revision() {
    let mut view = view_of(&[add("g", 1)]);
    let is_complete = |view: &View| view.incomplete().next().is_none();
    let instance = view.instance("g").unwrap();
    view.set_revision("g", instance, None);
    assert!(!is_complete(&view));
    view.apply_event(&state("g", 2, State::Trying));
    assert!(is_complete(&view));
    view.apply_event(&add("g", 3));
    assert!(!is_complete(&view), "its successor was not asked");
}

#[test]
fn a_gateway_that_was_asked_for_is_as_answered_unless_an_event_is_newer() {
    let mut view = view_of(&[add("ip", 1), add("carrier", 2), state("carrier", 7, State::Reged)]);
    let answers = [
        ("ip".into(), Some(listed("ip", State::Noreg))),
        ("carrier".into(), Some(listed("carrier", State::Trying))),
    ];
    assert_eq!(view.apply_lookups(&answers, 5, at(6)), [Arc::from("ip")]);
    assert_eq!(state_of(&view, "ip"), Some(State::Noreg));
    assert_eq!(state_of(&view, "carrier"), Some(State::Reged));
    let late = view.apply_event(&state("ip", 4, State::Trying));
    assert_eq!(
        (late.change, late.is_older),
        (Change::Nothing, true),
        "it was in the answer"
    );
    assert!(!view.take_unsettled());
    let gone = view.apply_lookups(&[("ip".into(), None)], 8, at(9));
    assert!(
        gone.is_empty() && view.take_unsettled(),
        "only a snapshot tells that it is gone"
    );
    let moved = GatewayStatus {
        profile: "internal".into(),
        ..listed("carrier", State::Reged)
    };
    let answers = [("carrier".into(), Some(moved))];
    assert!(
        view.apply_lookups(&answers, 8, at(9)).is_empty() && view.take_unsettled(),
        "a ghost, perhaps"
    );
}

#[test]
fn an_older_state_never_overwrites_a_newer_one() {
    let mut view = view_of(&[add("g", 1), state("g", 3, State::Reged)]);
    let late = view.apply_event(&state("g", 2, State::Trying));
    assert_eq!((late.change, late.is_older), (Change::Nothing, true));
    assert_eq!(state_of(&view, "g"), Some(State::Reged));
}

#[test]
fn since_is_when_the_state_was_entered_and_seen_when_it_was_last_true() {
    let view = view_of(&[add("g", 1), state("g", 2, State::Reged), state("g", 9, State::Reged)]);
    let row = view.row("g").unwrap();
    assert_eq!((row.since, row.seen), (at(2), at(9)));
    assert_eq!(row.profile.as_deref(), Some("external"));
}

/// The events of a recording.
fn recorded(name: &str) -> Vec<GatewayEvent> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/event_socket");
    let recording = std::fs::read_to_string(format!("{folder}/{name}.txt")).unwrap();
    let bodies = recording.split("Content-Type: text/event-json\n\n").skip(1);
    let events = bodies.map(|part| {
        let json = part[..part.find('}').unwrap() + 1].to_owned();
        match Event::parse(json.into()).unwrap() {
            Event::Gateway(event) => event,
            other => panic!("{other:?}"),
        }
    });
    events.collect()
}

fn outlook(view: &View, name: &str) -> (Option<bool>, Timestamp, Option<String>) {
    let row = view.row(name).unwrap();
    (row.usable, row.usable_since.unwrap(), row.reason.clone())
}

#[test]
fn the_recorded_refusals_are_one_outage_and_a_registration_made_anew_is_none() {
    let events = recorded("registration-refused-403-and-503-for-100-s");
    let mut view = View::default();
    view.apply_snapshot(&[listed("gw_ok", State::Reged)], 0, events[0].at);
    let up = outlook(&view, "gw_ok");
    assert_eq!(up, (Some(true), events[0].at, None));
    let (first, refusal) = (events[2].at, |name| {
        ["403 Forbidden", "503 Service Unavailable"][usize::from(name == "gw_busy")]
    });
    for event in &events {
        view.apply_event(event);
        let name = &*event.gateway;
        match (name, event.subclass) {
            ("gw_ok", _) => assert_eq!(outlook(&view, name), up),
            (_, Subclass::Add) => assert_eq!(outlook(&view, name), (None, event.at, None)),
            (_, _) if event.at == first && event.status.is_none() => {
                assert_eq!(outlook(&view, name), (Some(false), first, None));
            }
            _ => assert_eq!(
                outlook(&view, name),
                (Some(false), first, Some(refusal(name).to_owned()))
            ),
        }
    }
    // Nor does a comparison know better.
    view.apply_snapshot(&[listed("gw_refused", State::FailWait)], 10_000, at(0));
    assert_eq!(
        outlook(&view, "gw_refused"),
        (Some(false), first, Some("403 Forbidden".to_owned()))
    );
}

#[test]
fn the_recorded_register_and_unregister_by_hand() {
    let mut view = View::default();
    view.apply_snapshot(&[listed("gw_ok", State::Reged)], 0, at(0));
    for event in recorded("gateway-register") {
        view.apply_event(&event);
        assert_eq!(outlook(&view, "gw_ok"), (Some(true), at(0), None));
    }
    let down = recorded("gateway-unregister").remove(0);
    view.apply_event(&down);
    let reason = Some("unregistered".to_owned());
    assert_eq!(outlook(&view, "gw_ok"), (Some(false), down.at, reason.clone()));
    for event in recorded("gateway-register-again") {
        view.apply_event(&event);
        let expected = match event.state {
            Some(State::Reged) => (Some(true), event.at, None),
            // Its ping status is UP (FACTS 38), but it is not registered.
            _ => (Some(false), down.at, reason.clone()),
        };
        assert_eq!(outlook(&view, "gw_ok"), expected);
    }
}

#[test]
fn the_recorded_time_outs_and_pings_have_their_reasons() {
    let mut view = View::default();
    for event in recorded("options-ping-up") {
        view.apply_event(&event);
    }
    assert_eq!(outlook(&view, "gw_silent").2.as_deref(), Some("no answer"));
    assert_eq!(outlook(&view, "gw_dead").2.as_deref(), Some("503 Service Unavailable"));
    assert_eq!(outlook(&view, "gw_ping").0, Some(true));
    for event in recorded("options-ping-down") {
        view.apply_event(&event);
    }
    let lost = view_of(&recorded("options-ping-down"));
    assert_eq!(outlook(&lost, "gw_ping").2.as_deref(), Some("ping lost"));
}

#[test]
fn a_registered_gateway_whose_ping_is_lost_is_told_so() {
    let mut view = view_of(&[add("g", 1), state("g", 2, State::Reged)]);
    let lost = GatewayEvent {
        status: Some("408".into()),
        phrase: Some("Request Timeout".into()),
        ..state("g", 3, State::Failed)
    };
    view.apply_event(&lost);
    view.apply_event(&state("g", 4, State::FailWait));
    assert_eq!(outlook(&view, "g"), (Some(false), at(3), Some("ping lost".to_owned())));
}

#[test]
fn a_challenge_is_noted_beside_the_state_until_the_gateway_is_registered_or_started() {
    let challenge = |sequence| GatewayEvent {
        realm: Some("\"sip.example.net\"".into()),
        ..event(Subclass::InvalidDigestReq, "g", sequence, None)
    };
    let noted = |view: &View| view.row("g").unwrap().challenge.clone();
    let mut view = view_of(&[add("g", 1), state("g", 2, State::Trying)]);
    let effect = view.apply_event(&challenge(3));
    assert!(
        matches!(&effect.change, Change::Note(row) if row.state == Some(State::Trying)),
        "{effect:?}"
    );
    assert_eq!(effect.mark, 2, "a state that comes late is newer than the row");
    assert_eq!(noted(&view).unwrap().realm.as_deref(), Some("sip.example.net"));
    assert_eq!(
        outlook(&view, "g"),
        (Some(false), at(2), Some("challenge not answered".to_owned()))
    );
    view.apply_event(&state("g", 5, State::Timeout));
    assert_eq!(outlook(&view, "g").2.as_deref(), Some("challenge not answered"));
    assert_eq!(view.apply_event(&challenge(4)).change, Change::Nothing, "it came late");
    view.apply_snapshot(&[listed("g", State::FailWait)], 5, at(6));
    assert!(noted(&view).is_some());
    view.apply_event(&state("g", 7, State::Reged));
    assert_eq!((noted(&view), outlook(&view, "g")), (None, (Some(true), at(7), None)));
    // Of a call: the registration is well.
    view.apply_event(&challenge(8));
    assert_eq!(
        (noted(&view).is_some(), outlook(&view, "g")),
        (true, (Some(true), at(7), None))
    );
    view.apply_event(&add("g", 9));
    assert_eq!(noted(&view), None);
    assert_eq!(
        view.apply_event(&GatewayEvent {
            gateway: "other".into(),
            ..challenge(10)
        })
        .change,
        Change::Nothing
    );
}

#[test]
fn the_recorded_challenge_is_why_the_trunk_timed_out() {
    let mut view = View::default();
    let (mut told, mut since) = (Vec::new(), None);
    for event in recorded("gateway-invalid-digest-req") {
        let effect = view.apply_event(&event);
        if &*event.gateway != "stray" {
            continue;
        }
        assert_eq!(
            matches!(effect.change, Change::Note(_)),
            event.subclass == Subclass::InvalidDigestReq
        );
        let (usable, usable_since, reason) = outlook(&view, "stray");
        assert_eq!((usable, usable_since), (Some(false), *since.get_or_insert(event.at)));
        told.extend(reason.filter(|reason| told.last() != Some(reason)));
    }
    // The challenge of the try before was fired before anybody listened.
    assert_eq!(told, ["no answer", "challenge not answered"]);
    let challenge = view.row("stray").unwrap().challenge.clone().unwrap();
    assert_eq!(challenge.realm.as_deref(), Some("carrier.test"));
}

#[test]
fn what_a_snapshot_fills_in_costs_no_answer() {
    let refused = GatewayEvent {
        status: Some("403".into()),
        phrase: Some("Forbidden".into()),
        ..state("g", 2, State::Failed)
    };
    let mut view = view_of(&[refused]);
    // FAIL_WAIT was lost on the way.
    for (sequence, listed) in [(2, listed("g", State::Failed)), (3, listed("g", State::FailWait))] {
        view.apply_snapshot(&[listed], sequence, at(9));
        let row = view.row("g").unwrap();
        assert_eq!(row.profile.as_deref(), Some("external"));
        assert_eq!(
            (row.status.as_deref(), row.phrase.as_deref()),
            (Some("403"), Some("Forbidden"))
        );
        assert_eq!(
            outlook(&view, "g"),
            (Some(false), at(2), Some("403 Forbidden".to_owned()))
        );
    }
    assert_eq!(view.row("g").unwrap().since, at(9), "of the state");
}

#[test]
fn a_gateway_that_was_down_while_nobody_listened_is_up_since_it_came_back() {
    let up = |uptime| GatewayStatus {
        uptime: Some(Duration::from_secs(uptime)),
        ..listed("g", State::Reged)
    };
    let known = view_of(&[state("g", 2, State::Reged)]).row("g").unwrap().clone();
    let seeded = |uptime| {
        let mut view = View::default();
        view.seed([("g".to_owned(), known.clone())]);
        view.apply_snapshot(&[up(uptime)], 5, at(1000));
        outlook(&view, "g").1
    };
    assert_eq!(seeded(998), at(2));
    assert_eq!(seeded(997), at(2), "the clocks are not that exact");
    assert_eq!(seeded(10), at(990));
    // Who listens knows better: the switch's clock may be another.
    let mut view = view_of(&[state("g", 2, State::Reged)]);
    view.apply_snapshot(&[up(10)], 5, at(1000));
    assert_eq!(outlook(&view, "g").1, at(2));
    // Of one that nobody knew, the switch knows it.
    let mut view = View::default();
    view.apply_snapshot(&[up(10)], 5, at(1000));
    assert_eq!(outlook(&view, "g").1, at(990));
}

#[test]
fn what_events_told_before_redis_was_read_goes_on_from_what_it_knew() {
    let refused = Row {
        usable: Some(false),
        usable_since: Some(at(1)),
        reason: Some("403 Forbidden".to_owned()),
        ..Row::unknown(at(1))
    };
    let mut view = view_of(&[state("down", 100, State::Trying), state("up", 101, State::Reged)]);
    assert!(view.row("down").unwrap().is_first_sight);
    view.apply_event(&state("down", 102, State::FailWait));
    view.seed(["down", "up"].map(|name| (name.to_owned(), refused.clone())));
    assert_eq!(
        outlook(&view, "down"),
        (Some(false), at(1), Some("403 Forbidden".to_owned()))
    );
    assert!(!view.row("down").unwrap().is_first_sight);
    assert_eq!(outlook(&view, "up"), (Some(true), at(101), None), "that was news");
}

#[test]
fn a_ping_is_stuck_when_the_same_one_is_under_way_for_longer_than_it_can_take() {
    let pinged = |due, pinging| GatewayStatus {
        details: GatewayDetails {
            ping_every: 25,
            ping_due: due,
            pinging,
            ..GatewayDetails::default()
        },
        ..listed("g", State::Noreg)
    };
    let mut view = View::default();
    let mut look = |now, due, pinging| {
        view.apply_snapshot(&[pinged(due, pinging)], 1, at(now));
        let row = view.row("g").unwrap();
        (row.ping_stuck, row.usable, row.reason.clone())
    };
    let (well, stuck) = ((false, Some(true), None), (true, None, Some("ping stuck".to_owned())));
    assert_eq!(look(0, 100, true), well);
    assert_eq!(look(60, 160, true), well, "another ping");
    assert_eq!(look(99, 160, true), well);
    assert_eq!(look(100, 160, true), stuck);
    assert_eq!(look(160, 160, true), stuck);
    assert_eq!(look(220, 260, true), well, "it ended after all");
    assert_eq!(look(260, 260, true), stuck);
    // After a restart of trunkd it is still the same.
    let known = view.row("g").unwrap().clone();
    let mut view = View::default();
    view.seed([("g".to_owned(), known)]);
    view.apply_snapshot(&[pinged(260, true)], 1, at(300));
    assert!(view.row("g").unwrap().ping_stuck);
    view.apply_snapshot(&[pinged(290, false)], 1, at(360));
    assert_eq!(outlook(&view, "g").0, Some(true));
}

#[test]
fn one_odd_sequence_changes_nothing_and_outvotes_no_snapshot() {
    let mut view = view_of(&[add("g", 1), state("g", 2, State::Reged)]);
    let odd = view.apply_event(&state("g", 1 << 30, State::Down));
    assert_eq!((odd.change, odd.is_odd), (Change::Nothing, true));
    assert!(view.take_unsettled(), "a snapshot tells");
    view.apply_snapshot(&[listed("g", State::Reged)], view.newest_event(), at(3));
    let next = view.apply_event(&state("g", 3, State::FailWait));
    assert!(matches!(next.change, Change::Set(_)) && !next.is_odd, "{next:?}");

    // The first that is heard is odd, and a snapshot counts as of it.
    let mut view = view_of(&[state("g", 1 << 30, State::Down)]);
    view.apply_snapshot(&[listed("g", State::Reged)], view.newest_event(), at(3));
    for sequence in 3..5 {
        assert!(view.apply_event(&state("g", sequence, State::Trying)).is_odd);
    }
    let third = view.apply_event(&state("g", 5, State::FailWait));
    assert!(
        matches!(third.change, Change::Set(_)) && view.take_sequence_reset(),
        "{third:?}"
    );
    assert_eq!(view.newest_sequence(), 5);
}

#[test]
fn a_snapshot_takes_away_what_is_gone_and_leaves_newer_events_alone() {
    let mut view = view_of(&[
        add("gone", 1),
        add("newer", 2),
        state("newer", 7, State::Reged),
        delete("killed", 8),
    ]);
    view.apply_snapshot(
        &[
            listed("newer", State::Trying),
            listed("found", State::Noreg),
            listed("killed", State::Reged),
        ],
        5,
        at(20),
    );
    assert!(view.row("gone").is_none());
    assert_eq!(state_of(&view, "newer"), Some(State::Reged));
    assert_eq!(state_of(&view, "found"), Some(State::Noreg));
    assert!(view.row("killed").is_none());
    assert!(view.take_unsettled(), "listed and deleted: only another snapshot tells");
    let late = view.apply_event(&state("found", 4, State::Trying));
    assert_eq!((late.change, late.is_older), (Change::Nothing, true));
}

#[test]
fn a_snapshot_in_the_middle_of_a_replacement_counts_the_predecessor() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/recordings/api/sofia-xmlstatus-gateway-while-one-is-replaced.txt"
    );
    let mut view = View::default();
    view.apply_snapshot(&parse_gateways(&std::fs::read(path).unwrap()).unwrap(), 10, at(10));
    assert_eq!(state_of(&view, "gw_ok"), Some(State::Unreged));
    assert_eq!(view.apply_event(&delete("gw_ok", 11)).change, Change::Nothing);
    assert!(view.row("gw_ok").is_some());
}

#[test]
fn a_ghost_in_another_profile_does_not_stand_for_the_gateway() {
    let mut view = view_of(&[add("g", 1), state("g", 2, State::Reged)]);
    let ghost = GatewayStatus {
        profile: "internal".into(),
        ..listed("g", State::Trying)
    };
    view.apply_snapshot(&[ghost, listed("g", State::Reged)], 2, at(3));
    let row = view.row("g").unwrap();
    assert_eq!(
        (row.profile.as_deref(), &row.state),
        (Some("external"), &Some(State::Reged))
    );
    assert_eq!(view.apply_event(&delete("g", 3)).change, Change::Delete);
}

#[test]
fn a_state_that_goes_on_keeps_its_since_over_a_snapshot_and_a_restart_of_trunkd() {
    let before = view_of(&[add("g", 1), state("g", 2, State::Reged)])
        .row("g")
        .unwrap()
        .clone();
    let mut view = View::default();
    view.seed([("g".to_owned(), before)]);
    view.apply_snapshot(&[listed("g", State::Reged)], 50, at(60));
    assert_eq!(view.row("g").unwrap().since, at(2));
    view.apply_snapshot(&[listed("g", State::FailWait)], 51, at(61));
    assert_eq!(view.row("g").unwrap().since, at(61));
}

/// A reader's copy of the gateways: profile, state, and the revision once it is known.
type Followed = BTreeMap<String, (Option<String>, Option<State>, Option<Option<String>>)>;

/// Brings a reader's copy up to date.
fn follow(known: &mut Followed, cursor: &mut Cursor, view: &View) {
    let names: Vec<Arc<str>> = match view.changes_since(cursor) {
        Changes::All => {
            known.clear();
            view.rows().map(|(name, _)| name.clone()).collect()
        }
        Changes::Only(names) => names,
    };
    for name in names {
        let now = view.row(&name).map(|row| {
            let revision = view.is_revision_known(&name).then(|| row.revision.clone());
            (row.profile.clone(), row.state.clone(), revision)
        });
        match now {
            Some(now) => drop(known.insert(name.to_string(), now)),
            None => drop(known.remove(&*name)),
        }
    }
}

/// A small model of mod_sofia: the instances of a name, and the events that it fires for them.
#[derive(Debug, Clone, Default)]
struct Truth {
    live: Option<State>,
    /// Killed ones: whether they are DOWN already.
    killed: Vec<bool>,
}

impl Truth {
    fn step(&mut self, what: u8) -> Option<(Subclass, Option<State>)> {
        match what {
            0 if self.live.is_none() => {
                self.live = Some(State::Unreged);
                Some((Subclass::Add, None))
            }
            1 if self.live.is_some() => {
                self.live = None;
                self.killed.push(false);
                None
            }
            2 if !self.killed.is_empty() => {
                if std::mem::replace(&mut self.killed[0], true) {
                    self.killed.remove(0);
                    return Some((Subclass::Delete, None));
                }
                Some((Subclass::State, Some(State::Down)))
            }
            3..=5 if self.live.is_some() => {
                let next = [State::Trying, State::Reged, State::FailWait][usize::from(what) - 3].clone();
                self.live = Some(next.clone());
                Some((Subclass::State, Some(next)))
            }
            _ => None,
        }
    }

    /// What is answered to the question for this one.
    fn one(&self, name: &str) -> Option<GatewayStatus> {
        self.live.clone().map(|state| listed(name, state))
    }

    fn list(&self, name: &str) -> Vec<GatewayStatus> {
        let killed = self
            .killed
            .iter()
            .map(|&down| listed(name, if down { State::Down } else { State::Unregister }));
        self.live
            .iter()
            .map(|state| listed(name, state.clone()))
            .chain(killed)
            .collect()
    }
}

proptest! {
    /// Whatever happens, and whenever it reads: a reader that follows the changes knows what there is.
    #[test]
    fn what_is_said_to_have_changed_is_all_that_changed(
        steps in proptest::collection::vec((0usize..3, 0u8..12, any::<bool>()), 1..60),
    ) {
        let names = ["a", "b", "c"];
        let mut truths: [Truth; 3] = Default::default();
        let (mut view, mut known, mut cursor) = (View::default(), Followed::new(), Cursor::default());
        for (at_step, (which, what, is_asked)) in (1..).zip(&steps) {
            match what {
                0..6 => if let Some((subclass, state)) = truths[*which].step(*what) {
                    view.apply_event(&event(subclass, names[*which], at_step, state));
                },
                6..8 => if let Some(instance) = view.instance(names[*which]) {
                    view.set_revision(names[*which], instance, (*what == 6).then(|| format!("r{at_step}")));
                },
                8 => {
                    let name = names[*which];
                    view.apply_lookups(&[(name.into(), truths[*which].one(name))], at_step, at(at_step));
                }
                9 => {
                    let list: Vec<_> = names.iter().zip(&truths).flat_map(|(name, truth)| truth.list(name)).collect();
                    view.apply_snapshot(&list, at_step, at(at_step));
                }
                10 => view.reset(),
                _ => {
                    let row = row_from_snapshot(None, &listed(names[*which], State::Reged), false, at(at_step));
                    view.seed([(names[*which].to_owned(), row)]);
                }
            }
            let of_live = |(name, live): (&Arc<str>, &LiveGateway)| live.bytes() + name.len();
            let bytes = view.live.iter().map(of_live).sum::<usize>() + view.marks.keys().map(|name| mark_bytes(name)).sum::<usize>();
            prop_assert_eq!(view.bytes(), bytes);
            if *is_asked {
                follow(&mut known, &mut cursor, &view);
                let mut anew = Followed::new();
                follow(&mut anew, &mut Cursor::default(), &view);
                prop_assert_eq!(&known, &anew);
            }
        }
    }

    /// A snapshot, or answers about single gateways, may come at any moment among the events. Once
    /// all events have come, the view is the truth, or it says that another snapshot is due and is
    /// the truth after that.
    #[test]
    fn events_and_a_snapshot_at_any_moment_end_in_the_truth(
        steps in proptest::collection::vec((0usize..2, 0u8..6), 1..60),
        taken in 0usize..60,
        known_when_asked in 0usize..60,
        is_single: bool,
    ) {
        let names = ["a", "b"];
        let mut truths = [Truth::default(), Truth::default()];
        let (mut events, mut snapshot) = (Vec::new(), None);
        for (index, (which, what)) in steps.iter().enumerate() {
            if index == taken.min(steps.len() - 1) {
                let list: Vec<_> = names.iter().zip(&truths).flat_map(|(name, truth)| truth.list(name)).collect();
                let single = names.iter().zip(&truths).map(|(name, truth)| (Arc::from(*name), truth.one(name)));
                snapshot = Some((events.len(), list, single.collect::<Vec<_>>()));
            }
            if let Some((subclass, state)) = truths[*which].step(*what) {
                events.push(event(subclass, names[*which], events.len() as u64 + 1, state));
            }
        }
        let (fired, list, single) = snapshot.unwrap();
        let known = known_when_asked.min(fired);
        let mut view = view_of(&events[..known]);
        // The answer comes when all that it reflects was fired; what was not known when it was
        // asked for comes after it.
        if is_single {
            view.apply_lookups(&single, known as u64, at(100));
        } else {
            view.apply_snapshot(&list, known as u64, at(100));
        }
        for event in &events[known..] {
            view.apply_event(event);
        }
        if view.take_unsettled() {
            let list: Vec<_> = names.iter().zip(&truths).flat_map(|(name, truth)| truth.list(name)).collect();
            view.apply_snapshot(&list, view.newest_sequence(), at(200));
        }
        // A name that is only being deleted counts as there until it is gone: only the end is compared.
        for (name, truth) in names.iter().zip(&truths) {
            if let Some(live) = &truth.live {
                let row = view.row(name);
                prop_assert!(row.is_some(), "{name} is live");
                let state = row.unwrap().state.clone();
                prop_assert!(state.is_none() || state.as_ref() == Some(live), "{name}: {state:?}, in truth {live:?}");
            } else if truth.killed.is_empty() {
                prop_assert!(view.row(name).is_none(), "{name} is gone");
            }
        }
    }
}
