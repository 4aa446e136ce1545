//! What every trunkd sees of every switch: the hash `trunkd:sights`, one field per trunkd; and where
//! each switch answers SIP: `trunkd:sip`.
//!
//! The only clock in it is Redis's, which says how old a field is. How long a switch is lost is a
//! duration, so no two clocks are ever compared.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::keys;
use crate::redis::{Store, StoreError, script_with_now};

/// Older sights count for nothing: a running trunkd writes three times as often.
pub const SIGHT_LASTS: Duration = Duration::from_secs(3);
/// A trunkd that wrote nothing for so long is gone, and its field is removed.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// No trunkd has more to say, with thousands of switches.
const LONGEST_FIELD: usize = 1 << 20;

/// Whether a switch can be reached in one of two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Signal {
    /// It answers. The last sign of life was so long ago; an event socket gives one all the time, unless it owes an
    /// answer.
    Alive {
        #[serde(default)]
        ago_ms: u64,
    },
    /// It answered this trunkd, but not for so long.
    Lost { for_ms: u64 },
    /// It never answered this trunkd, which has tried for so long. It may have died before.
    Never { for_ms: u64 },
    /// Nobody knows where to ask.
    #[serde(other)]
    Unknown,
}

/// What one trunkd sees of one switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    pub event_socket: Signal,
    /// SIP OPTIONS to its default profile.
    pub sip: Signal,
}

/// What one trunkd sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrunkdSights {
    /// When it was written, in ms by Redis's clock.
    #[serde(rename = "at")]
    pub at_ms: u64,
    /// Whether it changes switches, and so could place gateways.
    #[serde(default)]
    pub places: bool,
    /// By switch.
    pub switches: BTreeMap<String, Sight>,
}

/// What all trunkd see, and when that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sights {
    /// In ms by Redis's clock.
    pub now_ms: u64,
    /// By trunkd.
    pub by_trunkd: BTreeMap<String, TrunkdSights>,
}

impl Signal {
    pub fn alive(ago: Duration) -> Self {
        Self::Alive { ago_ms: ms(ago) }
    }

    pub fn lost(lasts: Duration) -> Self {
        Self::Lost { for_ms: ms(lasts) }
    }

    pub fn never(lasts: Duration) -> Self {
        Self::Never { for_ms: ms(lasts) }
    }

    pub fn is_alive(self) -> bool {
        matches!(self, Self::Alive { .. })
    }

    /// How old its last sign of life is; `None` if it does not answer, or nobody knows.
    pub fn last_sign(self) -> Option<Duration> {
        match self {
            Self::Alive { ago_ms } => Some(Duration::from_millis(ago_ms)),
            Self::Lost { .. } | Self::Never { .. } | Self::Unknown => None,
        }
    }

    /// For how long it has not answered; `None` if it answers, or nobody knows.
    pub fn silence(self) -> Option<Duration> {
        match self {
            Self::Lost { for_ms } | Self::Never { for_ms } => Some(Duration::from_millis(for_ms)),
            Self::Alive { .. } | Self::Unknown => None,
        }
    }
}

impl Sight {
    pub fn is_alive(self) -> bool {
        self.event_socket.is_alive() || self.sip.is_alive()
    }
}

impl Sights {
    /// Those that count: written within [`SIGHT_LASTS`], with their age. One from the future was
    /// written before Redis's clock was set back, so nobody knows how old it is.
    pub fn fresh(&self) -> impl Iterator<Item = (&TrunkdSights, Duration)> {
        self.by_trunkd.values().filter_map(|sights| {
            let age = Duration::from_millis(self.now_ms.checked_sub(sights.at_ms)?);
            (age <= SIGHT_LASTS).then_some((sights, age))
        })
    }
}

impl TrunkdSights {
    /// How many switches it is connected to.
    pub fn connected(&self) -> usize {
        let sights = self.switches.values();
        sights.filter(|sight| sight.event_socket.is_alive()).count()
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Store {
    /// Writes what this trunkd sees, and reads what all see. Sights of trunkd that are gone are
    /// removed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn exchange_sights(
        &self,
        (holder, places): (&str, bool),
        switches: &BTreeMap<String, Sight>,
    ) -> Result<Sights, StoreError> {
        // Removing too much does no harm: a trunkd that runs writes its field again in a second.
        static EXCHANGE: LazyLock<redis::Script> = LazyLock::new(|| {
            script_with_now(
                "redis.call('HSET', KEYS[1], ARGV[1], string.format('{\"at\":%.0f,\"places\":%s,\"switches\":%s}',
                   now, ARGV[5], ARGV[2]))
                 local all = redis.call('HGETALL', KEYS[1])
                 local kept = {}
                 for i = 1, #all, 2 do
                   local at = tonumber(string.match(all[i + 1], '^{\"at\":(%d+),'))
                   if not at or math.abs(now - at) > tonumber(ARGV[3]) or #all[i + 1] > tonumber(ARGV[4]) then
                     redis.call('HDEL', KEYS[1], all[i])
                   else
                     kept[#kept + 1] = all[i]
                     kept[#kept + 1] = all[i + 1]
                   end
                 end
                 return {string.format('%.0f', now), kept}",
            )
        });
        let mut call = EXCHANGE.key(keys::SIGHTS);
        call.arg(holder)
            .arg(serde_json::to_string(switches).unwrap_or_else(|_| "{}".to_owned()))
            .arg(FORGOTTEN_AFTER.as_millis())
            .arg(LONGEST_FIELD)
            .arg(places.to_string());
        let (now_ms, fields): (u64, BTreeMap<String, String>) = self
            .write("exchange sights", self.timeout(), async |connection| {
                call.invoke_async(connection).await
            })
            .await?;
        let read = |(holder, value): (String, String)| Some((holder, serde_json::from_str(&value).ok()?));
        Ok(Sights {
            now_ms,
            by_trunkd: fields.into_iter().filter_map(read).collect(),
        })
    }

    /// Where the switch answers SIP, as it said to some trunkd.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sip_address(&self, switch: &str) -> Result<Option<String>, StoreError> {
        self.read("read where SIP answers", self.timeout(), async |connection| {
            redis::cmd("HGET")
                .arg(keys::SIP_ADDRESSES)
                .arg(switch)
                .query_async(connection)
                .await
        })
        .await
    }

    pub(crate) async fn forget_sip_address(&self, switch: &str) -> Result<(), StoreError> {
        self.write("forget where SIP answers", self.timeout(), async |connection| {
            let mut delete = redis::cmd("HDEL");
            delete.arg(keys::SIP_ADDRESSES).arg(switch);
            delete.query_async(connection).await
        })
        .await
    }

    pub(crate) async fn set_sip_address(&self, switch: &str, address: &str) -> Result<(), StoreError> {
        self.write("keep where SIP answers", self.timeout(), async |connection| {
            let mut set = redis::cmd("HSET");
            set.arg(keys::SIP_ADDRESSES).arg(switch).arg(address);
            set.query_async(connection).await
        })
        .await
    }
}
