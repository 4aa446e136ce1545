//! `[[carrier]]`: how gently one carrier is registered with.

use serde::Deserialize;

use super::error::SettingsError;
use super::text::{self, FromText, ListItem};

/// The longest name: it is a label of metrics.
const MAX_NAME_BYTES: usize = 253;

/// One `[[carrier]]`. Gateways name it in their key `carrier`, or have a host that it lists.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CarrierSettings {
    /// What gateways call it, and what it is called everywhere. Its own name is one of its hosts.
    /// Environment: see [`Settings::carriers`].
    ///
    /// [`Settings::carriers`]: super::Settings::carriers
    pub name: String,
    /// More of its hosts, such as `sip1.example.net` or `*.example.net`.
    #[serde(default, rename = "match", deserialize_with = "text::list")]
    pub hosts: Vec<HostPattern>,
    /// REGISTERs per second that trunkd causes, over all switches and all trunkd. None: no limit but
    /// `reconcile.starts_per_second`.
    #[serde(default, deserialize_with = "text::maybe")]
    pub registers_per_second: Option<u32>,
    /// REGISTERs that are not answered yet, over all switches. None: no limit.
    #[serde(default, deserialize_with = "text::maybe")]
    pub registers_in_flight: Option<u32>,
    /// Whether a switch that starts keeps to that pace too.
    #[serde(default = "yes", deserialize_with = "text::one")]
    pub pace_boot: bool,
    /// By how much `expire-seconds` is shortened at most, so that gateways that started together don't
    /// register again together.
    #[serde(default, deserialize_with = "text::one")]
    pub jitter: Percent,
}

impl CarrierSettings {
    /// A carrier with this pace, and nothing else.
    pub fn paced(name: &str, registers_per_second: Option<u32>, registers_in_flight: Option<u32>) -> Self {
        Self {
            name: name.to_owned(),
            hosts: Vec::new(),
            registers_per_second,
            registers_in_flight,
            pace_boot: true,
            jitter: Percent::default(),
        }
    }

    /// Whether there is a limit at all.
    pub fn is_paced(&self) -> bool {
        self.registers_per_second.is_some() || self.registers_in_flight.is_some()
    }
}

fn yes() -> bool {
    true
}

/// A host name, or `*.` and the end of one. In lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern(String);

impl HostPattern {
    /// `host` is in lower case.
    pub fn is_match(&self, host: &str) -> bool {
        match self.0.strip_prefix('*') {
            Some(end) => host.len() > end.len() && host.ends_with(end),
            None => host == self.0,
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromText for HostPattern {
    const EXPECTED: &'static str = "a host, such as \"sip1.example.net\" or \"*.example.net\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let host = text.strip_prefix("*.").unwrap_or(text);
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        if host.is_empty() || !host.chars().all(is_name) {
            return Err(format!(
                "`{text}` is not a host: write \"sip1.example.net\", \"192.0.2.7\", or \"*.example.net\" for all \
                 hosts below one"
            ));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl ListItem for HostPattern {}

/// A share from 0 to 50 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Percent(u8);

impl Percent {
    /// More would register twice as often.
    const MAX: u8 = 50;

    pub fn get(self) -> u8 {
        self.0
    }
}

impl FromText for Percent {
    const EXPECTED: &'static str = "a share, such as \"10%\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').unwrap_or(text).trim_end();
        let percent = number.parse().ok().filter(|percent| *percent <= Self::MAX);
        percent
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a share from 0 to {} %: write \"10%\"", Self::MAX))
    }
}

type Refuse<'a> = dyn Fn(&str, String) -> Result<(), SettingsError> + 'a;

pub(super) fn check(carriers: &[CarrierSettings], invalid: &Refuse) -> Result<(), SettingsError> {
    for (at, carrier) in carriers.iter().enumerate() {
        let name = &carrier.name;
        if name.trim().is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
            let problem = format!(
                "write what gateways have in their key `carrier`, or the carrier's host, such as \
                 \"sip.example.net\"; at most {MAX_NAME_BYTES} bytes"
            );
            return invalid("carrier.name", problem);
        }
        let before = &carriers[..at];
        if before.iter().any(|other| other.name.eq_ignore_ascii_case(name)) {
            let problem = format!("two carriers are named \"{name}\": keep one of them");
            return invalid("carrier.name", problem);
        }
        let is_taken = |host: &&HostPattern| before.iter().any(|other| other.hosts.contains(host));
        if let Some(host) = carrier.hosts.iter().find(is_taken) {
            let problem = format!(
                "\"{}\" belongs to two carriers: keep it with one of them",
                host.as_str()
            );
            return invalid("carrier.match", problem);
        }
        let paces = [
            ("carrier.registers_per_second", carrier.registers_per_second),
            ("carrier.registers_in_flight", carrier.registers_in_flight),
        ];
        for (key, pace) in paces {
            if pace == Some(0) {
                let problem = format!("0 would never register with \"{name}\": write 1 or more, or leave it out");
                return invalid(key, problem);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_hosts_below_it_but_not_itself() {
        let pattern = |text| HostPattern::from_text(text).unwrap();
        let wild = pattern("*.Example.net");
        assert!(wild.is_match("sip1.example.net") && wild.is_match("a.b.example.net"));
        assert!(!wild.is_match("example.net") && !wild.is_match("badexample.net") && !wild.is_match(".example.net"));
        assert!(pattern("192.0.2.7").is_match("192.0.2.7"));
        assert!(HostPattern::from_text("*").is_err() && HostPattern::from_text("a*.net").is_err());
    }

    #[test]
    fn a_share_is_from_0_to_50_percent() {
        let percent = |text| Percent::from_text(text).map(Percent::get);
        assert_eq!(percent("10%"), Ok(10));
        assert_eq!(percent("10 %"), Ok(10));
        assert_eq!(percent("0"), Ok(0));
        assert!(percent("51%").is_err() && percent("-1%").is_err() && percent("x").is_err());
    }
}
