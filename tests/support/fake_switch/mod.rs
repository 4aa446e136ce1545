//! `FakeSwitch`: an in-process model of FreeSWITCH, as far as trunkd can observe it.
//!
//! It speaks the event socket ([`event_socket`]), requests `sofia.conf` as mod_xml_curl does ([`xml_curl`]) and keeps
//! gateways by mod_sofia's rules ([`sofia`]), registering them with scripted carriers ([`registrar`]). It is modelled
//! on FreeSWITCH's source and checked against recordings of a real one in `tests/fake_switch.rs`.
//!
//! Its second is a *tick*, 20 ms by default: every duration that FreeSWITCH counts in seconds (retry, expiry, ping,
//! the age of a profile) counts ticks. With [`Builder::manual_ticks`] time only moves by [`FakeSwitch::step`].
//! HTTP time-outs and heartbeats are in real time.
//!
//! ```ignore
//! let switch = FakeSwitch::builder().xml_curl(Binding::new(trunkd_url)).start().await;
//! switch.wait_until("gw1 is registered", |view| view.state("gw1") == Some("REGED")).await;
//! switch.registrar(|registrar| registrar.set("gw1", FORBIDDEN));
//! switch.drop_connections();
//! ```

mod api;
pub mod bus;
pub mod event;
mod event_socket;
pub mod registrar;
pub mod sofia;
pub mod xml_curl;

pub use super::fs_xml::Element;
pub use bus::ConnectionRecord;
pub use event::Event;
pub use registrar::{FORBIDDEN, Method, Outcome, Registrar, Wire};
pub use sofia::{Gateway, Profile, RegState};
pub use xml_curl::{AuthScheme, Binding, HttpRequest, Used};

use bus::Bus;
use bytes::Bytes;
use event::Origin;
use sofia::{Sofia, World};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::port::free_port;

/// A second of FreeSWITCH's
const TICK: Duration = Duration::from_millis(20);
const HEARTBEAT: Duration = Duration::from_secs(20);
/// How long to wait for a condition: far longer than any takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);
const SYSTEM_SHUTDOWN: &str = "The system is being shut down.\n";

/// Everything that FreeSWITCH knows, behind one lock.
struct Core {
    password: String,
    bus: Bus,
    sofia: Sofia,
    registrar: Registrar,
    globals: BTreeMap<String, String>,
    binding: Option<Binding>,
    disk: Option<Vec<u8>>,
    other_configurations: bool,
    requests: Vec<HttpRequest>,
    rude: bool,
    stall_new: bool,
    command_delay: Duration,
    running: bool,
}

impl Core {
    fn global(&self, name: &str) -> Option<String> {
        match name.to_ascii_lowercase().as_str() {
            "core_uuid" => Some(self.bus.core_uuid.clone()),
            "switchname" => Some(self.bus.switchname.clone()),
            "hostname" => Some(self.bus.hostname.clone()),
            name => self
                .globals
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, v)| v.clone()),
        }
    }
}

struct Shared {
    core: Mutex<Core>,
    /// Counts changes of the core, for those who wait for one.
    version: watch::Sender<u64>,
    /// FreeSWITCH fetches one configuration at a time
    fetching: tokio::sync::Mutex<()>,
    /// Whether the event socket should listen, and whether it does
    listening: watch::Sender<bool>,
    listens: watch::Sender<bool>,
    listener: Mutex<Option<TcpListener>>,
    address: SocketAddr,
    stop: CancellationToken,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<R>(&self, look: impl FnOnce(&Core) -> R) -> R {
        look(&self.lock())
    }

    fn with<R>(&self, change: impl FnOnce(&mut Core) -> R) -> R {
        let result = change(&mut self.lock());
        self.bump();
        result
    }

    fn bump(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    async fn command_delay(&self) {
        let delay = self.read(|core| core.command_delay);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    /// The listener from the start, or a new one on the same port once the port is free.
    async fn take_listener(&self) -> TcpListener {
        let made = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(listener) = made {
            return listener;
        }
        loop {
            match event_socket::bind(self.address.port()) {
                Ok(listener) => return listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    fn tick(&self) {
        self.with(|core| {
            let Core {
                sofia,
                bus,
                registrar,
                running,
                ..
            } = core;
            if *running {
                sofia.tick(&mut World { bus, registrar });
            }
        });
    }

    fn heartbeat(&self) {
        self.with(|core| {
            if !core.running {
                return;
            }
            let uptime = core.bus.booted.elapsed();
            let mut event = core
                .bus
                .create("HEARTBEAT", None, Origin("switch_core.c", "send_heartbeat", 95));
            for (name, value) in [
                ("Event-Info", "System Ready"),
                ("Up-Time", &duration_words(uptime)),
                ("FreeSWITCH-Version", "1.11.3-dev+git~20260821T141014Z~cc93a683ca~64bit"),
                ("Uptime-msec", &uptime.as_millis().to_string()),
                ("Session-Count", "0"),
                ("Max-Sessions", "1000"),
                ("Session-Per-Sec", "1000"),
                ("Session-Per-Sec-Last", "0"),
                ("Session-Per-Sec-Max", "2"),
                ("Session-Per-Sec-FiveMin", "0"),
                ("Session-Since-Startup", "2"),
                ("Session-Peak-Max", "2"),
                ("Session-Peak-FiveMin", "0"),
                ("Idle-CPU", "99.333333"),
            ] {
                event = event.with(name, value);
            }
            core.bus.fire(event);
            let event = core.bus.create(
                "RE_SCHEDULE",
                None,
                Origin("switch_scheduler.c", "switch_scheduler_execute", 67),
            );
            core.bus.fire(event);
        });
    }

    /// `switch_xml_open_cfg("sofia.conf")` with what mod_sofia adds to the request
    async fn fetch_sofia_conf(&self, origin: Origin, params: &[(&str, &str)]) -> Option<Element> {
        let _one_at_a_time = self.fetching.lock().await;
        let (binding, text, globals, disk) = self.with(|core| {
            let mut event = core.bus.create("REQUEST_PARAMS", None, origin);
            for (name, value) in params {
                event = event.with(name, *value);
            }
            let text = event.to_params(&basic_params(&core.bus.switchname, "sofia.conf"));
            (core.binding.clone(), text, core.globals.clone(), core.disk.clone())
        });
        let Some(binding) = binding else {
            return disk.and_then(|disk| xml_curl::from_disk(&disk, "sofia.conf", &globals));
        };
        self.locate(&binding, &text, "sofia.conf", &globals, disk.as_deref())
            .await
    }

    async fn locate(
        &self,
        binding: &Binding,
        params: &str,
        name: &str,
        globals: &BTreeMap<String, String>,
        disk: Option<&[u8]>,
    ) -> Option<Element> {
        tokio::select! {
            () = self.stop.cancelled() => None,
            (found, request) = xml_curl::locate(binding, params, name, globals, disk) => {
                self.with(|core| core.requests.push(request));
                found
            }
        }
    }

    /// FACTS 2: with `bindings="configuration"` every configuration is asked for.
    async fn fetch_other_configurations(&self, names: &[&str]) {
        let (binding, switchname) = self.read(|core| {
            (
                core.binding.clone().filter(|_| core.other_configurations),
                core.bus.switchname.clone(),
            )
        });
        for name in names {
            let Some(binding) = &binding else { return };
            let _one_at_a_time = self.fetching.lock().await;
            self.locate(binding, &basic_params(&switchname, name), name, &BTreeMap::new(), None)
                .await;
        }
    }

    /// mod_sofia loads: all profiles, then the gateways of each. False: no configuration, so no mod_sofia (FACTS 7).
    async fn load_sofia(self: &Arc<Self>) -> bool {
        let built_in = self.read(|core| core.binding.is_none() && core.disk.is_none());
        if built_in {
            self.with(|core| {
                for (name, port) in [("external", 5080), ("internal", 5060)] {
                    core.sofia.start_profile(Profile::new(name, port), &mut core.bus);
                }
                core.sofia.loaded = true;
            });
            return true;
        }
        let loaded = self.config_sofia(None, false).await;
        self.with(|core| core.sofia.loaded = loaded);
        loaded
    }

    /// `mod_sofia_shutdown_cleanup`: its commands are gone first, then its profiles end.
    fn unload_sofia(&self) {
        let profiles: Vec<String> = self.with(|core| {
            core.sofia.loaded = false;
            core.sofia.profiles.iter().map(|profile| profile.name.clone()).collect()
        });
        for profile in profiles {
            self.end_profile(&profile);
        }
    }

    async fn boot(self: &Arc<Self>) {
        self.with(|core| {
            core.bus.boot();
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs() as i64);
            // The fake's clock continues over a restart. Only the first start sets it.
            let (now, ticks) = if core.sofia.now == 0 {
                (now, 0)
            } else {
                (core.sofia.now, core.sofia.ticks)
            };
            core.sofia = Sofia::starting_at(now, ticks);
            core.running = true;
        });
        self.fetch_other_configurations(&["acl.conf", "loopback.conf", "timezones.conf"])
            .await;
        self.load_sofia().await;
        self.listening.send_replace(true);
    }
}

/// The first five pairs of a request (FACTS 1), not encoded
fn basic_params(switchname: &str, name: &str) -> String {
    format!("hostname={switchname}&section=configuration&tag_name=configuration&key_name=name&key_value={name}")
}

/// `0 years, 0 days, …` as `status` and HEARTBEAT say it
fn duration_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [
        (seconds / 31_536_000, "year"),
        (seconds / 86_400 % 365, "day"),
        (seconds / 3600 % 24, "hour"),
        (seconds / 60 % 60, "minute"),
        (seconds % 60, "second"),
        (u64::from(duration.subsec_millis()), "millisecond"),
        (u64::from(duration.subsec_micros() % 1000), "microsecond"),
    ];
    parts
        .map(|(n, word)| format!("{n} {word}{}", if n == 1 { "" } else { "s" }))
        .join(", ")
}

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
    tick: Option<Duration>,
    heartbeat: Duration,
}

impl Builder {
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
        let mut bus = Bus::new(&self.switchname);
        if let Some(hostname) = self.hostname {
            bus.hostname = hostname;
        }
        let shared = Arc::new(Shared {
            core: Mutex::new(Core {
                password: self.password,
                bus,
                sofia: Sofia::default(),
                registrar: self.registrar,
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

async fn every(shared: Arc<Shared>, interval: Duration, act: fn(&Shared)) {
    let mut interval = tokio::time::interval(interval);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    interval.tick().await; // the first is at once
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => return,
            _ = interval.tick() => act(&shared),
        }
    }
}

/// A running FreeSWITCH. Dropping it ends its tasks and connections.
pub struct FakeSwitch {
    shared: Arc<Shared>,
}

impl Drop for FakeSwitch {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

/// Time, gateways and carriers
impl FakeSwitch {
    pub fn builder() -> Builder {
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
            tick: Some(TICK),
            heartbeat: HEARTBEAT,
        }
    }

    /// The address of its event socket.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// One second passes, for every profile.
    pub fn step(&self) {
        self.shared.tick();
    }

    pub fn steps(&self, seconds: usize) {
        for _ in 0..seconds {
            self.step();
        }
    }

    /// Changes what the carriers do, from now on.
    pub fn registrar<R>(&self, script: impl FnOnce(&mut Registrar) -> R) -> R {
        self.shared.with(|core| script(&mut core.registrar))
    }

    /// Parses `<gateway>` elements into a profile, as if `sofia.conf` had held them.
    pub fn add_gateways(&self, profile: &str, xml: &str) {
        let document = format!("<gateways>\n{xml}\n</gateways>\n");
        let globals = self.shared.read(|core| core.globals.clone());
        let text = super::fs_xml::preprocess(document.as_bytes(), &globals).text;
        let gateways = super::fs_xml::parse(&text).expect("well-formed gateways");
        self.shared
            .with(|core| core.sofia.parse_gateways(profile, &gateways, None, &mut core.bus));
    }

    /// A call over the gateway is challenged by a host that is not the gateway's, and ends there (FACTS 45).
    pub fn challenge_call(&self, gateway: &str) {
        self.shared.with(|core| core.sofia.challenge(gateway, &mut core.bus));
    }

    /// Sets a gateway's call counters in `xmlstatus`: in, out, failed in, failed out.
    pub fn set_calls(&self, gateway: &str, calls: [u32; 4]) {
        self.shared.with(|core| core.sofia.set_calls(gateway, calls));
    }

    /// An API command, typed at the console rather than sent over the event socket
    pub async fn api(&self, command: &str) -> String {
        api::execute(&self.shared, command).await
    }

    /// Sends requests to another URL, or none, from the next one on.
    pub fn set_binding(&self, binding: Option<Binding>) {
        self.shared.with(|core| core.binding = binding);
    }

    pub fn set_disk(&self, document: Option<Vec<u8>>) {
        self.shared.with(|core| core.disk = document);
    }

    pub fn set_global(&self, name: &str, value: &str) {
        self.shared
            .with(|core| core.globals.insert(name.to_owned(), value.to_owned()));
    }

    /// Sends a HEARTBEAT now.
    pub fn fire_heartbeat(&self) {
        self.shared.heartbeat();
    }

    /// Forgets the SIP requests that were sent so far.
    pub fn clear_wire(&self) {
        self.shared.with(|core| core.registrar.clear_wire());
    }

    pub fn clear_requests(&self) {
        self.shared.with(|core| core.requests.clear());
    }
}

/// Faults
impl FakeSwitch {
    /// Cuts all connections immediately, without a notice. New ones are accepted.
    pub fn drop_connections(&self) {
        self.shared.with(|core| {
            core.bus
                .connections
                .values()
                .for_each(|connection| connection.cut.cancel())
        });
    }

    pub fn drop_connection(&self, id: u64) {
        self.shared.with(|core| {
            if let Some(connection) = core.bus.connections.get(&id) {
                connection.cut.cancel();
            }
        });
    }

    /// Refuses new connections, or accepts them again. Existing ones stay up.
    pub async fn refuse_connections(&self, refuse: bool) {
        self.shared.listening.send_replace(!refuse);
        let mut listens = self.shared.listens.subscribe();
        let changed = listens.wait_for(|listens| *listens != refuse);
        let changed = tokio::time::timeout(DEADLINE, changed).await;
        let port = self.address().port();
        assert!(
            changed.is_ok_and(|changed| changed.is_ok()),
            "port {port} can't be taken again"
        );
    }

    /// New connections get the rude rejection of FACTS 36.
    pub fn reject_rudely(&self, rude: bool) {
        self.shared.with(|core| core.rude = rude);
    }

    /// Half-open: existing and new connections stay up, but nothing is read or written.
    pub fn stall(&self, stalled: bool) {
        self.shared.with(|core| {
            core.stall_new = stalled;
            for connection in core.bus.connections.values_mut() {
                connection.stalled = stalled;
                connection.wake.notify_one();
            }
        });
    }

    /// The same for one connection
    pub fn stall_connection(&self, id: u64, stalled: bool) {
        self.shared.with(|core| {
            if let Some(connection) = core.bus.connections.get_mut(&id) {
                connection.stalled = stalled;
                connection.wake.notify_one();
            }
        });
    }

    /// Delays every `api` and `bgapi` command, and with it the events of its connection.
    pub fn slow_commands(&self, delay: Duration) {
        self.shared.with(|core| core.command_delay = delay);
    }

    /// The next n events (CUSTOM or HEARTBEAT) reach nobody, but use up their sequence numbers.
    pub fn lose_next_events(&self, n: usize) {
        self.shared.with(|core| core.bus.lose_next = n);
    }

    /// Replaces a gateway by another one of its name without events, as if the events of a `killgw`
    /// and a `startgw` were lost. `xml` is the `<gateway>` of the new one.
    pub fn swap_gateway_unheard(&self, profile: &str, name: &str, xml: &str) {
        let document = format!("<gateways>\n{xml}\n</gateways>\n");
        let gateways = super::fs_xml::parse(document.as_bytes()).expect("a gateway");
        self.shared.with(|core| {
            let lost = std::mem::replace(&mut core.bus.lose_next, usize::MAX);
            core.sofia.remove(name);
            core.sofia.parse_gateways(profile, &gateways, None, &mut core.bus);
            core.bus.lose_next = lost;
        });
    }

    /// Sends the next n events twice.
    pub fn duplicate_next_events(&self, n: usize) {
        self.shared.with(|core| core.bus.duplicate_next = n);
    }

    /// Holds the next n events back, then sends them in reverse order (FACTS 32).
    pub fn reorder_next_events(&self, n: usize) {
        self.shared.with(|core| core.bus.reorder_next = n);
    }

    /// Sends a JSON event unchanged to the connections that subscribed to its name; without `Event-Name`, to all that
    /// subscribed to anything.
    pub fn inject_event(&self, json: &str) {
        self.shared.with(|core| core.bus.inject_json(json));
    }

    /// Sends raw bytes to every connection that subscribed to events.
    pub fn inject_bytes(&self, bytes: impl Into<Bytes>) {
        self.shared.with(|core| core.bus.inject_bytes(&bytes.into()));
    }

    /// The first part of a shutdown: it is announced, mod_sofia is unloaded, and its gateways are deleted with events.
    /// Connections stay up, but `sofia` is not a command any more (`shutdown-announced.txt`).
    pub fn begin_shutdown(&self) {
        self.shared.with(|core| {
            let origin = Origin("switch_core.c", "switch_core_destroy", 3033);
            let event = core.bus.create("SHUTDOWN", None, origin);
            core.bus.fire(event.with("Event-Info", "System Shutting Down"));
        });
        self.shared.unload_sofia();
    }

    /// Shuts down as `fsctl shutdown` does: gateways are deleted with their events, each connection gets the
    /// disconnect notice, nobody listens any more.
    pub async fn shutdown(&self) {
        if self.shared.read(|core| core.sofia.loaded) {
            self.begin_shutdown();
        }
        self.shared.with(|core| {
            core.running = false;
            for connection in core.bus.connections.values_mut() {
                connection.farewell = Some(SYSTEM_SHUTDOWN);
                connection.wake.notify_one();
                if connection.stalled {
                    connection.cut.cancel(); // the process is gone, without a notice
                }
            }
        });
        self.refuse_connections(true).await;
        self.wait_until("every connection is over", |view| view.connections().is_empty())
            .await;
    }

    /// Dies: no notice, no events, no un-REGISTER.
    pub async fn crash(&self) {
        self.shared.with(|core| {
            core.running = false;
            core.sofia.profiles.clear();
        });
        self.drop_connections();
        self.refuse_connections(true).await;
    }

    /// Restarts after [`Self::shutdown`] or [`Self::crash`], on the same port: a new Core-UUID, the sequence from
    /// its start, gateways as `sofia.conf` has them now.
    pub async fn boot(&self) {
        self.shared.boot().await;
        self.refuse_connections(false).await;
    }

    pub async fn restart(&self) {
        self.shutdown().await;
        self.boot().await;
    }
}

/// A burst of events, prepared before a benchmark measures.
pub struct Burst {
    frames: Bytes,
    pub events: usize,
    /// `Event-Sequence` of its last event
    pub last_sequence: u64,
}

/// For benchmarks
impl FakeSwitch {
    /// n `gateway_state` events in JSON, round and round over these gateways, states alternating.
    pub fn prepare_burst(&self, n: usize, gateways: &[String]) -> Burst {
        self.shared.with(|core| {
            let mut frames = Vec::new();
            for (count, gateway) in gateways.iter().cycle().take(n).enumerate() {
                let (state, ping) = if (count / gateways.len()).is_multiple_of(2) {
                    ("REGED", "UP")
                } else {
                    ("FAIL_WAIT", "DOWN")
                };
                let origin = Origin("sofia_reg.c", "sofia_reg_fire_custom_gateway_state_event", 156);
                let event = core
                    .bus
                    .create("CUSTOM", Some("sofia::gateway_state"), origin)
                    .with("Gateway", &**gateway)
                    .with("State", state)
                    .with("Ping-Status", ping);
                frames.extend_from_slice(&bus::frame(bus::Format::Json, &event.to_json()));
            }
            Burst {
                frames: frames.into(),
                events: n,
                last_sequence: core.bus.sequence,
            }
        })
    }

    /// These gateways' registrations are refused, or accepted again, all at the same time.
    pub fn answer_registrations(&self, gateways: &[String], accepted: bool) {
        let (state, answer) = match accepted {
            true => (RegState::Reged, (200, "OK")),
            false => (RegState::FailWait, (403, "Forbidden")),
        };
        self.shared.with(|core| {
            for gateway in gateways {
                core.sofia.answer(gateway, state, answer, &mut core.bus);
            }
        });
    }

    /// Sends it to every connection that subscribed to events, as fast as each reads. Returns their number.
    pub fn fire_burst(&self, burst: &Burst) -> usize {
        self.shared.with(|core| core.bus.inject_bytes(&burst.frames))
    }
}

/// What a test looks at
impl FakeSwitch {
    /// Inspects everything under one lock.
    pub fn view<R>(&self, look: impl FnOnce(&View) -> R) -> R {
        self.shared.read(|core| look(&View { core }))
    }

    /// Waits until a condition holds; checks it at each change. Panics after 20 s with `what` and the state of things.
    pub async fn wait_until(&self, what: &str, mut holds: impl FnMut(&View) -> bool) {
        let mut version = self.shared.version.subscribe();
        let changed = async {
            while !self.view(&mut holds) {
                if version.changed().await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(DEADLINE, changed).await.is_err() {
            panic!(
                "waited {DEADLINE:?} in vain until {what}. {}",
                self.view(|view| view.summary())
            );
        }
    }

    pub async fn wait_for_state(&self, gateway: &str, state: &str) {
        self.wait_until(&format!("{gateway} is {state}"), |view| {
            view.state(gateway) == Some(state)
        })
        .await;
    }

    /// Waits until no gateway of that name is left, not even one marked for deletion.
    pub async fn wait_for_gone(&self, gateway: &str) {
        self.wait_until(&format!("{gateway} is gone"), |view| view.all(gateway).is_empty())
            .await;
    }

    /// Waits until this many authenticated connections are up.
    pub async fn wait_for_connections(&self, n: usize) {
        self.wait_until(&format!("{n} connections are up"), |view| {
            view.connections()
                .iter()
                .filter(|connection| connection.authenticated)
                .count()
                == n
        })
        .await;
    }

    /// Waits until every fired event was written to its subscribers, except stalled connections.
    pub async fn wait_for_delivery(&self) {
        self.wait_until("all events are delivered", |view| view.delivered())
            .await;
    }
}

/// Everything at one moment
pub struct View<'a> {
    core: &'a Core,
}

impl View<'_> {
    /// Every gateway that FreeSWITCH lists, in the order of `xmlstatus`: those marked for deletion and ghosts too.
    pub fn gateways(&self) -> Vec<&Gateway> {
        self.core.sofia.listed().collect()
    }

    /// The live gateway of that name, as commands and calls find it
    pub fn gateway(&self, name: &str) -> Option<&Gateway> {
        self.core.sofia.gateway(name)
    }

    /// Its state, in FreeSWITCH's word
    pub fn state(&self, name: &str) -> Option<&'static str> {
        self.gateway(name).map(|gateway| gateway.state.name())
    }

    /// All of that name, the newest of a profile first
    pub fn all(&self, name: &str) -> Vec<&Gateway> {
        self.core
            .sofia
            .listed()
            .filter(|gateway| gateway.name == name)
            .collect()
    }

    pub fn ghosts(&self) -> Vec<&Gateway> {
        self.core
            .sofia
            .listed()
            .filter(|gateway| self.core.sofia.is_ghost(gateway))
            .collect()
    }

    pub fn profiles(&self) -> Vec<&Profile> {
        self.core
            .sofia
            .profiles
            .iter()
            .filter(|profile| profile.running)
            .collect()
    }

    /// False where mod_sofia found no configuration (FACTS 7)
    pub fn sofia_loaded(&self) -> bool {
        self.core.sofia.loaded
    }

    /// Connections that are up
    pub fn connections(&self) -> Vec<&ConnectionRecord> {
        self.core
            .bus
            .connections
            .values()
            .map(|connection| &connection.record)
            .collect()
    }

    /// Connections that are up or over, oldest first.
    pub fn all_connections(&self) -> Vec<&ConnectionRecord> {
        let mut all: Vec<&ConnectionRecord> = self.core.bus.past_connections.iter().collect();
        all.extend(self.connections());
        all.sort_by_key(|connection| connection.id);
        all
    }

    /// Every received command line, connection by connection.
    pub fn commands(&self) -> Vec<&str> {
        self.all_connections()
            .into_iter()
            .flat_map(|c| c.commands.iter().map(String::as_str))
            .collect()
    }

    /// When the latest command line of this kind was received.
    pub fn arrival(&self, is_it: impl Fn(&str) -> bool) -> Option<Instant> {
        let of_connection = |connection: &ConnectionRecord| {
            let latest = connection.commands.iter().rposition(|line| is_it(line))?;
            Some(connection.arrivals[latest])
        };
        self.all_connections().into_iter().filter_map(of_connection).max()
    }

    /// Connections that subscribed to events.
    pub fn listeners(&self) -> usize {
        self.core
            .bus
            .connections
            .values()
            .filter(|connection| connection.listening)
            .count()
    }

    fn delivered(&self) -> bool {
        let mut connections = self.core.bus.connections.values();
        connections.all(|connection| connection.stalled || (connection.queue.is_empty() && !connection.writing))
    }

    /// Every HTTP request since the start, including those for other configurations.
    pub fn requests(&self) -> &[HttpRequest] {
        &self.core.requests
    }

    /// Those for `sofia.conf`
    pub fn sofia_requests(&self) -> Vec<&HttpRequest> {
        self.core
            .requests
            .iter()
            .filter(|request| request.configuration() == "sofia.conf")
            .collect()
    }

    /// The SIP requests sent to carriers, in order.
    pub fn wire(&self) -> &[Wire] {
        self.core.registrar.wire()
    }

    /// The last 10,000 events fired, whether or not anybody subscribed.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.core.bus.history.iter()
    }

    /// The same as they were sent: lost ones not, duplicates twice, late ones late.
    pub fn sent(&self) -> impl Iterator<Item = &Event> {
        self.core.bus.sent.iter()
    }

    /// Warnings and errors of mod_sofia's log
    pub fn log(&self) -> &[String] {
        &self.core.sofia.log
    }

    pub fn core_uuid(&self) -> &str {
        &self.core.bus.core_uuid
    }

    /// `Event-Sequence` of the last event
    pub fn sequence(&self) -> u64 {
        self.core.bus.sequence
    }

    /// Seconds since the start, by the fake's clock
    pub fn ticks(&self) -> i64 {
        self.core.sofia.ticks
    }

    /// A summary for a failed wait.
    pub fn summary(&self) -> String {
        let gateways: Vec<String> = self
            .core
            .sofia
            .listed()
            .take(20)
            .map(|g| {
                format!(
                    "{}::{} {} {}",
                    g.profile,
                    g.name,
                    g.state.name(),
                    if g.deleted { "deleted" } else { "" }
                )
            })
            .collect();
        let commands: Vec<&str> = self
            .commands()
            .into_iter()
            .filter(|line| !line.starts_with("auth "))
            .collect();
        let last_commands = &commands[commands.len().saturating_sub(20)..];
        let requests: Vec<String> = self
            .core
            .requests
            .iter()
            .rev()
            .take(5)
            .map(|r| format!("{:?} {:?} {:?}", r.field("profile"), r.status, r.error))
            .collect();
        format!(
            "Gateways: {gateways:?}. Connections up: {}. Last commands: {last_commands:?}. Last requests: {requests:?}. \
             Log: {:?}",
            self.core.bus.connections.len(),
            self.core.sofia.log.iter().rev().take(5).collect::<Vec<_>>(),
        )
    }
}
