//! mod_sofia's gateways: how `sofia.conf` makes them (`sofia.c`), how a one-second tick moves them and what they fire
//! (`sofia_reg.c`), how they are shown (`mod_sofia.c`). Function by function as in signalwire/freeswitch cc93a68.

use super::super::fs_xml::Element;
use super::bus::Bus;
use super::event::Origin;
use super::registrar::{Answer, Login, Method, Registrar, Wire};
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

const FIRE_STATE: Origin = Origin("sofia_reg.c", "sofia_reg_fire_custom_gateway_state_event", 156);
const FIRE_CHALLENGE: Origin = Origin("sofia_reg.c", "sofia_reg_handle_sip_r_challenge", 2835);
const FIRE_DELETE: Origin = Origin("sofia_reg.c", "sofia_reg_check_gateway", 343);
const FIRE_ADD: Origin = Origin("sofia_reg.c", "sofia_reg_add_gateway", 3723);
const FIRE_PROFILE_START: Origin = Origin("sofia.c", "config_sofia", 6343);
const FIRE_PUBLISH: Origin = Origin("sofia.c", "sofia_profile_thread_run", 3422);
const FIRE_UNPUBLISH: Origin = Origin("sofia.c", "sofia_profile_thread_run", 3550);

/// `sofia profile X restart` is refused for this long after a start
const PROFILE_MIN_UPTIME_SECONDS: i64 = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RegState {
    Unreged,
    Trying,
    Register,
    Reged,
    Unregister,
    Failed,
    FailWait,
    Expired,
    Noreg,
    Down,
    Timeout,
}

impl RegState {
    /// `sofia_state_names`
    pub fn name(self) -> &'static str {
        match self {
            RegState::Unreged => "UNREGED",
            RegState::Trying => "TRYING",
            RegState::Register => "REGISTER",
            RegState::Reged => "REGED",
            RegState::Unregister => "UNREGISTER",
            RegState::Failed => "FAILED",
            RegState::FailWait => "FAIL_WAIT",
            RegState::Expired => "EXPIRED",
            RegState::Noreg => "NOREG",
            RegState::Down => "DOWN",
            RegState::Timeout => "TIMEOUT",
        }
    }
}

/// A gateway, in FreeSWITCH's own words. Times are seconds since 1970 by the fake's clock, one a tick.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// Differs between two gateways with the same name
    pub instance: u64,
    pub name: String,
    pub profile: String,
    pub state: RegState,
    /// Ping status
    pub up: bool,
    pub uptime_start: i64,
    /// Marked for deletion
    pub deleted: bool,
    /// No longer (or, for a moment, not yet) in its profile's list
    pub gone: bool,
    /// Params as they stood in `sofia.conf`, unknown ones included
    pub params: Vec<(String, String)>,
    /// Variables of inbound and of outbound calls
    pub ib_vars: Vec<(String, String)>,
    pub ob_vars: Vec<(String, String)>,
    pub scheme: String,
    pub realm: String,
    pub username: String,
    pub auth_username: String,
    pub password: String,
    pub from: String,
    pub contact: String,
    pub extension: String,
    pub to: String,
    pub proxy: String,
    pub register_url: String,
    pub context: String,
    pub transport: &'static str,
    pub expires_str: String,
    pub freq: i64,
    pub retry_seconds: i64,
    pub fail_908_retry_seconds: i64,
    pub reg_timeout_seconds: i64,
    pub expires: i64,
    pub retry: i64,
    pub reg_timeout: i64,
    pub failures: i64,
    pub failure_status: u16,
    pub ping: i64,
    pub ping_freq: i64,
    pub ping_min: i64,
    pub ping_max: i64,
    pub ping_count: i64,
    pub ping_monitoring: bool,
    pub ping_time: f64,
    pub pinging: bool,
    pub network: Option<(String, u16)>,
    /// In, out, failed in, failed out: from zero at each start (FACTS 41)
    pub calls: [u32; 4],
    /// The SIP handle of its registration
    handle: Option<u64>,
}

impl Gateway {
    /// The last value of a param, as mod_sofia reads them.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .rev()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn inbound(&self, name: &str) -> Option<&str> {
        find_header(&self.ib_vars, name)
    }

    pub fn outbound(&self, name: &str) -> Option<&str> {
        find_header(&self.ob_vars, name)
    }

    pub fn status_name(&self) -> &'static str {
        if self.up { "UP" } else { "DOWN" }
    }

    fn login(&self) -> Login<'_> {
        Login {
            scheme: &self.scheme,
            realm: &self.realm,
            username: &self.username,
            auth_username: &self.auth_username,
            password: &self.password,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Profile {
    pub name: String,
    pub running: bool,
    pub started: i64,
    pub sip_ip: String,
    pub sip_port: u16,
    pub ext_sip_ip: Option<String>,
    pub tls: bool,
    pub tls_port: u16,
    pub context: Option<String>,
    /// The newest first, as `xmlstatus` lists them
    pub gateways: VecDeque<usize>,
    /// Its SIP thread sleeps through its first second: answers of the first tick come after that tick.
    sleeps: bool,
}

impl Profile {
    pub fn new(name: &str, sip_port: u16) -> Self {
        Profile {
            name: name.to_owned(),
            running: false,
            started: 0,
            sip_ip: "127.0.0.1".to_owned(),
            sip_port,
            ext_sip_ip: None,
            tls: false,
            tls_port: 5061,
            context: Some("public".to_owned()),
            gateways: VecDeque::new(),
            sleeps: true,
        }
    }

    /// From `<profile name><settings>`; None where there are no settings ("No Settings, check the new config!").
    pub fn from_xml(profile: &Element) -> Option<Self> {
        let settings = profile.child("settings")?;
        let mut made = Profile {
            context: None,
            ..Profile::new(profile.attribute("name").unwrap_or_default(), 5060)
        };
        for param in settings.children_named("param") {
            let name = param.attribute("name").unwrap_or_default().to_ascii_lowercase();
            let value = param.attribute("value").unwrap_or_default();
            match name.as_str() {
                "sip-port" => made.sip_port = atoi(value) as u16,
                "sip-ip" if value.parse::<IpAddr>().is_ok() => made.sip_ip = value.to_owned(),
                "ext-sip-ip" if value.parse::<IpAddr>().is_ok() => made.ext_sip_ip = Some(value.to_owned()),
                "tls" => made.tls = is_true(value),
                "tls-sip-port" => made.tls_port = atoi(value) as u16,
                "context" => made.context = Some(value.to_owned()),
                _ => {}
            }
        }
        Some(made)
    }

    fn url(&self, port: u16) -> String {
        let ip = self.ext_sip_ip.as_ref().unwrap_or(&self.sip_ip);
        if ip.contains(':') {
            format!("sip:mod_sofia@[{ip}]:{port}")
        } else {
            format!("sip:mod_sofia@{ip}:{port}")
        }
    }
}

/// A request without a final answer yet.
struct Pending {
    due: i64,
    profile: String,
    gateway: String,
    /// None for an OPTIONS
    handle: Option<u64>,
    answer: Answer,
    network: Option<(String, u16)>,
    granted: i64,
}

/// The SIP stack's side of a registration
#[derive(Default)]
struct Handle {
    registered: bool,
    refresh_at: Option<i64>,
}

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
        true
    }

    /// The part of `config_sofia` that a rescan runs on a running profile: settings are read again (of those modelled
    /// here only the context may change), then gateways are added.
    pub fn reread_settings(&mut self, profile_xml: &Element) {
        if let (Some(new), Some(name)) = (Profile::from_xml(profile_xml), profile_xml.attribute("name"))
            && let Some(profile) = self.profile_mut(name)
            && new.context.is_some()
        {
            profile.context = new.context;
        }
    }

    /// `parse_gateways`: adds what isn't there yet, all or just `only`.
    pub fn parse_gateways(&mut self, profile: &str, gateways: &Element, only: Option<&str>, bus: &mut Bus) {
        let names: Vec<&Element> = gateways.children_named("gateway").collect();
        for tag in names {
            let name = tag.attribute("name").unwrap_or_default();
            if !is_gateway_name(name) {
                self.log.push(format!("Ignoring invalid name '{name}'"));
                continue;
            }
            if only.is_some_and(|only| only != name) {
                continue;
            }
            let pkey = format!("{profile}::{name}");
            if self.hash.contains_key(name) && self.hash.get(&pkey).is_some_and(|&index| !self.gateways[index].deleted)
            {
                self.log.push(format!("Ignoring duplicate gateway '{name}'"));
                continue;
            }
            match self.read_gateway(profile, name, tag) {
                Ok(gateway) => self.add_gateway(gateway, bus),
                Err(error) => self.log.push(error),
            }
        }
    }

    fn read_gateway(&mut self, profile: &str, name: &str, tag: &Element) -> Result<Gateway, String> {
        let profile = self
            .profile(profile)
            .ok_or_else(|| format!("Profile [{profile}] does not exist."))?
            .clone();
        let (mut ib_vars, mut ob_vars) = (Vec::new(), Vec::new());
        for variable in tag.child("variables").unwrap_or(tag).children_named("variable") {
            let (Some(var), Some(val)) = (variable.attribute("name"), variable.attribute("value")) else {
                continue;
            };
            let direction = variable.attribute("direction");
            if direction.is_none_or(|direction| direction.eq_ignore_ascii_case("inbound")) {
                ib_vars.push((var.to_owned(), val.to_owned()));
            }
            if direction.is_none_or(|direction| direction.eq_ignore_ascii_case("outbound")) {
                ob_vars.push((var.to_owned(), val.to_owned()));
            }
        }

        let mut params: Vec<(String, String)> = Vec::new();
        let mut transport = "udp";
        for param in tag.child("params").unwrap_or(tag).children_named("param") {
            let (var, val) = (
                param.attribute("name").unwrap_or_default(),
                param.attribute("value").unwrap_or_default(),
            );
            if var == "register-transport" {
                transport = transport_of(val).ok_or("ERROR: unsupported transport")?;
                if transport == "tls" && !profile.tls {
                    return Err("ERROR: unsupported transport".to_owned());
                }
            }
            // `retry_seconds` is the same param, misspelt
            let var = if var == "retry_seconds" { "retry-seconds" } else { var };
            params.push((var.to_owned(), val.to_owned()));
        }
        let get = |name: &str| {
            params
                .iter()
                .rev()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.as_str())
        };
        let full = |name: &str| get(name).filter(|value| !value.is_empty());

        let realm = full("realm").or(full("proxy")).unwrap_or(name);
        let register = is_true(get("register").unwrap_or("true"));
        if register && full("username").is_none() {
            return Err("ERROR: username param is REQUIRED!".to_owned());
        }
        if register && full("password").is_none() {
            return Err("ERROR: password param is REQUIRED!".to_owned());
        }
        let username = full("username").unwrap_or("FreeSWITCH");
        let password = get("password").unwrap_or_default();
        let from_user = full("from-user").unwrap_or(username);
        let proxy = full("proxy").unwrap_or(realm);
        let auth_username = full("auth-username").unwrap_or(username);
        let from_domain = full("from-domain").unwrap_or(proxy);
        let extension = full("extension").unwrap_or(username);
        let context = get("context").or(profile.context.as_deref()).unwrap_or("default");

        let mut at_least_5 = |value: Option<&str>, default: i64, what: &str| {
            let seconds = value.map_or(default, atoi);
            if seconds < 5 {
                self.log.push(format!(
                    "Invalid {what} of {seconds} on gateway {name}, using the value of {default} instead."
                ));
                return default;
            }
            seconds
        };
        let retry_seconds = at_least_5(get("retry-seconds"), 30, "retry-seconds");
        let reg_timeout_seconds = at_least_5(get("timeout-seconds"), 60, "timeout-seconds");
        let expires_str = get("expire-seconds").unwrap_or("3600");
        let freq = at_least_5(Some(expires_str), 3600, "register-frequency");
        let mut ping_freq = get("ping").map_or(0, atoi);
        if ping_freq != 0 && ping_freq < 5 {
            self.log.push("ERROR: invalid ping!".to_owned());
            ping_freq = 0;
        }
        let pings = ping_freq != 0;

        let contact_params = match get("contact-params").unwrap_or_default() {
            "" => String::new(),
            given if given.starts_with(';') => given.to_owned(),
            given => format!(";{given}"),
        };
        let sip_ip = match get("contact-host") {
            Some("sip-ip") => profile.sip_ip.clone(),
            Some(host) => host.to_owned(),
            None => profile.ext_sip_ip.clone().unwrap_or_else(|| profile.sip_ip.clone()),
        };
        let user = if get("extension-in-contact").is_some_and(is_true) {
            extension.to_owned()
        } else {
            format!("gw+{name}")
        };
        let host = if sip_ip.contains(':') {
            format!("[{sip_ip}]")
        } else {
            sip_ip
        };
        let port = if transport == "tls" {
            profile.tls_port
        } else {
            profile.sip_port
        };

        self.next_id += 1;
        Ok(Gateway {
            instance: self.next_id,
            name: name.to_owned(),
            profile: profile.name.clone(),
            state: if register { RegState::Unreged } else { RegState::Noreg },
            up: !register,
            uptime_start: self.now,
            deleted: false,
            gone: false,
            ib_vars,
            ob_vars,
            scheme: get("scheme").unwrap_or("Digest").to_owned(),
            realm: realm.to_owned(),
            username: username.to_owned(),
            auth_username: auth_username.to_owned(),
            password: password.to_owned(),
            from: format!("<sip:{from_user}@{from_domain}>"),
            contact: format!("<sip:{user}@{host}:{port}{contact_params};transport={transport};gw={name}>"),
            extension: extension.to_owned(),
            to: match strip_prefix_ignoring_case(proxy, "sip:") {
                Some(bare) => format!("sip:{username}@{bare}"),
                None => format!("sip:{username}@{proxy}"),
            },
            proxy: match strip_prefix_ignoring_case(proxy, "sip:") {
                Some(_) => proxy.to_owned(),
                None => format!("sip:{proxy}"),
            },
            register_url: if proxy.to_ascii_lowercase().contains("transport=") {
                format!("sip:{proxy}")
            } else {
                format!("sip:{proxy};transport={transport}")
            },
            context: context.to_owned(),
            transport,
            expires_str: expires_str.to_owned(),
            freq,
            retry_seconds,
            fail_908_retry_seconds: get("908-retry-seconds").map_or(0, atoi),
            reg_timeout_seconds,
            expires: 0,
            retry: 0,
            reg_timeout: 0,
            failures: 0,
            failure_status: 0,
            ping: if pings { self.now + ping_freq } else { 0 },
            ping_freq,
            ping_min: if pings { get("ping-min").map_or(1, atoi) } else { 0 },
            ping_max: if pings { get("ping-max").map_or(1, atoi) } else { 0 },
            ping_count: 0,
            ping_monitoring: pings && get("ping-monitoring").is_some_and(is_true),
            ping_time: 0.0,
            pinging: false,
            network: None,
            calls: [0; 4],
            handle: None,
            params,
        })
    }

    /// `sofia_reg_add_gateway`: in front of the list always, into the hash (with its event) only if its name is free.
    fn add_gateway(&mut self, gateway: Gateway, bus: &mut Bus) {
        let (name, profile_name) = (gateway.name.clone(), gateway.profile.clone());
        let pkey = format!("{profile_name}::{name}");
        let index = self.gateways.len();
        self.gateways.push(gateway);
        if let Some(profile) = self.profile_mut(&profile_name) {
            profile.gateways.push_front(index);
        }
        if self.hash.get(&name).is_some_and(|&index| self.gateways[index].deleted) {
            self.hash.remove(&name);
            self.hash.remove(&pkey);
        }
        if !self.hash.contains_key(&name) && !self.hash.contains_key(&pkey) {
            self.hash.insert(name.clone(), index);
            self.hash.insert(pkey, index);
            let event = bus
                .create("CUSTOM", Some("sofia::gateway_add"), FIRE_ADD)
                .with("Gateway", name)
                .with("profile-name", profile_name);
            bus.fire(event);
        }
    }

    /// One second passes for every profile's worker. Each has its own phase within the second; `internal` came before
    /// `external` in the recordings, so the order here is that of the names, backwards.
    pub fn tick(&mut self, world: &mut World) {
        self.now += 1;
        self.ticks += 1;
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
    fn check_gateways(&mut self, profile: usize, world: &mut World) {
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
        let now = self.now;
        let gateway = &mut self.gateways[index];
        let before = gateway.state;
        if gateway.ping != 0
            && !gateway.pinging
            && now >= gateway.ping
            && matches!(before, RegState::Noreg | RegState::Reged)
            && !gateway.deleted
        {
            gateway.pinging = true;
            self.send_options(index, world);
        }

        let gateway = &mut self.gateways[index];
        match before {
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
            RegState::Unreged => {
                gateway.retry = now + gateway.retry_seconds;
                gateway.reg_timeout = now + gateway.reg_timeout_seconds;
                gateway.state = RegState::Trying;
                if gateway.handle.is_none() {
                    self.next_id += 1;
                    gateway.handle = Some(self.next_id);
                    self.handles.insert(self.next_id, Handle::default());
                }
                self.send_register(index, Method::Register, world);
            }
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
                let seconds = if gateway.fail_908_retry_seconds != 0 && gateway.failure_status == 908 {
                    gateway.fail_908_retry_seconds
                } else if matches!(gateway.failure_status, 503 | 908) || gateway.failures < 1 {
                    gateway.retry_seconds
                } else {
                    gateway.retry_seconds * gateway.failures
                };
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
        if before != self.gateways[index].state {
            self.fire_state(index, 0, "", world.bus);
        }
    }

    /// `sofia_reg_kill_reg`; FACTS 22: the un-REGISTER leaves if it was registered.
    fn kill_registration(&mut self, index: usize, world: &mut World) {
        let Some(id) = self.gateways[index].handle.take() else {
            return;
        };
        if self.handles.remove(&id).is_some_and(|handle| handle.registered) {
            let entry = self.wire(index, Method::Unregister, None);
            world.registrar.sent(entry);
        }
    }

    fn send_register(&mut self, index: usize, method: Method, world: &mut World) {
        let gateway = &self.gateways[index];
        let answer = world.registrar.answer_to_register(&gateway.name, &gateway.login());
        let granted = world.registrar.grants_expires.map_or(gateway.freq, i64::from);
        world.registrar.sent(self.wire(index, method, Some(answer.status)));
        self.expect(index, gateway.handle, answer, granted);
    }

    fn send_options(&mut self, index: usize, world: &mut World) {
        let gateway = &self.gateways[index];
        let answer = world.registrar.answer_to_options(&gateway.name, &gateway.login());
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

    fn wire(&self, index: usize, method: Method, status: Option<u16>) -> Wire {
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
    fn collect_due(&mut self) {
        let now = self.now;
        let (due, later) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|pending| pending.due <= now);
        self.pending = later;
        self.answered = due;
    }

    /// Hands over the answers at hand.
    fn hand_over(&mut self, world: &mut World) {
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

    pub fn set_calls(&mut self, name: &str, calls: [u32; 4]) {
        if let Some(index) = self.find(name) {
            self.gateways[index].calls = calls;
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
    fn fire_state(&self, index: usize, status: u16, phrase: &str, bus: &mut Bus) {
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

    /// `sofia xmlstatus gateway`
    pub fn xml_status_of_all(&self) -> String {
        let mut text = format!("{XML_HEADER}<gateways>\n");
        for gateway in self.listed() {
            self.write_xml(gateway, &mut text);
        }
        text + "</gateways>\n"
    }

    /// `sofia xmlstatus gateway G`
    pub fn xml_status_of(&self, name: &str) -> Option<String> {
        let gateway = self.gateway(name)?;
        let mut text = XML_HEADER.to_owned();
        self.write_xml(gateway, &mut text);
        Some(text)
    }

    /// `xml_gateway_status`
    fn write_xml(&self, gateway: &Gateway, out: &mut String) {
        out.push_str("  <gateway>\n");
        let mut element = |name: &str, value: &str| {
            out.push_str(&format!("    <{name}>{value}</{name}>\n"));
        };
        let number = |n: i64| n.to_string();
        element("name", &gateway.name);
        element("profile", &gateway.profile);
        element("scheme", &gateway.scheme);
        element("realm", &gateway.realm);
        element("username", &gateway.username);
        element("password", if gateway.password.is_empty() { "no" } else { "yes" });
        element("from", &amp_encode(&gateway.from));
        element("contact", &amp_encode(&gateway.contact));
        element("exten", &amp_encode(&gateway.extension));
        element("to", &gateway.to);
        element("proxy", &gateway.proxy);
        element("context", &gateway.context);
        element("expires", &gateway.expires_str);
        element("freq", &number(gateway.freq));
        element("ping", &number(gateway.ping));
        element("pingfreq", &number(gateway.ping_freq));
        element("pingmin", &number(gateway.ping_min));
        element("pingcount", &number(gateway.ping_count));
        element("pingmax", &number(gateway.ping_max));
        element("pingtime", &format!("{:.2}", gateway.ping_time));
        element("pinging", &number(i64::from(gateway.pinging)));
        element("state", gateway.state.name());
        element("status", gateway.status_name());
        element("uptime-usec", &number(self.uptime_usec(gateway)));
        let words = ["calls-in", "calls-out", "failed-calls-in", "failed-calls-out"];
        for (word, count) in words.into_iter().zip(gateway.calls) {
            element(word, &count.to_string());
        }
        match self.retry_of(gateway) {
            Some(Some(seconds)) => element("retry", &format!("{seconds}s")),
            Some(None) => element("retry", "NEVER"),
            None => {}
        }
        out.push_str("  </gateway>\n");
    }

    fn uptime_usec(&self, gateway: &Gateway) -> i64 {
        if gateway.up {
            (self.now - gateway.uptime_start) * 1_000_000
        } else {
            0
        }
    }

    /// None: no retry to speak of. Some(None): NEVER
    fn retry_of(&self, gateway: &Gateway) -> Option<Option<i64>> {
        matches!(gateway.state, RegState::Failed | RegState::FailWait | RegState::Trying)
            .then(|| (gateway.retry >= self.now).then(|| gateway.retry - self.now))
    }

    fn retry_text(&self, gateway: &Gateway) -> String {
        match self.retry_of(gateway) {
            Some(Some(seconds)) => format!(" (retry: {seconds}s)"),
            Some(None) => " (retry: NEVER)".to_owned(),
            None => String::new(),
        }
    }

    /// `sofia xmlstatus`
    pub fn xml_status(&self) -> String {
        let mut text = format!("{XML_HEADER}<profiles>\n");
        let entry = |tag: &str, name: &str, data: &str, state: &str| {
            format!(
                "<{tag}>\n<name>{name}</name>\n<type>{tag}</type>\n<data>{data}</data>\n<state>{state}</state>\n</{tag}>\n"
            )
        };
        for profile in self.profiles.iter().filter(|profile| profile.running) {
            text += &entry("profile", &profile.name, &profile.url(profile.sip_port), "RUNNING (0)");
            if profile.tls {
                text += &entry(
                    "profile",
                    &profile.name,
                    &profile.url(profile.tls_port),
                    "RUNNING (0) (TLS)",
                );
            }
            for &index in &profile.gateways {
                let gateway = &self.gateways[index];
                text += &entry("gateway", &gateway.name, &gateway.to, gateway.state.name());
                text += &self.retry_text(gateway);
                text.push('\n');
            }
        }
        text + "</profiles>\n"
    }

    /// `sofia status`
    pub fn status(&self) -> String {
        let mut text = format!("{:>25}\t{}\t  {:>40}\t{}\n{LINE}\n", "Name", "   Type", "Data", "State");
        let mut count = 0;
        for profile in self.profiles.iter().filter(|profile| profile.running) {
            count += 1;
            let url = profile.url(profile.sip_port);
            text += &format!("{:>25}\tprofile\t  {url:>40}\tRUNNING (0)\n", profile.name);
            if profile.tls {
                let url = profile.url(profile.tls_port);
                text += &format!("{:>25}\tprofile\t  {url:>40}\tRUNNING (0) (TLS)\n", profile.name);
            }
            for &index in &profile.gateways {
                let gateway = &self.gateways[index];
                let key = format!("{}::{}", profile.name, gateway.name);
                let (state, retry) = (gateway.state.name(), self.retry_text(gateway));
                text += &format!("{key:>25}\tgateway\t  {:>40}\t{state}{retry}\n", gateway.to);
            }
        }
        let plural = if count == 1 { "" } else { "s" };
        text + &format!("{LINE}\n{count} profile{plural} 0 aliases\n")
    }

    /// `sofia status gateway G`
    pub fn status_of(&self, name: &str) -> Option<String> {
        let g = self.gateway(name)?;
        let uptime = self.uptime_usec(g) / 1_000_000;
        let rows = [
            ("Name    \t", g.name.clone()),
            ("Profile \t", g.profile.clone()),
            ("Scheme  \t", g.scheme.clone()),
            ("Realm   \t", g.realm.clone()),
            ("Username\t", g.username.clone()),
            (
                "Password\t",
                if g.password.is_empty() { "no" } else { "yes" }.to_owned(),
            ),
            ("From    \t", g.from.clone()),
            ("Contact \t", g.contact.clone()),
            ("Exten   \t", g.extension.clone()),
            ("To      \t", g.to.clone()),
            ("Proxy   \t", g.proxy.clone()),
            ("Context \t", g.context.clone()),
            ("Expires \t", g.expires_str.clone()),
            ("Freq    \t", g.freq.to_string()),
            ("Ping    \t", g.ping.to_string()),
            ("PingFreq\t", g.ping_freq.to_string()),
            ("PingTime\t", format!("{:.2}", g.ping_time)),
            ("PingState\t", format!("{}/{}/{}", g.ping_min, g.ping_count, g.ping_max)),
            ("State   \t", g.state.name().to_owned()),
            (
                "Status  \t",
                format!("{}{}", g.status_name(), if g.pinging { " (ping)" } else { "" }),
            ),
            ("Uptime  \t", format!("{uptime}s")),
            ("CallsIN \t", g.calls[0].to_string()),
            ("CallsOUT\t", g.calls[1].to_string()),
            ("FailedCallsIN\t", g.calls[2].to_string()),
            ("FailedCallsOUT\t", g.calls[3].to_string()),
        ];
        let body: String = rows.iter().map(|(label, value)| format!("{label}{value}\n")).collect();
        Some(format!("{LINE}\n{body}{LINE}\n"))
    }

    /// `sofia profile P gwlist up|down`
    pub fn gateway_list(&self, profile: &str, up: bool) -> String {
        let gateways = self.profile(profile).map(|profile| &profile.gateways);
        gateways
            .into_iter()
            .flatten()
            .map(|&index| &self.gateways[index])
            .filter(|gateway| gateway.up == up)
            .map(|gateway| format!("{} ", gateway.name))
            .collect()
    }
}

const XML_HEADER: &str = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n";
const LINE: &str = "=================================================================================================";

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

/// `^[\w\.\-\_]+$`, whose `$` in PCRE passes a line end at the very end
fn is_gateway_name(name: &str) -> bool {
    let name = name.strip_suffix('\n').unwrap_or(name);
    !name.is_empty()
        && name
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_'))
}

/// `switch_true`
pub fn is_true(text: &str) -> bool {
    const TRUE: [&str; 7] = ["yes", "on", "true", "t", "enabled", "active", "allow"];
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    TRUE.iter().any(|word| text.eq_ignore_ascii_case(word))
        || (digits.bytes().all(|c| c == b'.' || c.is_ascii_digit()) && atoi(text) != 0)
}

/// C's `atoi`
fn atoi(text: &str) -> i64 {
    let text = text.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    let (sign, digits) = match text.as_bytes().first() {
        Some(b'-') => (-1, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        _ => (1, text),
    };
    let end = digits.bytes().position(|c| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse::<i64>().map_or(0, |n| (sign * n) as i32 as i64)
}

/// `sofia_glue_str2transport`, by prefix
fn transport_of(text: &str) -> Option<&'static str> {
    ["udp", "tcp", "sctp", "tls"]
        .into_iter()
        .find(|known| strip_prefix_ignoring_case(text, known).is_some())
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.as_bytes().get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix.as_bytes())
        .then(|| &text[prefix.len()..])
}

fn find_header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// `switch_amp_encode` into a buffer of 2,096 bytes: what doesn't fit is cut
fn amp_encode(text: &str) -> String {
    let mut encoded: Vec<u8> = Vec::new();
    for c in text.bytes() {
        let piece: &[u8] = match c {
            b'"' => b"&quot;",
            b'\'' => b"&apos;",
            b'&' => b"&amp;",
            b'<' => b"&lt;",
            b'>' => b"&gt;",
            _ => std::slice::from_ref(&c),
        };
        if encoded.len() + piece.len() > 2095 {
            break;
        }
        encoded.extend_from_slice(piece);
    }
    String::from_utf8_lossy(&encoded).into_owned()
}
