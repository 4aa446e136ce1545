//! What carriers do to registrations, and what they count (FACTS 38, 39 and 44).

use super::*;
use crate::gateways::{LOGIN, gateway, states, still_switch};
use std::collections::BTreeSet;
use support::fake_switch::{ALL, BUSY, CHALLENGED_AGAIN, Carrier, DECLINE, Event, NOT_FOUND, UNAVAILABLE, Window};

const HOST: &str = "sip.example.net";

/// A switch at this carrier whose time only moves by steps
async fn switch_at(carrier: &Carrier, name: &str) -> FakeSwitch {
    let switch = FakeSwitch::builder().switchname(name).manual_ticks();
    switch.carrier(carrier).start().await
}

/// A gateway with this account
fn account(name: &str, username: &str, password: &str) -> String {
    let login = [("username", username), ("password", password)];
    gateway(name, &[[("realm", HOST), ("retry-seconds", "5")], login].concat())
}

/// State, `Status` and `Phrase` of a gateway's events since a sequence number
fn said(switch: &FakeSwitch, gateway: &str, since: u64) -> Vec<String> {
    let word = |event: &Event, name: &str| event.header(name).unwrap_or("-").to_owned();
    switch.view(|view| {
        let events = view.events().filter(|event| event.sequence() > since);
        let of_gateway = events.filter(|event| event.header("Gateway") == Some(gateway));
        of_gateway
            .map(|event| ["State", "Status", "Phrase"].map(|name| word(event, name)).join(" "))
            .collect()
    })
}

fn sequence(switch: &FakeSwitch) -> u64 {
    switch.view(|view| view.sequence())
}

/// The seconds in which the carrier got a REGISTER
fn seconds(carrier: &Carrier) -> Vec<i64> {
    carrier.registers().iter().map(|one| one.second).collect()
}

mod by_hand {
    use super::*;

    #[tokio::test]
    async fn a_gateway_stays_down_until_it_is_registered_or_started_again() {
        let carrier = Carrier::new(HOST);
        let switch = switch_at(&carrier, "fs1").await;
        let params = [LOGIN.as_slice(), &[("expire-seconds", "20"), ("ping", "5")]].concat();
        let all = format!(
            "<configuration name=\"sofia.conf\"><profiles><profile name=\"external\"><gateways>{}</gateways>\n\
             <settings/></profile></profiles></configuration>",
            gateway("g", &params)
        );
        switch.set_disk(Some(all.into()));
        switch.api("sofia profile external rescan").await;
        switch.steps(2);
        assert_eq!(states(&switch, "g"), ["REGED"]);

        let before = sequence(&switch);
        assert_eq!(switch.api("sofia profile external unregister g").await, "+OK\n");
        carrier.forget_received();
        switch.steps(60);
        switch.api("sofia profile external rescan").await;
        switch.steps(5);
        assert_eq!(said(&switch, "g", before), ["DOWN - -"], "one event");
        let sent: Vec<_> = carrier.received().iter().map(|one| one.method).collect();
        assert_eq!(sent, [Method::Unregister], "and nothing more was sent");
        assert_eq!(switch.view(|view| view.gateway("g").unwrap().status_name()), "DOWN");
        assert!(carrier.registered("u").is_empty());

        for again in ["register g", "restart", "killgw g"] {
            switch.api(&format!("sofia profile external {again}")).await;
            if again == "restart" {
                let back = |view: &support::fake_switch::View| view.state("g") == Some("UNREGED");
                switch.wait_until("the profile is back", back).await;
            } else if again == "killgw g" {
                switch.steps(2);
                switch.api("sofia profile external startgw g").await;
            }
            switch.steps(3);
            assert_eq!(states(&switch, "g"), ["REGED"], "{again}");
            switch.api("sofia profile external unregister g").await;
            switch.steps(10);
            assert_eq!(states(&switch, "g"), ["DOWN"], "{again}");
        }
    }

    #[tokio::test]
    async fn a_refused_gateway_that_is_unregistered_looks_up_though_it_is_down() {
        let switch = still_switch().await;
        switch.registrar(|registrar| registrar.set("g", FORBIDDEN));
        switch.add_gateways("external", &gateway("g", &LOGIN));
        switch.steps(2);
        assert_eq!(states(&switch, "g"), ["FAIL_WAIT"]);
        let before = sequence(&switch);
        assert_eq!(switch.api("sofia profile external unregister g").await, "+OK\n");
        switch.steps(60);
        assert_eq!(said(&switch, "g", before), ["DOWN - -"]);
        switch.view(|view| {
            let g = view.gateway("g").unwrap();
            assert_eq!((g.state.name(), g.status_name()), ("DOWN", "UP"));
            let sent: Vec<_> = view.wire().iter().map(|one| one.method).collect();
            assert_eq!(sent, [Method::Register], "it had nothing to un-REGISTER");
        });
    }

    #[tokio::test]
    async fn every_answer() {
        let switch = still_switch().await;
        switch.add_gateways("external", &gateway("noreg", &[("register", "false")]));
        switch.add_gateways("external", &(gateway("a", &LOGIN) + &gateway("b", &LOGIN)));
        switch.add_gateways("internal", &gateway("c", &LOGIN));
        switch.steps(2);
        for (command, reply) in [
            ("unregister ALL", "+OK\n"),
            ("register nope", "Invalid gateway!\n"),
            ("unregister nope", "Invalid gateway!\n"),
            ("register noreg", "-ERR NOREG gateway [noreg] can't be registered!\n"),
            (
                "unregister noreg",
                "-ERR NOREG gateway [noreg] can't be unregistered!\n",
            ),
            ("register", "No gateway name provided!\n"),
        ] {
            assert_eq!(switch.api(&format!("sofia profile external {command}")).await, reply);
        }
        switch.step();
        let all = ["a", "b", "c", "noreg"];
        assert_eq!(
            all.map(|name| states(&switch, name)[0]),
            ["DOWN", "DOWN", "REGED", "NOREG"]
        );
        switch.api("sofia profile external register all").await;
        switch.steps(2);
        assert_eq!(
            all.map(|name| states(&switch, name)[0]),
            ["REGED", "REGED", "REGED", "NOREG"]
        );
    }
}

mod refusals {
    use super::*;
    use support::fake_switch::Outcome;

    #[tokio::test]
    async fn a_cycle_fires_four_events_one_of_which_has_the_reason() {
        let carrier = Carrier::new(HOST);
        carrier.answer(ALL, NOT_FOUND);
        let switch = switch_at(&carrier, "fs1").await;
        switch.add_gateways("external", &account("g", "u", "p"));
        let before = sequence(&switch);
        switch.steps(19);
        let first = ["TRYING - -", "FAILED 404 Not Found", "FAIL_WAIT - -", "UNREGED - -"];
        assert_eq!(said(&switch, "g", before)[..8], [first, first].concat());
        switch.view(|view| assert_eq!(view.gateway("g").unwrap().failures, 2));
    }

    /// The waits after each answer, with `retry-seconds` 5; a tick ends each and the next one sends.
    #[tokio::test]
    async fn waits_grow_with_each_failure_but_for_503_and_908() {
        let grow = [7, 12, 17, 22, 27];
        let steady = [7; 5];
        for (outcome, status, waits) in [
            (FORBIDDEN, "403", grow),
            (NOT_FOUND, "404", grow),
            (UNAVAILABLE, "480", grow),
            (DECLINE, "603", grow),
            (CHALLENGED_AGAIN, "904", grow),
            (BUSY, "503", steady),
            (Outcome::Refused, "503", steady),
            (Outcome::Unresolved, "503", steady),
        ] {
            let carrier = Carrier::new(HOST);
            carrier.answer(ALL, outcome);
            let switch = switch_at(&carrier, "fs1").await;
            switch.add_gateways("external", &account("g", "u", "p"));
            switch.steps(90);
            let seconds = seconds(&carrier);
            let gaps: Vec<_> = seconds.windows(2).map(|two| two[1] - two[0]).collect();
            assert_eq!(gaps[..5], waits, "{status}");
            let events = said(&switch, "g", 0);
            assert!(
                events.iter().any(|said| said.starts_with(&format!("FAILED {status} "))),
                "{events:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_silent_carrier_is_408_and_grows_or_a_time_out_and_does_not() {
        for (timeout, states, waits) in [
            ("60", "FAILED 408 Request Timeout", [32 + 6, 32 + 11, 32 + 16]),
            ("10", "TIMEOUT - -", [10 + 8; 3]),
        ] {
            let carrier = Carrier::new(HOST);
            carrier.vanish();
            let switch = switch_at(&carrier, "fs1").await;
            let params = [("retry-seconds", "5"), ("timeout-seconds", timeout)];
            switch.add_gateways("external", &gateway("g", &[LOGIN.as_slice(), &params].concat()));
            switch.steps(150);
            let seconds = seconds(&carrier);
            let gaps: Vec<_> = seconds.windows(2).map(|two| two[1] - two[0]).collect();
            assert_eq!(gaps[..3], waits, "{timeout}");
            assert!(said(&switch, "g", 0).contains(&states.to_owned()));
        }
    }

    #[tokio::test]
    async fn a_success_forgets_the_failures() {
        let carrier = Carrier::new(HOST);
        let switch = switch_at(&carrier, "fs1").await;
        carrier.answer_for(ALL, 20, FORBIDDEN);
        switch.add_gateways("external", &account("g", "u", "p"));
        switch.steps(35);
        assert_eq!(seconds(&carrier), [1, 8, 20]);
        assert_eq!(states(&switch, "g"), ["REGED"]);
        assert_eq!(switch.view(|view| view.gateway("g").unwrap().failures), 0);
        carrier.answer(ALL, FORBIDDEN);
        switch.api("sofia profile external register g").await;
        carrier.forget_received();
        switch.steps(8);
        assert_eq!(seconds(&carrier).len(), 2, "the first wait is short again");
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_the_old_one_still_taken() {
    let carrier = Carrier::new(HOST);
    carrier.account("alice", "right");
    let switch = switch_at(&carrier, "fs1").await;
    for (password, state) in [("right", "REGED"), ("wrong", "FAIL_WAIT"), ("right", "REGED")] {
        switch.add_gateways("external", &account("g", "alice", password));
        switch.steps(2);
        assert_eq!(states(&switch, "g"), [state], "{password}");
        switch.api("sofia profile external killgw g").await;
        switch.steps(2);
    }
    let answers: Vec<_> = carrier.registers().iter().map(|one| one.status).collect();
    assert_eq!(answers, [Some(200), Some(403), Some(200)]);
}

#[tokio::test]
async fn a_host_is_found_by_register_proxy_proxy_or_realm() {
    let carrier = Carrier::new(HOST);
    let switch = switch_at(&carrier, "fs1").await;
    let with = |name: &str, params: &[(&str, &str)]| gateway(name, &[&LOGIN[1..], params].concat());
    for gateway in [
        with("realm", &[("realm", "SIP.example.net:5070")]),
        with(
            "proxy",
            &[("realm", "x.example"), ("proxy", "sip.example.net;transport=tcp")],
        ),
        with(
            "via",
            &[("realm", "x.example"), ("register-proxy", "sip:sip.example.net:5060")],
        ),
        with("other", &[("realm", "x.example")]),
        with("elsewhere", &[("realm", HOST), ("register-proxy", "x.example")]),
    ] {
        switch.add_gateways("external", &gateway);
    }
    switch.step();
    let gateways: BTreeSet<_> = carrier.registers().into_iter().map(|one| one.gateway).collect();
    assert_eq!(gateways, ["proxy", "realm", "via"].map(str::to_owned).into());
}

/// Two switches that tick together, one account on each
async fn two_switches(carrier: &Carrier) -> [FakeSwitch; 2] {
    let switches = [switch_at(carrier, "fs1").await, switch_at(carrier, "fs2").await];
    for switch in &switches {
        switch.add_gateways("external", &account("g", "u", "p"));
    }
    switches
}

fn steps(switches: &[FakeSwitch], n: usize) {
    for _ in 0..n {
        switches.iter().for_each(FakeSwitch::step);
    }
}

#[tokio::test]
async fn two_switches_share_a_carrier_and_its_seconds() {
    let carrier = Carrier::new(HOST);
    let switches = two_switches(&carrier).await;
    steps(&switches, 3);
    let registers = carrier.registers();
    let seen: Vec<_> = registers
        .iter()
        .map(|one| (one.second, &*one.switch, &*one.account))
        .collect();
    assert_eq!(seen, [(1, "fs1", "u"), (1, "fs2", "u")]);
    assert_eq!((carrier.second(), carrier.busiest(Window::Seconds(1))), (3, 2));
    assert_eq!(carrier.registered("u"), ["fs1", "fs2"].map(str::to_owned).into());

    switches[0].api("sofia profile external killgw g").await;
    steps(&switches, 1);
    assert_eq!(carrier.registered("u"), ["fs2".to_owned()].into());

    // A dead switch stays registered until its time is over, and holds up nobody's clock.
    switches[1].crash().await;
    switches[0].steps(3600 - 4);
    assert_eq!(carrier.registered("u"), ["fs2".to_owned()].into());
    switches[0].step();
    assert!(carrier.registered("u").is_empty());
}

#[tokio::test]
async fn an_un_register_that_is_challenged_anew_leaves_the_registration() {
    let carrier = Carrier::new(HOST);
    carrier.challenge_unregisters();
    let switch = switch_at(&carrier, "fs1").await;
    let params = [LOGIN.as_slice(), &[("expire-seconds", "60")]].concat();
    switch.add_gateways("external", &gateway("g", &params));
    switch.steps(2);
    switch.api("sofia profile external killgw g").await;
    switch.steps(2);
    assert_eq!(carrier.received().last().unwrap().method, Method::Unregister);
    assert_eq!(carrier.registered("u").len(), 1);
    switch.steps(60);
    assert!(carrier.registered("u").is_empty());
}

#[tokio::test]
async fn a_carrier_is_out_for_everybody_or_for_one_switch() {
    let carrier = Carrier::new(HOST);
    carrier.cut_off("fs2", true);
    let switches = two_switches(&carrier).await;
    let state = |at: usize| states(&switches[at], "g")[0];
    steps(&switches, 3);
    assert_eq!([state(0), state(1)], ["REGED", "TRYING"]);
    assert_eq!(carrier.registers()[1].status, None);
    carrier.cut_off("fs2", false);
    steps(&switches, 70);
    assert_eq!([state(0), state(1)], ["REGED", "REGED"]);

    carrier.vanish();
    for switch in &switches {
        switch.api("sofia profile external register g").await;
    }
    steps(&switches, 3);
    assert_eq!([state(0), state(1)], ["TRYING", "TRYING"]);
    carrier.come_back();
    steps(&switches, 70);
    assert_eq!([state(0), state(1)], ["REGED", "REGED"]);
}

#[tokio::test]
async fn a_ping_of_a_carrier_that_vanished_goes_down() {
    let carrier = Carrier::new(HOST);
    let switch = switch_at(&carrier, "fs1").await;
    let params = [("realm", HOST), ("register", "false"), ("ping", "5")];
    switch.add_gateways("external", &gateway("g", &params));
    switch.steps(6);
    let status = || switch.view(|view| view.gateway("g").unwrap().status_name());
    assert_eq!(status(), "UP");
    carrier.vanish();
    switch.steps(40);
    assert_eq!(status(), "DOWN");
}

#[tokio::test]
async fn a_throttle_lets_so_many_through_in_a_window() {
    let carrier = Carrier::new(HOST);
    carrier.throttle(3, Window::Seconds(2));
    let switch = switch_at(&carrier, "fs1").await;
    let all: String = (0..8).map(|n| account(&format!("g{n}"), "u", "p")).collect();
    switch.add_gateways("external", &all);
    switch.steps(1);
    let registered = || switch.view(|view| view.gateways().iter().filter(|one| one.up).count());
    let throttled = carrier.registers().iter().filter(|one| one.throttled).count();
    assert_eq!((throttled, carrier.busiest(Window::Seconds(1))), (5, 8));
    switch.steps(8);
    assert_eq!(registered(), 3 + 3, "five came again after 7 s");
    carrier.throttle_off();
    switch.steps(8);
    assert_eq!(registered(), 8);
    assert!(
        carrier
            .registers()
            .iter()
            .all(|one| one.throttled == (one.status == Some(503)))
    );
}

/// 1,500 trunks in the start-up answer: FreeSWITCH has them all in its first ticks (FACTS 44).
#[tokio::test]
async fn a_boot_registers_everything_within_seconds() {
    const TRUNKS: usize = 1_500;
    let carrier = Carrier::new(HOST);
    let all: String = (0..TRUNKS)
        .map(|n| account(&format!("g{n}"), &format!("u{n}"), "p"))
        .collect();
    let conf = sofia_conf(&[]).replacen("<gateways>\n", &format!("<gateways>\n{all}"), 1);
    let builder = FakeSwitch::builder().manual_ticks().carrier(&carrier);
    let switch = builder.disk(conf).start().await;
    for _ in 0..2 {
        switch.steps(4);
        switch.view(|view| assert!(view.gateways().iter().all(|one| one.state.name() == "REGED")));
        let second = Window::Seconds(1);
        assert_eq!((carrier.registers().len(), carrier.busiest(second)), (TRUNKS, TRUNKS));
        carrier.forget_received();
        switch.crash().await;
        switch.boot().await;
    }
}

#[tokio::test]
async fn slow_answers_are_counted_in_flight() {
    let carrier = Carrier::new(HOST);
    carrier.delay(3);
    let switch = switch_at(&carrier, "fs1").await;
    let both = account("a", "u", "p") + &account("b", "v", "p");
    switch.add_gateways("external", &both);
    switch.steps(2);
    switch.add_gateways("external", &account("c", "w", "p"));
    switch.steps(1);
    assert_eq!(carrier.most_in_flight(), 3);
    assert_eq!(
        (states(&switch, "a"), carrier.registered("u").len()),
        (vec!["TRYING"], 0)
    );
    switch.steps(3);
    assert_eq!(
        (states(&switch, "a"), carrier.registered("u").len()),
        (vec!["REGED"], 1)
    );
}

/// What trunkd paces runs in real time.
#[tokio::test]
async fn a_window_can_be_real_time() {
    let carrier = Carrier::new(HOST);
    carrier.throttle(2, Window::Real(Duration::from_secs(3600)));
    let switch = switch_at(&carrier, "fs1").await;
    for name in ["a", "b", "c"] {
        switch.add_gateways("external", &account(name, name, "p"));
        switch.steps(100);
    }
    assert_eq!(carrier.busiest(Window::Seconds(50)), 8, "c tries every 7 s");
    let all = carrier.registers().len();
    assert_eq!(carrier.busiest(Window::Real(Duration::from_secs(3600))), all);
    assert_eq!(carrier.busiest(Window::Real(Duration::ZERO)), 0);
    assert_eq!(
        ["a", "b", "c"].map(|name| states(&switch, name)[0]),
        ["REGED", "REGED", "FAIL_WAIT"]
    );
    assert_eq!(carrier.busiest_when_told(Window::Seconds(300)), 3, "one for each start");
    switch.api("sofia profile external register a").await;
    switch.step();
    assert_eq!(carrier.busiest_when_told(Window::Seconds(301)), 4);
}
