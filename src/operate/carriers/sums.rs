//! Sums of gateways by carrier. No I/O.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::super::by_word::ByWord;
use super::super::calls::CallStats;
use super::super::listing::ListState;
use super::super::status::Condition;
use super::model::{CarrierList, CarrierOnSwitch, CarrierStatus, OutOnSwitch, RegisterRate};
use super::{CarrierQuery, RegistersBySwitch};
use crate::calls::CallLog;
use crate::carriers::Carriers;
use crate::control::Report;
use crate::observed::Registers;

/// What the sum of all carriers that aren't shown is called.
const OTHERS: &str = "other";
const MINUTE_SECONDS: f64 = 60.0;

/// A gateway of a carrier, with its condition on each of its switches.
pub(in crate::operate) struct Member<'a> {
    pub(in crate::operate) carrier: Cow<'a, str>,
    pub(in crate::operate) gateway: &'a str,
    pub(in crate::operate) on: Vec<(&'a str, Condition)>,
    pub(in crate::operate) is_on_one: bool,
}

/// What else is known.
pub(in crate::operate) struct Sources<'a> {
    pub(in crate::operate) carriers: &'a Carriers,
    /// By switch.
    pub(in crate::operate) reports: BTreeMap<&'a str, &'a Report>,
    pub(in crate::operate) registers: &'a RegistersBySwitch,
    /// `None` unless calls are counted.
    pub(in crate::operate) calls: Option<&'a CallLog>,
    /// Whether the members are all there are.
    pub(in crate::operate) sees_all: bool,
}

/// What is counted of a carrier, over all switches or on one.
#[derive(Default)]
struct Tally {
    gateways: usize,
    state: ByWord,
    parked: usize,
    waiting: usize,
    sent: f64,
    refused: BTreeMap<String, u64>,
}

/// The members by carrier, as the query wants them.
pub(in crate::operate) fn sum(members: Vec<Member<'_>>, sources: &Sources<'_>, query: &CarrierQuery) -> CarrierList {
    let mut by_carrier: BTreeMap<Cow<'_, str>, Vec<Member<'_>>> = BTreeMap::new();
    // What the settings name is shown even without gateways: the name may be misspelt.
    let named = sources.carriers.names().filter(|_| sources.sees_all);
    by_carrier.extend(named.map(|name| (Cow::Borrowed(name), Vec::new())));
    for member in members {
        by_carrier.entry(member.carrier.clone()).or_default().push(member);
    }
    if let Some(only) = query.name.as_deref() {
        by_carrier.retain(|name, _| name == only);
    }
    let total = by_carrier.len();
    let mut groups: Vec<_> = by_carrier.into_iter().collect();
    groups.sort_by_cached_key(|(name, members)| {
        let is_named = sources.carriers.named(name).is_some();
        Reverse((sources.is_out(name), is_named, members.len()))
    });
    let rest = groups.split_off(query.limit.min(total));
    let others = (!rest.is_empty()).then(|| {
        let members: Vec<_> = rest.into_iter().flat_map(|(_, members)| members).collect();
        sources.carrier(OTHERS, &members)
    });
    CarrierList {
        items: groups
            .iter()
            .map(|(name, members)| sources.carrier(name, members))
            .collect(),
        others,
        total,
    }
}

impl Sources<'_> {
    fn is_out(&self, carrier: &str) -> bool {
        self.reports
            .values()
            .any(|report| report.carriers_out.contains_key(carrier))
    }

    fn carrier(&self, name: &str, members: &[Member<'_>]) -> CarrierStatus {
        let mut all = Tally::default();
        let mut by_switch: BTreeMap<&str, Tally> = BTreeMap::new();
        for member in members {
            let (mut is_parked, mut waits) = (false, false);
            for (switch, condition) in &member.on {
                let report = self.reports.get(switch);
                let parked = report.is_some_and(|report| report.parked.contains_key(member.gateway));
                let waiting = report
                    .and_then(|report| report.waiting.get(&*member.carrier))
                    .is_some_and(|waiting| waiting.gateways.contains(member.gateway));
                let registers = self.registers.get(*switch).and_then(|all| all.get(member.gateway));
                let here = by_switch.entry(switch).or_default();
                here.add(condition.as_str(), parked, waiting);
                for tally in [here, &mut all] {
                    tally.add_registers(registers);
                }
                (is_parked, waits) = (is_parked || parked, waits || waiting);
            }
            let conditions = member.on.iter().map(|(_, condition)| *condition);
            all.add(ListState::over(conditions, member.is_on_one).as_str(), is_parked, waits);
        }
        let switches: Vec<_> = by_switch
            .into_iter()
            .map(|(switch, tally)| tally.on_switch(switch, self.out(name, switch)))
            .collect();
        let settings = self.carriers.named(name);
        CarrierStatus {
            name: name.to_owned(),
            gateways: all.gateways,
            parked: all.parked,
            waiting: all.waiting,
            out_since: switches.iter().filter_map(|on| Some(on.out?.since)).min(),
            registers: RegisterRate {
                per_second: all.per_second(),
                limit_per_second: settings.and_then(|carrier| carrier.registers_per_second),
                limit_in_flight: settings.and_then(|carrier| carrier.registers_in_flight),
            },
            state: all.state,
            refused: all.refused,
            call_stats: self
                .calls
                .map(|log| CallStats::of_gateways(log, members.iter().map(named))),
            switches,
        }
    }

    fn out(&self, carrier: &str, switch: &str) -> Option<OutOnSwitch> {
        let out = self.reports.get(switch)?.carriers_out.get(carrier)?;
        Some(OutOnSwitch {
            since: out.since,
            // They count all domains.
            failing: self.sees_all.then_some(out.failing),
            of: self.sees_all.then_some(out.of),
        })
    }
}

fn named<'a>(member: &'a Member<'_>) -> (&'a str, impl Fn(&str) -> bool + 'a) {
    (member.gateway, |switch: &str| {
        member.on.iter().any(|(on, _)| *on == switch)
    })
}

impl Tally {
    fn add(&mut self, state: &'static str, is_parked: bool, waits: bool) {
        self.gateways += 1;
        *self.state.entry(state).or_default() += 1;
        self.parked += usize::from(is_parked);
        self.waiting += usize::from(waits);
    }

    fn add_registers(&mut self, registers: Option<&Registers>) {
        let Some(registers) = registers else { return };
        self.sent += registers.sent;
        for (code, count) in &registers.refused {
            *self.refused.entry(code.clone()).or_default() += count;
        }
    }

    /// To two decimals.
    fn per_second(&self) -> f64 {
        (self.sent / MINUTE_SECONDS * 100.0).round() / 100.0
    }

    fn on_switch(self, switch: &str, out: Option<OutOnSwitch>) -> CarrierOnSwitch {
        CarrierOnSwitch {
            switch: switch.to_owned(),
            gateways: self.gateways,
            parked: self.parked,
            waiting: self.waiting,
            out,
            registers_per_second: self.per_second(),
            state: self.state,
            refused: self.refused,
        }
    }
}

#[cfg(test)]
mod tests;
