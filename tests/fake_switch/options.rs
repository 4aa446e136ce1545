//! OPTIONS to a profile (FACTS 42).

use super::*;
use crate::gateways::{gateway, still_switch};
use std::net::SocketAddr;
use support::port::free_port;
use tokio::net::UdpSocket;

/// The recorded prober and profile
const PROBER: &str = "127.0.0.1:53629";
const PROFILE: &str = "127.0.0.1:51973";

/// Somebody who asks as the recorded prober did, from another port
struct Prober(UdpSocket);

impl Prober {
    async fn new() -> Self {
        Prober(UdpSocket::bind("127.0.0.1:0").await.unwrap())
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    fn request(&self) -> String {
        recording("sip/options-request.txt").replace(PROBER, &self.address().to_string())
    }

    async fn send(&self, to: SocketAddr, request: &str) {
        self.0.send_to(request.as_bytes(), to).await.unwrap();
    }

    async fn answer(&self) -> String {
        let mut bytes = vec![0; 4096];
        let read = tokio::time::timeout(Duration::from_secs(20), self.0.recv(&mut bytes)).await;
        let length = read.expect("an answer within 20 s").unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    async fn ask(&self, to: SocketAddr) -> String {
        self.send(to, &self.request()).await;
        self.answer().await
    }
}

fn without_tag(answer: &str) -> String {
    blank(answer, "To: <sip:probe@127.0.0.1>;tag=", '\r')
}

#[tokio::test]
async fn it_is_answered_as_it_was_recorded() {
    let switch = FakeSwitch::builder().manual_ticks().sip().start().await;
    let login = [("realm", "127.0.0.1:49541"), ("username", "alice"), ("password", "1")];
    switch.add_gateways("external", &gateway("gw_ok", &login));
    switch.steps(2);
    let address = switch.sip_address("external");
    let prober = Prober::new().await;
    let recorded = recording("sip/options-answer.txt")
        .replace(PROBER, &prober.address().to_string())
        .replace(PROFILE, &address.to_string());
    assert_eq!(without_tag(&prober.ask(address).await), without_tag(&recorded));

    // It is answered without gateways too.
    let internal = switch.sip_address("internal");
    let recorded = recorded.replace(
        &format!("gw+gw_ok@{address};transport=udp;gw=gw_ok"),
        &internal.to_string(),
    );
    assert_eq!(without_tag(&prober.ask(internal).await), without_tag(&recorded));
    assert_eq!(
        switch.view(|view| (view.options("external"), view.options("internal"))),
        (1, 1)
    );
}

#[tokio::test]
async fn sip_and_the_event_socket_fall_silent_apart() {
    let switch = FakeSwitch::builder().sip().start().await;
    let address = switch.sip_address("external");
    let prober = Prober::new().await;
    switch.silence_sip(true);
    prober.send(address, &prober.request()).await;
    switch.wait_until("it came", |view| view.options("external") == 1).await;
    let mut client = Client::listening(&switch).await;
    assert_eq!(client.say("api switchname").await.body, "fs1");

    switch.silence_sip(false);
    switch.stall(true);
    switch.refuse_connections(true).await;
    prober
        .send(address, &prober.request().replace("probe1", "probe2"))
        .await;
    let answer = prober.answer().await;
    assert!(answer.contains("Call-ID: probe2\r\n"), "the one before got none");
    assert_eq!(switch.view(|view| view.options("external")), 2);
}

#[tokio::test]
async fn the_answer_goes_where_via_says() {
    let switch = FakeSwitch::builder().sip().start().await;
    let address = switch.sip_address("external");
    let (asks, listens) = (Prober::new().await, Prober::new().await);
    asks.send(address, &listens.request()).await;
    assert!(listens.answer().await.starts_with("SIP/2.0 200 OK\r\n"));
    let with_rport = listens.request().replace(";branch", ";rport;branch");
    asks.send(address, &with_rport).await;
    let via = format!(
        "Via: SIP/2.0/UDP {};rport={};branch",
        listens.address(),
        asks.address().port()
    );
    let answer = asks.answer().await;
    assert!(answer.contains(&via), "{answer}");
}

#[tokio::test]
async fn nonsense_gets_no_answer() {
    let switch = FakeSwitch::builder().sip().start().await;
    let address = switch.sip_address("external");
    let prober = Prober::new().await;
    let good = prober.request();
    for bad in [
        good.replace("OPTIONS sip", "INVITE sip"),
        good.replace("Call-ID", "X"),
        good.trim_end().to_owned(),
        "\0".to_owned(),
    ] {
        prober.send(address, &bad).await;
    }
    prober.send(address, &good.replace("probe1", "probe2")).await;
    assert!(prober.answer().await.contains("Call-ID: probe2\r\n"));
    assert_eq!(switch.view(|view| view.options("external")), 1);
}

#[tokio::test]
async fn a_cut_network_stops_both() {
    let switch = FakeSwitch::builder().sip().start().await;
    let (address, prober) = (switch.sip_address("external"), Prober::new().await);
    let mut client = Client::listening(&switch).await;
    switch.cut_off(true);
    client.send("api switchname").await;
    prober.send(address, &prober.request()).await;
    switch.wait_until("it came", |view| view.options("external") == 1).await;
    assert!(
        !switch.view(|view| view.commands().contains(&"api switchname")),
        "it isn't read"
    );
    switch.cut_off(false);
    client.until_frames(4).await;
    assert!(prober.ask(address).await.starts_with("SIP/2.0 200 OK\r\n"));
}

/// Several switches, each with the port that its `sofia.conf` gives it
#[tokio::test]
async fn sip_lives_and_dies_with_its_profile() {
    let prober = Prober::new().await;
    let mut switches = Vec::new();
    for name in ["fs1", "fs2"] {
        let [external, internal] = [free_port(), free_port()].map(|port| port.to_string());
        let conf = sofia_conf(&["gw_noreg"])
            .replace("5080", &external)
            .replace("5060", &internal);
        let builder = FakeSwitch::builder().switchname(name).sip();
        let switch = builder.tick(Duration::from_millis(2)).disk(conf).start().await;
        let address = switch.sip_address("external");
        assert_eq!(address.port().to_string(), external);
        assert!(prober.ask(address).await.starts_with("SIP/2.0 200 OK\r\n"));
        switches.push((switch, address));
    }
    for (switch, address) in &switches {
        let is_free = || std::net::UdpSocket::bind(*address).is_ok();
        switch.crash().await;
        switch.wait_until("its port is free", |_| is_free()).await;
        switch.boot().await;
        assert!(prober.ask(*address).await.starts_with("SIP/2.0 200 OK\r\n"));
        let old_enough = |view: &support::fake_switch::View| view.profiles()[0].started + 10 <= view.now();
        switch.wait_until("it may stop", old_enough).await;
        switch.api("sofia profile external stop").await;
        switch.wait_until("its port is free", |_| is_free()).await;
    }
}

#[tokio::test]
async fn a_switch_without_sip_takes_no_port() {
    let switch = still_switch().await;
    assert_eq!(switch.view(|view| view.profiles()[0].sip_port), 5080);
    assert_eq!(switch.view(|view| view.options("external")), 0);
}
