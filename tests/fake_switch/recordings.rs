//! Each recording, its scenario run again. A step is the tick between two of its seconds.

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
async fn a_profile_says_where_its_sip_is_as_it_was_recorded() {
    let switch = FakeSwitch::builder().start().await;
    let recorded = recording("api/sofia-xmlstatus-profile-external.txt");
    let said = switch.api("sofia xmlstatus profile external").await;
    let port = |text: &str| {
        let address = trunkd::event_socket::parse_sip_address(text.as_bytes())
            .unwrap()
            .unwrap();
        assert_eq!(address.host, "127.0.0.1");
        address.port.to_string()
    };
    assert_eq!(
        said.replace(&port(&said), &port(&recorded)).trim_end(),
        recorded.trim_end()
    );
    assert_eq!(switch.api("sofia xmlstatus profile nope").await, "Invalid Profile!\n");
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
