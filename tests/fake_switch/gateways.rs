//! mod_sofia's rules, FACTS 11 to 29, where the recordings don't show them.

use super::*;

pub(crate) fn gateway(name: &str, params: &[(&str, &str)]) -> String {
    let params: String = params
        .iter()
        .map(|(name, value)| format!("<param name=\"{name}\" value=\"{value}\"/>\n"))
        .collect();
    format!("<gateway name=\"{name}\">\n{params}</gateway>\n")
}

pub(crate) const LOGIN: [(&str, &str); 3] = [("realm", "sip.example.net"), ("username", "u"), ("password", "p")];

pub(crate) async fn still_switch() -> FakeSwitch {
    FakeSwitch::builder().manual_ticks().start().await
}

/// The states of all gateways of a name, newest first
pub(crate) fn states(switch: &FakeSwitch, name: &str) -> Vec<&'static str> {
    switch.view(|view| view.all(name).iter().map(|gateway| gateway.state.name()).collect())
}

#[tokio::test]
async fn what_mod_sofia_drops() {
    let switch = still_switch().await;
    for (xml, why) in [
        (gateway("a b", &LOGIN), "Ignoring invalid name 'a b'"),
        (gateway("", &LOGIN), "Ignoring invalid name ''"),
        (gateway("gé", &LOGIN), "Ignoring invalid name 'gé'"),
        (gateway("g", &LOGIN[..2]), "ERROR: password param is REQUIRED!"),
        (gateway("g", &[("password", "p")]), "ERROR: username param is REQUIRED!"),
        (
            gateway("g", &[("username", ""), ("password", "p")]),
            "ERROR: username param is REQUIRED!",
        ),
        (
            gateway("g", &[LOGIN[1], LOGIN[2], ("register-transport", "carrier-pigeon")]),
            "ERROR: unsupported transport",
        ),
        (
            gateway("g", &[LOGIN[1], LOGIN[2], ("register-transport", "tls")]),
            "ERROR: unsupported transport",
        ),
    ] {
        switch.add_gateways("external", &xml);
        switch.view(|view| {
            assert_eq!(view.log().last().map(String::as_str), Some(why));
            assert!(view.gateways().is_empty(), "{why}");
        });
    }
    switch.add_gateways("external", &gateway("_all_", &LOGIN));
    assert!(
        switch.view(|view| view.gateway("_all_").is_some()),
        "FACTS 11: the name matches"
    );
}

#[tokio::test]
async fn defaults_and_what_empty_means() {
    let switch = still_switch().await;
    switch.add_gateways("external", &gateway("trunk1", &[("register", "")]));
    switch.add_gateways(
        "external",
        &gateway("trunk2", &[("register", "false"), ("proxy", "192.0.2.9:5080")]),
    );
    switch.add_gateways(
        "external",
        &gateway(
            "trunk3",
            &[
                LOGIN[0],
                LOGIN[1],
                LOGIN[2],
                ("expire-seconds", "4"),
                ("retry_seconds", "7"),
                ("timeout-seconds", "x"),
                ("ping", "4"),
                ("contact-host", ""),
                ("Register", "false"),
                ("register-transport", "TCP4"),
            ],
        ),
    );
    switch.view(|view| {
        let g = view.gateway("trunk1").unwrap();
        assert_eq!(
            (g.state.name(), &*g.username, &*g.realm, &*g.proxy),
            ("NOREG", "FreeSWITCH", "trunk1", "sip:trunk1")
        );
        let g = view.gateway("trunk2").unwrap();
        assert_eq!(
            (&*g.realm, &*g.from),
            ("192.0.2.9:5080", "<sip:FreeSWITCH@192.0.2.9:5080>")
        );
        let g = view.gateway("trunk3").unwrap();
        assert_eq!(
            (g.freq, g.retry_seconds, g.reg_timeout_seconds, g.ping_freq),
            (3600, 7, 60, 0)
        );
        assert_eq!(g.state.name(), "UNREGED", "a known param in another case is unknown");
        assert_eq!(g.contact, "<sip:gw+trunk3@:5080;transport=tcp;gw=trunk3>", "FACTS 14");
    });
}

#[tokio::test]
async fn directions_of_variables() {
    let switch = still_switch().await;
    let variable = |name: &str, direction: &str| format!("<variable name=\"{name}\" value=\"1\" {direction}/>");
    let variables = [
        variable("both", ""),
        variable("in", "direction=\"Inbound\""),
        variable("out", "direction=\"outbound\""),
        variable("neither", "direction=\"both\""),
    ]
    .concat();
    switch.add_gateways(
        "external",
        &format!(
            "<gateway name=\"g\"><param name=\"register\" value=\"no\"/><variables>{variables}</variables></gateway>"
        ),
    );
    let text = "eval ${sofia_gateway_data(g ivar both)}${sofia_gateway_data(g ovar both)}|\
                    ${sofia_gateway_data(g ivar in)}${sofia_gateway_data(g ovar in)}|\
                    ${sofia_gateway_data(g ivar out)}${sofia_gateway_data(g ovar out)}|\
                    ${sofia_gateway_data(g var neither)}|${sofia_gateway_data(nope ivar x)}|$${domain}";
    assert_eq!(switch.api(text).await, "11|1|1|||127.0.0.1");
}

#[tokio::test]
async fn a_rescan_only_adds() {
    let switch = FakeSwitch::builder()
        .manual_ticks()
        .disk(sofia_conf(&["gw_ok"]))
        .start()
        .await;
    let changed = sofia_conf(&["gw_ok", "gw_noreg"]).replace("alice", "bob");
    switch.set_disk(Some(changed.into()));
    assert_eq!(
        switch.api("sofia profile external rescan").await,
        "Reload XML [Success]\n+OK scan complete\n"
    );
    switch.set_disk(Some(sofia_conf(&[]).into()));
    switch.api("sofia profile external rescan").await;
    switch.view(|view| {
        let names: Vec<&str> = view.gateways().iter().map(|gateway| &*gateway.name).collect();
        assert_eq!(names, ["gw_noreg", "gw_ok"], "new ones in front, none removed");
        assert_eq!(view.gateway("gw_ok").unwrap().username, "alice");
        assert_eq!(view.log(), ["Ignoring duplicate gateway 'gw_ok'"]);
    });
}

/// FACTS 22 and 23
#[tokio::test]
async fn killing_and_starting_at_once_races_the_un_register_with_the_register() {
    let switch = still_switch().await;
    switch.add_gateways("external", &gateway("g", &LOGIN));
    switch.steps(2);
    assert_eq!(states(&switch, "g"), ["REGED"]);
    switch.api("sofia profile external killgw g").await;
    switch.add_gateways("external", &gateway("g", &LOGIN));
    assert_eq!(states(&switch, "g"), ["UNREGED", "UNREGISTER"]);
    switch.step();
    assert_eq!(states(&switch, "g"), ["REGISTER", "DOWN"]);
    switch.step();
    assert_eq!(states(&switch, "g"), ["REGED"]);
    switch.view(|view| {
        let wire: Vec<_> = view.wire().iter().map(|entry| (entry.tick, entry.method)).collect();
        assert_eq!(
            wire,
            [(1, Method::Register), (3, Method::Register), (3, Method::Unregister)],
            "the new one first"
        );
        assert_eq!(view.wire()[1].contact, view.wire()[2].contact);
        assert_ne!(view.wire()[1].instance, view.wire()[2].instance);
        let fired: Vec<&str> = view
            .events()
            .filter(|event| {
                event
                    .subclass()
                    .is_some_and(|name| name.ends_with("add") || name.ends_with("delete"))
            })
            .filter_map(|event| event.subclass())
            .collect();
        assert_eq!(
            fired,
            ["sofia::gateway_add", "sofia::gateway_add", "sofia::gateway_delete"]
        );
    });
}

#[tokio::test]
async fn waiting_for_the_delete_keeps_the_un_register_before_the_register() {
    let switch = still_switch().await;
    switch.add_gateways("external", &gateway("g", &LOGIN));
    switch.steps(2);
    switch.api("sofia profile external killgw g").await;
    switch.steps(2);
    assert!(states(&switch, "g").is_empty());
    switch.add_gateways("external", &gateway("g", &LOGIN));
    switch.step();
    let methods: Vec<_> = switch.view(|view| view.wire().iter().map(|entry| entry.method).collect());
    assert_eq!(methods, [Method::Register, Method::Unregister, Method::Register]);
}

#[tokio::test]
async fn a_late_answer_is_booked_on_the_successor() {
    let switch = still_switch().await;
    switch.registrar(|registrar| registrar.set("g", Outcome::After(1, Box::new(FORBIDDEN))));
    switch.add_gateways("external", &gateway("g", &LOGIN));
    switch.step();
    switch.registrar(|registrar| registrar.set("g", Outcome::Ok));
    switch.api("sofia profile external killgw g").await;
    switch.add_gateways("external", &gateway("g", &LOGIN));
    switch.step(); // the old one's 403 comes before anything else in this second
    let failures = switch.view(|view| view.gateway("g").unwrap().failures);
    assert_eq!(failures, 1, "FACTS 23 c");
}

#[tokio::test]
async fn a_gateway_that_never_registered_sends_no_un_register() {
    let switch = still_switch().await;
    switch.registrar(|registrar| registrar.set_default(Outcome::Silent));
    switch.add_gateways("external", &gateway("g", &LOGIN));
    switch.steps(2);
    switch.api("sofia profile external killgw g").await;
    switch.steps(2);
    switch.view(|view| {
        assert!(view.all("g").is_empty());
        assert!(view.wire().iter().all(|entry| entry.method != Method::Unregister));
    });
}

/// FACTS 18
#[tokio::test]
async fn a_ghost_haunts_until_its_profile_restarts() {
    let switch = still_switch().await;
    switch.add_gateways("external", &gateway("g", &LOGIN));
    switch.add_gateways("internal", &gateway("g", &LOGIN));
    switch.add_gateways("internal", &gateway("g", &LOGIN));
    switch.view(|view| {
        assert_eq!(view.ghosts().len(), 2, "each further one adds another");
        let adds = view
            .events()
            .filter(|event| event.subclass() == Some("sofia::gateway_add"))
            .count();
        assert_eq!(adds, 1);
    });
    switch.steps(3);
    let ghosts: Vec<_> = switch.view(|view| view.ghosts().iter().map(|ghost| ghost.state.name()).collect());
    assert_eq!(ghosts, ["TRYING", "TRYING"]);
    switch.registrar(|registrar| registrar.set_default(FORBIDDEN));
    switch.api("sofia profile internal register g").await;
    assert_eq!(
        switch.view(|view| view.gateway("g").unwrap().profile.clone()),
        "external"
    );
    assert_eq!(
        switch.api("sofia profile internal killgw g").await,
        "+OK gateway marked for deletion.\n"
    );
    switch.steps(3);
    assert_eq!(
        switch.view(|view| view.gateways().len()),
        2,
        "the kill took the real one"
    );
    assert_eq!(
        switch.api("sofia profile internal killgw g").await,
        "-ERR no such gateway.\n"
    );
    switch.steps(10);
    assert_eq!(
        switch.api("sofia profile internal stop").await,
        "Reload XML [Success]\nstopping: internal"
    );
    assert!(switch.view(|view| view.gateways().is_empty()));
}

#[tokio::test]
async fn killgw_all_kills_every_gateway_of_the_profile() {
    let switch = still_switch().await;
    for name in ["a", "b", "_all_"] {
        switch.add_gateways("external", &gateway(name, &LOGIN));
    }
    switch.add_gateways("internal", &gateway("c", &LOGIN));
    assert_eq!(
        switch.api("sofia profile external killgw _ALL_").await,
        "+OK every gateway marked for deletion.\n"
    );
    switch.steps(2);
    let left: Vec<String> = switch.view(|view| view.gateways().iter().map(|gateway| gateway.name.clone()).collect());
    assert_eq!(left, ["c"]);
}

#[tokio::test]
async fn startgw_of_what_the_answer_does_not_hold_says_ok_all_the_same() {
    let switch = FakeSwitch::builder()
        .manual_ticks()
        .disk(sofia_conf(&["gw_ok", "gw_noreg"]))
        .start()
        .await;
    switch.api("sofia profile external killgw _all_").await;
    switch.steps(2);
    assert!(
        switch
            .api("sofia profile external startgw nope")
            .await
            .ends_with("+OK start gateway nope complete\n")
    );
    assert!(switch.view(|view| view.gateways().is_empty()));
    switch.api("sofia profile external startgw gw_ok").await;
    assert_eq!(switch.view(|view| view.gateways().len()), 1);
    switch.api("sofia profile external startgw _all_").await;
    assert_eq!(switch.view(|view| view.gateways().len()), 2);
    assert_eq!(switch.api("sofia profile external gwlist up").await, "gw_noreg ");
}

#[tokio::test]
async fn a_password_too_long_for_the_digest_buffer_fails() {
    let switch = still_switch().await;
    let long = "p".repeat(300);
    switch.registrar(|registrar| {
        registrar.account("u", "顶顶通密码");
        registrar.account("v", &long);
        registrar.account("w:x", "p");
    });
    for (name, user, password) in [
        ("a", "u", "顶顶通密码"),
        ("b", "v", &*long),
        ("c", "w:x", "p"),
        ("d", "u", "wrong"),
    ] {
        switch.add_gateways(
            "external",
            &gateway(
                name,
                &[("realm", "sip.example.net"), ("username", user), ("password", password)],
            ),
        );
    }
    switch.steps(2);
    let states: Vec<_> = ["a", "b", "c", "d"]
        .iter()
        .map(|name| switch.view(|view| view.state(name).unwrap()))
        .collect();
    assert_eq!(states, ["REGED", "FAIL_WAIT", "FAIL_WAIT", "FAIL_WAIT"], "FACTS 15");
}

#[tokio::test]
async fn a_silent_carrier_is_a_408_unless_the_gateway_gives_up_first() {
    let switch = still_switch().await;
    switch.registrar(|registrar| registrar.set_default(Outcome::Silent));
    switch.add_gateways("external", &gateway("patient", &LOGIN));
    let hasty = [
        LOGIN[0],
        LOGIN[1],
        LOGIN[2],
        ("timeout-seconds", "5"),
        ("908-retry-seconds", "9"),
    ];
    switch.add_gateways("external", &gateway("hasty", &hasty));
    switch.steps(6);
    assert_eq!(
        (states(&switch, "patient"), states(&switch, "hasty")),
        (vec!["TRYING"], vec!["TIMEOUT"])
    );
    switch.steps(2);
    switch.view(|view| {
        let hasty = view.gateway("hasty").unwrap();
        assert_eq!(
            (hasty.state.name(), hasty.retry - hasty.reg_timeout),
            ("FAIL_WAIT", 2 + 9)
        );
    });
    switch.steps(25);
    switch.view(|view| {
        let answer = view
            .events()
            .find(|event| event.header("Status") == Some("408"))
            .unwrap();
        assert_eq!(
            (answer.header("Gateway"), answer.header("State")),
            (Some("patient"), Some("FAILED"))
        );
    });
}

#[tokio::test]
async fn pings_go_down_and_up_by_their_limits() {
    let switch = still_switch().await;
    let params = [
        ("register", "false"),
        ("ping", "5"),
        ("ping-min", "2"),
        ("ping-max", "3"),
    ];
    switch.add_gateways("external", &gateway("g", &params));
    let mut seen = Vec::new();
    for outcome in [
        Outcome::Ok,
        Outcome::Refused,
        Outcome::Ok,
        Outcome::Ok,
        Outcome::Ok,
        Outcome::Refused,
        Outcome::Silent,
    ] {
        switch.registrar(|registrar| registrar.set_ping("g", outcome));
        switch.steps(5);
        seen.push(switch.view(|view| {
            let g = view.gateway("g").unwrap();
            (g.ping_count, g.status_name(), g.pinging)
        }));
    }
    let expected =
        [(1, "UP"), (0, "DOWN"), (1, "DOWN"), (2, "UP"), (3, "UP"), (2, "UP")].map(|(count, up)| (count, up, false));
    assert_eq!(seen[..6], expected);
    assert_eq!(seen[6], (2, "UP", true), "OPTIONS that waits for its answer");
    switch.steps(32);
    assert_eq!(switch.view(|view| view.gateway("g").unwrap().status_name()), "DOWN");
}

#[tokio::test]
async fn a_profile_must_be_old_enough_to_restart() {
    let switch = still_switch().await;
    switch.steps(9);
    assert_eq!(
        switch.api("sofia profile external restart").await,
        "Profile external must be up for at least 10 seconds to stop/restart.\nPlease wait 1 second\n"
    );
}

#[tokio::test]
async fn xmlstatus_is_ill_formed_where_the_values_are() {
    let switch = still_switch().await;
    switch.add_gateways(
        "external",
        &gateway("g", &[("realm", "a&amp;b"), ("username", "x&lt;y"), ("password", "p")]),
    );
    let xml = switch.api("sofia xmlstatus gateway g").await;
    assert!(
        xml.contains("<realm>a&b</realm>") && xml.contains("<username>x<y</username>"),
        "FACTS 25: {xml}"
    );
    assert!(xml.contains("<from>&lt;sip:x&lt;y@a&amp;b&gt;</from>"));
}

#[tokio::test]
async fn ten_thousand_gateways_are_no_trouble() {
    let all: String = (0..10_000)
        .map(|n| gateway(&format!("gw{n}"), &[("register", "false")]))
        .collect();
    let switch = still_switch().await;
    switch.add_gateways("external", &all);
    switch.steps(3);
    assert_eq!(switch.view(|view| view.gateways().len()), 10_000);
}
