//! How often, how soon and how long.

use std::time::Duration;

use super::view::PING_LIMIT;
use crate::event_socket::{self, RetryDelays};

/// The defaults are what an operator gets; tests shorten them.
#[derive(Debug, Clone)]
pub struct Timing {
    pub connection: event_socket::Timing,
    /// The longest time between two snapshots.
    pub resync_interval: Duration,
    /// The delay of a snapshot that an event asked for: FreeSWITCH's ticks are a second apart.
    pub settle: Duration,
    /// Between two attempts to connect: the first delay and the longest.
    pub first_retry: Duration,
    pub most_retry: Duration,
    /// The delay while only an operator can fix the connection.
    pub refused_retry: Duration,
    /// How often Redis is told whether the switch is connected.
    pub touch_interval: Duration,
    /// The states of a switch are marked stale after it was out of reach for this long.
    pub stale_after: Duration,
    /// A ping that takes longer is stuck.
    pub ping_limit: Duration,
}

impl Timing {
    pub fn retry_delays(&self) -> RetryDelays {
        RetryDelays {
            first: self.first_retry,
            most: self.most_retry,
            refused: self.refused_retry,
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connection: event_socket::Timing::default(),
            resync_interval: Duration::from_secs(60),
            settle: Duration::from_millis(2500),
            first_retry: Duration::from_millis(200),
            most_retry: Duration::from_secs(10),
            refused_retry: Duration::from_secs(60),
            touch_interval: Duration::from_secs(5),
            stale_after: Duration::from_secs(60),
            ping_limit: PING_LIMIT,
        }
    }
}
