//! How long things may take on a connection.

use std::time::Duration;

#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// For the TCP connection, and again for each step of the authentication.
    pub connect: Duration,
    /// FreeSWITCH is asked for a sign of life after this long without a byte (FACTS 35).
    pub silence: Duration,
    /// The connection is dead when no byte arrives for this long after that.
    pub answer: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            silence: Duration::from_secs(25),
            answer: Duration::from_secs(5),
        }
    }
}
