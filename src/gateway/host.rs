//! A host in a gateway's params: `[scheme:][user@]host[:port][;parameters]`.
//!
//! FreeSWITCH pastes these texts into SIP URIs and headers unchecked (FACTS 14).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::finding::Fault;
use super::param_values::TYPE_AGAIN;
use super::params::Kind;
use crate::language::{Text, message, text};
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
fn split_port(host: &str) -> Result<(&str, Option<&str>), Fault> {
    let brackets = || {
        Fault::new(
            text(
                "has an IPv6 address without its brackets, or brackets around something else",
                "IPv6 地址没有加方括号，或者方括号中是其他内容",
            ),
            text(
                "write an IPv6 address as [2001:db8::1], and nothing else in brackets",
                "IPv6 地址请写成 [2001:db8::1]，方括号中不要有其他内容",
            ),
        )
    };
    if let Some(rest) = host.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or_else(brackets)?;
        address.parse::<Ipv6Addr>().map_err(|_| brackets())?;
        let name = &host[..address.len() + 2];
        return match rest.strip_prefix(':') {
            Some(port) => Ok((name, Some(port))),
            None if rest.is_empty() => Ok((name, None)),
            None => Err(brackets()),
        };
    }
    if host.contains(['[', ']']) || host.parse::<Ipv6Addr>().is_ok() {
        return Err(brackets());
    }
    Ok(host
        .split_once(':')
        .map_or((host, None), |(name, port)| (name, Some(port))))
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
        text(
            "has a port that is not a number from 1 to 65535",
            "端口不是 1 到 65535 之间的数字",
        ),
        text(
            "write the port as digits, or leave it out with its ':'",
            "端口请只写数字，或者连同 ':' 一起去掉",
        ),
    ))
}

fn check_name(name: &str, kind: Kind) -> Result<(), Fault> {
    const FIX: Text = text(
        "write a host name or an address, such as sip.example.net or 192.0.2.1",
        "请填写域名或地址，例如 sip.example.net 或 192.0.2.1",
    );
    if name.starts_with('[') {
        return Ok(());
    }
    if name.is_empty() {
        return Err(Fault::new(text("has no host", "没有主机部分"), FIX));
    }
    if let Some(c) = name.chars().find(|c| !is_of_host_name(*c)) {
        let reason = message!("has a '{c}', which no host name has", "含有 '{c}'，主机名中不能有它");
        return Err(Fault::new(reason, FIX));
    }
    let labels = || name.strip_suffix('.').unwrap_or(name).split('.');
    if labels().any(str::is_empty) {
        let reason = text(
            "begins with a dot, or has two dots in a row",
            "以点号开头，或有连续两个点号",
        );
        return Err(Fault::new(reason, FIX));
    }
    let is_numeric = labels().all(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    if is_numeric && kind != Kind::FromHost && name.parse::<Ipv4Addr>().is_err() {
        let reason = text(
            "looks like an IPv4 address, and is none",
            "形似 IPv4 地址，但不是有效地址",
        );
        return Err(Fault::new(reason, FIX));
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
            text(
                "has an empty parameter: a ';' with nothing behind it",
                "含有空参数：';' 后面没有内容",
            ),
            text("remove that ';'", "请删除该 ';'"),
        ));
    }
    Ok(all)
}

/// The host of the Contact: bare, since FreeSWITCH adds port and brackets itself.
pub(super) fn check_contact_host(host: &str) -> Result<(), Fault> {
    check_characters(host)?;
    if host.parse::<IpAddr>().is_ok() || is_host_name(host) {
        return Ok(());
    }
    Err(Fault::new(
        text(
            "is not a bare host; FreeSWITCH itself adds the port, and brackets around an IPv6 address",
            "不是单纯的主机；端口和 IPv6 地址的方括号由 FreeSWITCH 自行添加",
        ),
        text(
            "write a host name or an address alone, or sip-ip",
            "请只填写域名或地址，或者填写 sip-ip",
        ),
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
fn check_characters(host: &str) -> Result<(), Fault> {
    if host.contains("://") {
        return Err(Fault::new(
            text("is a URL", "是一个 URL"),
            text(
                "write the host alone, such as sip.example.net or 192.0.2.1:5060",
                "请只填写主机，例如 sip.example.net 或 192.0.2.1:5060",
            ),
        ));
    }
    for (at, c) in host.chars().enumerate() {
        let number = u32::from(c);
        let place = at + 1;
        if !is_harmless(c) {
            let reason = message!(
                "has the invisible character U+{number:04X} (character {place})",
                "含有不可见字符 U+{number:04X}（第 {place} 个字符）"
            );
            return Err(Fault::new(reason, TYPE_AGAIN));
        }
        match c {
            ' ' => {
                let reason = message!("has a space in it (character {place})", "含有空格（第 {place} 个字符）");
                let fix = text("write one host, without spaces", "请填写一个主机，不要有空格");
                return Err(Fault::new(reason, fix));
            }
            ',' => {
                let reason = text(
                    "has a comma in it; FreeSWITCH takes one host, no list",
                    "含有逗号；FreeSWITCH 只接受一个主机，不接受列表",
                );
                let fix = text(
                    "write one host; a second one is a gateway of its own, or a DNS name with SRV records",
                    "请只填写一个主机；第二个主机应作为单独的网关，或使用带 SRV 记录的 DNS 域名",
                );
                return Err(Fault::new(reason, fix));
            }
            '<' | '>' | '"' | '?' | '#' => {
                let reason = message!("has a '{c}', which ends the host", "含有 '{c}'，主机会在此处被截断");
                return Err(Fault::new(reason, text("write the host without it", "请去掉该字符")));
            }
            _ if !c.is_ascii() => {
                let reason = message!(
                    "has the character U+{number:04X} (character {place}), which no host name has",
                    "含有字符 U+{number:04X}（第 {place} 个字符），主机名中不能有它"
                );
                let fix = text(
                    "write ASCII letters and digits, and a name with other letters in its xn-- form",
                    "请使用 ASCII 字母和数字；含有其他文字的域名请写成 xn-- 形式",
                );
                return Err(Fault::new(reason, fix));
            }
            _ => {}
        }
    }
    Ok(())
}

fn scheme_fault(kind: Kind) -> Fault {
    let reason = match kind {
        Kind::FromHost => text(
            "begins with 'sip:', and FreeSWITCH puts it behind one: From is no SIP URI then",
            "以 'sip:' 开头，而 FreeSWITCH 会在前面再加一个：From 不再是有效的 SIP URI",
        ),
        _ => text(
            "begins with 'sip:', and FreeSWITCH puts it behind one: \
             no REGISTER and no ping is ever sent, and calls fail unless From needs no proxy",
            "以 'sip:' 开头，而 FreeSWITCH 会在前面再加一个：REGISTER 和心跳都不会发出，From \
             需要用到 proxy 时呼叫也会失败",
        ),
    };
    Fault::new(reason, text("write the host without 'sip:'", "主机前面不要加 'sip:'"))
}

fn user_fault(kind: Kind) -> Fault {
    let reason = match kind {
        Kind::Route => text("has a user part and no host", "只有用户部分，没有主机"),
        Kind::FromHost => text(
            "has a user part ('…@'); From would have two '@'",
            "含有用户部分（'…@'），From 中会出现两个 '@'",
        ),
        _ => text(
            "has a user part ('…@'), which FreeSWITCH puts behind another one",
            "含有用户部分（'…@'），而 FreeSWITCH 会在前面再加一个用户部分",
        ),
    };
    Fault::new(
        reason,
        text(
            "write the host alone; the account's name is username, the user in From from-user",
            "请只填写主机；账号名填在 username，From 头中的用户名填在 from-user",
        ),
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
