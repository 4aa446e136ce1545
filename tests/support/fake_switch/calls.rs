//! Calls over gateways: what they fire, what they count and how `show` lists them (`mod_sofia.c`, FACTS 40 and 41).
//!
//! Deliberately absent: media, bridges and transfers. A call is one leg.

use super::FakeSwitch;
use super::bus::{Bus, new_uuid};
use super::call_events::{Ending, Moment};
use super::core::Core;
use super::event::{self, Event};
use super::sofia::{CallCounters, Gateway, Sofia};
use std::collections::BTreeMap;

const RECORDED_CALLS: &str = include_str!("../../recordings/api/show-calls-as-json.txt");
const RECORDED_CHANNELS: &str = include_str!("../../recordings/api/show-channels-as-json.txt");

/// A call that is up, until it is hung up or refused.
#[derive(Debug, PartialEq, Eq)]
pub struct Call(String);

/// What FreeSWITCH keeps of a call. Times are seconds since 1970 by the fake's clock.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    pub(super) uuid: String,
    /// Counts from 1 in a run of FreeSWITCH
    pub(super) session_id: u64,
    pub(super) inbound: bool,
    /// By name: it may be gone by now, or another one may have its name
    pub(super) gateway: Option<String>,
    pub(super) profile: String,
    /// The gateway's variables of this direction
    pub(super) variables: Vec<(String, String)>,
    pub(super) created: i64,
    pub(super) answered: Option<i64>,
}

#[derive(Default)]
pub(super) struct Calls {
    pub(super) up: BTreeMap<String, Channel>,
    /// Since FreeSWITCH started
    pub(super) sessions: u64,
}

impl FakeSwitch {
    /// A call goes out over a gateway and rings there. Err: what `originate` says.
    pub fn dial(&self, gateway: &str) -> Result<Call, &'static str> {
        self.shared.with(|core| {
            let found = core.sofia.live_gateway(gateway).ok_or("INVALID_GATEWAY")?;
            if !found.up {
                found.calls.out_failed += 1;
                return Err("GATEWAY_DOWN");
            }
            found.calls.out += 1;
            let found = found.clone();
            Ok(core.calls.start(false, Some(&found), core.sofia.now, &mut core.bus))
        })
    }

    /// A call comes in, for a gateway or (None) for none.
    pub fn ring<'a>(&self, gateway: impl Into<Option<&'a str>>) -> Call {
        self.shared.with(|core| {
            let found = gateway.into().map(|name| {
                let found = core.sofia.live_gateway(name).expect("a gateway of that name");
                found.calls.incoming += 1;
                found.clone()
            });
            core.calls.start(true, found.as_ref(), core.sofia.now, &mut core.bus)
        })
    }

    /// The called side answers.
    pub fn pick_up(&self, call: &Call) {
        self.shared.with(|core| {
            let channel = core.calls.up.get_mut(&call.0).expect("a call that is up");
            channel.answered = Some(core.sofia.now);
            let event = channel.event(Moment::Answer, &mut core.bus);
            core.bus.fire(event);
        });
    }

    /// FreeSWITCH ends the call, answered or not, for example with `NORMAL_CLEARING`.
    pub fn hang_up(&self, call: Call, cause: &'static str) {
        self.end(call, Ending::Local(cause));
    }

    /// The carrier gives its final answer to a call that went out: 486, say.
    pub fn refuse(&self, call: Call, status: u16) {
        let is_ringing = |channel: &Channel| channel.answered.is_none() && !channel.inbound;
        assert!(
            self.shared
                .read(|core| core.calls.up.get(&call.0).is_some_and(is_ringing)),
            "a call that rings"
        );
        self.end(call, Ending::Refused(status));
    }

    /// A call over the gateway is challenged by a host that is not the gateway's, and ends there (FACTS 45).
    pub fn challenge_call(&self, gateway: &str) {
        self.shared.with(|core| core.sofia.challenge(gateway, &mut core.bus));
    }

    /// Sets a gateway's call counters in `xmlstatus`: in, out, failed in, failed out.
    pub fn set_calls(&self, gateway: &str, calls: [u32; 4]) {
        let [incoming, out, incoming_failed, out_failed] = calls;
        self.shared.with(|core| {
            if let Some(gateway) = core.sofia.live_gateway(gateway) {
                gateway.calls = CallCounters {
                    incoming,
                    out,
                    incoming_failed,
                    out_failed,
                };
            }
        });
    }

    fn end(&self, call: Call, ending: Ending) {
        self.shared.with(|core| {
            core.calls.end(&call.0, ending, &mut core.sofia, &mut core.bus);
        });
    }
}

impl Calls {
    fn start(&mut self, inbound: bool, gateway: Option<&Gateway>, now: i64, bus: &mut Bus) -> Call {
        self.sessions += 1;
        let variables = gateway.map(|one| if inbound { &one.ib_vars } else { &one.ob_vars });
        let channel = Channel {
            uuid: new_uuid(),
            session_id: self.sessions,
            inbound,
            gateway: gateway.map(|one| one.name.clone()),
            profile: gateway.map_or("external", |one| &one.profile).to_owned(),
            variables: variables.cloned().unwrap_or_default(),
            created: now,
            answered: None,
        };
        let event = channel.event(Moment::Create, bus);
        bus.fire(event);
        let uuid = channel.uuid.clone();
        self.up.insert(uuid.clone(), channel);
        Call(uuid)
    }

    /// `sofia_on_hangup` looks the gateway up by name: a failure counts for the one that has the name now. It looks for
    /// `sip_gateway_name`, which calls that came in don't have, so `failed-calls-in` stays 0.
    fn end(&mut self, uuid: &str, ending: Ending, sofia: &mut Sofia, bus: &mut Bus) {
        let channel = self.up.remove(uuid).expect("a call that is up");
        if channel.answered.is_none()
            && !channel.inbound
            && let Some(gateway) = channel.gateway.as_deref().and_then(|name| sofia.live_gateway(name))
        {
            gateway.calls.out_failed += 1;
        }
        let hung_up = Moment::HangUp(sofia.now, ending);
        let event = channel.event(hung_up, bus);
        bus.fire(event);
    }

    /// The system shuts down, and every call with it.
    pub(super) fn end_all(&mut self, sofia: &mut Sofia, bus: &mut Bus) {
        let all: Vec<String> = self.up.keys().cloned().collect();
        for uuid in all {
            self.end(&uuid, Ending::Local("SYSTEM_SHUTDOWN"), sofia, bus);
        }
    }

    /// For a benchmark: the hang-up of an answered call over that gateway, which was never up.
    pub(super) fn hang_up_of(&mut self, gateway: &str, now: i64, bus: &mut Bus) -> Event {
        const LASTED: i64 = 60;
        self.sessions += 1;
        let channel = Channel {
            uuid: new_uuid(),
            session_id: self.sessions,
            inbound: false,
            gateway: Some(gateway.to_owned()),
            profile: "external".to_owned(),
            variables: Vec::new(),
            created: now - LASTED,
            answered: Some(now - LASTED),
        };
        channel.event(Moment::HangUp(now, Ending::Local("NORMAL_CLEARING")), bus)
    }
}

/// `show calls|channels as json|count` (`mod_commands.c`); a call here is one channel.
pub(super) fn show(core: &Core, argument: &str) -> String {
    let words: Vec<&str> = argument.split_whitespace().collect();
    let (recorded, form) = match words[..] {
        ["calls", ref form @ ..] => (RECORDED_CALLS, form),
        ["channels", ref form @ ..] => (RECORDED_CHANNELS, form),
        _ => return "-USAGE: calls [count]|channels [count]\n".to_owned(),
    };
    let mut up: Vec<_> = core.calls.up.values().collect();
    up.sort_by_key(|channel| channel.session_id);
    if form != ["as", "json"] {
        return format!("\n{} total.\n", up.len());
    }
    if up.is_empty() {
        return "{\"row_count\": 0}\n".to_owned();
    }
    let rows = up
        .into_iter()
        .map(|channel| channel.row(recorded, &core.bus.switchname));
    let rows: Vec<_> = rows.collect();
    serde_json::json!({ "row_count": rows.len(), "rows": rows }).to_string()
}

impl Channel {
    /// The recorded row of this direction, with what is this call's own
    fn row(&self, recorded: &str, switchname: &str) -> serde_json::Value {
        let recorded: serde_json::Value = serde_json::from_str(recorded).expect("recorded rows");
        let mut row = recorded["rows"][usize::from(self.inbound)].clone();
        let created = event::dates(self.created.unsigned_abs() * 1_000_000).0;
        for (name, value) in [
            ("uuid", self.uuid.clone()),
            ("created", created),
            ("created_epoch", self.created.to_string()),
            ("hostname", switchname.to_owned()),
        ] {
            row[name] = value.into();
        }
        if !self.inbound {
            row["call_uuid"] = self.uuid.clone().into();
        }
        if self.answered.is_none() {
            row["callstate"] = "RINGING".into();
        }
        let name = row["name"].as_str().unwrap_or_default();
        row["name"] = name.replace("external", &self.profile).into();
        row
    }
}
