//! How a second moves gateways, and what that fires (`sofia_reg.c`).

use super::super::event::Origin;
use super::super::registrar::Method;
use super::sip::Handle;
use super::{RegState, Sofia, World};
use std::collections::VecDeque;

const FIRE_DELETE: Origin = Origin("sofia_reg.c", "sofia_reg_check_gateway", 343);

impl Sofia {
    /// One second passes for every profile's worker. Each has its own phase within the second; `internal` came before
    /// `external` in the recordings, so the order here is that of the names, backwards.
    pub fn tick(&mut self, world: &mut World) {
        self.now += 1;
        self.ticks += 1;
        world.registrar.tick();
        self.collect_due();
        self.hand_over(world);
        for index in (0..self.profiles.len()).rev() {
            if self.profiles[index].running {
                self.check_gateways(index, world);
                self.profiles[index].sleeps = false;
                self.hand_over(world);
                self.refresh(index, world);
            }
        }
    }

    /// The SIP stack refreshes a registration by itself, around the middle of its time (sofia-sip, nua_dialog.c) and
    /// between two ticks.
    fn refresh(&mut self, profile: usize, world: &mut World) {
        for index in self.profiles[profile].gateways.clone() {
            let Some(id) = self.gateways[index].handle else {
                continue;
            };
            let due = self
                .handles
                .get(&id)
                .and_then(|handle| handle.refresh_at)
                .is_some_and(|at| at <= self.now);
            if due {
                if let Some(handle) = self.handles.get_mut(&id) {
                    handle.refresh_at = None;
                }
                self.send_register(index, Method::Refresh, world);
            }
        }
        self.hand_over(world);
    }

    /// `sofia_reg_check_gateway`
    pub(super) fn check_gateways(&mut self, profile: usize, world: &mut World) {
        let profile_name = self.profiles[profile].name.clone();
        let mut kept = VecDeque::with_capacity(self.profiles[profile].gateways.len());
        for index in std::mem::take(&mut self.profiles[profile].gateways) {
            let gateway = &self.gateways[index];
            if gateway.deleted {
                if self.hash.get(&gateway.name) == Some(&index) {
                    self.hash.remove(&format!("{profile_name}::{}", gateway.name));
                    self.hash.remove(&gateway.name);
                }
                if matches!(gateway.state, RegState::Noreg | RegState::Down) {
                    let event = world
                        .bus
                        .create("CUSTOM", Some("sofia::gateway_delete"), FIRE_DELETE)
                        .with("profile-name", &*gateway.profile)
                        .with("Gateway", &*gateway.name);
                    world.bus.fire(event);
                    self.gateways[index].gone = true;
                    continue;
                }
            }
            kept.push_back(index);
        }
        self.profiles[profile].gateways = kept.clone();

        for index in kept {
            self.check_gateway(index, world);
            if !self.profiles[profile].sleeps {
                self.hand_over(world);
            }
        }
    }

    fn check_gateway(&mut self, index: usize, world: &mut World) {
        self.ping_if_due(index, world);
        let before = self.gateways[index].state;
        self.advance(index, world);
        if before != self.gateways[index].state {
            self.fire_state(index, 0, "", world.bus);
        }
    }

    fn ping_if_due(&mut self, index: usize, world: &mut World) {
        let gateway = &mut self.gateways[index];
        if gateway.ping != 0
            && !gateway.pinging
            && self.now >= gateway.ping
            && matches!(gateway.state, RegState::Noreg | RegState::Reged)
            && !gateway.deleted
        {
            gateway.pinging = true;
            self.send_options(index, world);
        }
    }

    /// From one state to the next
    fn advance(&mut self, index: usize, world: &mut World) {
        let now = self.now;
        let gateway = &mut self.gateways[index];
        match gateway.state {
            RegState::Down | RegState::Noreg => {
                if gateway.ping == 0 && !gateway.pinging && !gateway.up {
                    gateway.up = true;
                    gateway.uptime_start = now;
                }
            }
            RegState::Register => {
                gateway.failures = 0;
                let delta = if gateway.freq > 30 {
                    gateway.freq - 15
                } else {
                    gateway.freq / 2
                };
                gateway.expires = now + delta.max(1);
                gateway.state = RegState::Reged;
                if !gateway.up {
                    gateway.up = true;
                    gateway.uptime_start = now;
                }
            }
            RegState::Unregister => {
                self.kill_registration(index, world);
                let gateway = &mut self.gateways[index];
                gateway.state = RegState::Down;
                gateway.up = false;
            }
            RegState::Unreged => self.start_registration(index, world),
            RegState::Timeout => {
                if let Some(id) = gateway.handle.take() {
                    self.handles.remove(&id);
                }
                let gateway = &mut self.gateways[index];
                gateway.state = RegState::Failed;
                gateway.failures += 1;
                gateway.failure_status = 908;
                self.log.push(format!("Timeout Registering {}", gateway.name));
            }
            RegState::Failed => {
                let seconds = gateway.wait_after_failure();
                let status = gateway.failure_status;
                gateway.retry = now + seconds;
                gateway.up = false;
                gateway.state = RegState::FailWait;
                gateway.failure_status = 0;
                self.log.push(format!(
                    "{} Failed Registration [{status}], setting retry to {seconds} seconds.",
                    gateway.name
                ));
            }
            RegState::FailWait => {
                if gateway.retry == 0 || now >= gateway.retry {
                    gateway.state = RegState::Unreged;
                }
            }
            RegState::Trying => {
                if now >= gateway.reg_timeout {
                    gateway.state = RegState::Timeout;
                }
            }
            RegState::Reged | RegState::Expired => {
                if now >= gateway.expires {
                    gateway.state = RegState::Unreged;
                }
            }
        }
    }

    fn start_registration(&mut self, index: usize, world: &mut World) {
        let gateway = &mut self.gateways[index];
        gateway.retry = self.now + gateway.retry_seconds;
        gateway.reg_timeout = self.now + gateway.reg_timeout_seconds;
        gateway.state = RegState::Trying;
        if gateway.handle.is_none() {
            self.next_id += 1;
            gateway.handle = Some(self.next_id);
            self.handles.insert(self.next_id, Handle::default());
        }
        self.send_register(index, Method::Register, world);
    }

    /// `sofia_reg_kill_reg`; FACTS 22: the un-REGISTER leaves if it was registered.
    fn kill_registration(&mut self, index: usize, world: &mut World) {
        let Some(id) = self.gateways[index].handle.take() else {
            return;
        };
        if self.handles.remove(&id).is_some_and(|handle| handle.registered) {
            let entry = self.wire(index, Method::Unregister, None);
            world.registrar.sent(entry);
            world.registrar.unregister(&self.gateways[index].sender());
        }
    }
}
