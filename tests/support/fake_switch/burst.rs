//! For benchmarks: many events at once, and many registrations answered at once.

use super::FakeSwitch;
use super::bus;
use super::core::Core;
use super::event::{Event, Origin};
use super::sofia::RegState;
use bytes::Bytes;

/// A burst of events, prepared before a benchmark measures.
pub struct Burst {
    /// Whoever subscribed to this event gets it
    name: &'static str,
    subclass: Option<&'static str>,
    frames: Bytes,
    pub events: usize,
    /// `Event-Sequence` of its last event
    pub last_sequence: u64,
}

impl FakeSwitch {
    /// n `gateway_state` events in JSON, round and round over these gateways, states alternating.
    pub fn prepare_burst(&self, n: usize, gateways: &[String]) -> Burst {
        let (name, subclass) = ("CUSTOM", Some("sofia::gateway_state"));
        self.burst(name, subclass, n, |core, count| {
            let gateway = &*gateways[count % gateways.len()];
            let (state, ping) = if (count / gateways.len()).is_multiple_of(2) {
                ("REGED", "UP")
            } else {
                ("FAIL_WAIT", "DOWN")
            };
            let origin = Origin("sofia_reg.c", "sofia_reg_fire_custom_gateway_state_event", 156);
            let event = core.bus.create(name, subclass, origin);
            event
                .with("Gateway", gateway)
                .with("State", state)
                .with("Ping-Status", ping)
        })
    }

    /// n `CHANNEL_HANGUP_COMPLETE` events in JSON of answered calls, round and round over these gateways.
    pub fn prepare_burst_of_calls(&self, n: usize, gateways: &[String]) -> Burst {
        self.burst("CHANNEL_HANGUP_COMPLETE", None, n, |core, count| {
            let gateway = &gateways[count % gateways.len()];
            core.calls.hang_up_of(gateway, core.sofia.now, &mut core.bus)
        })
    }

    fn burst(
        &self,
        name: &'static str,
        subclass: Option<&'static str>,
        n: usize,
        event: impl Fn(&mut Core, usize) -> Event,
    ) -> Burst {
        self.shared.with(|core| {
            let mut frames = Vec::new();
            for count in 0..n {
                let event = event(core, count);
                frames.extend_from_slice(&bus::frame(bus::Format::Json, &event.to_json()));
            }
            Burst {
                name,
                subclass,
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

    /// Sends it to every connection that subscribed to such events, as fast as each reads. Returns their number.
    pub fn fire_burst(&self, burst: &Burst) -> usize {
        let Burst {
            name, subclass, frames, ..
        } = burst;
        self.shared.with(|core| core.bus.inject_frames(name, *subclass, frames))
    }
}
