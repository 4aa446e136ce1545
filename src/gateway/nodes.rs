//! The switches that a gateway names.

use std::collections::BTreeSet;

use super::finding::{Fault, shown};
use super::names::{did_you_mean, nearest};
use crate::language::{Message, message};

/// How many unknown names one finding lists.
const MOST_SHOWN: usize = 3;

/// How many known names one finding lists.
const MOST_KNOWN: usize = 8;

/// The fault of `nodes` that name no known switch. Names are compared exactly. If the settings have no
/// switch, any name may be right.
pub(super) fn unknown_nodes(nodes: &[String], switches: &BTreeSet<String>) -> Option<Fault> {
    if switches.is_empty() {
        return None;
    }
    let unknown: Vec<_> = nodes.iter().filter(|node| !switches.contains(*node)).collect();
    let first = unknown.first()?;
    let names = unknown.iter().map(|node| format!("'{}'", shown(node)));
    let names = listed(names, MOST_SHOWN);
    let reason = if unknown.len() == nodes.len() {
        message!(
            "names no switch of the settings ({names}), so this gateway is on no switch",
            "其中没有设置中的 FreeSWITCH（{names}），此网关不会下发到任何 FreeSWITCH",
            names = names
        )
    } else {
        message!(
            "names {names}, which is not a switch in the settings",
            "其中的 {names} 不是设置中的 FreeSWITCH",
            names = names
        )
    };
    let fix = match meant(first, switches) {
        Some(meant) => did_you_mean(&format!("'{}'", shown(meant))),
        None => message!(
            "known are {known}; or add it as a [[switch]]",
            "可用的为 {known}；或将其添加为 [[switch]]",
            known = listed(switches.iter().map(|name| shown(name)), MOST_KNOWN)
        ),
    };
    Some(Fault::new(reason, fix))
}

/// The switch with the same name in another case, or the most similar one.
fn meant<'a>(node: &str, switches: &'a BTreeSet<String>) -> Option<&'a str> {
    let same = switches.iter().find(|known| known.eq_ignore_ascii_case(node));
    let switches = || switches.iter().map(String::as_str);
    // Compared in lower case, so that case counts less than a typo.
    same.map(String::as_str).or_else(|| nearest(node, switches()))
}

/// Some of the names.
fn listed(names: impl ExactSizeIterator<Item = String>, most: usize) -> Message {
    let more = names.len().saturating_sub(most);
    let names: Vec<_> = names.take(most).collect();
    let (en, zh) = (names.join(", "), names.join("、"));
    match more {
        0 => Message::new(en, zh),
        more => message!("{en}, {more} more", "{zh} 等，另有 {more} 个"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_exactly_and_the_finding_says_which_was_meant() {
        let switches: BTreeSet<_> = ["fs1", "fs-berlin"].map(str::to_owned).into();
        let said = |nodes: &[&str]| {
            let nodes: Vec<_> = nodes.iter().map(|node| (*node).to_owned()).collect();
            let fault = unknown_nodes(&nodes, &switches)?;
            fault.reason.check();
            fault.fix.check();
            Some(format!("{}; {}", fault.reason.en(), fault.fix.en()))
        };
        assert_eq!(said(&["fs1"]), None);
        assert_eq!(said(&[]), None);
        assert_eq!(
            said(&["FS1"]).as_deref(),
            Some("names no switch of the settings ('FS1'), so this gateway is on no switch; did you mean 'fs1'?")
        );
        assert_eq!(
            said(&["fs1", "fs-berlni"]).as_deref(),
            Some("names 'fs-berlni', which is not a switch in the settings; did you mean 'fs-berlin'?")
        );
        assert_eq!(
            said(&["a", "b", "c", "d", "e"]).as_deref(),
            Some(
                "names no switch of the settings ('a', 'b', 'c', 2 more), so this gateway is on no switch; \
                 known are fs-berlin, fs1; or add it as a [[switch]]"
            )
        );
        assert!(unknown_nodes(&["x".to_owned()], &BTreeSet::new()).is_none());
    }
}
