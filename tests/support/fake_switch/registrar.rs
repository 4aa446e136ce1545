//! What one FreeSWITCH meets where it registers: answers by script, and what went over the wire, in order. A
//! [`Carrier`] that several switches share answers for its own host.

use super::carrier::{Carrier, Sent};
use super::outcome::{Answer, FORBIDDEN, Login, Outcome};
use std::collections::BTreeMap;

/// Which gateways a rule is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Who {
    Gateway(String),
    Realm(String),
    Username(String),
}

/// The most specific rule wins: by gateway name, then by realm, then by user name, then the [`Carrier`] of the
/// gateway's host, then the default (200). What a rule answers never gets to the carrier.
#[derive(Clone)]
pub struct Registrar {
    register: BTreeMap<Who, Outcome>,
    options: BTreeMap<Who, Outcome>,
    register_default: Outcome,
    options_default: Outcome,
    accounts: BTreeMap<String, String>,
    /// Seconds that a registration is granted; None: what was asked for
    pub grants_expires: Option<u32>,
    /// Seconds after a 200 at which the SIP stack refreshes by itself; None: the middle of sofia-sip's range
    pub refresh_after: Option<i64>,
    /// `<pingtime>` of an answered OPTIONS
    pub round_trip_ms: f64,
    wire: Vec<Wire>,
    /// Who sends: carriers keep that
    pub(super) switch: String,
    pub(super) carriers: Vec<Carrier>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// One attempt: the round trip with the 401 challenge is not an entry of its own.
    Register,
    /// A REGISTER by which the SIP stack refreshes a registration, by itself
    Refresh,
    Unregister,
    Options,
}

/// A request that left a FreeSWITCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    /// Its place in the order of all that left
    pub order: usize,
    /// The tick it left in
    pub tick: i64,
    pub method: Method,
    pub profile: String,
    pub gateway: String,
    /// Which of the gateways that ever had this name: two with one name differ here
    pub instance: u64,
    pub contact: String,
    pub realm: String,
    pub username: String,
    /// What mod_sofia gets for it, as soon as that is decided; None while the carrier is silent, and for an un-REGISTER
    pub status: Option<u16>,
}

/// Who sends a request, and to which host.
pub(super) struct Sender<'a> {
    pub(super) gateway: &'a str,
    /// To register
    pub(super) is_told: bool,
    pub(super) host: String,
    pub(super) login: Login<'a>,
}

impl Default for Registrar {
    fn default() -> Self {
        Registrar {
            register: BTreeMap::new(),
            options: BTreeMap::new(),
            register_default: Outcome::Ok,
            options_default: Outcome::Ok,
            accounts: BTreeMap::new(),
            grants_expires: None,
            refresh_after: None,
            round_trip_ms: 0.5,
            wire: Vec::new(),
            switch: String::new(),
            carriers: Vec::new(),
        }
    }
}

impl Registrar {
    /// REGISTER of the gateway of that name
    pub fn set(&mut self, gateway: &str, outcome: Outcome) {
        self.register.insert(Who::Gateway(gateway.to_owned()), outcome);
    }

    pub fn set_for_realm(&mut self, realm: &str, outcome: Outcome) {
        self.register.insert(Who::Realm(realm.to_owned()), outcome);
    }

    pub fn set_for_username(&mut self, username: &str, outcome: Outcome) {
        self.register.insert(Who::Username(username.to_owned()), outcome);
    }

    pub fn set_default(&mut self, outcome: Outcome) {
        self.register_default = outcome;
    }

    /// OPTIONS of the gateway of that name
    pub fn set_ping(&mut self, gateway: &str, outcome: Outcome) {
        self.options.insert(Who::Gateway(gateway.to_owned()), outcome);
    }

    pub fn set_ping_default(&mut self, outcome: Outcome) {
        self.options_default = outcome;
    }

    /// Requires this password for this auth-username from now on; otherwise 403, whatever the rules say.
    pub fn account(&mut self, auth_username: &str, password: &str) {
        self.accounts.insert(auth_username.to_owned(), password.to_owned());
    }

    pub fn wire(&self) -> &[Wire] {
        &self.wire
    }

    pub(super) fn clear_wire(&mut self) {
        self.wire.clear();
    }

    pub(super) fn sent(&mut self, mut entry: Wire) {
        entry.order = self.wire.len();
        self.wire.push(entry);
    }

    /// A second of the switch begins.
    pub(super) fn tick(&self) {
        for carrier in &self.carriers {
            carrier.tick(&self.switch);
        }
    }

    /// `expires` is what the registration is granted, in seconds.
    pub(super) fn answer_to_register(&self, sender: &Sender, method: Method, expires: i64) -> Answer {
        let Sender { gateway, login, .. } = sender;
        let required = self.accounts.get(login.auth_username);
        if required.is_some_and(|password| !login.matches(password)) {
            return Answer::from(&FORBIDDEN);
        }
        if let Some(outcome) = pick(&self.register, gateway, login) {
            return Answer::from(outcome);
        }
        match self.carrier_of(sender) {
            Some(carrier) => Answer::from(&carrier.register(&self.sent_by(sender, method), login, expires)),
            None => Answer::from(&self.register_default),
        }
    }

    pub(super) fn answer_to_options(&self, sender: &Sender) -> Answer {
        if let Some(outcome) = pick(&self.options, sender.gateway, &sender.login) {
            return Answer::from(outcome);
        }
        match self.carrier_of(sender) {
            Some(carrier) => Answer::from(&carrier.options(&self.switch)),
            None => Answer::from(&self.options_default),
        }
    }

    /// An un-REGISTER, whose answer nobody waits for.
    pub(super) fn unregister(&self, sender: &Sender) {
        if let Some(carrier) = self.carrier_of(sender) {
            carrier.unregister(&self.sent_by(sender, Method::Unregister));
        }
    }

    fn carrier_of(&self, sender: &Sender) -> Option<&Carrier> {
        self.carriers.iter().find(|carrier| carrier.host() == sender.host)
    }

    fn sent_by<'a>(&'a self, sender: &'a Sender, method: Method) -> Sent<'a> {
        Sent {
            switch: &self.switch,
            gateway: sender.gateway,
            account: sender.login.auth_username,
            method,
            is_told: sender.is_told,
        }
    }
}

fn pick<'a>(rules: &'a BTreeMap<Who, Outcome>, gateway: &str, login: &Login) -> Option<&'a Outcome> {
    rules
        .get(&Who::Gateway(gateway.to_owned()))
        .or_else(|| rules.get(&Who::Realm(login.realm.to_owned())))
        .or_else(|| rules.get(&Who::Username(login.username.to_owned())))
}
