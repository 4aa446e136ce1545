//! How long a restart keeps new calls from a gateway.

use super::diff::Action;
use crate::gateway::Gateway;

/// FreeSWITCH deletes and registers gateways when its worker runs, once a second (FACTS 22, 24).
const TICK_SECONDS: usize = 1;

/// What decides how long a restart takes.
struct Restart {
    /// The old gateway is registered, or tries to be.
    unregisters: bool,
    changes_profile: bool,
    /// The new gateway registers.
    registers: bool,
}

impl Restart {
    /// At most, if the carrier answers immediately. `reconcile.starts_per_second` adds nothing: the
    /// executor waits for its turn before the kill.
    fn seconds(&self) -> usize {
        // The first tick unregisters, the next one deletes. Without a registration the first one deletes,
        // and the executor waits for that only if the profile changes.
        let deletion = match self.unregisters {
            true => 2,
            false => usize::from(self.changes_profile),
        };
        // The first tick sends REGISTER, the next one after its answer makes the gateway REGED.
        let registration = if self.registers { 2 } else { 0 };
        (deletion + registration) * TICK_SECONDS
    }
}

impl Action {
    /// For how many seconds new calls fail; 0 for less than one. `None` unless it is a restart.
    pub fn interruption_seconds(&self) -> Option<usize> {
        let Self::Restart { from, to, .. } = self else {
            return None;
        };
        let restart = Restart {
            unregisters: from.registers,
            changes_profile: from.profile != to.profile,
            registers: to.registers,
        };
        Some(restart.seconds())
    }
}

/// The same for a restart that is not planned yet.
pub fn restart_seconds(from: &Gateway, to: &Gateway) -> usize {
    let restart = Restart {
        unregisters: from.registers(),
        changes_profile: from.profile != to.profile,
        registers: to.registers(),
    };
    restart.seconds()
}

#[cfg(test)]
mod tests {
    use super::Restart;

    #[test]
    fn ticks_add_up() {
        for (unregisters, changes_profile, registers, expected) in [
            // Measured on FreeSWITCH: 3.4 to 4 s.
            (true, false, true, 4),
            (true, true, true, 4),
            (true, false, false, 2),
            (false, false, true, 2),
            (false, true, true, 3),
            (false, true, false, 1),
            (false, false, false, 0),
        ] {
            let restart = Restart {
                unregisters,
                changes_profile,
                registers,
            };
            assert_eq!(
                restart.seconds(),
                expected,
                "{unregisters} {changes_profile} {registers}"
            );
        }
    }
}
