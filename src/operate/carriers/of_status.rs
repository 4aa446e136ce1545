//! The carriers of a status.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::super::status::{Condition, Status};
use super::{CarrierList, CarrierQuery, Member, Sources, sum};
use crate::gateway::Desired;

/// Of all gateways in the status.
pub(in crate::operate) fn of_status(status: &Status, desired: &Desired, sources: &Sources<'_>) -> CarrierList {
    let mut on: BTreeMap<&str, Vec<(&str, Condition)>> = BTreeMap::new();
    for switch in &status.switches {
        for gateway in switch.gateways.iter().filter(|gateway| gateway.domain.is_some()) {
            let of_gateway = on.entry(&gateway.name).or_default();
            of_gateway.push((&switch.name, gateway.condition));
        }
    }
    for gateway in &status.on_no_switch {
        on.entry(&gateway.name).or_default();
    }
    let member = |(gateway, on)| {
        let entry = desired.get(gateway)?;
        Some(Member {
            carrier: Cow::Owned(sources.carriers.name_of(&entry.gateway)?),
            gateway,
            on,
            is_on_one: entry.gateway.is_on_one(),
        })
    };
    let members = on.into_iter().filter_map(member).collect();
    sum(members, sources, &CarrierQuery::default())
}
