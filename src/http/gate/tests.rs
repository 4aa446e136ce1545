use super::*;
use futures_util::FutureExt as _;

fn switch(address: &str) -> SwitchSettings {
    let (host, port) = address.rsplit_once(':').unwrap();
    SwitchSettings {
        name: "fs1".to_owned(),
        address: HostPort {
            host: host.to_owned(),
            port: port.parse().unwrap(),
        },
        sip: None,
        weight: 1,
        password: "ClueCon".into(),
        password_file: None,
    }
}

fn gate(max_connections: usize, switches: &[SwitchSettings]) -> Arc<Gate> {
    Arc::new(Gate::new(
        AllowList::new([]),
        Arc::new(SwitchAddresses::new(switches)),
        Arc::new(Health::new()),
        max_connections,
        Duration::from_secs(5),
    ))
}

fn peer(address: &str) -> SocketAddr {
    format!("{address}:1").parse().unwrap()
}

fn state(gate: &Gate) -> Option<State> {
    gate.health.report().parts.first().map(|part| part.state)
}

#[tokio::test]
async fn beyond_the_limit_strangers_wait_and_switches_do_not() {
    let gate = gate(2, &[switch("192.0.2.1:8021")]);
    let (stranger, fs1) = (peer("198.51.100.1"), peer("192.0.2.1"));
    let mut inside = vec![gate.admit(stranger).await.unwrap(), gate.admit(stranger).await.unwrap()];
    assert_eq!(state(&gate), None);
    let mut waits = Box::pin(gate.admit(stranger));
    assert!((&mut waits).now_or_never().is_none());
    assert_eq!(state(&gate), Some(State::Degraded));
    for _ in 0..RESERVED_PER_SWITCH {
        inside.push(gate.admit(fs1).await.unwrap());
    }
    let mut switch_waits = Box::pin(gate.admit(fs1));
    assert!(
        (&mut switch_waits).now_or_never().is_none(),
        "its reserved connections are used too"
    );
    inside.remove(0);
    let let_in = waits.await.unwrap();
    inside.pop();
    let switch_let_in = switch_waits.await.unwrap();
    drop((inside, let_in, switch_let_in));
    assert_eq!(state(&gate), Some(State::Ok));
}

#[tokio::test]
async fn a_connection_is_refused_if_too_many_wait() {
    let gate = gate(1, &[]);
    let stranger = peer("198.51.100.1");
    let _inside = gate.admit(stranger).await.unwrap();
    let mut waiting: Vec<_> = (0..MIN_WAITING).map(|_| Box::pin(gate.admit(stranger))).collect();
    for one in &mut waiting {
        assert!(one.now_or_never().is_none());
    }
    assert_eq!(gate.admit(stranger).await.err(), Some(Refusal::Full));
    drop(waiting);
    assert_eq!(gate.waiting.available_permits(), MIN_WAITING);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_waits_too_long_is_refused() {
    let gate = gate(1, &[switch("192.0.2.1:8021")]);
    let stranger = peer("198.51.100.1");
    let _inside = gate.admit(stranger).await.unwrap();
    assert_eq!(gate.admit(stranger).await.err(), Some(Refusal::Full));
    assert_eq!(gate.waiting.available_permits(), MIN_WAITING);
}

#[tokio::test]
async fn a_switch_is_known_by_address_host_name_and_ipv4_mapped_address() {
    let switches = Arc::new(SwitchAddresses::new(&[
        switch("192.0.2.1:8021"),
        switch("localhost:8021"),
    ]));
    assert!(switches.contains(peer("[::ffff:192.0.2.1]")) && !switches.contains(peer("127.0.0.1")));
    let looking = switches.clone();
    let looking = tokio::spawn(async move { looking.look_up().await });
    while !switches.contains(peer("127.0.0.1")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(switches.contains(peer("192.0.2.1")) && !switches.contains(peer("192.0.2.2")));
    looking.abort();
}
