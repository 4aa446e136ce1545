//! Registration and ping states of a gateway, in FreeSWITCH's own words (FACTS 31).
//!
//! A word from a newer FreeSWITCH that trunkd does not know is passed through unchanged.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$word_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type {
            $($(#[$word_doc])* $variant,)*
            /// A word that trunkd does not know.
            Unknown(Box<str>),
        }

        impl $type {
            /// FreeSWITCH's word for it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Unknown(word) => word,
                }
            }
        }

        impl From<&str> for $type {
            fn from(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)*
                    _ => Self::Unknown(word.into()),
                }
            }
        }

        impl FromStr for $type {
            type Err = Infallible;

            fn from_str(word: &str) -> Result<Self, Infallible> {
                Ok(word.into())
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(String::deserialize(deserializer)?.as_str().into())
            }
        }
    };
}

words! {
    /// The state of a gateway's registration (`sofia_state_names` in mod_sofia.c).
    State {
        Unreged = "UNREGED",
        Trying = "TRYING",
        /// The 200 arrived; REGED follows at the next tick (FACTS 24).
        Register = "REGISTER",
        Reged = "REGED",
        /// Killed; its un-REGISTER is pending (FACTS 22).
        Unregister = "UNREGISTER",
        Failed = "FAILED",
        FailWait = "FAIL_WAIT",
        Expired = "EXPIRED",
        /// `register` is false: nothing to register.
        Noreg = "NOREG",
        Down = "DOWN",
        Timeout = "TIMEOUT",
    }
}

words! {
    /// The result of the OPTIONS pings (`sofia_gateway_status_name` in mod_sofia.c).
    PingStatus {
        Down = "DOWN",
        Up = "UP",
        Invalid = "INVALID",
    }
}

/// Whether FreeSWITCH pings a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinged {
    Yes,
    No,
    /// Unknown until a snapshot.
    Unknown,
}

/// Whether a gateway can carry calls; `None` if unknown. `before` is the previous result.
///
/// When a gateway registers again, it goes through UNREGED, TRYING and REGISTER while the ping
/// status stays UP. FreeSWITCH checks only the ping status before an outgoing call, so this is not
/// an outage (FACTS 39).
pub fn is_usable(state: &State, ping: Option<&PingStatus>, pinged: Pinged, before: Option<bool>) -> Option<bool> {
    let is_up = ping == Some(&PingStatus::Up);
    match state {
        State::Reged => Some(true),
        State::Noreg => match pinged {
            Pinged::Yes => Some(is_up),
            Pinged::No | Pinged::Unknown => None,
        },
        State::Unreged | State::Trying | State::Register => Some(is_up && before != Some(false)),
        State::Unregister | State::Failed | State::FailWait | State::Expired | State::Down | State::Timeout => {
            Some(false)
        }
        State::Unknown(_) => None,
    }
}

/// Whether a carrier that answers a registration with this SIP status won't answer anything else until
/// the gateway is edited, or the account at the carrier. Others may pass: a carrier that is overloaded,
/// one that can't be reached, a time-out. FreeSWITCH says 904 for a carrier that challenges again instead of
/// taking the password (sofia.c).
pub fn is_final_refusal(status: &str) -> bool {
    matches!(status, "401" | "403" | "404" | "407" | "410" | "904")
}

/// How often in a row the carrier refused a gateway by an answer that a retry won't change, since the gateway was
/// started, registered, unregistered, or failed in another way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub in_a_row: u32,
    /// The last refusal's: `403`, `Forbidden`. `None` if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phrase: Option<String>,
    /// When this gateway stopped being REGED, if it was since it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_until: Option<Timestamp>,
}

/// The gateway's calls since it was started (FACTS 41).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Calls {
    #[serde(rename = "in")]
    pub inbound: u64,
    #[serde(rename = "out")]
    pub outbound: u64,
    pub failed_in: u64,
    pub failed_out: u64,
}

#[cfg(test)]
mod tests;
