//! Calls over gateways: their events, counters and what becomes of them when a gateway goes (FACTS 40 and 41).

use super::*;
use crate::gateways::{LOGIN, gateway, states, still_switch};
use support::fake_switch::{CallCounters, Event, Headers};

const NOREG: [(&str, &str); 1] = [("register", "false")];
const ALL_OF_A_CALL: &str = "event json CHANNEL_CREATE CHANNEL_ANSWER CHANNEL_HANGUP_COMPLETE \
                             CUSTOM sofia::gateway_add sofia::gateway_state sofia::gateway_delete";

/// The FreeSWITCH of the recorded calls, with this gateway
async fn recorded_switch_with(name: &str, realm: &str) -> FakeSwitch {
    let gateway = gateway(name, &[("realm", realm), ("register", "false")]);
    let conf = sofia_conf(&[])
        .replace("5080", "51973")
        .replacen("<gateways>\n", &format!("<gateways>\n{gateway}"), 1);
    let builder = FakeSwitch::builder().hostname("vm").manual_ticks();
    builder.disk(conf).start().await
}

async fn listening<'a>(switch: &'a FakeSwitch, subscription: &str) -> Client<'a> {
    let mut client = Client::connect(switch).await;
    client.say("auth ClueCon").await;
    client.say(subscription).await;
    client
}

/// The events of a connection, each with its headers in order, doubles too
fn events(frames: &[Frame]) -> Vec<Headers> {
    let events = frames.iter().filter(|frame| frame.is_event());
    events.map(|frame| serde_json::from_str(&frame.body).unwrap()).collect()
}

/// Names and values; of what must differ just whether it is 0.
fn comparable(event: &Headers) -> Vec<(String, String)> {
    const OF_ALL: [&str; 5] = [
        "Core-UUID",
        "Event-Date-Local",
        "Event-Date-GMT",
        "Event-Date-Timestamp",
        "Event-Sequence",
    ];
    const ENDS: [&str; 10] = [
        "Unique-ID",
        "UUID",
        "_uuid",
        "-Time",
        "_stamp",
        "epoch",
        "mduration",
        "uduration",
        "msec",
        "usec",
    ];
    let differs = |name: &str| OF_ALL.contains(&name) || ENDS.iter().any(|end| name.ends_with(end));
    let headers = event.0.iter();
    headers
        .map(|(name, value)| match differs(name) {
            true => (name.clone(), if value == "0" { "0" } else { "*" }.to_owned()),
            false => (name.clone(), value.clone()),
        })
        .collect()
}

#[track_caller]
fn assert_events_as_recorded(got: &[Headers], recorded: &[Headers]) {
    for (got, recorded) in got.iter().zip(recorded) {
        let what = format!("{:?} {:?}", recorded.get("Event-Name"), recorded.get("Call-Direction"));
        assert_eq!(comparable(got), comparable(recorded), "{what}");
    }
    assert_eq!(got.len(), recorded.len());
}

fn recorded_events(name: &str) -> Vec<Headers> {
    events(&frames(recording(&format!("event_socket/{name}.txt")).as_bytes()))
}

/// Rows of `show`, without what must differ
fn rows(text: &str) -> serde_json::Value {
    let mut shown: serde_json::Value = serde_json::from_str(text).unwrap();
    for row in shown["rows"].as_array_mut().unwrap() {
        for name in ["uuid", "created", "created_epoch"] {
            assert!(!row[name].as_str().unwrap().is_empty());
            row[name] = "*".into();
        }
        if row["call_uuid"] != "" {
            row["call_uuid"] = "*".into();
        }
    }
    shown
}

#[tokio::test]
async fn a_call_outlives_its_gateway_as_it_was_recorded() {
    let switch = recorded_switch_with("gw_loop", "127.0.0.1:51973").await;
    let client = listening(&switch, ALL_OF_A_CALL).await;
    let out = switch.dial("gw_loop").unwrap();
    let incoming = switch.ring(None);
    switch.pick_up(&incoming);
    switch.pick_up(&out);
    let shown = switch.api("sofia xmlstatus gateway gw_loop").await;
    assert_api_of_second_day(&shown, "sofia-xmlstatus-gateway-during-a-call");
    for what in ["calls", "channels"] {
        let recorded = recording(&format!("api/show-{what}-as-json.txt"));
        let shown = switch.api(&format!("show {what} as json")).await;
        assert_eq!(rows(&shown), rows(&recorded), "{what}");
    }

    switch.api("sofia profile external killgw gw_loop").await;
    switch.step();
    switch.api("sofia profile external startgw gw_loop").await;
    switch.steps(3);
    switch.hang_up(incoming, "MANAGER_REQUEST");
    switch.hang_up(out, "MANAGER_REQUEST");
    let got = events(&client.cut().await);
    assert_events_as_recorded(&got, &recorded_events("a-call-over-a-gateway-that-is-killed-meanwhile"));

    let of_call = |event: &&Headers| event.get("Call-Direction") == Some("outbound");
    let uuids = got.iter().filter(of_call).map(|event| event.get("Unique-ID"));
    assert!(
        uuids
            .collect::<Vec<_>>()
            .windows(2)
            .all(|two| two[0].is_some() && two[0] == two[1])
    );
    for (what, name) in [
        ("show calls as json", "show-calls-as-json-none"),
        ("show channels count", "show-channels-count"),
    ] {
        assert_api_of_second_day(&switch.api(what).await, name);
    }
}

#[tokio::test]
async fn a_refused_call_as_it_was_recorded() {
    let switch = recorded_switch_with("gw_full", "127.0.0.1:37675").await;
    for call in [switch.ring(None), switch.ring(None)] {
        switch.hang_up(call, "NORMAL_CLEARING"); // so it is the third session
    }
    let client = listening(&switch, "event json CHANNEL_HANGUP_COMPLETE").await;
    let call = switch.dial("gw_full").unwrap();
    switch.refuse(call, 486);
    let got = events(&client.cut().await);
    let recorded = recorded_events("a-call-that-fails");
    assert_events_as_recorded(&got, &recorded[1..]);
    let causes = got[0].0.iter().filter(|(name, _)| name == "Hangup-Cause");
    assert_eq!(causes.count(), 2, "it stands there twice");
    let shown = switch.api("sofia xmlstatus gateway gw_full").await;
    assert_api_of_second_day(&shown, "sofia-xmlstatus-gateway-after-a-failed-call");
}

/// The last hang-up's header
fn hung_up(switch: &FakeSwitch, name: &str) -> Option<String> {
    switch.view(|view| {
        let hang_up = |event: &&Event| event.name() == "CHANNEL_HANGUP_COMPLETE";
        let last = view.events().filter(hang_up).last().unwrap();
        last.header(name).map(str::to_owned)
    })
}

fn counters(switch: &FakeSwitch, name: &str) -> CallCounters {
    switch.view(|view| view.gateway(name).unwrap().calls)
}

#[tokio::test]
async fn causes_and_lengths_of_every_end() {
    let switch = still_switch().await;
    switch.add_gateways("external", &gateway("g", &NOREG));
    let words = [
        "Hangup-Cause",
        "variable_hangup_cause_q850",
        "variable_sip_term_status",
        "variable_answersec",
        "variable_billsec",
        "variable_duration",
        "variable_billmsec",
        "variable_answer_epoch",
    ];
    let said = || {
        words
            .map(|word| hung_up(&switch, word).unwrap_or("-".to_owned()))
            .join(" ")
    };
    for (status, expected) in [
        (403, "CALL_REJECTED 21 403"),
        (404, "UNALLOCATED_NUMBER 1 404"),
        (480, "NO_USER_RESPONSE 18 480"),
        (503, "NORMAL_TEMPORARY_FAILURE 41 503"),
    ] {
        let call = switch.dial("g").unwrap();
        switch.steps(2);
        switch.refuse(call, status);
        assert_eq!(said(), format!("{expected} 0 0 2 0 0"));
    }
    for incoming in [false, true] {
        let start = || match incoming {
            true => switch.ring("g"),
            false => switch.dial("g").unwrap(),
        };
        let call = start();
        switch.steps(5);
        switch.hang_up(call, "NO_ANSWER");
        assert_eq!(said(), "NO_ANSWER 19 - 0 0 5 0 0");

        let call = start();
        switch.steps(5);
        let answered = switch.view(|view| view.now());
        switch.pick_up(&call);
        switch.steps(60);
        switch.hang_up(call, "NORMAL_CLEARING");
        assert_eq!(said(), format!("NORMAL_CLEARING 16 - 5 60 65 60000 {answered}"));
    }
    let expected = CallCounters {
        incoming: 2,
        out: 6,
        incoming_failed: 0, // mod_sofia never counts one
        out_failed: 5,
    };
    assert_eq!(counters(&switch, "g"), expected);
}

#[tokio::test]
async fn a_call_says_which_gateway_it_went_over_and_its_variables() {
    let switch = still_switch().await;
    switch.add_gateways(
        "internal",
        "<gateway name=\"g\"><param name=\"register\" value=\"false\"/><variables>\n\
         <variable name=\"in\" value=\"1\" direction=\"inbound\"/>\n\
         <variable name=\"out\" value=\"2\" direction=\"outbound\"/></variables></gateway>",
    );
    let words = [
        "Call-Direction",
        "variable_sip_gateway_name",
        "variable_sip_gateway",
        "variable_sofia_profile_name",
        "variable_in",
        "variable_out",
    ];
    let said = || {
        words
            .map(|word| hung_up(&switch, word).unwrap_or("-".to_owned()))
            .join(" ")
    };
    switch.hang_up(switch.dial("g").unwrap(), "NORMAL_CLEARING");
    assert_eq!(said(), "outbound g - internal - 2");
    switch.hang_up(switch.ring("g"), "NORMAL_CLEARING");
    assert_eq!(said(), "inbound - g internal 1 -");
    switch.hang_up(switch.ring(None), "NORMAL_CLEARING");
    assert_eq!(said(), "inbound - - external - -");
}

#[tokio::test]
async fn no_call_goes_over_a_gateway_that_is_down_or_gone() {
    let switch = still_switch().await;
    switch.add_gateways("external", &gateway("g", &LOGIN));
    assert_eq!(switch.dial("nope"), Err("INVALID_GATEWAY"));
    let recorded = recording("api/originate-over-no-gateway.txt");
    assert_eq!(recorded, format!("-ERR {}\n", switch.dial("nope").unwrap_err()));
    assert_eq!(switch.dial("g"), Err("GATEWAY_DOWN"));
    switch.steps(2);
    let call = switch.dial("g").unwrap();
    switch.pick_up(&call);
    assert_eq!((counters(&switch, "g").out, counters(&switch, "g").out_failed), (1, 1));
    switch.api("sofia profile external killgw g").await;
    assert_eq!(switch.dial("g"), Err("INVALID_GATEWAY"), "at once");
    switch.steps(2);
    assert!(states(&switch, "g").is_empty());
    assert_eq!(switch.view(|view| view.calls("g")), 1);
    switch.hang_up(call, "NORMAL_CLEARING");
    assert_eq!(hung_up(&switch, "variable_sip_gateway_name").as_deref(), Some("g"));
}

#[tokio::test]
async fn counters_start_from_zero_and_a_late_failure_counts_for_the_successor() {
    let switch = still_switch().await;
    switch.add_gateways("external", &gateway("g", &NOREG));
    let late = switch.dial("g").unwrap();
    assert_eq!(counters(&switch, "g").out, 1);
    switch.api("sofia profile external killgw g").await;
    switch.add_gateways("external", &gateway("g", &NOREG));
    assert_eq!(counters(&switch, "g"), CallCounters::default());
    switch.refuse(late, 486);
    assert_eq!((counters(&switch, "g").out, counters(&switch, "g").out_failed), (0, 1));
}

#[tokio::test]
async fn only_who_subscribed_hears_of_calls() {
    let switch = still_switch().await;
    switch.add_gateways("external", &gateway("g", &NOREG));
    let gateways = Client::listening(&switch).await;
    let hang_ups = listening(&switch, "event json CHANNEL_HANGUP_COMPLETE").await;
    let names = ["g".to_owned()];
    let calls = switch.prepare_burst_of_calls(50, &names);
    assert_eq!(switch.fire_burst(&calls), 1);
    assert_eq!(switch.fire_burst(&switch.prepare_burst(2, &names)), 1);
    let call = switch.dial("g").unwrap();
    switch.pick_up(&call);
    switch.hang_up(call, "NORMAL_CLEARING");
    let names = |client: &Client| {
        let events = client.events();
        events
            .iter()
            .map(|event| event["Event-Name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let mut clients = [gateways, hang_ups];
    clients[1].until_frames(3 + 51).await;
    clients[0].until_frames(3 + 2).await;
    assert_eq!(names(&clients[1]), ["CHANNEL_HANGUP_COMPLETE"; 51]);
    assert_eq!(names(&clients[0]), ["CUSTOM"; 2]);
    let burst = &clients[1].events()[49];
    assert_eq!(burst["Event-Sequence"], calls.last_sequence.to_string());
    assert_eq!(
        (&burst["variable_sip_gateway_name"], &burst["variable_billsec"]),
        (&"g".into(), &"60".into())
    );
}

#[tokio::test]
async fn a_shutdown_ends_calls_and_a_crash_forgets_them() {
    let switch = still_switch().await;
    switch.add_gateways("external", &gateway("g", &NOREG));
    switch.pick_up(&switch.dial("g").unwrap());
    switch.fire_heartbeat();
    let sessions = switch.view(|view| {
        let mut beats = view.events().filter(|event| event.name() == "HEARTBEAT");
        beats.next().unwrap().header("Session-Count").map(str::to_owned)
    });
    assert_eq!(sessions.as_deref(), Some("1"));
    switch.restart().await;
    assert_eq!(hung_up(&switch, "Hangup-Cause").as_deref(), Some("SYSTEM_SHUTDOWN"));
    assert_eq!(switch.view(|view| view.calls("g")), 0);

    switch.add_gateways("external", &gateway("h", &NOREG));
    switch.dial("h").unwrap();
    switch.crash().await;
    switch.boot().await;
    assert_eq!(switch.view(|view| view.calls("h")), 0);
    assert_eq!(
        hung_up(&switch, "variable_sip_gateway_name").as_deref(),
        Some("g"),
        "no event"
    );
}

#[tokio::test]
async fn uptime_counts_since_it_came_up_and_pingtime_is_the_last_round_trip() {
    let switch = still_switch().await;
    let pings = [("register", "false"), ("ping", "5")];
    switch.add_gateways("external", &(gateway("reg", &LOGIN) + &gateway("ping", &pings)));
    switch.registrar(|registrar| registrar.round_trip_ms = 12.345);
    let shown = |element: &str, xml: &str| {
        let (_, rest) = xml.split_once(&format!("<{element}>")).unwrap();
        rest.split('<').next().unwrap().to_owned()
    };
    switch.steps(12);
    let reg = switch.api("sofia xmlstatus gateway reg").await;
    assert_eq!(shown("uptime-usec", &reg), "10000000", "REGED since second 2");
    let ping = switch.api("sofia xmlstatus gateway ping").await;
    assert_eq!((&*shown("pingtime", &ping), &*shown("status", &ping)), ("12.35", "UP"));

    switch.registrar(|registrar| {
        registrar.set("reg", FORBIDDEN);
        registrar.set_ping("ping", Outcome::Refused);
    });
    switch.api("sofia profile external register reg").await;
    switch.steps(5);
    let reg = switch.api("sofia xmlstatus gateway reg").await;
    assert_eq!(shown("uptime-usec", &reg), "0");
    let ping = switch.api("sofia xmlstatus gateway ping").await;
    assert_eq!((&*shown("pingtime", &ping), &*shown("status", &ping)), ("0.00", "DOWN"));

    switch.registrar(|registrar| registrar.set("reg", Outcome::Ok));
    switch.api("sofia profile external register reg").await;
    switch.steps(2 + 7);
    let reg = switch.api("sofia xmlstatus gateway reg").await;
    assert_eq!(shown("uptime-usec", &reg), "7000000");
}
