//! What must be true of a fleet when the faults are over.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{DOMAIN, Fleet, NAMES};
use crate::support::app::{Other, eventually_within};
use crate::support::fake_switch::RegState;
use crate::verdict::DEADLINE;

/// In ticks of a switch: long enough for the slowest fail-back and another decision of every placer.
const REST: i64 = 300;

/// What Redis says
struct Said {
    values: BTreeMap<String, Value>,
    records: BTreeMap<String, Value>,
    drained: BTreeSet<String>,
}

/// Each gateway of one switch is registered by the switch of its record and runs nowhere else; the others are registered
/// by all of their switches.
pub(super) async fn wait_for_agreement(fleet: &Fleet) {
    let other = Other::new(&fleet.redis).await;
    let look = || async {
        let said = Said::read(&other).await;
        said.differences(fleet)
    };
    eventually_within(DEADLINE, "each gateway is where its record says", look, Vec::is_empty).await;
}

/// Nothing moves any more, but back to a switch that its gateway prefers.
pub(super) async fn wait_for_rest(fleet: &Fleet) {
    let other = Other::new(&fleet.redis).await;
    let before = Said::read(&other).await;
    let switch = &fleet.members[0].switch;
    let until = switch.view(|view| view.ticks()) + REST;
    switch.wait_until("time passes", |view| view.ticks() >= until).await;
    wait_for_agreement(fleet).await;
    let after = Said::read(&other).await;
    for (name, record) in &after.records {
        let is_same = before.records.get(name) == Some(record);
        let went_back = matches!(record["reason"].as_str(), Some("failback"));
        assert!(
            is_same || went_back,
            "{name} moved although nothing happened: {:?}, then {record}",
            before.records.get(name)
        );
    }
}

impl Said {
    async fn read(other: &Other) -> Self {
        let control = other.hash("trunkd:control").await;
        let drained = control.into_keys();
        Self {
            values: other.hash(&format!("cti_gateway@{DOMAIN}")).await,
            records: other.hash("trunkd:placement").await,
            drained: drained
                .filter_map(|key| Some(key.strip_prefix("drained:")?.to_owned()))
                .collect(),
        }
    }

    fn differences(&self, fleet: &Fleet) -> Vec<String> {
        let mut found = Vec::new();
        for (name, value) in &self.values {
            let owners = match self.owners(name, value) {
                Ok(owners) => owners,
                Err(problem) => {
                    found.push(format!("{name}: {problem}"));
                    continue;
                }
            };
            for member in &fleet.members {
                let states = member.switch.view(|view| {
                    let all = view.all(name);
                    all.iter().map(|gateway| gateway.state).collect::<Vec<_>>()
                });
                let wanted: &[RegState] = match owners.contains(&member.name.to_owned()) {
                    true => &[RegState::Reged],
                    false => &[],
                };
                if states != wanted {
                    let states: Vec<_> = states.iter().map(|state| state.name()).collect();
                    found.push(format!(
                        "{name} is {states:?} on {}, and belongs to {owners:?}",
                        member.name
                    ));
                }
            }
        }
        found
    }

    /// Where a gateway is to run.
    fn owners(&self, name: &str, value: &Value) -> Result<Vec<String>, String> {
        let nodes = match value["nodes"].as_array() {
            Some(nodes) => nodes.iter().map(|node| node.as_str().unwrap().to_owned()).collect(),
            None => NAMES.map(str::to_owned).to_vec(),
        };
        let record = self.records.get(name);
        if value["placement"] == "all" {
            return match record {
                Some(record) => Err(format!("runs on all switches, and has a record: {record}")),
                None => Ok(nodes),
            };
        }
        let record = record.ok_or("no record")?;
        let switch = record["switch"].as_str().unwrap().to_owned();
        // Where all that a gateway may run on are drained, it stays.
        let has_better = nodes.iter().any(|node| !self.drained.contains(node));
        let is_good = nodes.contains(&switch) && !self.drained.contains(&switch);
        if !record["move"].is_null() || (has_better && !is_good) {
            return Err(format!("{record}, nodes: {nodes:?}, drained: {:?}", self.drained));
        }
        Ok(vec![switch])
    }
}
