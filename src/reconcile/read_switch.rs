//! Reads once what a switch runs.

use std::collections::{BTreeMap, HashMap};

use tokio::time::Instant;

use super::plan::{Known, Listed, Seen};
use crate::event_socket::{self, GatewayStatus, OpenError, Session, SwitchAddress};
use crate::gateway::GatewayName;

/// Queries once what a switch runs. Changes nothing.
///
/// # Errors
/// [`OpenError`] when the read is incomplete. It never returns an empty `Known` instead.
pub async fn read_switch(switch: &SwitchAddress, timing: event_socket::Timing) -> Result<Known, OpenError> {
    let session = Session::open(switch, timing).await?;
    let commands = &session.commands;
    let (listed, profiles) = (commands.gateways().await?, commands.profiles().await?);
    let (live, ghosts) = live_and_ghosts(&listed);
    let names: Vec<_> = live
        .iter()
        .filter_map(|status| GatewayName::parse(&status.name).ok())
        .collect();
    let found = commands.revisions(&names).await?;
    let revisions: HashMap<_, _> = names.iter().map(GatewayName::as_str).zip(found).collect();
    let gateways = live.iter().map(|status| Listed {
        // The plan of a command tries nothing.
        seen: Seen::default(),
        name: &status.name,
        profile: Some(&status.profile),
        state: Some(&status.state),
        registration: None,
        revision: revisions.get(status.name.as_str()).map(Option::as_deref),
    });
    let profiles = profiles.iter().map(String::as_str);
    Ok(Known::new(profiles, ghosts, gateways, Instant::now()).settled())
}

/// Returns the live gateway of each name, which is listed first, and the other profiles that have a
/// gateway with that name (FACTS 18). Others in the same profile wait to be deleted (FACTS 25).
fn live_and_ghosts(listed: &[GatewayStatus]) -> (Vec<&GatewayStatus>, Vec<(&str, &str)>) {
    let (mut live, mut ghosts) = (BTreeMap::new(), Vec::new());
    for status in listed {
        let first: &GatewayStatus = live.entry(status.name.as_str()).or_insert(status);
        if first.profile != status.profile {
            ghosts.push((status.name.as_str(), status.profile.as_str()));
        }
    }
    (live.into_values().collect(), ghosts)
}

#[cfg(test)]
mod tests;
