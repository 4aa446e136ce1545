//! The carriers: what they answer to REGISTER and OPTIONS, by script, and what went over the wire, in order.

use std::collections::BTreeMap;

/// What a carrier does with a REGISTER or an OPTIONS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// 200
    Ok,
    /// A final answer from the carrier, for example 403 Forbidden
    Reject(u16, &'static str),
    /// A 401 from a host that is none of the gateway's: FreeSWITCH doesn't answer it (FACTS 45)
    Challenged,
    /// Nobody listens there: the SIP stack itself answers 503 Service Unavailable immediately
    Refused,
    /// No answer. The SIP stack gives up after 32 s with 408; a gateway with a shorter `timeout-seconds` goes to
    /// TIMEOUT before that.
    Silent,
    /// The same, that many seconds (ticks) later
    After(u32, Box<Outcome>),
}

/// 403 Forbidden
pub const FORBIDDEN: Outcome = Outcome::Reject(403, "Forbidden");

/// Which gateways a rule is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Who {
    Gateway(String),
    Realm(String),
    Username(String),
}

/// The most specific rule wins: by gateway name, then by realm, then by user name, then the default (200).
#[derive(Debug, Clone)]
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
    /// What is answered, as soon as that is decided; None while the carrier is silent, and for an un-REGISTER
    pub status: Option<u16>,
}

/// An answer as the SIP stack hands it to mod_sofia.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub phrase: &'static str,
    /// From a real message, not made by the stack itself
    pub from_network: bool,
    pub is_unanswered_challenge: bool,
    /// Seconds until it comes
    pub after: u32,
}

/// The transaction timer of SIP over UDP, 64 × T1 (sofia-sip)
const TRANSACTION_SECONDS: u32 = 32;

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

    pub(super) fn answer_to_register(&self, gateway: &str, login: &Login) -> Answer {
        if self
            .accounts
            .get(login.auth_username)
            .is_some_and(|password| !login.matches(password))
        {
            return answer(&FORBIDDEN);
        }
        answer(pick(&self.register, gateway, login).unwrap_or(&self.register_default))
    }

    pub(super) fn answer_to_options(&self, gateway: &str, login: &Login) -> Answer {
        answer(pick(&self.options, gateway, login).unwrap_or(&self.options_default))
    }
}

/// What a gateway logs in with.
pub(super) struct Login<'a> {
    pub(super) scheme: &'a str,
    pub(super) realm: &'a str,
    pub(super) username: &'a str,
    pub(super) auth_username: &'a str,
    pub(super) password: &'a str,
}

impl Login<'_> {
    /// FACTS 15: the credentials pass through `scheme:"realm":user:password` in a buffer of 256 bytes, and the SIP
    /// stack takes that apart at the colons.
    fn matches(&self, password: &str) -> bool {
        let text = format!(
            "{}:\"{}\":{}:{}",
            self.scheme, self.realm, self.auth_username, self.password
        );
        let text = &text.as_bytes()[..text.len().min(255)];
        let after_realm = self.scheme.len() + self.realm.len() + 4;
        let rest = text.get(after_realm..).unwrap_or_default();
        let Some(colon) = rest.iter().position(|&c| c == b':') else {
            return false;
        };
        rest[..colon] == *self.auth_username.as_bytes() && rest[colon + 1..] == *password.as_bytes()
    }
}

fn pick<'a>(rules: &'a BTreeMap<Who, Outcome>, gateway: &str, login: &Login) -> Option<&'a Outcome> {
    rules
        .get(&Who::Gateway(gateway.to_owned()))
        .or_else(|| rules.get(&Who::Realm(login.realm.to_owned())))
        .or_else(|| rules.get(&Who::Username(login.username.to_owned())))
}

fn answer(outcome: &Outcome) -> Answer {
    let answer = |status, phrase, from_network| Answer {
        status,
        phrase,
        from_network,
        is_unanswered_challenge: false,
        after: 0,
    };
    match outcome {
        Outcome::Ok => answer(200, "OK", true),
        Outcome::Reject(status, phrase) => answer(*status, phrase, true),
        Outcome::Challenged => Answer {
            is_unanswered_challenge: true,
            ..answer(401, "Unauthorized", true)
        },
        Outcome::Refused => answer(503, "Service Unavailable", false),
        Outcome::Silent => Answer {
            after: TRANSACTION_SECONDS,
            ..answer(408, "Request Timeout", false)
        },
        Outcome::After(seconds, outcome) => {
            let inner = self::answer(outcome);
            Answer {
                after: inner.after + seconds,
                ..inner
            }
        }
    }
}
