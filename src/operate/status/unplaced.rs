//! Gateways that no switch gets.

use super::super::pool::SwitchPool;
use super::model::Unplaced;
use crate::gateway::{Desired, Gateway};
use crate::language::{Message, message, text};

/// Switches named in one note.
const MAX_NAMED: usize = 5;

/// The gateways whose `nodes` name no known switch, and those on exactly one switch that have none and are not
/// on their way. None if no switch is known.
pub(in crate::operate) fn unplaced(desired: &Desired, pool: &SwitchPool) -> Vec<Unplaced> {
    if pool.switches.is_empty() {
        return Vec::new();
    }
    let gateways = desired.served().values().map(|entry| &entry.gateway);
    let unplaced = |gateway: &Gateway| match &gateway.placement {
        Some(rule) if has_no_switch(desired, gateway, pool) => Some(Unplaced::new(gateway, pool.why_unplaced(rule))),
        Some(_) => None,
        None => {
            let nodes = gateway.nodes.as_deref()?;
            let is_known = |node: &String| pool.switches.contains_key(node);
            (!nodes.iter().any(is_known)).then(|| Unplaced::new(gateway, unknown_nodes(nodes, pool)))
        }
    };
    gateways.filter_map(unplaced).collect()
}

fn has_no_switch(desired: &Desired, gateway: &Gateway, pool: &SwitchPool) -> bool {
    let placed = desired.placements().get(&gateway.name);
    placed.is_none_or(|placed| !pool.switches.contains_key(&placed.switch))
}

fn unknown_nodes(nodes: &[String], pool: &SwitchPool) -> Message {
    let known = pool.switches.keys();
    let similar = |node: &String| known.clone().find(|known| known.eq_ignore_ascii_case(node));
    let named: Vec<_> = nodes.iter().map(|node| format!("{node:?}")).collect();
    let named = named.join(", ");
    let problem: Message = match named.is_empty() {
        true => text("its nodes are empty", "它的 nodes 为空").into(),
        false => message!(
            "its nodes name no known switch: {named}",
            "它的 nodes 中没有已知的 FreeSWITCH：{named}"
        ),
    };
    let hint = match nodes.iter().find_map(similar) {
        Some(meant) => message!("did you mean {meant:?}?", "是否想写 {meant:?}？"),
        None => {
            let mut names: Vec<_> = known.clone().take(MAX_NAMED).map(String::as_str).collect();
            names.extend((pool.switches.len() > MAX_NAMED).then_some("…"));
            let names = names.join(", ");
            message!("known are {names}", "已知的为 {names}")
        }
    };
    message!("{problem}; {hint}", "{problem}；{hint}", problem = problem, hint = hint)
}

impl Unplaced {
    fn new(gateway: &Gateway, note: Message) -> Self {
        let nodes = match &gateway.placement {
            Some(rule) => &rule.nodes,
            None => &gateway.nodes,
        };
        Self {
            name: gateway.name.to_string(),
            domain: gateway.domain.to_string(),
            profile: gateway.profile.to_string(),
            nodes: nodes.as_deref().unwrap_or_default().to_vec(),
            note,
        }
    }
}
