//! How `sofia.conf` makes gateways (`sofia.c`).

use super::super::super::fs_xml::Element;
use super::super::bus::Bus;
use super::super::event::Origin;
use super::{CallCounters, Gateway, Profile, RegState, Sofia};

type Pairs = Vec<(String, String)>;

const FIRE_ADD: Origin = Origin("sofia_reg.c", "sofia_reg_add_gateway", 3723);

impl Sofia {
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
        let (params, transport) = params_of(tag, &profile)?;
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

        let user = match get("extension-in-contact") {
            Some(value) if is_true(value) => extension.to_owned(),
            _ => format!("gw+{name}"),
        };
        let [contact_host, contact_params] = ["contact-host", "contact-params"].map(get);
        let address = profile.contact_address(contact_host, transport);
        let contact_params = match contact_params.unwrap_or_default() {
            "" => String::new(),
            given if given.starts_with(';') => given.to_owned(),
            given => format!(";{given}"),
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
            ib_vars: variables_of(tag, "inbound"),
            ob_vars: variables_of(tag, "outbound"),
            scheme: get("scheme").unwrap_or("Digest").to_owned(),
            realm: realm.to_owned(),
            username: username.to_owned(),
            auth_username: auth_username.to_owned(),
            password: password.to_owned(),
            from: format!("<sip:{from_user}@{from_domain}>"),
            contact: format!("<sip:{user}@{address}{contact_params};transport={transport};gw={name}>"),
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
            calls: CallCounters::default(),
            is_told: true,
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
}

/// Those with this direction, or with none
fn variables_of(tag: &Element, direction: &str) -> Pairs {
    let variables = tag.child("variables").unwrap_or(tag).children_named("variable");
    variables
        .filter(|variable| {
            let given = variable.attribute("direction");
            given.is_none_or(|given| given.eq_ignore_ascii_case(direction))
        })
        .filter_map(|variable| {
            Some((
                variable.attribute("name")?.to_owned(),
                variable.attribute("value")?.to_owned(),
            ))
        })
        .collect()
}

/// The params as they stand, and the transport of the last `register-transport`
fn params_of(tag: &Element, profile: &Profile) -> Result<(Pairs, &'static str), String> {
    let mut params = Vec::new();
    let mut transport = "udp";
    for param in tag.child("params").unwrap_or(tag).children_named("param") {
        let name = param.attribute("name").unwrap_or_default();
        let value = param.attribute("value").unwrap_or_default();
        if name == "register-transport" {
            transport = transport_of(value)
                .filter(|known| *known != "tls" || profile.tls)
                .ok_or("ERROR: unsupported transport")?;
        }
        // `retry_seconds` is the same param, misspelt
        let name = if name == "retry_seconds" { "retry-seconds" } else { name };
        params.push((name.to_owned(), value.to_owned()));
    }
    Ok((params, transport))
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
pub(super) fn is_true(text: &str) -> bool {
    const TRUE: [&str; 7] = ["yes", "on", "true", "t", "enabled", "active", "allow"];
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    TRUE.iter().any(|word| text.eq_ignore_ascii_case(word))
        || (digits.bytes().all(|c| c == b'.' || c.is_ascii_digit()) && atoi(text) != 0)
}

/// C's `atoi`
pub(super) fn atoi(text: &str) -> i64 {
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

pub(super) fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.as_bytes().get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix.as_bytes())
        .then(|| &text[prefix.len()..])
}
