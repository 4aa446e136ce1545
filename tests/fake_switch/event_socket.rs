//! The event socket beyond the recordings, and every fault that can be asked for.

use super::*;
use tokio::io::AsyncReadExt;

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
    client.say("event json HEARTBEAT CUSTOM sofia::gateway_state").await;
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
