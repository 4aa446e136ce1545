//! The catalog of params: every `<param>` of a gateway that FreeSWITCH reads, where its value goes, and
//! advice for operators.
//!
//! The checks of values (`check.rs`), the suggestions for misspelt names, and the tables in
//! docs/gateways.md come from here.
//! Source: `parse_gateways` in sofia.c (FACTS 12).

mod catalog;

use std::fmt;

pub use catalog::PARAMS;

/// One param of the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParamSpec {
    /// The exact name: FreeSWITCH ignores any other spelling.
    pub name: &'static str,
    pub group: Group,
    pub kind: Kind,
    pub default: Fallback,
    /// Whether the value may never be shown.
    pub secret: bool,
    /// What it is for: one sentence.
    pub purpose: &'static str,
    /// What to do with it: one sentence, or nothing.
    pub advice: &'static str,
}

impl ParamSpec {
    /// Which fact of docs/freeswitch.md says how FreeSWITCH reads the value.
    pub fn fact(&self) -> u8 {
        match self.kind {
            Kind::Bool => 13,
            Kind::Host
            | Kind::Route
            | Kind::FromHost
            | Kind::ContactHost
            | Kind::User
            | Kind::UriParameters
            | Kind::Networks => 14,
            Kind::Number(_) | Kind::Transport => 15,
            Kind::Header | Kind::Text => 12,
        }
    }
}

/// Groups of params, in the order of tables and forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    Account,
    Addresses,
    Identity,
    Calls,
    Timers,
    Pings,
}

impl Group {
    pub const ALL: [Self; 6] = [
        Self::Account,
        Self::Addresses,
        Self::Identity,
        Self::Calls,
        Self::Timers,
        Self::Pings,
    ];

    /// As a heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Account => "The account",
            Self::Addresses => "Where requests go",
            Self::Identity => "From, To and Contact",
            Self::Calls => "Calls",
            Self::Timers => "Times",
            Self::Pings => "Pings",
        }
    }
}

/// Where a value goes, which decides what it may contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `switch_true` reads it (FACTS 13).
    Bool,
    /// `atoi` reads it.
    Number(Number),
    /// `host[:port][;parameters]`, put behind `sip:` (FACTS 14).
    Host,
    /// The same, optionally after `sip:` or `sips:` and a user part: a separate proxy.
    Route,
    /// The same as [`Kind::Host`], but nothing is ever sent there: the host of From.
    FromHost,
    /// A host name or address without port and brackets, or `sip-ip`: the host of the Contact.
    ContactHost,
    /// The user part of a SIP URI, or a piece of it.
    User,
    /// Parameters of the Contact's URI, with `;` between.
    UriParameters,
    /// `udp`, `tcp`, `tls` or `sctp`: the beginning counts, in any case.
    Transport,
    /// Networks with commas between, or the name of an access list.
    Networks,
    /// The text of a SIP header.
    Header,
    /// Any text.
    Text,
}

/// The numbers that FreeSWITCH accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    pub least: i32,
    pub below: Below,
}

/// What FreeSWITCH does with a number that is too small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below {
    /// It uses this number instead.
    Takes(u32),
    /// It ignores it, as if the param were not set.
    Without(&'static str),
    /// It uses it, with bad results.
    Keeps,
}

/// What FreeSWITCH uses if the param is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// This value. Setting it changes nothing.
    Value(&'static str),
    /// Described in words, such as the value of another param.
    Is(&'static str),
    Nothing,
}

impl fmt::Display for Fallback {
    /// As in docs/gateways.md.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, "`{value}`"),
            Self::Is(words) => f.write_str(words),
            Self::Nothing => f.write_str("–"),
        }
    }
}

/// The param with this exact name.
pub fn param(name: &str) -> Option<&'static ParamSpec> {
    // A gateway has a handful of params, and comparing lengths first makes this cheaper than hashing.
    PARAMS.iter().find(|spec| spec.name == name)
}

#[cfg(test)]
mod tests;
