//! The FreeSWITCH of our tests, proved against what a real one sent (`tests/recordings/`) and against FACTS.
#![allow(clippy::unwrap_used)] // helpers of tests are tests too

#[path = "../support/mod.rs"]
mod support;

mod calls;
mod carriers;
mod client;
mod event_socket;
mod gateways;
mod options;
mod preprocessor_and_parser;
mod recordings;
mod redis_server;
mod second_day;
mod web;
mod xml_curl;

use client::{Client, Frame, assert_api_as_recorded, assert_api_of_second_day, assert_as_recorded, blank, frames};
use std::path::Path;
use std::time::Duration;
use support::fake_switch::{Binding, FORBIDDEN, FakeSwitch, Method, Outcome};
use tokio::net::TcpStream;
use web::{NOT_FOUND, Web, document, ok};

const AS_RECORDED: &str = "event json CUSTOM sofia::gateway_add sofia::gateway_state sofia::gateway_delete";

fn recording(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/recordings")
        .join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The gateways of the recordings; `order` is the order in which `sofia.conf` held them.
fn sofia_conf(order: &[&str]) -> String {
    let gateway = |name: &&str| {
        let params: &[(&str, &str)] = match *name {
            "gw_ok" => &[
                ("realm", "127.0.0.1:5070"),
                ("username", "alice"),
                ("password", "1"),
                ("expire-seconds", "60"),
            ],
            "gw_noreg" => &[("realm", "127.0.0.1:5070"), ("register", "false")],
            "gw_bad" => &[
                ("realm", "127.0.0.1:5070"),
                ("username", "bad1"),
                ("password", "1"),
                ("retry-seconds", "5"),
            ],
            "gw_ping" => &[("realm", "127.0.0.1:5071"), ("register", "false"), ("ping", "5")],
            "gw_dead" => &[
                ("realm", "127.0.0.1:5079"),
                ("username", "dead"),
                ("password", "1"),
                ("retry-seconds", "5"),
            ],
            "gw_silent" => &[
                ("realm", "127.0.0.1:5078"),
                ("username", "silent"),
                ("password", "1"),
                ("retry-seconds", "5"),
                ("timeout-seconds", "6"),
            ],
            "dup" => &[("realm", "127.0.0.1:5070"), ("username", "dupB"), ("password", "1")],
            other => panic!("no gateway {other}"),
        };
        let params: String = params
            .iter()
            .map(|(name, value)| format!("<param name=\"{name}\" value=\"{value}\"/>\n"))
            .collect();
        let variable = "<variables><variable name=\"sip_sticky_contact\" value=\"true\"/></variables>";
        format!("<gateway name=\"{name}\">\n{params}{variable}\n</gateway>\n")
    };
    let gateways: String = order.iter().map(gateway).collect();
    let profile = |name: &str, port: u16, gateways: &str| {
        format!(
            "<profile name=\"{name}\">\n<gateways>\n{gateways}</gateways>\n<settings>\n\
             <param name=\"sip-port\" value=\"{port}\"/>\n<param name=\"context\" value=\"public\"/>\n\
             <param name=\"sip-ip\" value=\"$${{local_ip_v4}}\"/>\n</settings>\n</profile>\n"
        )
    };
    format!(
        "<configuration name=\"sofia.conf\">\n<profiles>\n{}{}</profiles>\n</configuration>\n",
        profile("external", 5080, &gateways),
        profile("internal", 5060, "")
    )
}

/// A FreeSWITCH called `vm` with the carriers of the recordings, whose clock stands still.
fn recorded_switch(order: &[&str]) -> support::fake_switch::Builder {
    FakeSwitch::builder()
        .switchname("vm")
        .manual_ticks()
        .disk(sofia_conf(order))
        .registrar(|registrar| {
            registrar.set("gw_bad", FORBIDDEN);
            registrar.set("gw_dead", Outcome::Refused);
            registrar.set("gw_silent", Outcome::Silent);
        })
}

/// The event-socket crate that trunkd is built on gets along with it.
#[tokio::test]
async fn the_event_socket_crate_talks_to_it() {
    use freeswitch_esl_tokio::{EslClient, EventFormat};
    let switch = recorded_switch(&["gw_ok", "gw_noreg"]).start().await;
    let (host, port) = (switch.address().ip().to_string(), switch.address().port());
    let (client, mut events) = EslClient::connect(&host, port, "ClueCon").await.unwrap();
    let subclasses = "HEARTBEAT CUSTOM sofia::gateway_add sofia::gateway_state sofia::gateway_delete";
    client
        .subscribe_events_raw(EventFormat::Json, subclasses)
        .await
        .unwrap();
    assert_eq!(client.api("switchname").await.unwrap().body(), Some("vm"));
    let killed = client.api("sofia profile external killgw gw_noreg").await.unwrap();
    assert_eq!(killed.body(), Some("+OK gateway marked for deletion.\n"));
    switch.step();
    let event = events.recv().await.unwrap().unwrap();
    assert_eq!(event.header_str("Event-Subclass"), Some("sofia::gateway_delete"));
    assert_eq!(event.header_str("Gateway"), Some("gw_noreg"));
    assert!(EslClient::connect(&host, port, "wrong").await.is_err());
}
