//! For benchmarks: many events at once, and many registrations answered at once.

use super::FakeSwitch;
use super::bus;
use super::event::Origin;
use super::sofia::RegState;
use bytes::Bytes;

/// A burst of events, prepared before a benchmark measures.
pub struct Burst {
    frames: Bytes,
    pub events: usize,
    /// `Event-Sequence` of its last event
    pub last_sequence: u64,
}

impl FakeSwitch {
    /// n `gateway_state` events in JSON, round and round over these gateways, states alternating.
    pub fn prepare_burst(&self, n: usize, gateways: &[String]) -> Burst {
        self.shared.with(|core| {
            let mut frames = Vec::new();
            for (count, gateway) in gateways.iter().cycle().take(n).enumerate() {
                let (state, ping) = if (count / gateways.len()).is_multiple_of(2) {
                    ("REGED", "UP")
                } else {
                    ("FAIL_WAIT", "DOWN")
                };
                let origin = Origin("sofia_reg.c", "sofia_reg_fire_custom_gateway_state_event", 156);
                let event = core
                    .bus
                    .create("CUSTOM", Some("sofia::gateway_state"), origin)
                    .with("Gateway", &**gateway)
                    .with("State", state)
                    .with("Ping-Status", ping);
                frames.extend_from_slice(&bus::frame(bus::Format::Json, &event.to_json()));
            }
            Burst {
                frames: frames.into(),
                events: n,
                last_sequence: core.bus.sequence,
            }
        })
    }

    /// These gateways' registrations are refused, or accepted again, all at the same time.
    pub fn answer_registrations(&self, gateways: &[String], accepted: bool) {
        let (state, answer) = match accepted {
            true => (RegState::Reged, (200, "OK")),
            false => (RegState::FailWait, (403, "Forbidden")),
        };
        self.shared.with(|core| {
            for gateway in gateways {
                core.sofia.answer(gateway, state, answer, &mut core.bus);
            }
        });
    }

    /// Sends it to every connection that subscribed to events, as fast as each reads. Returns their number.
    pub fn fire_burst(&self, burst: &Burst) -> usize {
        self.shared.with(|core| core.bus.inject_bytes(&burst.frames))
    }
}
