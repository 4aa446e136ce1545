//! `sofia xmlstatus`, read tolerantly: several of its values are not escaped, so it may be no XML at all (FACTS 25).

use std::str::FromStr;
use std::time::Duration;

use crate::registration::{Calls, PingStatus, State};

/// One gateway of the list, or a predecessor of it that waits to be deleted.
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

/// What only the list tells of a gateway.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GatewayDetails {
    /// Seconds between two pings; 0 when none is set.
    pub ping_every: u32,
    /// When the next ping is, or the one under way was due: seconds since 1970 by the switch's clock.
    pub ping_due: i64,
    /// A ping is under way.
    pub pinging: bool,
    /// The round trip of the last answered ping; `None` when there is none.
    pub ping_ms: Option<f64>,
    pub calls: Calls,
    /// Seconds until the next try to register, while it waits for one.
    pub retry: Option<u32>,
}

/// A reply that is no list of gateways. It says nothing about which there are: never take it for an empty list.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    #[error(
        "FreeSWITCH does not know the command `sofia`: mod_sofia is not loaded; load it with `fs_cli -x 'load mod_sofia'`"
    )]
    NoModSofia,
    #[error("the list of {0} was cut short or is none; it begins with {1:?}")]
    NotAList(&'static str, String),
    #[error("`sofia xmlstatus gateway` lists a gateway without its {0}")]
    Incomplete(&'static str),
}

/// Reads the list, in FreeSWITCH's order: of one name in one profile the first is the live one (FACTS 25).
///
/// # Errors
/// [`StatusError`] when the reply is anything but a whole list.
pub fn parse_gateways(reply: &[u8]) -> Result<Vec<GatewayStatus>, StatusError> {
    let text = String::from_utf8_lossy(reply);
    gateways_in(whole(&text, "gateways")?)
}

/// Reads the answer to the question for one gateway; `None` when there is none of the name that is not being deleted.
///
/// # Errors
/// [`StatusError`] when the reply is anything but that.
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

/// Reads the names of the profiles that run from `sofia xmlstatus`.
///
/// # Errors
/// [`StatusError`] when the reply is anything but a whole list.
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

/// The reply, if it is a whole list of these.
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
    /// FreeSWITCH writes name and profile before the values that an operator chose, state and status after them: so the first of the
    /// former and the last of the latter are its own words.
    fn take(&mut self, tag: &str, value: &'a str) {
        match tag {
            "name" => drop(self.name.get_or_insert(value)),
            "profile" => drop(self.profile.get_or_insert(value)),
            "state" => {
                self.state = Some(value);
                // It stands behind the state, and not in every one.
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
    /// A number that a newer FreeSWITCH may write otherwise counts as none: it decides nothing.
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
