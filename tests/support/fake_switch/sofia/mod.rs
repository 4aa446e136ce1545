//! mod_sofia's gateways: how `sofia.conf` makes them ([`conf`]), how a one-second tick moves them ([`ticks`]), what
//! goes to the carriers and comes back ([`sip`]), and how all that is shown ([`status`]). Function by function as in
//! signalwire/freeswitch cc93a68.

mod conf;
mod gateway;
mod profile;
mod sip;
mod status;
mod ticks;

pub use gateway::{CallCounters, Gateway, RegState};
pub use profile::Profile;

use super::bus::Bus;
use super::event::Origin;
use super::registrar::Registrar;
use sip::{Handle, Pending};
use std::collections::HashMap;

const FIRE_PROFILE_START: Origin = Origin("sofia.c", "config_sofia", 6343);
const FIRE_PUBLISH: Origin = Origin("sofia.c", "sofia_profile_thread_run", 3422);
const FIRE_UNPUBLISH: Origin = Origin("sofia.c", "sofia_profile_thread_run", 3550);

/// `sofia profile X restart` is refused for this long after a start
const PROFILE_MIN_UPTIME_SECONDS: i64 = 10;

#[derive(Default)]
pub struct Sofia {
    pub loaded: bool,
    /// In the order of `sofia status`, which is by hash in the C: `external` before `internal`, as recorded
    pub profiles: Vec<Profile>,
    /// Every gateway ever made: a profile's memory is freed only when it restarts (FACTS 28)
    pub gateways: Vec<Gateway>,
    /// `gateway_hash`: by `name` and by `profile::name`
    hash: HashMap<String, usize>,
    handles: HashMap<u64, Handle>,
    next_id: u64,
    /// Answers that arrived together, in the order of the requests
    answered: Vec<Pending>,
    /// Answers that come in a later second
    pending: Vec<Pending>,
    /// Warnings and errors as mod_sofia logs them
    pub log: Vec<String>,
    /// Seconds since 1970, one a tick
    pub now: i64,
    pub ticks: i64,
}

/// What the rules need besides themselves.
pub struct World<'a> {
    pub bus: &'a mut Bus,
    pub registrar: &'a mut Registrar,
}

impl Sofia {
    pub fn starting_at(now: i64, ticks: i64) -> Self {
        Sofia {
            now,
            ticks,
            ..Sofia::default()
        }
    }

    pub fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles
            .iter()
            .find(|profile| profile.name == name && profile.running)
    }

    fn profile_mut(&mut self, name: &str) -> Option<&mut Profile> {
        self.profiles
            .iter_mut()
            .find(|profile| profile.name == name && profile.running)
    }

    /// `sofia_reg_find_gateway`: by name or `profile::name`; not one that is marked for deletion, never a ghost.
    fn find(&self, key: &str) -> Option<usize> {
        let index = *self.hash.get(key)?;
        let gateway = &self.gateways[index];
        (self.profile(&gateway.profile).is_some() && !gateway.deleted).then_some(index)
    }

    pub fn gateway(&self, key: &str) -> Option<&Gateway> {
        self.find(key).map(|index| &self.gateways[index])
    }

    pub fn live_gateway(&mut self, key: &str) -> Option<&mut Gateway> {
        self.find(key).map(|index| &mut self.gateways[index])
    }

    /// Every gateway of every running profile, in the order of `xmlstatus`; those pending deletion and ghosts too.
    pub fn listed(&self) -> impl Iterator<Item = &Gateway> {
        self.profiles
            .iter()
            .filter(|profile| profile.running)
            .flat_map(|profile| profile.gateways.iter().map(|&index| &self.gateways[index]))
    }

    /// In its profile's list, but not the one that its name finds: a ghost (FACTS 18)
    pub fn is_ghost(&self, gateway: &Gateway) -> bool {
        !gateway.gone
            && !gateway.deleted
            && self
                .hash
                .get(&gateway.name)
                .is_none_or(|&index| self.gateways[index].instance != gateway.instance)
    }

    /// A profile's thread starts: the profile can be found, and has no gateways yet.
    pub fn start_profile(&mut self, mut profile: Profile, bus: &mut Bus) {
        profile.running = true;
        profile.started = self.now;
        let (name, url) = (profile.name.clone(), profile.url(profile.sip_port));
        let publish = bus
            .create("PUBLISH", None, FIRE_PUBLISH)
            .with("service", "_sip._udp,_sip._tcp,_sip._sctp")
            .with("port", profile.sip_port.to_string())
            .with("module_name", "mod_sofia")
            .with("profile_name", &*name)
            .with("profile_uri", &*url);
        bus.fire(publish);
        let start = bus
            .create("CUSTOM", Some("sofia::profile_start"), FIRE_PROFILE_START)
            .with("module_name", "mod_sofia")
            .with("profile_name", &*name)
            .with("profile_uri", url);
        bus.fire(start);
        self.profiles.retain(|known| known.name != name);
        self.profiles.push(profile);
        self.profiles.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// The end of a profile's thread: every gateway is killed and checked twice, then the profile is gone.
    pub fn stop_profile(&mut self, name: &str, world: &mut World) {
        let Some(index) = self.profiles.iter().position(|profile| profile.name == name) else {
            return;
        };
        self.profiles[index].running = false;
        for gateway in self.profiles[index].gateways.clone() {
            self.delete_gateway(gateway);
        }
        self.check_gateways(index, world);
        self.check_gateways(index, world);
        let profile = self.profiles.remove(index);
        let unpublish = world
            .bus
            .create("UNPUBLISH", None, FIRE_UNPUBLISH)
            .with("service", "_sip._udp,_sip._tcp,_sip._sctp")
            .with("port", profile.sip_port.to_string())
            .with("module_name", "mod_sofia")
            .with("profile_name", &*profile.name)
            .with("profile_uri", profile.url(profile.sip_port));
        world.bus.fire(unpublish);
        // The profile's memory goes with it, and so does whatever the hash still pointed to in it.
        let gateways = &self.gateways;
        self.hash.retain(|_, index| gateways[*index].profile != name);
        self.pending.retain(|pending| pending.profile != name);
        for gateway in self.gateways.iter_mut().filter(|gateway| gateway.profile == name) {
            gateway.gone = true;
        }
    }

    /// None when it may restart, else what the command answers.
    pub fn too_young_to_restart(&self, name: &str) -> Option<String> {
        let age = self.now - self.profile(name)?.started;
        (age < PROFILE_MIN_UPTIME_SECONDS).then(|| {
            let remain = PROFILE_MIN_UPTIME_SECONDS - age;
            format!(
                "Profile {name} must be up for at least {PROFILE_MIN_UPTIME_SECONDS} seconds to stop/restart.\n\
                 Please wait {remain} second{}\n",
                if remain == 1 { "" } else { "s" }
            )
        })
    }

    /// `sofia_glue_del_gateway`
    fn delete_gateway(&mut self, index: usize) {
        let gateway = &mut self.gateways[index];
        if !gateway.deleted {
            if gateway.state != RegState::Noreg {
                gateway.retry = 0;
                gateway.state = RegState::Unregister;
            }
            gateway.deleted = true;
        }
    }

    /// `killgw G`; whatever profile the command names, the hash is one (FACTS 18).
    pub fn kill(&mut self, name: &str) -> bool {
        match self.find(name) {
            Some(index) => {
                self.delete_gateway(index);
                true
            }
            None => false,
        }
    }

    /// Killed and gone, as after two ticks, without an event.
    pub fn remove(&mut self, name: &str) {
        let Some(index) = self.find(name) else { return };
        let profile = self.gateways[index].profile.clone();
        self.gateways[index].deleted = true;
        self.gateways[index].gone = true;
        self.hash.remove(name);
        self.hash.remove(&format!("{profile}::{name}"));
        self.pending.retain(|pending| pending.gateway != name);
        if let Some(profile) = self.profile_mut(&profile) {
            profile.gateways.retain(|&other| other != index);
        }
    }

    /// `killgw _all_`
    pub fn kill_all(&mut self, profile: &str) {
        for index in self
            .profile(profile)
            .map(|profile| profile.gateways.clone())
            .unwrap_or_default()
        {
            self.delete_gateway(index);
        }
    }

    /// `register G` and `unregister G`. None: no such gateway. Some(false): a NOREG one, left alone.
    pub fn set_state(&mut self, name: &str, state: RegState) -> Option<bool> {
        self.find(name).map(|index| self.set_state_unless_noreg(index, state))
    }

    /// `register all` and `unregister all`
    pub fn set_state_of_all(&mut self, profile: &str, state: RegState) {
        for index in self
            .profile(profile)
            .map(|profile| profile.gateways.clone())
            .unwrap_or_default()
        {
            self.set_state_unless_noreg(index, state);
        }
    }

    fn set_state_unless_noreg(&mut self, index: usize, state: RegState) -> bool {
        let gateway = &mut self.gateways[index];
        if gateway.state == RegState::Noreg {
            return false;
        }
        gateway.retry = 0;
        gateway.state = state;
        gateway.is_told = state == RegState::Unreged;
        true
    }
}
