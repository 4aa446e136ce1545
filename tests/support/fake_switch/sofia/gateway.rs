//! A gateway as mod_sofia holds it.

use super::super::outcome::Login;
use super::super::registrar::Sender;
use super::conf::strip_prefix_ignoring_case;

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
    pub calls: CallCounters,
    /// It was started, or told to register, and has not registered since
    pub(super) is_told: bool,
    /// The SIP handle of its registration
    pub(super) handle: Option<u64>,
}

/// From zero at each start of a gateway (FACTS 41)
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallCounters {
    pub incoming: u32,
    pub out: u32,
    pub incoming_failed: u32,
    pub out_failed: u32,
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

    /// FACTS 39: it grows with each failure, but not after 503 and 908.
    pub(super) fn wait_after_failure(&self) -> i64 {
        if self.fail_908_retry_seconds != 0 && self.failure_status == 908 {
            self.fail_908_retry_seconds
        } else if matches!(self.failure_status, 503 | 908) || self.failures < 1 {
            self.retry_seconds
        } else {
            self.retry_seconds * self.failures
        }
    }

    /// Who sends its REGISTER and OPTIONS, and to which host: to `register-proxy` if that is set (`sofia.c`).
    pub(super) fn sender(&self) -> Sender<'_> {
        let target = self.param("register-proxy").filter(|target| !target.is_empty());
        Sender {
            gateway: &self.name,
            is_told: self.is_told,
            host: host_of(target.unwrap_or(&self.proxy)),
            login: Login {
                scheme: &self.scheme,
                realm: &self.realm,
                username: &self.username,
                auth_username: &self.auth_username,
                password: &self.password,
            },
        }
    }
}

fn find_header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// `sip:Host:port;params` without all but the host, in lower case
fn host_of(target: &str) -> String {
    let bare = strip_prefix_ignoring_case(target, "sip:").unwrap_or(target);
    let host = bare.split(';').next().unwrap_or_default();
    let host = match host.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => host,
    };
    host.to_ascii_lowercase()
}
