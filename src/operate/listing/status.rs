//! The status as `trunkd status` has it, from the lists.

use std::collections::{BTreeMap, HashMap};

use super::super::carriers::{CarrierList, CarrierQuery};
use super::super::service::Service;
use super::super::status::{Counts, RedisDown, Selection, Status, SwitchNotes, VERSION, unplaced};
use super::super::{Caller, OperateError};
use super::fleet::{Fleet, SwitchRows};
use crate::desired::Current;
use crate::language::Bilingual;
use crate::settings::Settings;

impl Service {
    /// What each switch's gateways do: those of the caller's domains that are selected.
    ///
    /// # Errors
    /// The caller may not see a domain that he asks for; a name is unknown; Redis can't be read.
    pub async fn status(&self, caller: &Caller, selection: &Selection) -> Result<Status, OperateError> {
        for domain in &selection.domains {
            caller.check_sees(domain)?;
        }
        let carriers = self.carriers(caller, &CarrierQuery::default()).await?.list;
        let notes = self.notes().await?.for_caller(caller);
        let (current, fleet) = {
            let known = self.listing().read();
            (known.current().cloned(), known.fleet.clone())
        };
        let current = current.ok_or(OperateError::Interrupted)?;
        let (settings, caller, selection) = (self.settings.clone(), caller.clone(), selection.clone());
        let made = tokio::task::spawn_blocking(move || {
            let mut status = status(&settings, &current, fleet, &notes);
            restrict(&mut status, &caller);
            status.carriers = carriers;
            selection.apply(&mut status)?;
            Ok(status)
        });
        made.await.unwrap_or_else(|_| Err(OperateError::Interrupted))
    }
}

fn status(settings: &Settings, current: &Current, fleet: Fleet, notes: &SwitchNotes) -> Status {
    let mut known: BTreeMap<String, SwitchRows> = fleet.into_switches();
    for switch in &settings.switches {
        known.entry(switch.name.clone()).or_default();
    }
    let seen = known.iter().map(|(name, rows)| (name.as_str(), rows.watched));
    let pool = notes.pool(settings, seen);
    let switches = known.into_iter().map(|(name, of_switch)| {
        let rows = of_switch.rows.iter();
        let rows: HashMap<_, _> = rows.map(|(name, row)| (name.to_string(), (**row).clone())).collect();
        let view = notes.view_of_all(current, &name, of_switch.watched);
        view.switch(name, of_switch.state, rows)
    });
    Status {
        version: VERSION,
        well: false,
        redis_down: current.stale.as_ref().map(|(last_good, error)| RedisDown {
            reason: OperateError::unreadable(settings, error).message(),
            last_good: *last_good,
        }),
        switches: switches.collect(),
        on_no_switch: unplaced(&current.desired, &pool),
        carriers: CarrierList::default(),
        findings: current.desired.findings().to_vec(),
    }
}

/// Leaves what the caller may see. What only a switch knows is for who sees all domains.
fn restrict(status: &mut Status, caller: &Caller) {
    if caller.sees_all() {
        return;
    }
    for switch in &mut status.switches {
        switch
            .gateways
            .retain(|gateway| caller.sees_in(gateway.domain.as_deref()));
        switch.counts = Counts::of(&switch.gateways);
        switch.placed = switch.gateways.iter().filter(|gateway| gateway.is_placed).count();
        // It counts all domains.
        switch.removals_left = None;
    }
    status.on_no_switch.retain(|gateway| caller.sees(&gateway.domain));
    status.findings.retain(|finding| caller.sees(&finding.domain));
}
