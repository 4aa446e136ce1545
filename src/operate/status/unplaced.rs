//! Gateways that no switch gets.

use std::collections::BTreeSet;

use super::model::Unplaced;
use crate::gateway::{Desired, Gateway};
use crate::language::{Message, message, text};

/// Switches named in one note.
const MAX_NAMED: usize = 5;

/// The gateways whose `nodes` name no known switch. None if no switch is known.
pub(in crate::operate) fn unplaced(desired: &Desired, known: &BTreeSet<String>) -> Vec<Unplaced> {
    if known.is_empty() {
        return Vec::new();
    }
    let gateways = desired.served().values().map(|entry| &entry.gateway);
    let is_unplaced = |gateway: &&Gateway| {
        let nodes = gateway.nodes.as_deref();
        nodes.is_some_and(|nodes| !nodes.iter().any(|node| known.contains(node)))
    };
    gateways
        .filter(is_unplaced)
        .map(|gateway| unplaced_gateway(gateway, known))
        .collect()
}

fn unplaced_gateway(gateway: &Gateway, known: &BTreeSet<String>) -> Unplaced {
    let nodes = gateway.nodes.as_deref().unwrap_or_default();
    let similar = |node: &String| known.iter().find(|known| known.eq_ignore_ascii_case(node));
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
            let mut names: Vec<_> = known.iter().take(MAX_NAMED).map(String::as_str).collect();
            names.extend((known.len() > MAX_NAMED).then_some("…"));
            let names = names.join(", ");
            message!("known are {names}", "已知的为 {names}")
        }
    };
    Unplaced {
        name: gateway.name.to_string(),
        domain: gateway.domain.to_string(),
        profile: gateway.profile.to_string(),
        nodes: nodes.to_vec(),
        note: message!("{problem}; {hint}", "{problem}；{hint}", problem = problem, hint = hint),
    }
}
