//! Parses values as people write them. A TOML file has typed values and a variable has bare text, so both are parsed
//! from text by the same rules. A password that looks like a number stays as it is.

use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;
use serde::Deserializer;
use serde::de::{Error, SeqAccess, Visitor};

use super::choices::{AllowHooks, LogFormat, ReconcileMode};

/// A value that is parsed from one text. The error says what to write instead, and quotes the text
/// unless it is a secret.
pub(super) trait FromText: Sized {
    /// What is expected, for the error about a value of another type.
    const EXPECTED: &'static str;

    fn from_text(text: &str) -> Result<Self, String>;
}

pub(super) fn one<'de, D: Deserializer<'de>, T: FromText>(from: D) -> Result<T, D::Error> {
    from.deserialize_any(One(PhantomData))
}

pub(super) fn maybe<'de, D: Deserializer<'de>, T: FromText>(from: D) -> Result<Option<T>, D::Error> {
    one(from).map(Some)
}

/// A list, or one comma-separated text. Without [`ListItem::SPLIT`], one text is one item.
pub(super) fn list<'de, D: Deserializer<'de>, T: ListItem>(from: D) -> Result<Vec<T>, D::Error> {
    from.deserialize_any(Many(PhantomData))
}

/// A number of bytes.
pub(super) fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    one(from).map(|ByteSize(bytes)| bytes)
}

/// An item of a list.
pub(super) trait ListItem: FromText {
    /// Whether commas separate items in a text.
    const SPLIT: bool = true;
}

/// `true`, `false`, or a list of names, which may be one comma-separated text.
pub(super) fn hooks<'de, D: Deserializer<'de>>(from: D) -> Result<AllowHooks, D::Error> {
    from.deserialize_any(Hooks)
}

struct Hooks;

impl<'de> Visitor<'de> for Hooks {
    type Value = AllowHooks;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("true, false, or a list of variable names")
    }

    fn visit_bool<E: Error>(self, all: bool) -> Result<AllowHooks, E> {
        Ok(if all { AllowHooks::Yes } else { AllowHooks::No })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<AllowHooks, E> {
        match text.trim() {
            "true" => Ok(AllowHooks::Yes),
            "false" => Ok(AllowHooks::No),
            names => hook_names(names.split(',')).map(AllowHooks::Names).map_err(E::custom),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<AllowHooks, A::Error> {
        let mut names = Vec::new();
        while let Some(Item(name)) = items.next_element::<Item<String>>()? {
            names.push(name);
        }
        let names = hook_names(names.iter().map(String::as_str));
        names.map(AllowHooks::Names).map_err(A::Error::custom)
    }
}

fn hook_names<'a>(names: impl Iterator<Item = &'a str>) -> Result<Vec<String>, String> {
    names
        .map(|name| {
            let name = name.trim().to_ascii_lowercase();
            let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
            if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(is_name) {
                return Err(format!(
                    "`{name}` is not a variable name: write true, or names such as \"api_hangup_hook\""
                ));
            }
            Ok(name)
        })
        .collect()
}

struct One<T>(PhantomData<T>);

impl<'de, T: FromText> Visitor<'de> for One<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text).map_err(E::custom)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        self.visit_str(if value { "true" } else { "false" })
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }
}

struct Many<T>(PhantomData<T>);

impl<'de, T: ListItem> Visitor<'de> for Many<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "a list, each item {}", T::EXPECTED)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(Item(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<T>, E> {
        let read = |item| T::from_text(item).map_err(E::custom);
        if T::SPLIT {
            text.split(',').map(|item| read(item.trim())).collect()
        } else {
            Ok(vec![read(text)?])
        }
    }
}

struct Item<T>(T);

impl<'de, T: FromText> serde::Deserialize<'de> for Item<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        one(from).map(Item)
    }
}

impl FromText for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("`{text}` is neither true nor false"))
    }
}

impl FromText for u32 {
    const EXPECTED: &'static str = "a whole number";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| format!("`{text}` is not a whole number from 0 to {}", u32::MAX))
    }
}

impl FromText for usize {
    const EXPECTED: &'static str = "a whole number";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| format!("`{text}` is not a whole number of 0 or more"))
    }
}

impl FromText for String {
    const EXPECTED: &'static str = "text";

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl ListItem for String {}

impl FromText for Duration {
    const EXPECTED: &'static str = "a time with its unit, such as \"300ms\" or \"60s\"";

    fn from_text(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text)
            .map_err(|_| format!("`{text}` is not a time with a unit: write \"300ms\", \"60s\" or \"5m\""))
    }
}

impl FromText for SocketAddr {
    const EXPECTED: &'static str = "an address with its port, such as \"127.0.0.1:8080\"";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| {
            format!(
                "`{text}` is not a numeric address with a port: write \"127.0.0.1:8080\", \"[::1]:8080\", \
                 or \"0.0.0.0:8080\" for every address of this machine"
            )
        })
    }
}

impl FromText for IpNet {
    const EXPECTED: &'static str = "a network, such as \"10.0.0.0/8\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let network = text
            .parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(|network| network.trunc()).map_err(|_| {
            format!(
                "`{text}` is not a network: write \"10.0.0.0/8\", or an address such as \"192.0.2.7\" or \
                 \"2001:db8::7\""
            )
        })
    }
}

impl ListItem for IpNet {}

impl FromText for ReconcileMode {
    const EXPECTED: &'static str = "apply, observe or off";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "apply" => Ok(ReconcileMode::Apply),
            "observe" => Ok(ReconcileMode::Observe),
            "off" => Ok(ReconcileMode::Off),
            _ => Err(format!("`{text}` is not one of apply, observe, off")),
        }
    }
}

impl FromText for LogFormat {
    const EXPECTED: &'static str = "auto, human or json";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(LogFormat::Auto),
            "human" => Ok(LogFormat::Human),
            "json" => Ok(LogFormat::Json),
            _ => Err(format!("`{text}` is not one of auto, human, json")),
        }
    }
}

/// A host, by name or number, and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// Without brackets, also for IPv6.
    pub host: String,
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        HostPort {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::from_text(text)
    }
}

impl FromText for HostPort {
    const EXPECTED: &'static str = "a host and its port, such as \"127.0.0.1:8021\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a host with a port: write \"10.0.0.5:8021\", \"fs1.example.net:8021\" or \
                 \"[::1]:8021\""
            )
        };
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(address.into());
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if host.is_empty() || !host.chars().all(is_name) {
            return Err(wrong());
        }
        Ok(HostPort {
            host: host.to_ascii_lowercase(),
            port,
        })
    }
}

impl ListItem for HostPort {}

/// One pair of Basic credentials.
#[derive(Debug, Clone)]
pub struct Credential {
    pub user: String,
    pub password: SecretString,
}

impl FromText for Credential {
    const EXPECTED: &'static str = "\"user:password\"";

    /// The first colon ends the user, as in the Basic scheme and in mod_xml_curl's `gateway-credentials` (FACTS 6).
    fn from_text(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((user, password)) if !user.is_empty() && !password.is_empty() => Ok(Credential {
                user: user.to_owned(),
                password: password.into(),
            }),
            // The text is a secret, or was meant to be one.
            _ => Err("a pair must be \"user:password\", with neither side empty".to_owned()),
        }
    }
}

impl ListItem for Credential {
    const SPLIT: bool = false;
}

struct ByteSize(usize);

impl FromText for ByteSize {
    const EXPECTED: &'static str = "a size, such as \"64KiB\" or a number of bytes";

    fn from_text(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a size: write a number of bytes, or \"64KiB\" or \"1MiB\"");
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let scale: usize = match unit.trim_start().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kb" => 1_000,
            "k" | "kib" => 1 << 10,
            "mb" => 1_000_000,
            "m" | "mib" => 1 << 20,
            _ => return Err(wrong()),
        };
        let number: usize = number.parse().map_err(|_| wrong())?;
        number.checked_mul(scale).map(ByteSize).ok_or_else(wrong)
    }
}

/// `127.0.0.0/8` and `::1/128`.
pub(super) fn loopback_networks() -> Vec<IpNet> {
    ["127.0.0.0/8", "::1/128"]
        .into_iter()
        .filter_map(|network| network.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests;
