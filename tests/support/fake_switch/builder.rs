//! How a FakeSwitch is configured and started.

use super::super::port::free_port;
use super::FakeSwitch;
use super::bus::Bus;
use super::calls::Calls;
use super::carrier::Carrier;
use super::core::{Core, Shared};
use super::event_socket;
use super::registrar::Registrar;
use super::sofia::Sofia;
use super::xml_curl::Binding;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A second of FreeSWITCH's
const TICK: Duration = Duration::from_millis(20);
/// Of `external` and `internal`
const BUILT_IN_PORTS: [u16; 2] = [5080, 5060];
const HEARTBEAT: Duration = Duration::from_secs(20);

/// Configures a FakeSwitch. The defaults: switchname `fs1`, password `ClueCon`, profiles `external` and `internal`,
/// no gateways, no HTTP, 20 ms a tick.
pub struct Builder {
    switchname: String,
    hostname: Option<String>,
    password: String,
    binding: Option<Binding>,
    disk: Option<Vec<u8>>,
    globals: BTreeMap<String, String>,
    other_configurations: bool,
    registrar: Registrar,
    sip: bool,
    tick: Option<Duration>,
    heartbeat: Duration,
}

impl Builder {
    pub(super) fn new() -> Self {
        let globals = [
            ("local_ip_v4", "127.0.0.1"),
            ("domain", "127.0.0.1"),
            ("default_password", "1234"),
        ];
        Builder {
            switchname: "fs1".to_owned(),
            hostname: None,
            password: "ClueCon".to_owned(),
            binding: None,
            disk: None,
            globals: globals.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            other_configurations: true,
            registrar: Registrar::default(),
            sip: false,
            tick: Some(TICK),
            heartbeat: HEARTBEAT,
        }
    }

    pub fn switchname(mut self, name: &str) -> Self {
        name.clone_into(&mut self.switchname);
        self
    }

    /// The hostname, if it differs from the switchname.
    pub fn hostname(mut self, name: &str) -> Self {
        self.hostname = Some(name.to_owned());
        self
    }

    /// The password of the event socket.
    pub fn password(mut self, password: &str) -> Self {
        password.clone_into(&mut self.password);
        self
    }

    /// Requests every configuration there, from the start. The profiles then come from the answer.
    pub fn xml_curl(mut self, binding: Binding) -> Self {
        self.binding = Some(binding);
        self
    }

    /// FreeSWITCH's XML on disk: a `<document>`, or a `<configuration name="sofia.conf">` alone.
    pub fn disk(mut self, document: impl Into<Vec<u8>>) -> Self {
        self.disk = Some(document.into());
        self
    }

    /// A global variable, for `$${name}`
    pub fn global(mut self, name: &str, value: &str) -> Self {
        self.globals.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Without the requests for `acl.conf`, `loopback.conf` and so on (FACTS 2)
    pub fn only_sofia_conf(mut self) -> Self {
        self.other_configurations = false;
        self
    }

    /// Scripts the carriers before anything registers.
    pub fn registrar(mut self, script: impl FnOnce(&mut Registrar)) -> Self {
        script(&mut self.registrar);
        self
    }

    /// A carrier that answers for its host, shared with other switches: each needs a switchname of its own.
    pub fn carrier(mut self, carrier: &Carrier) -> Self {
        self.registrar.carriers.push(carrier.clone());
        self
    }

    /// Each profile answers OPTIONS over UDP, on loopback at its `sip-port`: give it a free one. Those of the built-in
    /// profiles are free ones then.
    pub fn sip(mut self) -> Self {
        self.sip = true;
        self
    }

    /// The length of FreeSWITCH's second
    pub fn tick(mut self, tick: Duration) -> Self {
        self.tick = Some(tick);
        self
    }

    /// Time only moves by [`FakeSwitch::step`].
    pub fn manual_ticks(mut self) -> Self {
        self.tick = None;
        self
    }

    /// `event-heartbeat-interval`, in real time
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval;
        self
    }

    /// Starts it, on a free port of 127.0.0.1, and returns when mod_sofia has its configuration (or has none) and the
    /// event socket listens.
    pub async fn start(self) -> FakeSwitch {
        let listener = event_socket::bind(free_port()).expect("listen on a free port of 127.0.0.1");
        let address = listener.local_addr().expect("the address of a bound listener");
        let mut registrar = self.registrar;
        registrar.switch.clone_from(&self.switchname);
        let mut bus = Bus::new(&self.switchname);
        if let Some(hostname) = self.hostname {
            bus.hostname = hostname;
        }
        let shared = Arc::new(Shared {
            core: Mutex::new(Core {
                password: self.password,
                bus,
                sofia: Sofia::default(),
                registrar,
                calls: Calls::default(),
                sip: BTreeMap::new(),
                sip_is_silent: false,
                globals: self.globals,
                binding: self.binding,
                disk: self.disk,
                other_configurations: self.other_configurations,
                requests: Vec::new(),
                rude: false,
                stall_new: false,
                command_delay: Duration::ZERO,
                running: false,
            }),
            version: watch::Sender::new(0),
            has_sip: self.sip,
            built_in_ports: if self.sip {
                [free_port(), free_port()]
            } else {
                BUILT_IN_PORTS
            },
            fetching: tokio::sync::Mutex::new(()),
            listening: watch::Sender::new(false),
            listens: watch::Sender::new(true),
            listener: Mutex::new(Some(listener)),
            address,
            stop: CancellationToken::new(),
        });
        shared.boot().await;
        tokio::spawn(event_socket::listen(Arc::clone(&shared)));
        if let Some(tick) = self.tick {
            tokio::spawn(every(Arc::clone(&shared), tick, Shared::tick));
        }
        tokio::spawn(every(Arc::clone(&shared), self.heartbeat, Shared::heartbeat));
        FakeSwitch { shared }
    }
}

/// The next interval begins when `act` is done, as in FreeSWITCH's workers.
async fn every(shared: Arc<Shared>, interval: Duration, act: fn(&Shared)) {
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => return,
            () = tokio::time::sleep(interval) => act(&shared),
        }
    }
}
