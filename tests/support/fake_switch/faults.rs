//! What goes wrong with the event socket, with events and with the process.

use super::super::fs_xml;
use super::FakeSwitch;
use super::event::Origin;
use super::wait::DEADLINE;
use bytes::Bytes;
use std::time::Duration;

const SYSTEM_SHUTDOWN: &str = "The system is being shut down.\n";

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

    /// The network between trunkd and this switch is cut, or whole again: its event socket is half-open and OPTIONS get
    /// no answer. Carriers reach it as before; see [`super::Carrier::cut_off`].
    pub fn cut_off(&self, cut: bool) {
        self.stall(cut);
        self.silence_sip(cut);
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
        let gateways = fs_xml::parse(document.as_bytes()).expect("a gateway");
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
            core.calls.end_all(&mut core.sofia, &mut core.bus);
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
            core.sip.clear();
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
