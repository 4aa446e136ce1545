//! Whether the removals of a plan may happen, or wait until somebody says so. Pure: no async, no I/O, no clock.
//!
//! A flood of removals is more often a mistake (a FLUSHALL, a wrong database, a script gone wild) than a wish. Starts and restarts are no
//! removals: they are paced, not held.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::gateway::GatewayName;

/// How much may go without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Of one switch at a time; 0 holds every removal. `None`: the larger of 5 and 20 % (rounded up) of ours.
    pub max_removals: Option<usize>,
}

impl Limits {
    fn of(self, ours: usize) -> usize {
        self.max_removals.unwrap_or_else(|| ours.div_ceil(5).max(5))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub enum Verdict {
    Go,
    Hold(Hold),
}

/// A plan that waits. `Display` is one line with the mend; [`Hold::summary`] is without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hold {
    /// What has to be approved, exactly: the removals that are not approved yet.
    pub removals: BTreeSet<GatewayName>,
    /// How many of ours the switch has, without those whose removal is approved.
    pub ours: usize,
    pub reason: HoldReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HoldReason {
    TooMany {
        limit: usize,
    },
    /// All of ours, two or more.
    All,
    /// Redis holds not one domain, where it held some.
    StoreVanished,
}

impl Hold {
    /// `held: removes 40 of 50 (more than 10)`.
    pub fn summary(&self) -> String {
        let (removals, ours) = (self.removals.len(), self.ours);
        match self.reason {
            HoldReason::TooMany { limit } => format!("held: removes {removals} of {ours} (more than {limit})"),
            HoldReason::All => format!("held: removes all {ours}"),
            HoldReason::StoreVanished => {
                format!("held: removes {removals} of {ours}, because every domain is gone from Redis")
            }
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let undo = match self.reason {
            HoldReason::TooMany { .. } | HoldReason::All => "undo the edit",
            HoldReason::StoreVanished => "`trunkd restore` puts the domains back",
        };
        write!(f, "{}; `trunkd apply` releases it, or {undo}", self.summary())
    }
}

/// Judges the removals of one switch. `ours` are its gateways that carry a revision; `store_vanished` is whether Redis holds no domain where it
/// held one; `approved` are the names whose removal somebody asked for by `trunkd apply`.
///
/// What is approved counts as gone already, from the removals and from ours alike, so that the verdict is the same before, while and after the
/// approved ones are killed. Of the rest, held is
/// - any at all, when the store vanished;
/// - all of ours, where they are two or more;
/// - more than the limit.
pub fn judge(
    ours: &BTreeSet<GatewayName>,
    removals: &BTreeSet<GatewayName>,
    store_vanished: bool,
    limits: &Limits,
    approved: &BTreeSet<GatewayName>,
) -> Verdict {
    let pending: BTreeSet<_> = removals.difference(approved).cloned().collect();
    let is_gone = |name: &GatewayName| removals.contains(name) && approved.contains(name);
    let left = ours.iter().filter(|name| !is_gone(name)).count();
    let limit = limits.of(left);
    let reason = if pending.is_empty() {
        return Verdict::Go;
    } else if store_vanished {
        HoldReason::StoreVanished
    } else if left >= 2 && ours.is_subset(removals) {
        HoldReason::All
    } else if pending.len() > limit {
        HoldReason::TooMany { limit }
    } else {
        return Verdict::Go;
    };
    Verdict::Hold(Hold {
        removals: pending,
        ours: left,
        reason,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const DEFAULT: Limits = Limits { max_removals: None };

    fn gateways(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<GatewayName> {
        let name = |number: usize| GatewayName::parse(&format!("gw{number:03}")).unwrap();
        numbers.into_iter().map(name).collect()
    }

    /// The verdict where nothing is approved and the store is there.
    fn plainly(ours: usize, removals: usize, limits: Limits) -> Verdict {
        judge(
            &gateways(0..ours),
            &gateways(0..removals),
            false,
            &limits,
            &gateways([]),
        )
    }

    fn reason(verdict: &Verdict) -> Option<HoldReason> {
        match verdict {
            Verdict::Go => None,
            Verdict::Hold(hold) => Some(hold.reason),
        }
    }

    fn is_go(verdict: &Verdict) -> bool {
        *verdict == Verdict::Go
    }

    #[test]
    fn the_default_limit_is_the_larger_of_five_and_a_fifth_rounded_up() {
        for (ours, limit) in [(6, 5), (25, 5), (26, 6), (50, 10), (51, 11), (10_000, 2_000)] {
            assert_eq!(DEFAULT.of(ours), limit);
        }
        assert!(is_go(&plainly(50, 10, DEFAULT)));
        assert_eq!(
            reason(&plainly(50, 11, DEFAULT)),
            Some(HoldReason::TooMany { limit: 10 })
        );
    }

    #[test]
    fn a_limit_that_was_set_is_the_limit() {
        let one = Limits { max_removals: Some(1) };
        assert!(is_go(&plainly(50, 1, one)));
        assert_eq!(reason(&plainly(50, 2, one)), Some(HoldReason::TooMany { limit: 1 }));
        let none = Limits { max_removals: Some(0) };
        assert_eq!(reason(&plainly(1, 1, none)), Some(HoldReason::TooMany { limit: 0 }));
        let any = Limits {
            max_removals: Some(usize::MAX),
        };
        assert!(is_go(&plainly(50, 49, any)));
        assert_eq!(reason(&plainly(50, 50, any)), Some(HoldReason::All));
    }

    #[test]
    fn the_last_gateway_of_a_switch_may_go_but_not_the_last_two_at_once() {
        assert!(is_go(&plainly(1, 1, DEFAULT)));
        assert!(is_go(&plainly(2, 1, DEFAULT)));
        assert_eq!(reason(&plainly(2, 2, DEFAULT)), Some(HoldReason::All));
    }

    #[test]
    fn a_flushed_store_is_held_however_many_gateways_there_are() {
        for ours in [2, 3, 300] {
            assert!(!is_go(&plainly(ours, ours, DEFAULT)), "{ours}");
        }
        for ours in [1, 2, 3, 300] {
            let all = gateways(0..ours);
            let verdict = judge(&all, &all, true, &DEFAULT, &gateways([]));
            assert_eq!(reason(&verdict), Some(HoldReason::StoreVanished), "{ours}");
        }
    }

    #[test]
    fn what_is_approved_counts_as_gone() {
        let ours = gateways(0..50);
        // Forty were approved, and two of the ten that are left go.
        let verdict = judge(&ours, &gateways(0..42), false, &DEFAULT, &gateways(0..40));
        assert!(is_go(&verdict));
        // The limit is of what is left.
        let verdict = judge(&ours, &gateways(0..26), false, &DEFAULT, &gateways(0..20));
        assert!(is_go(&verdict), "6 of 30");
        let verdict = judge(&ours, &gateways(0..31), false, &DEFAULT, &gateways(0..25));
        assert_eq!(reason(&verdict), Some(HoldReason::TooMany { limit: 5 }), "6 of 25");
        // What is left would all go, though it is a fifth of what there was.
        let Verdict::Hold(hold) = judge(&ours, &ours, false, &DEFAULT, &gateways(0..40)) else {
            panic!("not held");
        };
        assert_eq!(
            (hold.reason, hold.ours, &hold.removals),
            (HoldReason::All, 10, &gateways(40..50))
        );
        // An approval of a gateway that stays means nothing.
        let verdict = judge(&ours, &gateways(0..10), false, &DEFAULT, &gateways(20..50));
        assert!(is_go(&verdict), "10 of 50");
    }

    #[test]
    fn a_held_plan_says_why_and_what_mends_it() {
        let held = |removals, ours, reason| Hold {
            removals: gateways(0..removals),
            ours,
            reason,
        };
        assert_eq!(
            held(40, 50, HoldReason::TooMany { limit: 10 }).to_string(),
            "held: removes 40 of 50 (more than 10); `trunkd apply` releases it, or undo the edit"
        );
        assert_eq!(
            held(3, 3, HoldReason::All).to_string(),
            "held: removes all 3; `trunkd apply` releases it, or undo the edit"
        );
        assert_eq!(
            held(1, 1, HoldReason::StoreVanished).to_string(),
            "held: removes 1 of 1, because every domain is gone from Redis; `trunkd apply` releases it, or `trunkd restore` puts the domains back"
        );
    }

    #[test]
    fn a_verdict_is_plain_in_json() {
        assert_eq!(serde_json::to_value(Verdict::Go).unwrap(), json!({"verdict": "go"}));
        assert_eq!(
            serde_json::to_value(plainly(3, 2, Limits { max_removals: Some(1) })).unwrap(),
            json!({"verdict": "hold", "removals": ["gw000", "gw001"], "ours": 3, "reason": {"kind": "too_many", "limit": 1}})
        );
    }

    fn some(of: usize) -> impl Strategy<Value = BTreeSet<GatewayName>> {
        prop::collection::btree_set(0..of, 0..=of).prop_map(gateways)
    }

    /// What is judged; removals may be of ours or, as no caller does, not.
    fn any_case() -> impl Strategy<
        Value = (
            BTreeSet<GatewayName>,
            BTreeSet<GatewayName>,
            bool,
            Limits,
            BTreeSet<GatewayName>,
        ),
    > {
        let limits = prop::option::of(0..12usize).prop_map(|max_removals| Limits { max_removals });
        (1..40usize).prop_flat_map(move |of| (some(of), some(of), any::<bool>(), limits.clone(), some(of)))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn no_removals_are_never_held((ours, _, vanished, limits, approved) in any_case()) {
            prop_assert!(is_go(&judge(&ours, &gateways([]), vanished, &limits, &approved)));
        }

        #[test]
        fn to_approve_what_a_hold_names_releases_it((ours, removals, vanished, limits, approved) in any_case()) {
            if let Verdict::Hold(hold) = judge(&ours, &removals, vanished, &limits, &approved) {
                prop_assert!(hold.removals.is_subset(&removals) && hold.removals.is_disjoint(&approved));
                let approved = &approved | &hold.removals;
                prop_assert!(is_go(&judge(&ours, &removals, vanished, &limits, &approved)));
            }
            prop_assert!(is_go(&judge(&ours, &removals, vanished, &limits, &removals)));
        }

        #[test]
        fn one_removal_more_never_lets_a_held_plan_go((ours, removals, vanished, limits, approved) in any_case(), more in 0..40usize) {
            let before = judge(&ours, &removals, vanished, &limits, &approved);
            let after = judge(&ours, &(&removals | &gateways([more])), vanished, &limits, &approved);
            prop_assert!(is_go(&before) || !is_go(&after), "{before:?} → {after:?}");
        }

        #[test]
        fn one_approval_more_never_holds_a_plan_that_goes((ours, removals, vanished, limits, approved) in any_case(), more in 0..40usize) {
            let before = judge(&ours, &removals, vanished, &limits, &approved);
            let after = judge(&ours, &removals, vanished, &limits, &(&approved | &gateways([more])));
            prop_assert!(!is_go(&before) || is_go(&after), "{before:?} → {after:?}");
        }

        #[test]
        fn the_verdict_does_not_change_while_what_is_approved_is_killed((ours, removals, vanished, limits, approved) in any_case(), killed in some(40)) {
            let before = judge(&ours, &removals, vanished, &limits, &approved);
            let killed: BTreeSet<_> = killed.into_iter().filter(|name| removals.contains(name) && approved.contains(name)).collect();
            let after = judge(&(&ours - &killed), &(&removals - &killed), vanished, &limits, &approved);
            prop_assert_eq!(before, after);
        }

        #[test]
        fn removals_that_go_still_go_when_some_of_them_are_done((ours, removals, vanished, limits, approved) in any_case(), killed in some(40)) {
            let removals = &removals & &ours;
            if is_go(&judge(&ours, &removals, vanished, &limits, &approved)) {
                let killed = &killed & &removals;
                prop_assert!(is_go(&judge(&(&ours - &killed), &(&removals - &killed), vanished, &limits, &approved)));
            }
        }
    }
}
