//! The FreeSWITCH of our tests, proved against what a real one sent (`tests/recordings/`) and against FACTS.
#![allow(clippy::unwrap_used)] // helpers of tests are tests too

mod support;

use std::path::Path;
use std::time::Duration;
use support::fake_switch::{Binding, FORBIDDEN, FakeSwitch, Method, Outcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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

/// A client of the event socket that keeps every byte.
struct Client<'a> {
    switch: &'a FakeSwitch,
    stream: TcpStream,
    received: Vec<u8>,
}

impl<'a> Client<'a> {
    async fn connect(switch: &'a FakeSwitch) -> Self {
        let stream = TcpStream::connect(switch.address()).await.unwrap();
        let mut client = Client {
            switch,
            stream,
            received: Vec::new(),
        };
        client.until_frames(1).await;
        client
    }

    /// Logged in, with the subscription of the recordings
    async fn listening(switch: &'a FakeSwitch) -> Self {
        let mut client = Client::connect(switch).await;
        client.say("auth ClueCon").await;
        client.say(AS_RECORDED).await;
        client
    }

    async fn send(&mut self, command: &str) {
        self.stream
            .write_all(format!("{command}\n\n").as_bytes())
            .await
            .unwrap();
    }

    /// Sends a command and reads up to its reply; whatever it fired is on its way too before this returns.
    async fn say(&mut self, command: &str) -> Frame {
        let replies = self.replies();
        self.send(command).await;
        while self.replies() == replies {
            self.read_some().await;
        }
        self.switch.wait_for_delivery().await;
        frames(&self.received).into_iter().rfind(Frame::is_reply).unwrap()
    }

    async fn until_frames(&mut self, n: usize) {
        while frames(&self.received).len() < n {
            self.read_some().await;
        }
    }

    fn replies(&self) -> usize {
        frames(&self.received).iter().filter(|frame| frame.is_reply()).count()
    }

    fn events(&self) -> Vec<serde_json::Value> {
        let frames = frames(&self.received);
        let bodies = frames.iter().filter(|frame| frame.is_event());
        bodies.map(|frame| serde_json::from_str(&frame.body).unwrap()).collect()
    }

    async fn read_some(&mut self) {
        let mut bytes = vec![0; 64 * 1024];
        let read = tokio::time::timeout(Duration::from_secs(20), self.stream.read(&mut bytes)).await;
        let read = read.expect("bytes from the event socket in 20 s").unwrap();
        assert!(read > 0, "the event socket closed the connection");
        self.received.extend_from_slice(&bytes[..read]);
    }

    /// Seconds pass; whatever they fire is on its way before this returns.
    async fn steps(&self, n: usize) {
        for _ in 0..n {
            self.switch.step();
            self.switch.wait_for_delivery().await;
        }
    }

    /// Everything to the end of the connection
    async fn rest(mut self) -> Vec<Frame> {
        let read = self.stream.read_to_end(&mut self.received);
        tokio::time::timeout(Duration::from_secs(20), read)
            .await
            .expect("the end of the connection in 20 s")
            .unwrap();
        frames(&self.received)
    }

    /// Cuts the connection; everything that was sent.
    async fn cut(self) -> Vec<Frame> {
        self.switch.wait_for_delivery().await;
        self.switch.drop_connections();
        self.rest().await
    }
}

/// A message of the event socket, its length already checked
#[derive(Debug, Clone, PartialEq, Eq)]
struct Frame {
    head: String,
    body: String,
}

impl Frame {
    fn is_reply(&self) -> bool {
        self.head.contains("command/reply") || self.head.contains("api/response")
    }

    fn is_event(&self) -> bool {
        self.head.contains("text/event-")
    }

    /// Without what must differ between two runs: times, sequence numbers, UUIDs, and so an event's length.
    fn normalised(&self) -> Self {
        const VOLATILE: [&str; 8] = [
            "Core-UUID",
            "Event-Date-Local",
            "Event-Date-GMT",
            "Event-Date-Timestamp",
            "Event-Sequence",
            "Up-Time",
            "Uptime-msec",
            "Idle-CPU",
        ];
        let mut body = self.body.clone();
        let mut head = self.head.clone();
        for name in VOLATILE {
            body = blank(&body, &format!("\"{name}\":\""), '"');
            body = blank(&body, &format!("{name}: "), '\n');
        }
        for prefix in ["\"Job-UUID\":\"", "Job-UUID: "] {
            body = blank(&body, prefix, if prefix.starts_with('"') { '"' } else { '\n' });
            head = blank(&head, prefix, '\n');
        }
        if body.starts_with("UP ") {
            body = blank(&body, "UP ", '\n');
            body = blank(&body, "min idle cpu ", '\n');
        }
        if self.is_event() || body.starts_with("UP ") {
            head = blank(&head, "Content-Length: ", '\n');
        }
        Frame { head, body }
    }

    fn sequence(&self) -> Option<u64> {
        let at = self.body.find("Event-Sequence")? + "Event-Sequence".len();
        let digits = self.body[at..].trim_start_matches(['"', ':', ' ']);
        digits[..digits.find(|c: char| !c.is_ascii_digit())?].parse().ok()
    }
}

/// Replaces the text between each `prefix` and the next `end` with a star.
fn blank(text: &str, prefix: &str, end: char) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(prefix) {
        let value = at + prefix.len();
        out += &rest[..value];
        out.push('*');
        rest = &rest[value + rest[value..].find(end).unwrap_or(rest.len() - value)..];
    }
    out + rest
}

/// The whole messages at the front of these bytes
fn frames(bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut rest = bytes;
    while let Some(end) = rest.windows(2).position(|window| window == b"\n\n") {
        let head = String::from_utf8(rest[..end].to_vec()).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        let Some(body) = rest.get(end + 2..end + 2 + length) else {
            break;
        };
        frames.push(Frame {
            head,
            body: String::from_utf8(body.to_vec()).unwrap(),
        });
        rest = &rest[end + 2 + length..];
    }
    frames
}

/// Message by message, the same bytes but for what must differ; and sequence numbers that rise where the recorded do.
#[track_caller]
fn assert_as_recorded(got: &[Frame], name: &str) {
    let recorded = frames(recording(&format!("event_socket/{name}.txt")).as_bytes());
    for (at, (got, recorded)) in got.iter().zip(&recorded).enumerate() {
        assert_eq!(got.normalised(), recorded.normalised(), "message {at} of {name}");
    }
    assert_eq!(
        got.len(),
        recorded.len(),
        "messages of {name}; got last: {:?}",
        got.last()
    );
    let rises = |frames: &[Frame]| -> Vec<bool> {
        let sequences: Vec<u64> = frames.iter().filter_map(Frame::sequence).collect();
        sequences.windows(2).map(|pair| pair[0] < pair[1]).collect()
    };
    assert_eq!(
        rises(got),
        rises(&recorded),
        "the order of the sequence numbers of {name}"
    );
}

/// Each recording, its scenario run again. A step is the tick between two of its seconds.
mod recordings {
    use super::*;

    /// What the recordings of `xml_locate` were made of.
    const LOCATED: &str = r#"<document type="freeswitch/xml">
<section name="configuration">
<configuration name="sofia.conf">
<profiles>
<profile name="external">
<gateways>
<gateway name="one">
<param name="realm" value="one.example"/>
<param name="username" value="u"/>
<param name="password" value="p&amp;q&lt;r&quot;s'顶&#36;${x}"/>
<param name="register" value="false"/>
<variables>
<variable name="absolute_codec_string" value="PCMA,PCMU" direction="inbound"/>
</variables>
</gateway>
</gateways>
<domains>
<domain name="all" alias="false" parse="true"/>
</domains>
<settings>
<param name="sip-ip" value="$${local_ip_v4}"/>
<param name="rtp-ip" value="$${local_ip_v4}"/>
<param name="sip-port" value="38080"/>
<param name="context" value="public"/>
<param name="dialplan" value="XML"/>
</settings>
</profile>
</profiles>
</configuration>
</section>
<section name="directory" description="User Directory">
<domain name="acme.example">
<groups>
<group name="default">
<users>
<user id="7">
<gateways>
<gateway name="isp">
<param name="realm" value="isp.example"/>
<param name="register" value="false"/>
</gateway>
</gateways>
</user>
</users>
</group>
</groups>
</domain>
</section>
</document>
"#;

    /// But for white space, which FreeSWITCH keeps from its files.
    #[tokio::test]
    async fn xml_locate_prints_the_configuration_as_it_was_recorded() {
        let switch = FakeSwitch::builder().disk(LOCATED).start().await;
        let without_space = |text: &str| {
            text.split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .replace("> <", "><")
        };
        for (command, file) in [
            ("configuration configuration name sofia.conf", "sofia.conf"),
            ("directory", "directory"),
            ("configuration configuration name nope.conf", "nope.conf"),
        ] {
            let recorded = recording(&format!("api/xml_locate-{file}.txt"));
            let reply = switch.api(&format!("xml_locate {command}")).await;
            assert_eq!(without_space(&reply), without_space(&recorded), "{command}");
        }
    }

    #[tokio::test]
    async fn a_wrong_password() {
        let switch = recorded_switch(&[]).start().await;
        let mut client = Client::connect(&switch).await;
        client.send("auth wrong").await;
        assert_as_recorded(&client.rest().await, "bad-password");
    }

    #[tokio::test]
    async fn killgw_startgw_rescan() {
        let switch = recorded_switch(&["gw_ok", "gw_bad", "gw_ping", "gw_noreg"])
            .start()
            .await;
        switch.steps(25); // gw_bad waits after its third failure, until second 36
        let mut client = Client::listening(&switch).await;
        client.say("api sofia profile external killgw gw_ok").await;
        client.steps(1).await;
        client.say("api sofia profile external startgw gw_ok").await;
        client.steps(1).await;
        client.say("api sofia profile external killgw gw_noreg").await;
        client.steps(1).await;
        client.say("api sofia profile external startgw gw_noreg").await;
        client.say("api sofia profile external rescan").await;
        client.steps(10).await;
        assert_as_recorded(&client.cut().await, "killgw-startgw-rescan");
    }

    #[tokio::test]
    async fn an_options_ping_goes_down() {
        let switch = recorded_switch(&["gw_ok", "gw_bad", "gw_noreg"]).start().await;
        switch.steps(1);
        switch.set_disk(Some(sofia_conf(&["gw_ping"]).into()));
        switch.api("sofia profile external startgw gw_ping").await; // so its pings fall on seconds 6, 11, 16
        switch.steps(5);
        let client = Client::listening(&switch).await;
        client.steps(6).await;
        switch.registrar(|registrar| registrar.set_ping("gw_ping", Outcome::Refused));
        client.steps(9).await;
        assert_as_recorded(&client.cut().await, "options-ping-down");
    }

    /// Two orders of the first second's answers are legitimate: a profile's SIP thread sleeps through the first second
    /// after a start, so both answers come after both TRYING here, while later each comes right after its own.
    #[tokio::test]
    async fn a_profile_restarts() {
        let switch = recorded_switch(&["gw_ok", "gw_noreg", "gw_bad", "gw_ping"])
            .start()
            .await;
        switch.steps(12);
        switch.registrar(|registrar| registrar.set_ping("gw_ping", Outcome::Refused));
        let mut client = Client::listening(&switch).await;
        client.say("api sofia profile external restart").await;
        switch
            .wait_until("the profile is back", |view| {
                view.profiles().len() == 2 && view.gateways().len() == 4
            })
            .await;
        client.steps(9).await;
        assert_as_recorded(&client.cut().await, "profile-restart");
    }

    #[tokio::test]
    async fn a_shutdown() {
        let switch = recorded_switch(&["gw_ok", "gw_noreg", "gw_bad", "gw_ping"])
            .start()
            .await;
        switch.steps(8);
        let mut client = Client::listening(&switch).await;
        client.say("api status").await;
        client.steps(1).await;
        switch.shutdown().await;
        assert_as_recorded(&client.rest().await, "shutdown");
    }

    #[tokio::test]
    async fn a_shutdown_that_is_announced() {
        let switch = recorded_switch(&["gw_noreg"]).start().await;
        switch.steps(3);
        let mut client = Client::connect(&switch).await;
        client.say("auth ClueCon").await;
        let announced = AS_RECORDED.replace("json CUSTOM", "json HEARTBEAT SHUTDOWN CUSTOM");
        client.say(&announced).await;
        let mut other = Client::connect(&switch).await;
        other.say("auth ClueCon").await;
        switch.begin_shutdown();
        let reply = other.say("api sofia profile external startgw gw_noreg").await;
        assert_eq!(reply.body, "-ERR sofia Command not found!\n");
        assert_eq!(
            other
                .say("api eval a${sofia_gateway_data(gw_noreg ivar x)}|b")
                .await
                .body,
            "a|b"
        );
        switch.shutdown().await;
        assert_as_recorded(&client.rest().await, "shutdown-announced");
    }

    #[tokio::test]
    async fn bgapi_and_errors() {
        let switch = recorded_switch(&["gw_ok", "gw_bad", "gw_ping", "gw_noreg"])
            .start()
            .await;
        switch.steps(5);
        let mut client = Client::listening(&switch).await;
        client.say("bgapi sofia profile external killgw gw_noreg").await;
        switch
            .wait_until("the job is done", |view| view.gateway("gw_noreg").is_none())
            .await;
        client.steps(1).await;
        client.say("bgapi sofia profile external startgw gw_noreg").await;
        switch
            .wait_until("the job is done", |view| view.gateway("gw_noreg").is_some())
            .await;
        client.steps(1).await;
        client.say("event json").await;
        client.steps(1).await;
        client.say("api nosuchcommand").await;
        client.steps(1).await;
        client.say("event json BACKGROUND_JOB").await;
        client.say("bgapi sofia profile external startgw gw_noreg").await;
        client
            .until_frames(frames(recording("event_socket/bgapi-and-errors.txt").as_bytes()).len())
            .await;
        assert_as_recorded(&client.cut().await, "bgapi-and-errors");
    }

    /// Five recordings of one afternoon, 115 seconds of it: registrations refused and timed out beside a ghost, a ping
    /// that comes up, the plain format, a gateway replaced, and heartbeats.
    ///
    /// The two profiles tick at their own moments within a second; `internal` came first in the recordings, and does
    /// here. The other order would be as legitimate.
    #[tokio::test]
    async fn one_long_afternoon() {
        let switch = recorded_switch(&[]).start().await;
        // The ghost: `dup` stood in `external` first, and is killed there. It tries for 60 s, then waits for 30.
        let dup = |user: &str| {
            format!(
                "<gateway name=\"dup\"><param name=\"realm\" value=\"127.0.0.1:5070\"/>\n\
                 <param name=\"username\" value=\"{user}\"/><param name=\"password\" value=\"1\"/></gateway>"
            )
        };
        switch.add_gateways("external", &dup("dupA"));
        switch.add_gateways("internal", &dup("dupB"));
        switch.api("sofia profile external killgw dup").await;
        switch.steps(63);

        switch.set_disk(Some(sofia_conf(&["gw_noreg", "gw_bad", "gw_ok"]).into()));
        switch.api("sofia profile external rescan").await;
        switch.registrar(|registrar| {
            registrar.set_ping("gw_ping", Outcome::Refused);
            registrar.refresh_after = Some(23); // sofia-sip picks it at random; so the afternoon's refreshes fell
        });
        switch.steps(1);
        let all = ["gw_noreg", "gw_bad", "gw_ping", "gw_ok", "gw_dead", "gw_silent"];
        switch.set_disk(Some(sofia_conf(&all).into()));
        switch.api("sofia profile external startgw gw_ping").await;
        switch.steps(22);
        switch.registrar(|registrar| registrar.refresh_after = Some(15));
        switch.steps(5);

        let mut client = Client::listening(&switch).await;
        client.say("api sofia profile external startgw gw_dead").await;
        client.steps(1).await;
        client.say("api sofia profile external startgw gw_silent").await;
        switch.registrar(|registrar| registrar.refresh_after = Some(40));
        client.steps(23).await;
        assert_as_recorded(&client.cut().await, "registration-refused-and-timed-out");

        switch.steps(3);
        switch.registrar(|registrar| registrar.set_ping("gw_ping", Outcome::Ok));
        let client = Client::listening(&switch).await;
        client.steps(11).await;
        assert_as_recorded(&client.cut().await, "options-ping-up");

        switch.registrar(|registrar| registrar.set_ping("gw_ping", Outcome::Refused));
        switch.steps(3);
        let mut client = Client::connect(&switch).await;
        client.say("auth ClueCon").await;
        client.say(&AS_RECORDED.replace("json", "plain")).await;
        client.say("api sofia profile external killgw gw_ok").await;
        client.say("api sofia xmlstatus gateway gw_ok").await;
        client.steps(3).await;
        client.say("api sofia profile external startgw gw_ok").await;
        client.steps(2).await;
        client.send("exit").await;
        assert_as_recorded(&client.rest().await, "plain-format");

        switch.steps(2);
        switch.api("sofia profile external killgw gw_ok").await;
        switch.api("sofia profile external startgw gw_ok").await;
        assert_api_as_recorded(
            &switch.api("sofia xmlstatus gateway").await,
            "sofia-xmlstatus-gateway-while-one-is-replaced",
        );

        switch.registrar(|registrar| registrar.refresh_after = Some(15));
        switch.steps(2);
        switch.registrar(|registrar| registrar.refresh_after = Some(36));
        switch.steps(7);
        // gw_silent's port closes three seconds into an attempt
        switch.registrar(|registrar| registrar.set("gw_silent", Outcome::After(3, Box::new(Outcome::Refused))));
        switch.steps(1);
        switch.registrar(|registrar| registrar.set("gw_silent", Outcome::Refused));
        switch.steps(15);
        let mut client = Client::connect(&switch).await;
        client.say("auth ClueCon").await;
        client.say(&AS_RECORDED.replace("CUSTOM", "HEARTBEAT CUSTOM")).await;
        client.steps(15).await;
        switch.fire_heartbeat();
        client.steps(20).await;
        switch.fire_heartbeat();
        client.steps(7).await;
        assert_as_recorded(&client.cut().await, "heartbeat");
    }

    /// The recordings of the second laboratory day hold events alone, without the login.
    #[track_caller]
    fn assert_events_as_recorded(got: &[Frame], name: &str) {
        let events: Vec<_> = got.iter().filter(|frame| frame.is_event()).cloned().collect();
        assert_as_recorded(&events, name);
    }

    /// A FreeSWITCH of the second laboratory day, with `gw_ok` registered at the carrier.
    async fn second_day() -> FakeSwitch {
        let switch = FakeSwitch::builder().hostname("vm").manual_ticks().start().await;
        let account = |name: &str, carrier: &str, more: &str| {
            format!(
                "<gateway name=\"{name}\"><param name=\"realm\" value=\"127.0.0.1:{carrier}\"/>\n\
                 <param name=\"username\" value=\"bob\"/><param name=\"password\" value=\"1\"/>{more}</gateway>"
            )
        };
        let expires = "<param name=\"expire-seconds\" value=\"60\"/>";
        switch.add_gateways("external", &account("gw_ok", "49541", expires));
        switch.steps(2);
        assert_eq!(switch.view(|view| view.state("gw_ok")), Some("REGED"));
        let retry = "<param name=\"retry-seconds\" value=\"5\"/>";
        let refused = account("gw_busy", "58935", retry) + &account("gw_refused", "46251", retry);
        switch.set_disk(Some(format!(
            "<configuration name=\"sofia.conf\"><profiles><profile name=\"external\"><gateways>{refused}</gateways>\n\
             </profile></profiles></configuration>"
        ).into()));
        switch
    }

    #[tokio::test]
    async fn a_gateway_is_unregistered_and_registered_by_hand() {
        let switch = second_day().await;
        let mut client = Client::listening(&switch).await;
        let reply = client.say("api sofia profile external register gw_ok").await;
        assert_api_of_second_day(&reply.body, "sofia-profile-external-register-gw_ok");
        client.steps(2).await;
        assert_events_as_recorded(&client.cut().await, "gateway-register");

        let mut client = Client::listening(&switch).await;
        let reply = client.say("api sofia profile external unregister gw_ok").await;
        assert_api_of_second_day(&reply.body, "sofia-profile-external-unregister-gw_ok");
        // It stays so: 60 s later nothing more was sent.
        client.steps(60).await;
        assert_events_as_recorded(&client.cut().await, "gateway-unregister");
        assert_eq!(switch.view(|view| view.state("gw_ok")), Some("DOWN"));

        let mut client = Client::listening(&switch).await;
        client.say("api sofia profile external register gw_ok").await;
        client.steps(2).await;
        assert_events_as_recorded(&client.cut().await, "gateway-register-again");
        for verb in ["register", "unregister"] {
            let reply = switch.api(&format!("sofia profile external {verb} nope")).await;
            assert_api_of_second_day(&reply, &format!("sofia-profile-external-{verb}-nope"));
        }
    }

    /// What an event says, without when
    fn said(event: &serde_json::Value) -> String {
        let words = ["Event-Subclass", "State", "Ping-Status", "Status", "Phrase"];
        let words = words.map(|word| event[word].as_str().unwrap_or("-"));
        words.join(" ")
    }

    /// What each gateway's events say, and how many seconds after the first of all. The carriers' answers to two
    /// gateways may overtake each other.
    fn by_gateway(events: &[(i64, serde_json::Value)]) -> std::collections::BTreeMap<String, Vec<(i64, String)>> {
        let mut found = std::collections::BTreeMap::<_, Vec<_>>::new();
        for (second, event) in events {
            let gateway = event["Gateway"].as_str().unwrap().to_owned();
            found.entry(gateway).or_default().push((*second, said(event)));
        }
        found
    }

    /// FACTS 45: the carrier's challenge comes from another address than the gateway's.
    #[tokio::test]
    async fn a_challenge_is_not_answered() {
        let switch = FakeSwitch::builder()
            .hostname("vm")
            .switchname("fsc-b")
            .manual_ticks()
            .registrar(|registrar| registrar.set("stray", Outcome::Challenged))
            .start()
            .await;
        switch.add_gateways(
            "external",
            "<gateway name=\"stray\"><param name=\"realm\" value=\"carrier.test\"/>\n\
             <param name=\"username\" value=\"u\"/><param name=\"password\" value=\"1\"/>\n\
             <param name=\"retry-seconds\" value=\"5\"/><param name=\"timeout-seconds\" value=\"5\"/></gateway>",
        );
        switch.steps(2);
        let mut client = Client::connect(&switch).await;
        client.say("auth ClueCon").await;
        client
            .say(&format!("{AS_RECORDED} sofia::gateway_invalid_digest_req"))
            .await;
        client.steps(22).await;
        let of_stray = |frames: Vec<Frame>| -> Vec<Frame> {
            let events = frames
                .iter()
                .filter(|frame| frame.body.contains("\"Gateway\":\"stray\""));
            events.map(Frame::normalised).collect()
        };
        let got = of_stray(client.cut().await);
        let recorded = of_stray(frames(
            recording("event_socket/gateway-invalid-digest-req.txt").as_bytes(),
        ));
        assert!(recorded.len() > 5 && got.len() >= recorded.len(), "{got:#?}");
        assert_eq!(got[..recorded.len()], recorded);
    }

    /// FACTS 39: 100 s of two refused gateways and one that is well. A wait ends at a tick, which comes in the same
    /// second of the clock or in the next, so the recorded waits differ by one.
    #[tokio::test]
    async fn registrations_are_refused_for_100_s() {
        let name = "event_socket/registration-refused-403-and-503-for-100-s.txt";
        let recorded: Vec<serde_json::Value> = frames(recording(name).as_bytes())
            .iter()
            .map(|frame| serde_json::from_str(&frame.body).unwrap())
            .collect();
        let usec = |event: &serde_json::Value| event["Event-Date-Timestamp"].as_str().unwrap().parse::<i64>().unwrap();
        // The ticks came at .99 of a second and a little later each time.
        let start = usec(&recorded[2]) - 1_000_000;
        let recorded: Vec<_> = recorded
            .into_iter()
            .map(|event| ((usec(&event) - start).div_euclid(1_000_000), event))
            .collect();

        let switch = second_day().await;
        switch.registrar(|registrar| {
            registrar.set("gw_refused", FORBIDDEN);
            registrar.set("gw_busy", Outcome::Refused);
            registrar.refresh_after = Some(31);
        });
        switch.api("sofia profile external register gw_ok").await;
        switch.steps(8);
        let before = switch.view(|view| view.sequence());
        for gateway in ["gw_busy", "gw_refused"] {
            switch.api(&format!("sofia profile external startgw {gateway}")).await;
        }
        let mut got = Vec::new();
        let mut seen = before;
        for second in 0..105 {
            if second > 0 {
                switch.step();
            }
            switch.view(|view| {
                let new = view.events().filter(|event| event.sequence() > seen);
                let of_gateways = new.filter(|event| event.header("Gateway").is_some());
                got.extend(of_gateways.map(|event| (second, serde_json::from_str(&event.to_json()).unwrap())));
                seen = view.sequence();
            });
        }
        let (got, recorded) = (by_gateway(&got), by_gateway(&recorded));
        assert_eq!(got.keys().collect::<Vec<_>>(), recorded.keys().collect::<Vec<_>>());
        for (gateway, recorded) in &recorded {
            let got = &got[gateway][..recorded.len()];
            let said = |events: &[(i64, String)]| events.iter().map(|(_, said)| said.clone()).collect::<Vec<_>>();
            assert_eq!(said(got), said(recorded), "{gateway}");
            let gaps = |events: &[(i64, String)]| events.windows(2).map(|two| two[1].0 - two[0].0).collect::<Vec<_>>();
            let (got, recorded) = (gaps(got), gaps(recorded));
            let alike = got
                .iter()
                .zip(&recorded)
                .all(|(got, recorded)| (got - recorded).abs() <= 1);
            assert!(alike, "{gateway}: {got:?}, recorded {recorded:?}");
        }
    }

    /// fs_cli put a line end after each reply.
    #[track_caller]
    fn assert_api_as_recorded(reply: &str, name: &str) {
        let mut recorded = recording(&format!("api/{name}.txt"));
        assert_eq!(recorded.pop(), Some('\n'));
        assert_reply_as_recorded(reply, &recorded, name);
    }

    /// On the second day replies were recorded as they came.
    #[track_caller]
    fn assert_api_of_second_day(reply: &str, name: &str) {
        assert_reply_as_recorded(reply, &recording(&format!("api/{name}.txt")), name);
    }

    #[track_caller]
    fn assert_reply_as_recorded(reply: &str, recorded: &str, name: &str) {
        let line = |line: &str| match line {
            line if line.starts_with("    <uptime-usec>") => "    <uptime-usec>*</uptime-usec>\n".to_owned(),
            line if line.starts_with("    <ping>") && !line.contains(">0<") => "    <ping>*</ping>\n".to_owned(),
            line if line.starts_with("UP ") => "UP *\n".to_owned(),
            line if line.starts_with("min idle cpu ") => "min idle cpu *\n".to_owned(),
            line => format!("{line}\n"),
        };
        let normalised = |text: &str| -> String { text.lines().map(line).collect() };
        assert_eq!(normalised(reply), normalised(recorded), "{name}");
        assert_eq!(
            reply.ends_with('\n'),
            recorded.ends_with('\n'),
            "{name}: the end of the reply"
        );
    }

    #[tokio::test]
    async fn every_api_reply() {
        let switch = recorded_switch(&["gw_ok", "gw_bad", "gw_ping", "gw_noreg"])
            .start()
            .await;
        switch.registrar(|registrar| registrar.set_ping("gw_ping", Outcome::Refused));
        switch.steps(14);
        let mut client = Client::connect(&switch).await;
        client.say("auth ClueCon").await;
        for (name, command) in [
            ("status", "status"),
            ("switchname", "switchname"),
            ("sofia-status", "sofia status"),
            ("sofia-xmlstatus", "sofia xmlstatus"),
            ("sofia-xmlstatus-gateway", "sofia xmlstatus gateway"),
            ("sofia-xmlstatus-gateway-gw_ok", "sofia xmlstatus gateway gw_ok"),
            ("sofia-xmlstatus-gateway-nope", "sofia xmlstatus gateway nope"),
            (
                "sofia-profile-external-gwlist-down",
                "sofia profile external gwlist down",
            ),
            (
                "sofia_gateway_data-gw_ok-ivar-nope",
                "sofia_gateway_data gw_ok ivar nope",
            ),
            (
                "sofia_gateway_data-gw_ok-ivar-sip_sticky_contact",
                "sofia_gateway_data gw_ok ivar sip_sticky_contact",
            ),
            ("sofia_gateway_data-nope-ivar-x", "sofia_gateway_data nope ivar x"),
            ("sofia-profile-nope-rescan", "sofia profile nope rescan"),
            ("sofia-profile-external-rescan", "sofia profile external rescan"),
            (
                "sofia-profile-external-killgw-nope",
                "sofia profile external killgw nope",
            ),
            (
                "sofia-profile-external-killgw-gw_ping",
                "sofia profile external killgw gw_ping",
            ),
            (
                "sofia-profile-external-startgw-nope",
                "sofia profile external startgw nope",
            ),
            (
                "sofia-profile-external-startgw-gw_ping",
                "sofia profile external startgw gw_ping",
            ),
        ] {
            assert_api_as_recorded(&client.say(&format!("api {command}")).await.body, name);
        }
        switch.add_gateways(
            "external",
            "<gateway name=\"gw_loop\"><param name=\"realm\" value=\"127.0.0.1:51973\"/>\n\
             <param name=\"register\" value=\"false\"/></gateway>",
        );
        switch.set_calls("gw_loop", [0, 1, 0, 0]);
        let reply = switch.api("sofia xmlstatus gateway gw_loop").await;
        let reply = reply.replace("127.0.0.1:5080", "127.0.0.1:51973");
        assert_api_of_second_day(&reply, "sofia-xmlstatus-gateway-during-a-call");
        let uuid = client.say("api global_getvar core_uuid").await.body;
        assert_eq!(
            uuid.len(),
            recording("api/global_getvar-core_uuid.txt").trim_end().len()
        );
        assert_eq!(uuid, switch.view(|view| view.core_uuid().to_owned()));
    }
}

/// An HTTP server of one document that keeps the requests it gets.
struct Web {
    url: String,
    requests: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
    answer: std::sync::Arc<std::sync::Mutex<String>>,
}

impl Web {
    async fn serving(document: &str) -> Self {
        Web::answering(&ok(document)).await
    }

    /// Answers every request with these bytes and closes; with no bytes it never answers.
    async fn answering(answer: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/xml", listener.local_addr().unwrap());
        let requests = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let answer = std::sync::Arc::new(std::sync::Mutex::new(answer.to_owned()));
        let (kept, given) = (requests.clone(), answer.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !is_whole_request(&request) {
                    if stream.read_buf(&mut request).await.unwrap() == 0 {
                        break;
                    }
                }
                kept.lock().unwrap().push(String::from_utf8(request).unwrap());
                let answer: String = given.lock().unwrap().clone();
                if answer.is_empty() {
                    std::future::pending::<()>().await;
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Web { url, requests, answer }
    }

    fn answer(&self, answer: &str) {
        answer.clone_into(&mut self.answer.lock().unwrap());
    }

    fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn is_whole_request(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

/// A document as trunkd serves them
fn document(configuration: &str) -> String {
    format!(
        "<document type=\"freeswitch/xml\">\n<section name=\"configuration\">\n{configuration}</section>\n</document>\n"
    )
}

const NOT_FOUND: &str = "<document type=\"freeswitch/xml\">\n<section name=\"result\">\n\
                         <result status=\"not found\"/>\n</section>\n</document>\n";

/// What FreeSWITCH asks trunkd for, and what it makes of the answer.
mod xml_curl {
    use super::*;
    use support::fake_switch::{AuthScheme, Used};

    /// The same bytes but for the host, times, sequence numbers and the UUID; the body's length is checked.
    #[track_caller]
    fn assert_request_as_recorded(got: &str, name: &str) {
        let normalised = |text: &str| {
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && let Some(length) = head.lines().find_map(|line| line.strip_prefix("Content-Length: "))
            {
                assert_eq!(length.parse(), Ok(body.len()), "{name}");
            }
            let mut text = blank(text, "Host: ", '\r');
            text = blank(&text, "Content-Length: ", '\r');
            for field in [
                "Core-UUID",
                "Event-Date-Local",
                "Event-Date-GMT",
                "Event-Date-Timestamp",
                "Event-Sequence",
            ] {
                let end = if text.starts_with("GET") && field == "Event-Sequence" {
                    ' '
                } else {
                    '&'
                };
                text = blank(&text, &format!("{field}="), end);
            }
            text
        };
        assert_eq!(
            normalised(got),
            normalised(&recording(&format!("xml_curl/{name}.http"))),
            "{name}"
        );
    }

    fn field<'a>(request: &'a str, name: &str) -> &'a str {
        let at = request.find(&format!("{name}=")).unwrap() + name.len() + 1;
        request[at..].split(['&', ' ']).next().unwrap()
    }

    #[tokio::test]
    async fn every_recorded_request() {
        let web = Web::serving(&document(&sofia_conf(&["gw_ok"]))).await;
        let switch = FakeSwitch::builder()
            .switchname("vm")
            .xml_curl(Binding::new(&web.url))
            .start()
            .await;
        let requests = web.take_requests();
        let asked: Vec<&str> = requests.iter().map(|request| field(request, "key_value")).collect();
        let expected = [
            "acl.conf",
            "loopback.conf",
            "timezones.conf",
            "sofia.conf",
            "sofia.conf",
            "sofia.conf",
        ];
        assert_eq!(asked, expected, "FACTS 2 and 3");
        assert_request_as_recorded(&requests[0], "startup-acl");
        assert_request_as_recorded(&requests[1], "startup-other-conf");
        assert_request_as_recorded(&requests[3], "startup-all-profiles");
        assert_request_as_recorded(&requests[4], "startup-one-profile");
        assert_eq!(field(&requests[5], "profile"), "internal");

        for (command, name) in [
            ("sofia profile external rescan", "rescan"),
            ("sofia profile external startgw gw_ok", "startgw"),
            ("sofia profile external startgw _all_", "startgw-all"),
        ] {
            switch.api(command).await;
            assert_request_as_recorded(web.take_requests().last().unwrap(), name);
        }
        let sequences: Vec<u64> = switch.view(|view| {
            view.sofia_requests()
                .iter()
                .map(|request| request.field("Event-Sequence").unwrap().parse().unwrap())
                .collect()
        });
        assert!(sequences.is_sorted(), "{sequences:?}");
    }

    #[tokio::test]
    async fn get_style_with_credentials() {
        let web = Web::serving(&document(&sofia_conf(&[]))).await;
        let binding = Binding {
            get: true,
            credentials: Some("fs1:s3cret".to_owned()),
            ..Binding::new(&web.url)
        };
        let _switch = FakeSwitch::builder()
            .switchname("vm")
            .only_sofia_conf()
            .xml_curl(binding)
            .start()
            .await;
        assert_request_as_recorded(&web.take_requests()[0], "get-basic-auth");
    }

    #[tokio::test]
    async fn with_scheme_any_it_asks_without_credentials_first() {
        let web =
            Web::answering("HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n").await;
        let binding = Binding {
            credentials: Some("fs1:s3cret".to_owned()),
            auth_scheme: AuthScheme::Any,
            ..Binding::new(&web.url)
        };
        let _switch = FakeSwitch::builder().only_sofia_conf().xml_curl(binding).start().await;
        let requests = web.take_requests();
        assert_eq!(requests.len(), 2, "FACTS 10");
        assert!(
            !requests[0].contains("Authorization") && requests[1].contains("Authorization: Basic ZnMxOnMzY3JldA==")
        );
    }

    #[tokio::test]
    async fn gateways_come_from_the_answer_and_register() {
        let web = Web::serving(&document(&sofia_conf(&["gw_ok", "gw_noreg"]))).await;
        let switch = FakeSwitch::builder().xml_curl(Binding::new(&web.url)).start().await;
        switch.wait_for_state("gw_ok", "REGED").await;
        switch.wait_for_state("gw_noreg", "NOREG").await;
        switch.view(|view| {
            assert_eq!(
                view.gateway("gw_ok").unwrap().inbound("sip_sticky_contact"),
                Some("true")
            );
            assert!(view.sofia_requests().iter().all(|request| request.used == Used::Answer));
        });
    }

    /// FACTS 7: anything but a good answer means the XML on disk.
    #[tokio::test]
    async fn a_bad_answer_falls_back_to_disk() {
        let good = document(&sofia_conf(&["gw_ok"]));
        for (answer, error) in [
            (ok(NOT_FOUND), "not found"),
            (ok(""), "Error Parsing Result!"),
            (
                ok("<document><section></document>\n"),
                "Error[[error near line 1]: unexpected closing tag </document>]",
            ),
            (
                "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_owned(),
                "Received HTTP error 500 trying to fetch",
            ),
            (
                "HTTP/1.1 204 Nothing\r\n\r\n".to_owned(),
                "Received HTTP error 204 trying to fetch",
            ),
            (
                ok(&good.replace("sofia.conf", "other.conf")),
                "no configuration sofia.conf in the answer",
            ),
            (
                ok(&good
                    .replace('\n', "")
                    .replace("<document", "<?xml version=\"1.0\"?><document")),
                "Error Parsing Result!",
            ),
            (
                ok(&good)[..200].to_owned(),
                "CURL returned error:[18] Transferred a partial file",
            ),
            ("garbage".to_owned(), "CURL returned error:[52] Server returned nothing"),
        ] {
            let web = Web::answering(&answer).await;
            let builder = FakeSwitch::builder().only_sofia_conf().xml_curl(Binding::new(&web.url));
            let switch = builder.disk(sofia_conf(&["gw_noreg"])).start().await;
            switch.view(|view| {
                let request = &view.requests()[0];
                assert_eq!(request.error.as_deref(), Some(error));
                assert_eq!(request.used, Used::Disk, "{error}");
                assert_eq!(view.gateways().len(), 1, "{error}");
                assert!(view.gateway("gw_noreg").is_some(), "{error}");
            });
        }
    }

    #[tokio::test]
    async fn with_nothing_on_disk_mod_sofia_does_not_load_until_somebody_loads_it() {
        let web = Web::answering("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n").await;
        let switch = FakeSwitch::builder().xml_curl(Binding::new(&web.url)).start().await;
        assert!(!switch.view(|view| view.sofia_loaded()));
        assert_eq!(switch.api("sofia status").await, "-ERR sofia Command not found!\n");
        assert_eq!(
            switch.api("load mod_sofia").await,
            "+OK Reloading XML\n-ERR [Module load error]\n"
        );
        web.answer(&ok(&document(&sofia_conf(&["gw_ok"]))));
        assert_eq!(switch.api("load mod_sofia").await, "+OK Reloading XML\n+OK\n");
        switch.wait_for_state("gw_ok", "REGED").await;
    }

    #[tokio::test]
    async fn an_answer_over_the_limit_is_thrown_away_whole() {
        let good = document(&sofia_conf(&["gw_ok"]));
        for (limit, used) in [(good.len(), Used::Answer), (good.len() - 1, Used::Nothing)] {
            let web = Web::serving(&good).await;
            let binding = Binding {
                response_max_bytes: limit,
                ..Binding::new(&web.url)
            };
            let switch = FakeSwitch::builder().only_sofia_conf().xml_curl(binding).start().await;
            switch.view(|view| assert_eq!(view.requests()[0].used, used, "{:?}", view.requests()[0].error));
        }
    }

    #[tokio::test]
    async fn a_timeout_is_a_failure_and_a_refused_connection_too() {
        let web = Web::answering("").await;
        let binding = Binding {
            timeout: Some(Duration::from_millis(50)),
            ..Binding::new(&web.url)
        };
        let switch = FakeSwitch::builder().only_sofia_conf().xml_curl(binding).start().await;
        let error = switch.view(|view| view.requests()[0].error.clone().unwrap());
        assert!(error.contains("[28]"), "{error}");
        switch.set_binding(Some(Binding::new("http://127.0.0.1:1/xml")));
        switch.api("load mod_sofia").await;
        let error = switch.view(|view| view.requests().last().unwrap().error.clone().unwrap());
        assert!(error.contains("[7]"), "{error}");
    }

    #[tokio::test]
    async fn a_chunked_answer_is_read_whole() {
        let good = document(&sofia_conf(&["gw_ok"]));
        let (a, b) = good.split_at(100);
        let chunked = format!("{:x}\r\n{a}\r\n{:x};x=y\r\n{b}\r\n0\r\n\r\n", a.len(), b.len());
        let web = Web::answering(&format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunked}"
        ))
        .await;
        let switch = FakeSwitch::builder().xml_curl(Binding::new(&web.url)).start().await;
        assert!(switch.view(|view| view.gateway("gw_ok").is_some()));
    }

    #[tokio::test]
    async fn what_the_preprocessor_did_to_an_answer_is_on_the_record() {
        let conf = sofia_conf(&["gw_ok"]).replace("value=\"alice\"", "value=\"$${default_password}\"");
        let web = Web::serving(&document(&conf)).await;
        let switch = FakeSwitch::builder()
            .global("default_password", "leaked")
            .xml_curl(Binding::new(&web.url))
            .start()
            .await;
        switch.view(|view| {
            assert_eq!(view.gateway("gw_ok").unwrap().username, "leaked");
            let done = view.sofia_requests()[0].preprocessed.as_ref().unwrap();
            assert!(done.expanded_globals.contains(&"default_password".to_owned()));
        });
    }
}

/// mod_sofia's rules, FACTS 11 to 29, where the recordings don't show them.
mod gateways {
    use super::*;

    fn gateway(name: &str, params: &[(&str, &str)]) -> String {
        let params: String = params
            .iter()
            .map(|(name, value)| format!("<param name=\"{name}\" value=\"{value}\"/>\n"))
            .collect();
        format!("<gateway name=\"{name}\">\n{params}</gateway>\n")
    }

    const LOGIN: [(&str, &str); 3] = [("realm", "sip.example.net"), ("username", "u"), ("password", "p")];

    async fn still_switch() -> FakeSwitch {
        FakeSwitch::builder().manual_ticks().start().await
    }

    /// The states of all gateways of a name, newest first
    fn states(switch: &FakeSwitch, name: &str) -> Vec<&'static str> {
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
            &format!("<gateway name=\"g\"><param name=\"register\" value=\"no\"/><variables>{variables}</variables></gateway>"),
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
        let left: Vec<String> =
            switch.view(|view| view.gateways().iter().map(|gateway| gateway.name.clone()).collect());
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
        let expected = [(1, "UP"), (0, "DOWN"), (1, "DOWN"), (2, "UP"), (3, "UP"), (2, "UP")]
            .map(|(count, up)| (count, up, false));
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
}

/// The event socket beyond the recordings, and every fault that can be asked for.
mod event_socket {
    use super::*;

    const NOREG: &str = "<gateway name=\"g\"><param name=\"register\" value=\"false\"/></gateway>";

    async fn still_switch() -> FakeSwitch {
        FakeSwitch::builder().manual_ticks().start().await
    }

    fn json(sequence: u64) -> String {
        format!("{{\"Event-Name\":\"HEARTBEAT\",\"Event-Sequence\":\"{sequence}\"}}")
    }

    fn sequences(client: &Client) -> Vec<String> {
        client
            .events()
            .iter()
            .map(|event| event["Event-Sequence"].as_str().unwrap().to_owned())
            .collect()
    }

    #[tokio::test]
    async fn what_stands_after_custom_is_a_subclass() {
        let switch = still_switch().await;
        let mut wrong = Client::connect(&switch).await;
        wrong.say("auth ClueCon").await;
        wrong.say("event json CUSTOM sofia::gateway_add HEARTBEAT").await;
        let mut right = Client::connect(&switch).await;
        right.say("auth ClueCon").await;
        right.say("event json heartbeat custom sofia::gateway_add").await;
        switch.fire_heartbeat();
        switch.add_gateways("external", NOREG);
        right.until_frames(5).await;
        wrong.until_frames(4).await;
        assert_eq!(wrong.events().len(), 1, "FACTS 34");
        assert_eq!(wrong.events()[0]["Event-Subclass"], "sofia::gateway_add");
        assert_eq!(right.events()[0]["Event-Name"], "HEARTBEAT");
    }

    #[tokio::test]
    async fn noevents_nixevent_and_all() {
        let switch = still_switch().await;
        let mut client = Client::connect(&switch).await;
        assert_eq!(
            client.say("status").await.head,
            "Content-Type: command/reply\nReply-Text: -ERR command not found"
        );
        client.say("auth ClueCon").await;
        assert!(
            client
                .say("noevents")
                .await
                .head
                .ends_with("-ERR not listening for events")
        );
        client.say("event json ALL").await;
        client.say("nixevent HEARTBEAT API").await;
        switch.fire_heartbeat();
        switch.add_gateways("external", NOREG);
        assert!(
            client
                .say("noevents")
                .await
                .head
                .ends_with("+OK no longer listening for events")
        );
        switch.fire_heartbeat();
        let events = client.cut().await.iter().filter(|frame| frame.is_event()).count();
        assert!(events <= 2, "RE_SCHEDULE and gateway_add, unless noevents flushed them");
    }

    #[tokio::test]
    async fn pipelined_commands_are_answered_in_order_before_events() {
        let switch = still_switch().await;
        let mut client = Client::listening(&switch).await;
        switch.stall_connection(1, true);
        let many: String = (0..50).map(|n| format!("api eval {n}\n\n")).collect();
        client.send(&format!("\n\n{}", many.trim_end())).await;
        switch.add_gateways("external", NOREG);
        switch.stall_connection(1, false);
        client.until_frames(3 + 50 + 1).await;
        let frames = client.cut().await;
        let bodies: Vec<&str> = frames[3..53].iter().map(|frame| &*frame.body).collect();
        let expected: Vec<String> = (0..50).map(|n| n.to_string()).collect();
        assert_eq!(bodies, expected);
        assert!(frames[53].is_event());
    }

    #[tokio::test]
    async fn thousands_of_variables_come_back_in_one_round_trip() {
        let switch = still_switch().await;
        let all: String = (0..5_000)
            .map(|n| {
                format!(
                    "<gateway name=\"g{n}\"><variable name=\"rev\" value=\"v{n}\" direction=\"inbound\"/>\n\
                     <param name=\"register\" value=\"false\"/></gateway>\n"
                )
            })
            .collect();
        switch.add_gateways("external", &all);
        let asked: Vec<String> = (0..5_000)
            .map(|n| format!("${{sofia_gateway_data(g{n} ivar rev)}}"))
            .collect();
        let mut client = Client::connect(&switch).await;
        client.say("auth ClueCon").await;
        let reply = client
            .say(&format!(
                "api eval {}|${{sofia_gateway_data(nope ivar rev)}}",
                asked.join("|")
            ))
            .await;
        let values: Vec<&str> = reply.body.split('|').collect();
        assert_eq!(
            (values.len(), values[0], values[4_999], values[5_000]),
            (5_001, "v0", "v4999", ""),
            "FACTS 26"
        );
    }

    #[tokio::test]
    async fn a_rude_rejection_asks_for_nothing() {
        let switch = still_switch().await;
        switch.reject_rudely(true);
        let frames = Client::connect(&switch).await.rest().await;
        assert_eq!(frames[0].head, "Content-Type: text/rude-rejection\nContent-Length: 24");
        assert_eq!(frames[0].body, "Access Denied, go away.\n");
    }

    #[tokio::test]
    async fn dropped_refused_and_taken_again() {
        let switch = still_switch().await;
        let client = Client::listening(&switch).await;
        switch.refuse_connections(true).await;
        assert!(TcpStream::connect(switch.address()).await.is_err());
        switch.wait_for_connections(1).await;
        let frames = client.cut().await;
        assert_eq!(frames.len(), 3, "no notice");
        switch.refuse_connections(false).await;
        Client::listening(&switch).await;
        switch.wait_for_connections(0).await;
        switch.view(|view| {
            assert_eq!(view.all_connections().len(), 2);
            assert_eq!(
                view.commands(),
                ["auth ClueCon", AS_RECORDED, "auth ClueCon", AS_RECORDED]
            );
        });
    }

    #[tokio::test]
    async fn a_stall_answers_nothing_and_then_everything() {
        let switch = still_switch().await;
        let mut client = Client::listening(&switch).await;
        switch.stall(true);
        client.send("api switchname").await;
        switch.add_gateways("external", NOREG);
        let mut late = TcpStream::connect(switch.address()).await.unwrap();
        let nothing = tokio::time::timeout(Duration::from_millis(50), client.read_some()).await;
        assert!(nothing.is_err());
        assert!(
            tokio::time::timeout(Duration::from_millis(10), late.read_u8())
                .await
                .is_err(),
            "new ones stall too"
        );
        switch.stall(false);
        client.until_frames(5).await;
        assert!(late.read_u8().await.is_ok());
    }

    #[tokio::test]
    async fn one_connection_can_stall_alone() {
        let switch = still_switch().await;
        let mut first = Client::listening(&switch).await;
        let mut second = Client::listening(&switch).await;
        switch.stall_connection(1, true);
        first.send("api switchname").await;
        assert_eq!(second.say("api switchname").await.body, "fs1");
        assert!(
            tokio::time::timeout(Duration::from_millis(50), first.read_some())
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn a_slow_command_holds_up_the_events_of_its_own_connection() {
        let switch = still_switch().await;
        let mut client = Client::listening(&switch).await;
        switch.slow_commands(Duration::from_millis(80));
        client.send("api switchname").await;
        switch
            .wait_until("the command came", |view| {
                view.commands().last() == Some(&"api switchname")
            })
            .await;
        switch.add_gateways("external", NOREG);
        client.until_frames(5).await;
        assert!(frames(&client.received)[3].is_reply(), "the reply first, FACTS 36");
    }

    #[tokio::test]
    async fn events_are_lost_doubled_and_reordered_on_request() {
        let switch = still_switch().await;
        let mut client = Client::connect(&switch).await;
        client.say("auth ClueCon").await;
        client.say("event json HEARTBEAT").await;
        switch.lose_next_events(1);
        switch.fire_heartbeat();
        switch.duplicate_next_events(1);
        switch.fire_heartbeat();
        switch.reorder_next_events(2);
        switch.fire_heartbeat();
        switch.fire_heartbeat();
        switch.fire_heartbeat();
        client.until_frames(3 + 5).await;
        let numbers: Vec<u64> = sequences(&client)
            .iter()
            .map(|number| number.parse().unwrap())
            .collect();
        let first = numbers[0];
        assert_eq!(
            numbers,
            [first, first, first + 4, first + 2, first + 6],
            "RE_SCHEDULE takes every second number"
        );
    }

    #[tokio::test]
    async fn injected_events_and_bursts_arrive_as_they_stand() {
        let switch = still_switch().await;
        let mut client = Client::connect(&switch).await;
        client.say("auth ClueCon").await;
        client.say("event json HEARTBEAT").await;
        switch.inject_event(&json(7));
        switch.inject_event(&json(7).replace("HEARTBEAT", "TRAP"));
        switch.inject_event("{\"Event-Sequence\":\"8\"}");
        let burst = switch.prepare_burst(2_000, &["a".to_owned(), "b".to_owned()]);
        assert_eq!(switch.fire_burst(&burst), 1);
        client.until_frames(3 + 2 + 2_000).await;
        let numbers = sequences(&client);
        assert_eq!(numbers[..2], ["7", "8"]);
        assert_eq!(numbers.last(), Some(&burst.last_sequence.to_string()));
        let last = client.events().pop().unwrap();
        assert_eq!((&last["Gateway"], &last["State"]), (&"b".into(), &"FAIL_WAIT".into()));
    }

    /// FACTS 33
    #[tokio::test]
    async fn a_listener_too_far_behind_loses_events_and_then_its_connection() {
        let switch = still_switch().await;
        let client = Client::listening(&switch).await;
        switch.stall_connection(1, true);
        for _ in 0..100_000 + 500 {
            switch.inject_bytes("x");
        }
        switch.wait_for_connections(1).await;
        switch.inject_bytes("x");
        switch.wait_for_connections(0).await;
        assert_eq!(client.rest().await.len(), 3);
    }

    #[tokio::test]
    async fn a_restart_is_a_new_run_on_the_same_port() {
        let web = Web::serving(&document(&sofia_conf(&["gw_ok"]))).await;
        let switch = FakeSwitch::builder().xml_curl(Binding::new(&web.url)).start().await;
        switch.wait_for_state("gw_ok", "REGED").await;
        let (before, address) = (switch.view(|view| view.core_uuid().to_owned()), switch.address());
        let client = Client::listening(&switch).await;
        web.answer(&ok(&document(&sofia_conf(&["gw_noreg"]))));
        switch.restart().await;
        let frames = client.rest().await;
        assert_eq!(frames.last().unwrap().body, "The system is being shut down.\n");
        assert_eq!(switch.address(), address);
        Client::listening(&switch).await;
        switch.view(|view| {
            assert_ne!(view.core_uuid(), before);
            assert!(view.gateway("gw_ok").is_none() && view.gateway("gw_noreg").is_some());
            assert!(view.sequence() < 300, "the sequence starts again");
        });
        switch.crash().await;
        assert!(TcpStream::connect(address).await.is_err());
        switch.boot().await;
        Client::listening(&switch).await;
    }

    #[tokio::test]
    async fn time_runs_by_itself_unless_told_not_to() {
        let switch = FakeSwitch::builder()
            .tick(Duration::from_millis(2))
            .heartbeat(Duration::from_millis(5))
            .start()
            .await;
        switch.wait_until("ten seconds passed", |view| view.ticks() >= 10).await;
        switch
            .wait_until("a heart beats", |view| {
                view.events().filter(|event| event.name() == "HEARTBEAT").count() >= 2
            })
            .await;
    }
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

mod redis_server {
    use super::support::redis::{Data, RedisServer};

    async fn get(server: &RedisServer) -> Option<String> {
        let mut connection = server.connection().await;
        redis::cmd("GET").arg("k").query_async(&mut connection).await.unwrap()
    }

    #[tokio::test]
    async fn it_is_private_and_restarts_with_or_without_its_data() {
        let mut server = RedisServer::start_with_aof().await;
        let other = RedisServer::start().await;
        let mut connection = server.connection().await;
        redis::cmd("SET")
            .arg("k")
            .arg("v")
            .exec_async(&mut connection)
            .await
            .unwrap();
        assert_eq!(get(&other).await, None);
        let port = server.port();
        server.restart(Data::Kept).await;
        assert_eq!((server.port(), get(&server).await.as_deref()), (port, Some("v")));
        server.restart(Data::Lost).await;
        assert_eq!(get(&server).await, None);
        server.kill();
        assert!(!server.is_running());
        assert!(tokio::net::TcpStream::connect(server.address()).await.is_err());
    }

    #[tokio::test]
    async fn it_listens_on_a_socket_too_and_can_be_stopped() {
        let server = RedisServer::start_with(&["--requirepass", "s3cret"]).await;
        let client = redis::Client::open(format!("{}?pass=s3cret", server.socket_url())).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd("PING").exec_async(&mut connection).await.unwrap();
        server.sigstop();
        let ping = redis::cmd("PING");
        let asked = ping.exec_async(&mut connection);
        assert!(
            tokio::time::timeout(std::time::Duration::from_millis(100), asked)
                .await
                .is_err()
        );
        server.sigcont();
        redis::cmd("PING").exec_async(&mut connection).await.unwrap();
    }

    #[tokio::test]
    async fn it_is_gone_with_its_value() {
        let server = RedisServer::start().await;
        let (address, socket) = (server.address(), server.socket_path());
        drop(server);
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
        assert!(!socket.exists());
    }
}

/// FACTS 8 and 9, statement by statement.
mod preprocessor_and_parser {
    use super::support::fs_xml::{self, Element, Preprocessed};
    use std::collections::BTreeMap;

    fn preprocess(document: &str) -> Preprocessed {
        let globals = [("default_password", "s3cret"), ("domain", "sip.example.net")];
        let globals: BTreeMap<_, _> = globals.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        fs_xml::preprocess(document.as_bytes(), &globals)
    }

    fn text(document: &str) -> String {
        String::from_utf8(preprocess(document).text).unwrap()
    }

    fn parse(document: &str) -> Element {
        fs_xml::parse(&preprocess(document).text).unwrap()
    }

    /// The value of `<param value="…"/>` as mod_sofia would read it.
    fn value(escaped: &str) -> String {
        parse(&format!(
            "<params>\n  <param name=\"x\" value=\"{escaped}\"/>\n</params>\n"
        ))
        .child("param")
        .and_then(|param| param.attribute("value"))
        .unwrap()
        .to_owned()
    }

    #[test]
    fn a_global_variable_is_expanded_anywhere_and_its_value_leaks() {
        let done = preprocess("<param value=\"pay $${default_password} now\"/>\n<!-- $${domain} -->\n");
        assert_eq!(
            done.text,
            b"<param value=\"pay s3cret now\"/>\n<!-- sip.example.net -->\n"
        );
        assert_eq!(done.expanded_globals, ["default_password", "domain"]);
    }

    #[test]
    fn global_names_are_found_in_any_case_and_an_unknown_one_becomes_nothing() {
        assert_eq!(text("[$${DEFAULT_Password}][$${nope}]\n"), "[s3cret][]\n");
    }

    #[test]
    fn a_brace_inside_a_variable_counts_and_one_that_never_closes_stays() {
        assert_eq!(text("[$${a{b}c}] $${open {\n"), "[] $${open {\n");
        assert_eq!(text("$${open\n"), "$${open\n");
    }

    #[test]
    fn a_dollar_as_a_character_reference_arrives_as_literal_text() {
        assert_eq!(value("&#36;${default_password}"), "$${default_password}");
        assert_eq!(value("$&#36;{default_password}"), "$${default_password}");
    }

    #[test]
    fn one_dollar_is_no_global_variable() {
        assert_eq!(value("${default_password} $x $$y"), "${default_password} $x $$y");
    }

    #[test]
    fn a_line_with_a_processing_instruction_or_an_include_tag_is_dropped_whole() {
        let done = preprocess("<?xml version=\"1.0\"?>\n<include>\n<a>\n</include><b/>\n</a>\n");
        assert_eq!(done.text, b"<a>\n</a>\n");
        assert_eq!(
            done.dropped_lines,
            ["<?xml version=\"1.0\"?>", "<include>", "</include><b/>"]
        );
    }

    #[test]
    fn a_document_on_one_line_with_an_xml_declaration_vanishes() {
        let done = preprocess("<?xml version=\"1.0\"?><document type=\"freeswitch/xml\"></document>\n");
        assert!(done.text.is_empty());
        assert_eq!(fs_xml::parse(&done.text).unwrap_err(), "root tag missing");
    }

    #[test]
    fn include_with_a_space_or_in_capitals_is_no_include_tag() {
        assert_eq!(
            text("<include >\n<INCLUDE>\n<includes>\n"),
            "<include >\n<INCLUDE>\n<includes>\n"
        );
    }

    #[test]
    fn pre_process_letters_drop_the_line_in_any_case_even_inside_a_value() {
        let done = preprocess("<a>\n<param value=\"an x-PRE-process word\"/>\nX-Pre-Process\n</a>\n");
        assert_eq!(done.text, b"<a>\n</a>\n");
        assert_eq!(
            done.dropped_lines,
            ["<param value=\"an x-PRE-process word\"/>", "X-Pre-Process"]
        );
        assert!(done.executed.is_empty());
    }

    #[test]
    fn pre_process_after_a_less_than_is_executed_even_inside_a_value_or_a_comment() {
        let done = preprocess(
            "<param value='<x-pre-process cmd=\"exec\" data=\"id\"/>'/>\n<!-- <X-PRE-PROCESS cmd=\"exec\" data=\"ls -l\"/> -->\n",
        );
        assert_eq!(done.executed, ["exec id", "exec ls -l"]);
        assert!(done.text.is_empty());
    }

    #[test]
    fn set_changes_what_later_lines_see_and_every_directive_is_recorded() {
        let done = preprocess(concat!(
            "[$${mine}]\n",
            "<X-PRE-PROCESS cmd=\"set\" data=\"mine = a${b}\"/>\n",
            "[$${mine}]\n",
            "<X-PRE-PROCESS cmd=\"include\" data=\"external/*.xml\"/>\n",
            "<X-PRE-PROCESS cmd=\"exec-set\" data=\"x=date\"/>\n",
            "<X-PRE-PROCESS cmd=\"stun-set\" data=\"x=stun\"/>\n",
            "<X-PRE-PROCESS cmd=\"env-set\" data=\"x=$HOME\"/>\n",
        ));
        assert_eq!(done.text, b"[]\n[a%{b}]\n");
        let ran = [
            "set mine=a${b}",
            "include external/*.xml",
            "exec-set x=date",
            "stun-set x=stun",
            "env-set x=$HOME",
        ];
        assert_eq!(done.executed, ran);
        assert!(
            done.dropped_lines.is_empty(),
            "a directive alone on its line loses nothing"
        );
    }

    #[test]
    fn a_pre_process_with_a_reference_in_it_is_safe_and_arrives_intact() {
        assert_eq!(value("x-pre&#45;process"), "x-pre-process");
        assert_eq!(
            value("&lt;X&#45;PRE-PROCESS cmd=&quot;exec&quot;"),
            "<X-PRE-PROCESS cmd=\"exec\""
        );
    }

    #[test]
    fn what_stands_beside_a_directive_on_its_line_is_lost() {
        let done = preprocess("<gateways><X-PRE-PROCESS cmd=\"include\" data=\"x.xml\"/></gateways>\n");
        assert!(done.text.is_empty());
        assert_eq!(done.executed, ["include x.xml"]);
        assert_eq!(done.dropped_lines.len(), 1);
    }

    #[test]
    fn a_directive_in_single_quotes_does_nothing() {
        let done = preprocess("<X-PRE-PROCESS cmd='exec' data='id'/>\n");
        assert!(done.executed.is_empty() && done.text.is_empty());
    }

    #[test]
    fn an_old_style_directive_runs_and_keeps_what_stands_beside_it() {
        let done =
            preprocess("<a><!--#set \"k=v\"--><b/>\n<!--#exec id-->\n<!--#include data=\"x/*.xml\" -->$${k}</a>\n");
        assert_eq!(done.text, b"<a><b/>\n\nv</a>\n");
        assert_eq!(done.executed, ["set k=v", "exec id", "include x/*.xml"]);
    }

    #[test]
    fn an_old_style_directive_that_does_not_close_swallows_lines_to_the_next_comment_end() {
        let done = preprocess("<a>\n<!--#exec id\n<b/>\n<c/> --><d/>\n</a>\n");
        assert_eq!(done.text, b"<a>\n<d/>\n</a>\n");
        assert_eq!(done.executed, ["exec id"]);
        assert_eq!(done.dropped_lines, ["<b/>"]);
    }

    #[test]
    fn a_plain_comment_passes_over_several_lines_too() {
        let document = "<a>\n<!-- # one\n <param name=\"x\" value=\"y\"/>\n-->\n<!-- two --><b/>\n</a>\n";
        assert_eq!(text(document), document);
        let root = parse(document);
        assert_eq!(root.children.len(), 1);
        assert_eq!(root.children[0].name, "b");
    }

    #[test]
    fn a_line_over_a_mebibyte_loses_the_character_at_each_cut() {
        let line: String = (0..1_200_000u32).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
        let done = text(&line);
        assert_eq!(done.len(), line.len() - 1);
        assert_eq!(done[..1_048_574], line[..1_048_574]);
        assert_eq!(done[1_048_574..], line[1_048_575..]);
    }

    #[test]
    fn nul_ends_its_line() {
        assert_eq!(text("ab\0cd\nef\n"), "abef\n");
    }

    #[test]
    fn references_and_raw_utf8_arrive_right_in_attribute_values() {
        assert_eq!(value("&lt;&amp;&quot;&apos;&gt;"), "<&\"'>");
        assert_eq!(value("&#10;&#9;&#x41;&#13;&#x9876;"), "\n\tA\r顶");
        assert_eq!(value("顶顶通密码 é 🎺"), "顶顶通密码 é 🎺");
        assert_eq!(value("&amp;lt; &amp;#65; &amp;amp;"), "&lt; &#65; &amp;");
    }

    #[test]
    fn what_is_no_reference_stays_as_it_is() {
        for literal in [
            "&",
            "&nope;",
            "&#0;",
            "&#;",
            "&#X41;",
            "&#-1;",
            "&# 1;",
            "&#65",
            "&#xFFFFFFFFFF;",
            "a&b",
        ] {
            assert_eq!(value(literal), literal);
        }
    }

    #[test]
    fn raw_white_space_in_a_value_becomes_spaces_and_in_text_stays() {
        assert_eq!(value("a\tb\r\nc\nd"), "a b c d");
        assert_eq!(parse("<a>x\r\n\ty<b/>z</a>\n").text, "x\n\tyz");
    }

    #[test]
    fn the_parser_does_not_validate() {
        let root = parse("junk <a  two='2'\n one = \"1\" bare one=\"again\">t<![CDATA[<&amp;>]]></a > trailing\n");
        let expected = [("two", "2"), ("one", "1"), ("bare", ""), ("one", "again")];
        assert_eq!(
            root.attributes,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(root.attribute("one"), Some("1"));
        assert_eq!(root.text, "t<&amp;>");
    }

    #[test]
    fn what_the_parser_cannot_take_is_an_error() {
        for (document, error) in [
            ("<a><b></a>\n", "unexpected closing tag </a>"),
            ("<a>\n<b>\n", "unclosed tag <b>"),
            ("<a/><b/>\n", "markup outside of root element"),
            ("<a x=\"1></a>\n", "missing \""),
            ("<a><!-- a -- b --></a>\n", "unclosed <!--"),
            ("<a>1 < 2</a>\n", "unexpected <"),
            ("nothing here\n", "root tag missing"),
        ] {
            let found = fs_xml::parse(document.as_bytes()).unwrap_err();
            assert!(found.ends_with(error), "{document:?}: {found}");
        }
    }

    #[test]
    fn entities_of_an_internal_dtd_are_expanded() {
        let root = parse("<!DOCTYPE a [\n<!ENTITY who \"you &amp; me\">\n]>\n<a x=\"for &who;\"/>\n");
        assert_eq!(root.attribute("x"), Some("for you & me"));
    }
}
