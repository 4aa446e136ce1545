//! The recordings of the second laboratory day: gateways registered by hand, refusals, challenges.

use super::*;

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
    switch.set_disk(Some(
        format!(
            "<configuration name=\"sofia.conf\"><profiles><profile name=\"external\"><gateways>{refused}</gateways>\n\
             </profile></profiles></configuration>"
        )
        .into(),
    ));
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

#[tokio::test]
async fn a_refused_gateway_shows_how_long_it_waits() {
    let switch = second_day().await;
    switch.registrar(|registrar| registrar.set("gw_refused", FORBIDDEN));
    switch.api("sofia profile external startgw gw_refused").await;
    let waits_16_s = |view: &support::fake_switch::View| {
        let gateway = view.gateway("gw_refused").unwrap();
        gateway.failures == 4 && gateway.retry - view.now() == 16
    };
    let seen = (0..100).any(|_| {
        switch.step();
        switch.view(waits_16_s)
    });
    assert!(seen);
    let reply = switch.api("sofia xmlstatus gateway gw_refused").await;
    assert_api_of_second_day(&reply.replace(":5080", ":51973"), "sofia-xmlstatus-gateway-refused");
}

#[tokio::test]
async fn a_registered_gateway_shows_itself() {
    let switch = second_day().await;
    switch.steps(5);
    let reply = switch.api("sofia status gateway gw_ok").await;
    let reply = reply.replace(":5080", ":51973").replace("bob", "alice");
    assert_api_of_second_day(&reply, "sofia-status-gateway-gw_ok");
}
