//! Everything that FreeSWITCH knows, behind one lock, and the clock that moves it.

use super::bus::Bus;
use super::calls::Calls;
use super::event::Origin;
use super::event_socket;
use super::options::SipSocket;
use super::registrar::Registrar;
use super::sofia::{Sofia, World};
use super::xml_curl::{Binding, HttpRequest};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(super) struct Core {
    pub(super) password: String,
    pub(super) bus: Bus,
    pub(super) sofia: Sofia,
    pub(super) registrar: Registrar,
    pub(super) calls: Calls,
    /// By profile
    pub(super) sip: BTreeMap<String, SipSocket>,
    pub(super) sip_is_silent: bool,
    pub(super) globals: BTreeMap<String, String>,
    pub(super) binding: Option<Binding>,
    pub(super) disk: Option<Vec<u8>>,
    pub(super) other_configurations: bool,
    pub(super) requests: Vec<HttpRequest>,
    pub(super) rude: bool,
    pub(super) stall_new: bool,
    pub(super) command_delay: Duration,
    pub(super) running: bool,
}

impl Core {
    pub(super) fn sofia_in_its_world(&mut self) -> (&mut Sofia, World<'_>) {
        let world = World {
            bus: &mut self.bus,
            registrar: &mut self.registrar,
        };
        (&mut self.sofia, world)
    }

    pub(super) fn global(&self, name: &str) -> Option<String> {
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

pub(super) struct Shared {
    pub(super) core: Mutex<Core>,
    /// Counts changes of the core, for those who wait for one.
    pub(super) version: watch::Sender<u64>,
    /// Whether profiles have sockets for SIP
    pub(super) has_sip: bool,
    /// The ports of the built-in profiles
    pub(super) built_in_ports: [u16; 2],
    /// FreeSWITCH fetches one configuration at a time
    pub(super) fetching: tokio::sync::Mutex<()>,
    /// Whether the event socket should listen, and whether it does
    pub(super) listening: watch::Sender<bool>,
    pub(super) listens: watch::Sender<bool>,
    pub(super) listener: Mutex<Option<TcpListener>>,
    pub(super) address: SocketAddr,
    pub(super) stop: CancellationToken,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read<R>(&self, look: impl FnOnce(&Core) -> R) -> R {
        look(&self.lock())
    }

    pub(super) fn with<R>(&self, change: impl FnOnce(&mut Core) -> R) -> R {
        let result = change(&mut self.lock());
        self.bump();
        result
    }

    pub(super) fn bump(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    pub(super) async fn command_delay(&self) {
        let delay = self.read(|core| core.command_delay);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    /// The listener from the start, or a new one on the same port once the port is free.
    pub(super) async fn take_listener(&self) -> TcpListener {
        let made = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(listener) = made {
            return listener;
        }
        loop {
            match event_socket::bind(self.address.port()) {
                Ok(listener) => return listener,
                Err(_) => tokio::time::sleep(event_socket::RETRY).await,
            }
        }
    }

    /// Where a switch went before it ever listened, there still is the one from the start.
    pub(super) fn close_listener(&self) {
        drop(self.listener.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.listens.send_replace(false);
    }

    pub(super) fn tick(&self) {
        self.with(|core| {
            if core.running {
                let (sofia, mut world) = core.sofia_in_its_world();
                sofia.tick(&mut world);
            }
        });
    }

    pub(super) fn heartbeat(&self) {
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
                ("Session-Count", &core.calls.up.len().to_string()),
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
}

/// `0 years, 0 days, …` as `status` and HEARTBEAT say it
pub(super) fn duration_words(duration: Duration) -> String {
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
