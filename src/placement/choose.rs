//! Which switch is the best one for a gateway.
//!
//! Weighted rendezvous hashing: every switch draws a number for the gateway, and the highest one wins. So
//! gateways spread evenly by weight, and when a switch comes or goes only its own gateways move.

use sha2::{Digest, Sha256};

use crate::gateway::{GatewayName, OnOne};

/// The best of these switches that the gateway may run on: the first preferred one, else by hash. `None` if
/// there is none.
pub fn choose<'a>(
    gateway: &GatewayName,
    rule: &OnOne,
    switches: impl Iterator<Item = (&'a str, u32)>,
) -> Option<&'a str> {
    let rank = |switch: &str| {
        let place = rule.prefer.iter().position(|preferred| preferred == switch);
        place.unwrap_or(rule.prefer.len())
    };
    let allowed = switches.filter(|(switch, _)| rule.allows(switch));
    let drawn = allowed.map(|(switch, weight)| (rank(switch), draw(gateway, switch, weight), switch));
    let best = drawn.min_by(|one, other| {
        let by_rank = one.0.cmp(&other.0);
        by_rank.then(other.1.total_cmp(&one.1)).then(one.2.cmp(other.2))
    });
    best.map(|(_, _, switch)| switch)
}

/// The number that a switch draws for a gateway. A switch of twice the weight wins twice as often.
fn draw(gateway: &GatewayName, switch: &str, weight: u32) -> f64 {
    let mut hash = Sha256::new();
    // A gateway's name has no line end.
    hash.update(gateway.as_str());
    hash.update("\n");
    hash.update(switch);
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    // Above 0 and below 1.
    let uniform = ((u64::from_be_bytes(first) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(weight) / uniform.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> GatewayName {
        GatewayName::parse(name).unwrap()
    }

    fn owners(gateways: usize, rule: &OnOne, switches: &[(&'static str, u32)]) -> Vec<&'static str> {
        let names = (0..gateways).map(|n| name(&format!("gw{n}")));
        names
            .map(|name| choose(&name, rule, switches.iter().copied()).unwrap())
            .collect()
    }

    #[test]
    fn gateways_spread_by_weight() {
        let owners = owners(7000, &OnOne::default(), &[("fs1", 1), ("fs2", 2), ("fs3", 4)]);
        for (switch, expected) in [("fs1", 1000.0), ("fs2", 2000.0), ("fs3", 4000.0)] {
            let count = owners.iter().filter(|owner| **owner == switch).count() as f64;
            assert!((count / expected - 1.0).abs() < 0.15, "{switch} has {count}");
        }
    }

    #[test]
    fn a_lost_switch_moves_exactly_its_own_gateways() {
        let ten = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"].map(|switch| (switch, 1));
        let before = owners(5000, &OnOne::default(), &ten);
        for lost in ten {
            let nine: Vec<_> = ten.iter().copied().filter(|switch| *switch != lost).collect();
            let after = owners(5000, &OnOne::default(), &nine);
            for (before, after) in before.iter().zip(after) {
                assert_eq!(*before == lost.0, *before != after);
            }
        }
    }

    #[test]
    fn the_first_preferred_switch_wins_and_others_never_without_need() {
        let rule = OnOne {
            nodes: Some(["fs1", "fs2", "fs3"].map(str::to_owned).into()),
            prefer: ["fs2".to_owned(), "fs1".to_owned()].into(),
            ..OnOne::default()
        };
        let choose = |switches: &[&'static str]| choose(&name("gw"), &rule, switches.iter().map(|name| (*name, 1)));
        assert_eq!(choose(&["fs1", "fs2", "fs3"]), Some("fs2"));
        assert_eq!(choose(&["fs1", "fs3", "fs4"]), Some("fs1"));
        assert_eq!(choose(&["fs4", "fs3"]), Some("fs3"));
        assert_eq!(choose(&["fs4"]), None);
    }
}
