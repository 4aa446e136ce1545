//! What leaves for the carriers, and what their answers do (`sofia_reg.c`, sofia-sip).

use super::super::bus::Bus;
use super::super::event::Origin;
use super::super::outcome::Answer;
use super::super::registrar::{Method, Wire};
use super::conf::strip_prefix_ignoring_case;
use super::{RegState, Sofia, World};
use std::net::IpAddr;

const FIRE_STATE: Origin = Origin("sofia_reg.c", "sofia_reg_fire_custom_gateway_state_event", 156);
const FIRE_CHALLENGE: Origin = Origin("sofia_reg.c", "sofia_reg_handle_sip_r_challenge", 2835);

/// A request without a final answer yet.
pub(super) struct Pending {
    pub(super) due: i64,
    pub(super) profile: String,
    pub(super) gateway: String,
    /// None for an OPTIONS
    pub(super) handle: Option<u64>,
    pub(super) answer: Answer,
    pub(super) network: Option<(String, u16)>,
    pub(super) granted: i64,
}

/// The SIP stack's side of a registration
#[derive(Default)]
pub(super) struct Handle {
    pub(super) registered: bool,
    pub(super) refresh_at: Option<i64>,
}

impl Sofia {
    pub(super) fn send_register(&mut self, index: usize, method: Method, world: &mut World) {
        let gateway = &self.gateways[index];
        let granted = world.registrar.grants_expires.map_or(gateway.freq, i64::from);
        let answer = world.registrar.answer_to_register(&gateway.sender(), method, granted);
        world.registrar.sent(self.wire(index, method, Some(answer.status)));
        self.expect(index, gateway.handle, answer, granted);
        self.gateways[index].is_told = false;
    }

    pub(super) fn send_options(&mut self, index: usize, world: &mut World) {
        let gateway = &self.gateways[index];
        let answer = world.registrar.answer_to_options(&gateway.sender());
        world
            .registrar
            .sent(self.wire(index, Method::Options, Some(answer.status)));
        self.expect(index, None, answer, 0);
    }

    fn expect(&mut self, index: usize, handle: Option<u64>, answer: Answer, granted: i64) {
        let gateway = &self.gateways[index];
        let list = if answer.after == 0 {
            &mut self.answered
        } else {
            &mut self.pending
        };
        list.push(Pending {
            due: self.now + i64::from(answer.after),
            profile: gateway.profile.clone(),
            gateway: gateway.name.clone(),
            handle,
            network: answer.from_network.then(|| network_address(&gateway.proxy)),
            answer,
            granted,
        });
    }

    pub(super) fn wire(&self, index: usize, method: Method, status: Option<u16>) -> Wire {
        let gateway = &self.gateways[index];
        Wire {
            order: 0,
            tick: self.ticks,
            method,
            profile: gateway.profile.clone(),
            gateway: gateway.name.clone(),
            instance: gateway.instance,
            contact: gateway.contact.clone(),
            realm: gateway.realm.clone(),
            username: gateway.username.clone(),
            status: status.filter(|&status| status != 408),
        }
    }

    /// Moves the answers that this second brings to those at hand.
    pub(super) fn collect_due(&mut self) {
        let now = self.now;
        let (due, later) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|pending| pending.due <= now);
        self.pending = later;
        self.answered = due;
    }

    /// Hands over the answers at hand.
    pub(super) fn hand_over(&mut self, world: &mut World) {
        for pending in std::mem::take(&mut self.answered) {
            match pending.handle {
                Some(id) => self.register_answered(id, pending, world),
                None => self.options_answered(pending, world),
            }
        }
    }

    /// `sofia_reg_handle_sip_r_register`: booked on the gateway that has the name now (FACTS 23 c).
    fn register_answered(&mut self, id: u64, pending: Pending, world: &mut World) {
        let now = self.now;
        let status = pending.answer.status;
        let Some(handle) = self.handles.get_mut(&id) else {
            return;
        }; // the handle was destroyed
        handle.registered = status == 200;
        handle.refresh_at = (status == 200).then(|| {
            now + world
                .registrar
                .refresh_after
                .unwrap_or_else(|| refresh_after(pending.granted))
                .max(1)
        });
        if pending.answer.is_unanswered_challenge {
            self.challenge(&pending.gateway, world.bus);
            return;
        }
        let Some(index) = self.find(&pending.gateway) else {
            return;
        };
        let gateway = &mut self.gateways[index];
        let (before, before_ip) = (gateway.state, gateway.network.as_ref().map(|(ip, _)| ip.clone()));
        if let Some(network) = pending.network {
            gateway.network = Some(network);
        }
        match status {
            200 => {
                if pending.granted > 0 && pending.granted != gateway.freq {
                    gateway.expires = now
                        + if pending.granted > 60 {
                            pending.granted - 15
                        } else {
                            pending.granted - 2
                        };
                }
                gateway.state = RegState::Register;
            }
            100 => {}
            _ => {
                gateway.state = RegState::Failed;
                gateway.failure_status = status;
                gateway.failures += 1;
                self.log.push(format!(
                    "{} Failed Registration with status {} [{status}]. failure #{}",
                    gateway.name, pending.answer.phrase, gateway.failures
                ));
            }
        }
        let new_ip = gateway.network.as_ref().map(|(ip, _)| ip);
        if before != gateway.state || (new_ip.is_some() && new_ip != before_ip.as_ref()) {
            self.fire_state(index, status, pending.answer.phrase, world.bus);
        }
    }

    /// The end of `sofia_reg_handle_sip_r_challenge`, where the sender is none of the gateway's hosts (FACTS 45). The
    /// realm is taken out of the header with its quotes.
    pub fn challenge(&mut self, name: &str, bus: &mut Bus) {
        let Some(gateway) = self.gateway(name) else { return };
        let event = bus
            .create("CUSTOM", Some("sofia::gateway_invalid_digest_req"), FIRE_CHALLENGE)
            .with("Gateway", &*gateway.name)
            .with("profile-name", &*gateway.profile)
            .with("realm", format!("\"{}\"", gateway.realm));
        bus.fire(event);
    }

    /// A registrar's answer puts a gateway into this state, where it stays: a refused one waits for long.
    pub fn answer(&mut self, name: &str, state: RegState, (status, phrase): (u16, &str), bus: &mut Bus) {
        const A_DAY: i64 = 86_400;
        if let Some(index) = self.find(name) {
            self.gateways[index].state = state;
            self.gateways[index].retry = self.now + A_DAY;
            self.fire_state(index, status, phrase, bus);
        }
    }

    /// `sofia_handle_sip_r_options`, for a gateway's ping
    fn options_answered(&mut self, pending: Pending, world: &mut World) {
        let Answer { status, phrase, .. } = pending.answer;
        let now = self.now;
        let Some(index) = self.find(&pending.gateway) else {
            return;
        };
        let gateway = &mut self.gateways[index];
        let mut fire = false;
        if (200..600).contains(&status) && status != 408 && status != 503 {
            if gateway.state == RegState::Failed {
                gateway.state = RegState::Unreged;
            }
            if gateway.ping_count < gateway.ping_max {
                gateway.ping_count += 1;
                if gateway.ping_count >= gateway.ping_min && !gateway.up {
                    gateway.up = true;
                    gateway.uptime_start = now;
                    fire = true;
                }
            }
            gateway.ping_time = world.registrar.round_trip_ms;
        } else {
            if gateway.state == RegState::Reged {
                gateway.state = RegState::Failed;
                gateway.ping_time = 0.0;
            }
            if gateway.ping_count > 0 {
                gateway.ping_count -= 1;
            }
            if gateway.ping_count < gateway.ping_min && gateway.up {
                gateway.up = false;
                fire = true;
                gateway.ping_time = 0.0;
            }
        }
        let monitoring = gateway.ping_monitoring;
        gateway.ping = now + gateway.ping_freq;
        gateway.pinging = false;
        if monitoring || fire {
            self.fire_state(index, status, phrase, world.bus);
        }
    }

    /// `sofia_reg_fire_custom_gateway_state_event`
    pub(super) fn fire_state(&self, index: usize, status: u16, phrase: &str, bus: &mut Bus) {
        let gateway = &self.gateways[index];
        let mut event = bus
            .create("CUSTOM", Some("sofia::gateway_state"), FIRE_STATE)
            .with("Gateway", &*gateway.name)
            .with("State", gateway.state.name())
            .with("Ping-Status", gateway.status_name());
        if let Some((ip, port)) = &gateway.network {
            event = event
                .with("Register-Network-IP", &**ip)
                .with("Register-Network-Port", port.to_string());
        }
        if !phrase.is_empty() {
            event = event.with("Phrase", phrase);
        }
        if status != 0 {
            event = event.with("Status", status.to_string());
        }
        bus.fire(event);
    }
}

/// sofia-sip picks a moment at random in a range; this is the middle of it (`nua_dialog_usage_set_refresh`).
fn refresh_after(expires: i64) -> i64 {
    if expires > 90 && expires < 300 {
        expires - 45
    } else {
        (expires + 2) / 4 + (expires + 1) / 4
    }
}

/// Where a carrier's messages come from: its proxy if that is an address, else one of the documentation ones.
fn network_address(proxy: &str) -> (String, u16) {
    let bare = strip_prefix_ignoring_case(proxy, "sip:").unwrap_or(proxy);
    let host_port = bare.split(';').next().unwrap_or_default();
    let (host, port) = match host_port.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => (host, port.parse().unwrap_or(5060)),
        _ => (host_port, 5060),
    };
    let host = if host.parse::<IpAddr>().is_ok() || host.starts_with('[') {
        host
    } else {
        "203.0.113.10"
    };
    (host.to_owned(), port)
}
