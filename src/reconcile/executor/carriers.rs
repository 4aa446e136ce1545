//! Keeps to the pace of each carrier, which all switches share.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::{DesiredSource, Executor, Switch};
use crate::carriers::{Expected, Load};
use crate::control::Waiting;
use crate::gateway::GatewayName;
use crate::reconcile::plan::Action;

/// How often this switch's share is written for the others, if nothing waits.
const SHARE_LOOK: Duration = Duration::from_secs(1);

/// What this switch registers with carriers that have a pace.
#[derive(Default)]
pub(super) struct CarrierLoads {
    loads: BTreeMap<String, Load>,
    /// Carrier → what waits for its pace since the last plan.
    pub(super) waiting: BTreeMap<String, Waiting>,
    /// Whether `loads` has what the lease holder before this one caused.
    are_taken_over: bool,
}

impl CarrierLoads {
    /// When to look again at what was sent. `None` if nothing was caused.
    pub(super) fn look_again_in(&self, soon: Duration) -> Option<Duration> {
        match (self.waiting.is_empty(), self.loads.is_empty()) {
            (false, _) => Some(soon),
            // Other switches may wait for this one's share.
            (true, false) => Some(SHARE_LOOK),
            (true, true) => None,
        }
    }
}

/// What is about to register with a carrier.
pub(super) trait Registers {
    /// `None` if it sends no REGISTER.
    fn registers(&self) -> Option<(&GatewayName, Expected)>;
}

impl Registers for Action {
    fn registers(&self) -> Option<(&GatewayName, Expected)> {
        self.to()
            .filter(|to| to.registers)
            .map(|_| (self.gateway(), Expected::OfNewInstance))
    }
}

impl<S: Switch, W: DesiredSource> Executor<S, W> {
    /// Counts what the lease holder before this one caused, as the switch shows it.
    pub(super) fn take_over_loads(&mut self) {
        if !self.memory.leads || std::mem::replace(&mut self.memory.carriers.are_taken_over, true) {
            return;
        }
        let (now, clock) = (Instant::now(), Timestamp::now());
        let registering = self.memory.wants.iter().filter(|(_, want)| want.registers);
        let paced = registering.filter_map(|(gateway, _)| Some((gateway.clone(), self.paced_carrier_of(gateway)?)));
        for (gateway, carrier) in paced.collect::<Vec<_>>() {
            if let Some(seen) = self.switch.attempt(&gateway) {
                let load = self.memory.carriers.loads.entry(carrier).or_default();
                load.take_over(gateway, seen, now, clock);
            }
        }
    }

    /// Those that may begin now, in the same order. The others wait for their carriers.
    pub(super) async fn within_pace<T: Registers>(&mut self, all: Vec<T>) -> Vec<T> {
        let mut wanted: BTreeMap<String, usize> = self
            .memory
            .carriers
            .loads
            .keys()
            .map(|name| (name.clone(), 0))
            .collect();
        let carriers: Vec<_> = all.iter().map(|one| self.paced_carrier(one)).collect();
        for carrier in carriers.iter().flatten() {
            *wanted.entry(carrier.clone()).or_default() += 1;
        }
        let mut granted = BTreeMap::new();
        for (carrier, wanted) in wanted {
            let count = self.take_pace(&carrier, wanted).await;
            granted.insert(carrier, count);
        }
        let now = Instant::now();
        let mut may_begin = Vec::with_capacity(all.len());
        for (one, carrier) in all.into_iter().zip(carriers) {
            let Some(carrier) = carrier else {
                may_begin.push(one);
                continue;
            };
            match granted.get_mut(&carrier).filter(|left| **left > 0) {
                Some(left) => {
                    *left -= 1;
                    self.expect_register(carrier, &one, now);
                    may_begin.push(one);
                }
                None => self.wait(carrier, &one),
            }
        }
        may_begin
    }

    /// These were not begun after all.
    pub(super) fn give_back<'a>(&mut self, gateways: impl IntoIterator<Item = &'a GatewayName>) {
        for gateway in gateways {
            let loads = self.memory.carriers.loads.values_mut();
            loads.for_each(|load| load.withdraw(gateway));
        }
    }

    fn paced_carrier(&self, one: &impl Registers) -> Option<String> {
        let (gateway, _) = one.registers()?;
        self.paced_carrier_of(gateway)
    }

    fn paced_carrier_of(&self, gateway: &GatewayName) -> Option<String> {
        let (desired, _) = self.memory.made_of.as_ref()?;
        let carrier = self.carriers.of(&desired.get(gateway.as_str())?.gateway)?;
        carrier.is_paced().then(|| carrier.name.clone())
    }

    fn expect_register(&mut self, carrier: String, one: &impl Registers, now: Instant) {
        if let Some((gateway, expected)) = one.registers() {
            let before = self.switch.attempt(gateway);
            let load = self.memory.carriers.loads.entry(carrier).or_default();
            load.add(gateway.clone(), before, expected, now);
        }
    }

    fn wait(&mut self, carrier: String, one: &impl Registers) {
        let Some((gateway, _)) = one.registers() else { return };
        let per_second = self
            .carriers
            .named(&carrier)
            .and_then(|carrier| carrier.registers_per_second);
        let waiting = self.memory.carriers.waiting.entry(carrier).or_default();
        waiting.per_second = per_second;
        waiting.gateways.insert(gateway.to_string());
    }

    /// How many of `wanted` may begin. Also tells the other switches what this one causes now.
    async fn take_pace(&mut self, name: &str, wanted: usize) -> usize {
        let now = Instant::now();
        let load = self.memory.carriers.loads.entry(name.to_owned()).or_default();
        load.observe(|gateway| self.switch.attempt(gateway), now);
        let usage = load.usage(now);
        if load.is_empty() && wanted == 0 {
            self.memory.carriers.loads.remove(name);
        }
        let Some(carrier) = self.carriers.named(name) else {
            return wanted;
        };
        // Without Redis nothing is begun.
        let granted = self.store.take_pace(carrier, self.switch.name(), usage, wanted).await;
        granted.unwrap_or(0)
    }
}
