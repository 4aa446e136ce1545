//! The switches that a gateway names.

use std::collections::BTreeSet;

use super::finding::{Fault, shown};
use super::names::nearest;

/// How many unknown names one finding lists.
const MOST_SHOWN: usize = 3;

/// The fault of `nodes` that name no known switch. Names are compared exactly. If the settings have no
/// switch, any name may be right.
pub(super) fn unknown_nodes(nodes: &[String], switches: &BTreeSet<String>) -> Option<Fault> {
    if switches.is_empty() {
        return None;
    }
    let unknown: Vec<_> = nodes.iter().filter(|node| !switches.contains(*node)).collect();
    let first = unknown.first()?;
    let mut names: Vec<_> = unknown
        .iter()
        .take(MOST_SHOWN)
        .map(|node| format!("'{}'", shown(node)))
        .collect();
    if unknown.len() > MOST_SHOWN {
        names.push(format!("{} more", unknown.len() - MOST_SHOWN));
    }
    let names = names.join(", ");
    let reason = if unknown.len() == nodes.len() {
        format!("names no switch of the settings ({names}), so this gateway is on no switch")
    } else {
        format!("names {names}, which is not a switch in the settings")
    };
    let fix = match meant(first, switches) {
        Some(meant) => format!("did you mean '{}'?", shown(meant)),
        None => format!("known are {}; or add it as a [[switch]]", listed(switches)),
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

/// The names of some switches.
fn listed(switches: &BTreeSet<String>) -> String {
    const MOST: usize = 8;
    let mut names: Vec<_> = switches.iter().take(MOST).map(|name| shown(name)).collect();
    if switches.len() > MOST {
        names.push(format!("{} more", switches.len() - MOST));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_exactly_and_the_finding_says_which_was_meant() {
        let switches: BTreeSet<_> = ["fs1", "fs-berlin"].map(str::to_owned).into();
        let said = |nodes: &[&str]| {
            let nodes: Vec<_> = nodes.iter().map(|node| (*node).to_owned()).collect();
            unknown_nodes(&nodes, &switches).map(|fault| format!("{}; {}", fault.reason, fault.fix))
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
