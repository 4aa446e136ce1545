//! `FakeSwitch`: an in-process model of FreeSWITCH, as far as trunkd can observe it.
//!
//! It speaks the event socket ([`event_socket`]), requests `sofia.conf` as mod_xml_curl does ([`xml_curl`]) and keeps
//! gateways by mod_sofia's rules ([`sofia`]), registering them with scripted carriers: its own ([`registrar`]), or
//! some that it shares with other switches ([`Carrier`]). It is modelled on FreeSWITCH's source and checked against
//! recordings of a real one in `tests/fake_switch/`.
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
//!
//! ```ignore
//! let carrier = Carrier::new("sip.example.net");
//! carrier.account("alice", "s3cret"); // 403 for any other password
//! carrier.throttle(10, Window::Real(Duration::from_secs(1)));
//! let one = FakeSwitch::builder().switchname("fs1").carrier(&carrier).start().await;
//! let two = FakeSwitch::builder().switchname("fs2").carrier(&carrier).start().await;
//! carrier.answer_for(ALL, 30, BUSY); // for 30 s of FakeSwitch's clock
//! assert!(carrier.busiest(Window::Real(Duration::from_secs(1))) <= 10);
//!
//! let call = one.dial("gw1").unwrap(); // Err("GATEWAY_DOWN") or Err("INVALID_GATEWAY")
//! one.pick_up(&call);
//! one.hang_up(call, "NORMAL_CLEARING");
//! ```
//!
//! With [`Builder::sip`] each profile answers OPTIONS over UDP ([`options`]), until [`FakeSwitch::silence_sip`].

mod api;
mod builder;
mod burst;
pub mod bus;
mod call_events;
mod calls;
mod carrier;
mod configuration;
mod core;
pub mod event;
mod event_socket;
mod faults;
mod options;
mod outcome;
pub mod registrar;
pub mod sofia;
mod view;
mod wait;
pub mod xml_curl;

pub use super::fs_xml::Element;
pub use builder::Builder;
pub use burst::Burst;
pub use bus::ConnectionRecord;
pub use call_events::Headers;
pub use calls::Call;
pub use carrier::{ALL, Carrier, Received, Window};
pub use event::Event;
pub use outcome::{BUSY, CHALLENGED_AGAIN, DECLINE, FORBIDDEN, NOT_FOUND, Outcome, UNAVAILABLE};
pub use registrar::{Method, Registrar, Wire};
pub use sofia::{CallCounters, Gateway, Profile, RegState};
pub use view::View;
pub use xml_curl::{AuthScheme, Binding, HttpRequest, Used};

use self::core::Shared;
use std::net::SocketAddr;
use std::sync::Arc;

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
        Builder::new()
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
