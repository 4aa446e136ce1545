//! A host in a gateway's params: `[scheme:][user@]host[:port][;parameters]`.
//!
//! FreeSWITCH pastes these texts into SIP URIs and headers unchecked (FACTS 14).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::finding::Fault;
use super::params::Kind;
use crate::shown::is_harmless;

/// The longest port, in digits: FreeSWITCH dials no number behind a longer one.
const MAX_PORT_DIGITS: usize = 5;

/// A host text that is well formed for its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Host<'a> {
    /// Whether it begins with `sips:`.
    pub(super) is_sips: bool,
    /// Name or address as written, an IPv6 address with its brackets.
    pub(super) name: &'a str,
    parameters: &'a str,
}

impl<'a> Host<'a> {
    /// Reads the text of a param of this kind; the error says what is wrong with it.
    pub(super) fn parse(text: &'a str, kind: Kind) -> Result<Self, Fault> {
        check_characters(text)?;
        let (scheme, rest) = split_scheme(text);
        if scheme.is_some() && kind != Kind::Route {
            return Err(scheme_fault(kind));
        }
        let rest = match rest.split_once('@') {
            Some((_, host)) if kind == Kind::Route && !host.is_empty() => host,
            Some(_) => return Err(user_fault(kind)),
            None => rest,
        };
        let (host_port, parameters) = rest
            .split_once(';')
            .map_or((rest, None), |(host, more)| (host, Some(more)));
        let (name, port) = split_port(host_port)?;
        check_name(name, kind)?;
        check_port(port)?;
        let parameters = check_parameters(parameters, kind)?;
        Ok(Self {
            is_sips: scheme == Some("sips"),
            name,
            parameters,
        })
    }

    /// The value of the URI parameter `transport`.
    pub(super) fn transport(&self) -> Option<&'a str> {
        parameter(self.parameters, "transport")
    }

    pub(super) fn is_ipv6(&self) -> bool {
        self.name.starts_with('[')
    }
}

/// The value of a URI parameter, whose name counts in any case.
pub(super) fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters
        .split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .find_map(|(known, value)| known.trim().eq_ignore_ascii_case(name).then_some(value))
}

/// The text that FreeSWITCH compares the sender of a challenge with (`sofia_glue_get_host_from_cfg` in sofia_glue.c).
pub(super) fn compared(text: &str) -> &str {
    let text = split_scheme(text).1;
    match text.find(']') {
        Some(end) if text[end + 1..].starts_with(':') => &text[..=end],
        Some(_) => text,
        None => text.rsplit_once(':').map_or(text, |(host, _)| host),
    }
}

/// Whether a sender can be equal to that text, or be found under it in the DNS (`is_host_from_gateway` in sofia_reg.c).
/// An IPv6 address never is: the sender's comes without brackets.
pub(super) fn is_comparable(compared: &str) -> bool {
    compared.parse::<Ipv4Addr>().is_ok() || is_host_name(compared)
}

/// Splits off `sip:` or `sips:`, in any case.
pub(super) fn split_scheme(text: &str) -> (Option<&'static str>, &str) {
    for scheme in ["sip", "sips"] {
        let end = scheme.len();
        if text.get(..end).is_some_and(|start| start.eq_ignore_ascii_case(scheme)) && text[end..].starts_with(':') {
            return (Some(scheme), &text[end + 1..]);
        }
    }
    (None, text)
}

/// Splits `host:port`, an IPv6 address in brackets.
fn split_port(text: &str) -> Result<(&str, Option<&str>), Fault> {
    let brackets = || {
        Fault::new(
            "has an IPv6 address without its brackets, or brackets around something else",
            "write an IPv6 address as [2001:db8::1], and nothing else in brackets",
        )
    };
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or_else(brackets)?;
        address.parse::<Ipv6Addr>().map_err(|_| brackets())?;
        let name = &text[..address.len() + 2];
        return match rest.strip_prefix(':') {
            Some(port) => Ok((name, Some(port))),
            None if rest.is_empty() => Ok((name, None)),
            None => Err(brackets()),
        };
    }
    if text.contains(['[', ']']) || text.parse::<Ipv6Addr>().is_ok() {
        return Err(brackets());
    }
    Ok(text
        .split_once(':')
        .map_or((text, None), |(name, port)| (name, Some(port))))
}

fn check_port(port: Option<&str>) -> Result<(), Fault> {
    let Some(port) = port else { return Ok(()) };
    let is_port = port.len() <= MAX_PORT_DIGITS
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok_and(|port| port > 0);
    if is_port {
        return Ok(());
    }
    Err(Fault::new(
        "has a port that is not a number from 1 to 65535",
        "write the port as digits, or leave it out with its ':'",
    ))
}

fn check_name(name: &str, kind: Kind) -> Result<(), Fault> {
    const FIX: &str = "write a host name or an address, such as sip.example.net or 192.0.2.1";
    if name.starts_with('[') {
        return Ok(());
    }
    if name.is_empty() {
        return Err(Fault::new("has no host", FIX));
    }
    if let Some(c) = name.chars().find(|c| !is_of_host_name(*c)) {
        return Err(Fault::new(format!("has a '{c}', which no host name has"), FIX));
    }
    let labels = || name.strip_suffix('.').unwrap_or(name).split('.');
    if labels().any(str::is_empty) {
        return Err(Fault::new("begins with a dot, or has two dots in a row", FIX));
    }
    let is_numeric = labels().all(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    if is_numeric && kind != Kind::FromHost && name.parse::<Ipv4Addr>().is_err() {
        return Err(Fault::new("looks like an IPv4 address, and is none", FIX));
    }
    Ok(())
}

/// The parameters, without an empty one at the end where it does no harm.
fn check_parameters(parameters: Option<&str>, kind: Kind) -> Result<&str, Fault> {
    let Some(parameters) = parameters else { return Ok("") };
    let all = match kind {
        Kind::Route => parameters.strip_suffix(';').unwrap_or(parameters),
        _ => parameters,
    };
    if all.split(';').any(str::is_empty) && !(all.is_empty() && kind == Kind::Route) {
        return Err(Fault::new(
            "has an empty parameter: a ';' with nothing behind it",
            "remove that ';'",
        ));
    }
    Ok(all)
}

/// The host of the Contact: bare, since FreeSWITCH adds port and brackets itself.
pub(super) fn check_contact_host(text: &str) -> Result<(), Fault> {
    check_characters(text)?;
    if text.parse::<IpAddr>().is_ok() || is_host_name(text) {
        return Ok(());
    }
    Err(Fault::new(
        "is not a bare host; FreeSWITCH itself adds the port, and brackets around an IPv6 address",
        "write a host name or an address alone, or sip-ip",
    ))
}

fn is_host_name(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(is_of_host_name)
        && !text.strip_suffix('.').unwrap_or(text).split('.').any(str::is_empty)
}

fn is_of_host_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')
}

/// Characters that are never valid in such a text. A host is not a secret, but it may be a
/// misplaced password: so a single character is all that is repeated of it.
fn check_characters(text: &str) -> Result<(), Fault> {
    if text.contains("://") {
        return Err(Fault::new(
            "is a URL",
            "write the host alone, such as sip.example.net or 192.0.2.1:5060",
        ));
    }
    for (at, c) in text.chars().enumerate() {
        let number = u32::from(c);
        let place = at + 1;
        if !is_harmless(c) {
            let reason = format!("has the invisible character U+{number:04X} (character {place})");
            return Err(Fault::new(reason, "remove it, or type the value again"));
        }
        match c {
            ' ' => {
                let reason = format!("has a space in it (character {place})");
                return Err(Fault::new(reason, "write one host, without spaces"));
            }
            ',' => {
                let fix = "write one host; a second one is a gateway of its own, or a DNS name with SRV records";
                return Err(Fault::new("has a comma in it; FreeSWITCH takes one host, no list", fix));
            }
            '<' | '>' | '"' | '?' | '#' => {
                let reason = format!("has a '{c}', which ends the host");
                return Err(Fault::new(reason, "write the host without it"));
            }
            _ if !c.is_ascii() => {
                let reason = format!("has the character U+{number:04X} (character {place}), which no host name has");
                let fix = "write ASCII letters and digits, and a name with other letters in its xn-- form";
                return Err(Fault::new(reason, fix));
            }
            _ => {}
        }
    }
    Ok(())
}

fn scheme_fault(kind: Kind) -> Fault {
    let reason = match kind {
        Kind::FromHost => "begins with 'sip:', and FreeSWITCH puts it behind one: From is no SIP URI then",
        _ => {
            "begins with 'sip:', and FreeSWITCH puts it behind one: \
             no REGISTER and no ping is ever sent, and calls fail unless From needs no proxy"
        }
    };
    Fault::new(reason, "write the host without 'sip:'")
}

fn user_fault(kind: Kind) -> Fault {
    let reason = match kind {
        Kind::Route => "has a user part and no host",
        Kind::FromHost => "has a user part ('…@'); From would have two '@'",
        _ => "has a user part ('…@'), which FreeSWITCH puts behind another one",
    };
    Fault::new(
        reason,
        "write the host alone; the account's name is username, the user in From from-user",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freeswitch_compares_challenges_with_what_is_before_the_last_colon() {
        for (text, expected, comparable) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1:5060", "192.0.2.1", true),
            ("192.0.2.1:5060;transport=udp", "192.0.2.1", true),
            ("sip:192.0.2.1:5060", "192.0.2.1", true),
            ("SIPS:sip.example.net", "sip.example.net", true),
            ("sip.example.net;transport=udp", "sip.example.net;transport=udp", false),
            ("192.0.2.1;x=a:b", "192.0.2.1;x=a", false),
            ("u@192.0.2.1:5060", "u@192.0.2.1", false),
            ("[2001:db8::1]", "[2001:db8::1]", false),
            ("[2001:db8::1]:5060", "[2001:db8::1]", false),
            ("[2001:db8::1];lr", "[2001:db8::1];lr", false),
            ("2001:db8::1", "2001:db8:", false),
            ("", "", false),
        ] {
            assert_eq!(
                (compared(text), is_comparable(compared(text))),
                (expected, comparable),
                "{text}"
            );
        }
    }

    #[test]
    fn a_host_has_its_parts() {
        let host = Host::parse("sips:u@[2001:db8::1]:5061;lr;Transport=tls", Kind::Route).unwrap();
        assert_eq!((host.name, host.is_sips, host.is_ipv6()), ("[2001:db8::1]", true, true));
        assert_eq!(host.transport(), Some("tls"));
        let host = Host::parse("sip.example.net.", Kind::Host).unwrap();
        assert_eq!(
            (host.name, host.is_sips, host.transport()),
            ("sip.example.net.", false, None)
        );
    }
}
