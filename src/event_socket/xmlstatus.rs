//! `sofia xmlstatus`, parsed tolerantly: several values are not escaped, so it may not even be XML (FACTS 25).

use std::str::FromStr;
use std::time::Duration;

use crate::registration::{Calls, PingStatus, State};
use crate::settings::HostPort;

/// One gateway of the list. It may be a predecessor that waits to be deleted.
#[derive(Debug, Clone, PartialEq)]
pub struct GatewayStatus {
    pub name: String,
    pub profile: String,
    pub state: State,
    pub ping: PingStatus,
    /// How long it has been up; `None` when it is down.
    pub uptime: Option<Duration>,
    pub details: GatewayDetails,
}

/// What no event says about a gateway.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GatewayDetails {
    /// Seconds between two pings; 0 for none.
    pub ping_every: u32,
    /// When the next ping is due, or the one in progress was: seconds since 1970 by the switch's clock.
    pub ping_due: i64,
    /// A ping is in progress.
    pub pinging: bool,
    /// The round trip of the last answered ping; `None` when there is none.
    pub ping_ms: Option<f64>,
    pub calls: Calls,
    /// Seconds until the next attempt to register, while it waits for one.
    pub retry: Option<u32>,
}

/// A reply that is not a complete list. Never treat it as an empty one.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    #[error(
        "FreeSWITCH does not know the command `sofia`: mod_sofia is not loaded; load it with `fs_cli -x 'load \
         mod_sofia'`"
    )]
    NoModSofia,
    #[error("the reply is not a complete list of {0}; it begins with {1:?}")]
    NotAList(&'static str, String),
    #[error("`sofia xmlstatus gateway` lists a gateway without its {0}")]
    Incomplete(&'static str),
}

/// Parses the list, in FreeSWITCH's order: if a profile has several gateways of a name, the first is the live one
/// (FACTS 25).
///
/// # Errors
/// [`StatusError`] when the reply is not a complete list.
pub fn parse_gateways(reply: &[u8]) -> Result<Vec<GatewayStatus>, StatusError> {
    let text = String::from_utf8_lossy(reply);
    gateways_in(whole(&text, "gateways")?)
}

/// Parses the reply about one gateway; `None` when there is no live one of that name.
///
/// # Errors
/// [`StatusError`] when the reply is neither.
pub fn parse_gateway(reply: &[u8]) -> Result<Option<GatewayStatus>, StatusError> {
    let text = String::from_utf8_lossy(reply);
    if text.trim() == "Invalid Gateway!" {
        return Ok(None);
    }
    Ok(gateways_in(whole(&text, "gateway")?)?.pop())
}

fn gateways_in(text: &str) -> Result<Vec<GatewayStatus>, StatusError> {
    let (mut gateways, mut current) = (Vec::new(), None);
    for line in text.lines().map(str::trim) {
        match line {
            "<gateway>" if current.is_none() => current = Some(Partial::default()),
            "</gateway>" => gateways.extend(current.take().map(Partial::finish).transpose()?),
            _ => {
                if let (Some(partial), Some((tag, value))) = (&mut current, element(line)) {
                    partial.take(tag, value);
                }
            }
        }
    }
    Ok(gateways)
}

/// Parses the names of the running profiles from `sofia xmlstatus`.
///
/// # Errors
/// [`StatusError`] when the reply is not a complete list.
pub fn parse_profiles(reply: &[u8]) -> Result<Vec<String>, StatusError> {
    let text = String::from_utf8_lossy(reply);
    let mut profiles = Vec::new();
    let (mut name, mut is_profile) = (None, false);
    for line in whole(&text, "profiles")?.lines().map(str::trim) {
        match element(line) {
            Some(("name", value)) => (name, is_profile) = (Some(value), false),
            Some(("type", value)) => is_profile = value == "profile",
            Some(("state", value)) if is_profile && value.starts_with("RUNNING") => {
                profiles.extend(name.take().map(str::to_owned));
            }
            _ => {}
        }
    }
    Ok(profiles)
}

/// Parses where a profile listens for SIP over UDP from `sofia xmlstatus profile P`: its `sip-ip`, which may be
/// another one than it tells carriers, and its port. `None` if there is no such profile, or it takes no UDP.
///
/// # Errors
/// [`StatusError`] when the reply is neither.
pub fn parse_sip_address(reply: &[u8]) -> Result<Option<HostPort>, StatusError> {
    let text = String::from_utf8_lossy(reply);
    if text.trim() == "Invalid Profile!" {
        return Ok(None);
    }
    let elements: Vec<_> = whole(&text, "profile")?
        .lines()
        .map(str::trim)
        .filter_map(element)
        .collect();
    let first = |wanted: &str| elements.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
    let (Some(ip), Some(url)) = (first("sip-ip"), first("bind-url")) else {
        return Ok(None);
    };
    // sip:mod_sofia@192.0.2.1:5080;maddr=10.0.0.1;transport=udp,tcp
    let (address, params) = url.split_once(';').unwrap_or((url, ""));
    let transports = params.split(';').find_map(|param| param.strip_prefix("transport="));
    let has_udp = transports.is_none_or(|transports| transports.split(',').any(|one| one == "udp"));
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    Ok(port.filter(|_| has_udp).map(|port| HostPort {
        host: ip.to_owned(),
        port,
    }))
}

/// The reply, if it is a complete list.
fn whole<'a>(text: &'a str, what: &'static str) -> Result<&'a str, StatusError> {
    let text = text.trim();
    if text.starts_with("-ERR") {
        return Err(StatusError::NoModSofia);
    }
    if !text.starts_with("<?xml") || !text.ends_with(&format!("</{what}>")) {
        return Err(StatusError::NotAList(what, text.chars().take(60).collect()));
    }
    Ok(text)
}

#[derive(Default)]
struct Partial<'a> {
    name: Option<&'a str>,
    profile: Option<&'a str>,
    state: Option<&'a str>,
    status: Option<&'a str>,
    uptime_usec: Option<&'a str>,
    details: GatewayDetails,
}

impl<'a> Partial<'a> {
    /// FreeSWITCH writes name and profile before the values that an operator chose, state and status after them. So the
    /// first name and profile and the last state and status are its own.
    fn take(&mut self, tag: &str, value: &'a str) {
        match tag {
            "name" => drop(self.name.get_or_insert(value)),
            "profile" => drop(self.profile.get_or_insert(value)),
            "state" => {
                self.state = Some(value);
                // It follows the state, and only in some.
                self.details.retry = None;
            }
            "status" => self.status = Some(value),
            "uptime-usec" => self.uptime_usec = Some(value),
            _ => self.details.take(tag, value),
        }
    }

    fn finish(self) -> Result<GatewayStatus, StatusError> {
        let uptime = self
            .uptime_usec
            .and_then(|text| text.parse().ok())
            .filter(|&usec| usec > 0);
        Ok(GatewayStatus {
            name: self.name.ok_or(StatusError::Incomplete("name"))?.to_owned(),
            profile: self.profile.ok_or(StatusError::Incomplete("profile"))?.to_owned(),
            state: State::from(self.state.ok_or(StatusError::Incomplete("state"))?),
            ping: PingStatus::from(self.status.ok_or(StatusError::Incomplete("status"))?),
            uptime: uptime.map(Duration::from_micros),
            details: self.details,
        })
    }
}

impl GatewayDetails {
    /// A number that a newer FreeSWITCH writes differently counts as none. Nothing depends on it.
    fn take(&mut self, tag: &str, value: &str) {
        fn number<T: FromStr + Default>(value: &str) -> T {
            value.parse().unwrap_or_default()
        }
        match tag {
            "pingfreq" => self.ping_every = number(value),
            "ping" => self.ping_due = number(value),
            "pinging" => self.pinging = number::<i64>(value) != 0,
            "pingtime" => self.ping_ms = value.parse().ok().filter(|ms: &f64| ms.is_finite() && *ms > 0.0),
            "calls-in" => self.calls.inbound = number(value),
            "calls-out" => self.calls.outbound = number(value),
            "failed-calls-in" => self.calls.failed_in = number(value),
            "failed-calls-out" => self.calls.failed_out = number(value),
            "retry" => self.retry = value.strip_suffix('s').and_then(|seconds| seconds.parse().ok()),
            _ => {}
        }
    }
}

/// `<tag>value</tag>` on one line.
fn element(line: &str) -> Option<(&str, &str)> {
    let (tag, rest) = line.strip_prefix('<')?.split_once('>')?;
    let value = rest.strip_suffix('>')?.strip_suffix(tag)?.strip_suffix("</")?;
    Some((tag, value))
}

#[cfg(test)]
mod tests;
