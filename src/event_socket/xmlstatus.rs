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
mod tests {
    use super::*;

    #[test]
    fn the_recorded_answers_for_one_gateway() {
        let one = parse_gateway(&recording("sofia-xmlstatus-gateway-gw_ok"))
            .unwrap()
            .unwrap();
        assert_eq!((one.name.as_str(), one.profile.as_str()), ("gw_ok", "external"));
        assert_eq!((one.state, one.ping), (State::Reged, PingStatus::Up));
        assert_eq!(parse_gateway(&recording("sofia-xmlstatus-gateway-nope")).unwrap(), None);
        assert!(parse_gateway(b"-ERR no such command\n").is_err() && parse_gateway(b"").is_err());
        let cut = recording("sofia-xmlstatus-gateway-gw_ok");
        assert!(parse_gateway(&cut[..cut.len() - 20]).is_err());
    }

    fn recording(name: &str) -> Vec<u8> {
        std::fs::read(format!(
            "{}/tests/recordings/api/{name}.txt",
            env!("CARGO_MANIFEST_DIR")
        ))
        .unwrap()
    }

    #[test]
    fn the_recorded_list_is_read() {
        let list = parse_gateways(&recording("sofia-xmlstatus-gateway")).unwrap();
        let short: Vec<_> = list
            .iter()
            .map(|g| format!("{} {} {} {}", g.profile, g.name, g.state, g.ping))
            .collect();
        assert_eq!(
            short,
            [
                "external gw_noreg NOREG UP",
                "external gw_ping NOREG DOWN",
                "external gw_bad FAIL_WAIT DOWN",
                "external gw_ok REGED UP"
            ]
        );
        assert_eq!(list[3].uptime, Some(Duration::from_micros(11_759_550)));
        assert_eq!(list[1].uptime, None);
    }

    #[test]
    fn what_only_the_list_tells_is_read() {
        let list = parse_gateways(&recording("sofia-xmlstatus-gateway")).unwrap();
        let details = |at: usize| &list[at].details;
        assert_eq!(*details(0), GatewayDetails::default(), "an IP trunk without ping");
        let pinged = GatewayDetails {
            ping_every: 5,
            ping_due: 1_795_401_528,
            ..GatewayDetails::default()
        };
        assert_eq!(*details(1), pinged);
        assert_eq!((details(2).retry, details(3).retry), (Some(5), None));

        let calls = |name: &str| parse_gateway(&recording(name)).unwrap().unwrap().details.calls;
        let during = calls("sofia-xmlstatus-gateway-during-a-call");
        assert_eq!((during.outbound, during.failed_out), (1, 0));
        assert_eq!(calls("sofia-xmlstatus-gateway-after-a-failed-call").failed_out, 1);
        let refused = parse_gateway(&recording("sofia-xmlstatus-gateway-refused"))
            .unwrap()
            .unwrap();
        assert_eq!(refused.details.retry, Some(16));

        let list = parse_gateways(&recording("sofia-xmlstatus-gateway-every-kind")).unwrap();
        let pings = |name: &str| {
            let details = &list.iter().find(|gateway| gateway.name == name).unwrap().details;
            (details.ping_every, details.ping_ms)
        };
        assert_eq!(
            (pings("reged_ping"), pings("ip_ping")),
            ((5, Some(0.9)), (5, Some(1.08)))
        );
        assert_eq!((pings("ip_dead"), pings("ip_noping")), ((5, None), (0, None)));

        let text = String::from_utf8(recording("sofia-xmlstatus-gateway-gw_ok")).unwrap();
        let other = text
            .replace("<context>public</context>", "<context>x\n<retry>7s</retry>\n</context>")
            .replace("<pingtime>0.00", "<pingtime>12.50")
            .replace("<pinging>0", "<pinging>1");
        let details = parse_gateway(other.as_bytes()).unwrap().unwrap().details;
        assert_eq!(
            (details.ping_ms, details.pinging, details.retry),
            (Some(12.5), true, None)
        );
    }

    #[test]
    fn a_gateway_that_is_being_replaced_comes_twice_the_live_one_first() {
        let list = parse_gateways(&recording("sofia-xmlstatus-gateway-while-one-is-replaced")).unwrap();
        let states: Vec<_> = list
            .iter()
            .filter(|g| g.name == "gw_ok")
            .map(|g| g.state.to_string())
            .collect();
        assert_eq!(states, ["UNREGED", "UNREGISTER"]);
    }

    #[test]
    fn values_that_are_not_escaped_do_not_mislead() {
        let reply = String::from_utf8(recording("sofia-xmlstatus-gateway")).unwrap();
        let nasty = reply.replace(
            "<username>alice</username>",
            "<username>a<b & </username>\n<name>x</name>\n<state>DOWN</state></username>",
        );
        let list = parse_gateways(nasty.as_bytes()).unwrap();
        assert_eq!((list[3].name.as_str(), &list[3].state), ("gw_ok", &State::Reged));
    }

    #[test]
    fn a_reply_that_is_no_whole_list_is_never_an_empty_one() {
        let whole = recording("sofia-xmlstatus-gateway");
        assert!(matches!(
            parse_gateways(&whole[..whole.len() / 2]),
            Err(StatusError::NotAList(..))
        ));
        assert!(matches!(parse_gateways(b""), Err(StatusError::NotAList(..))));
        assert!(matches!(
            parse_gateways(b"Invalid Gateway!\n"),
            Err(StatusError::NotAList(..))
        ));
        let unknown = b"-ERR sofia Command not found!\n";
        assert!(
            parse_gateways(unknown)
                .unwrap_err()
                .to_string()
                .contains("load mod_sofia")
        );
    }

    #[test]
    fn the_running_profiles_are_read_from_among_their_gateways() {
        let reply = recording("sofia-xmlstatus");
        assert_eq!(parse_profiles(&reply).unwrap(), ["external", "internal"]);
        let down = String::from_utf8(reply).unwrap().replacen("RUNNING (0)", "DOWN", 1);
        assert_eq!(parse_profiles(down.as_bytes()).unwrap(), ["internal"]);
        assert!(matches!(parse_profiles(b"Invalid\n"), Err(StatusError::NotAList(..))));
    }

    #[test]
    fn a_switch_without_gateways_has_an_empty_list() {
        let reply = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<gateways>\n</gateways>\n";
        assert_eq!(parse_gateways(reply).unwrap(), []);
    }
}
