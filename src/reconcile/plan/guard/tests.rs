use proptest::prelude::*;
use serde_json::json;

use super::*;

const DEFAULT: Limits = Limits { max_removals: None };

fn gateways(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<GatewayName> {
    let name = |number: usize| GatewayName::parse(&format!("gw{number:03}")).unwrap();
    numbers.into_iter().map(name).collect()
}

/// The verdict if nothing is approved and the store has domains.
fn plainly(ours: usize, removals: usize, limits: Limits) -> Verdict {
    judge(
        &gateways(0..ours),
        &gateways(0..removals),
        false,
        &limits,
        &gateways([]),
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
        let verdict = judge(&all, &all, true, &DEFAULT, &gateways([]), &gateways([]));
        assert_eq!(reason(&verdict), Some(HoldReason::StoreVanished), "{ours}");
    }
}

#[test]
fn what_is_approved_counts_as_gone() {
    let (ours, nothing) = (gateways(0..50), gateways([]));
    // Forty were approved, and two of the other ten go.
    let verdict = judge(&ours, &gateways(0..42), false, &DEFAULT, &gateways(0..40), &nothing);
    assert!(is_go(&verdict));
    // The limit is based on the rest.
    let verdict = judge(&ours, &gateways(0..26), false, &DEFAULT, &gateways(0..20), &nothing);
    assert!(is_go(&verdict), "6 of 30");
    let verdict = judge(&ours, &gateways(0..31), false, &DEFAULT, &gateways(0..25), &nothing);
    assert_eq!(reason(&verdict), Some(HoldReason::TooMany { limit: 5 }), "6 of 25");
    // The whole rest would go, though it is a fifth of the former total.
    let Verdict::Hold(hold) = judge(&ours, &ours, false, &DEFAULT, &gateways(0..40), &nothing) else {
        panic!("not held");
    };
    assert_eq!(
        (hold.reason, hold.weight.ours, &hold.removals),
        (HoldReason::All, 10, &gateways(40..50))
    );
    // Approving a gateway that stays has no effect.
    let verdict = judge(&ours, &gateways(0..10), false, &DEFAULT, &gateways(20..50), &nothing);
    assert!(is_go(&verdict), "10 of 50");
}

#[test]
fn what_went_lately_counts_until_the_window_has_moved_on() {
    let nothing = gateways([]);
    let judged = |ours: std::ops::Range<usize>, removals: std::ops::Range<usize>, recent: std::ops::Range<usize>| {
        let limits = &DEFAULT;
        judge(
            &gateways(ours),
            &gateways(removals),
            false,
            limits,
            &nothing,
            &gateways(recent),
        )
    };
    // Twenty of a hundred went. The limit is still that of a hundred.
    assert!(is_go(&judged(19..100, 19..20, 0..19)));
    let verdict = judged(20..100, 20..21, 0..20);
    let Verdict::Hold(hold) = &verdict else {
        panic!("not held");
    };
    assert_eq!(hold.reason, HoldReason::TooMany { limit: 20 });
    assert_eq!(
        hold.summary(),
        "held: removes 1 of 100 after 20 others within reconcile.removals_window (more than 20)"
    );
    assert!(is_go(&judged(20..100, 20..21, 0..0)));
    // The same removal twice counts once.
    assert!(is_go(&judged(0..100, 0..20, 0..20)));
    // A gateway that is back still counts as recent, but it is there.
    assert_eq!(
        reason(&judged(0..100, 20..21, 0..20)),
        Some(HoldReason::TooMany { limit: 20 })
    );
    assert!(is_go(&judged(0..2, 1..2, 0..1)));
    let Verdict::Hold(hold) = judged(1..2, 1..2, 0..1) else {
        panic!("not held");
    };
    assert_eq!(
        hold.summary(),
        "held: removes the last 1 of 2 after another one within reconcile.removals_window"
    );
}

#[test]
fn what_is_left_of_the_limit_can_be_told() {
    assert_eq!(DEFAULT.left(100, 0), 20);
    assert_eq!(DEFAULT.left(100, 15), 5);
    assert_eq!(DEFAULT.left(100, 50), 0);
    let none = Limits { max_removals: Some(0) };
    assert_eq!(none.left(10, 0), 0);
}

#[test]
fn a_held_plan_says_why_and_how_to_release_it() {
    let held = |removals, ours, reason| Hold {
        removals: gateways(0..removals),
        weight: Weight { ours, earlier: 0 },
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
        json!({"verdict": "hold", "removals": ["gw000", "gw001"], "ours": 3, "earlier": 0, "reason": {"kind": "too_many", "limit": 1}})
    );
}

fn some(of: usize) -> impl Strategy<Value = BTreeSet<GatewayName>> {
    prop::collection::btree_set(0..of, 0..=of).prop_map(gateways)
}

/// An input of `judge`. Removals may be of ours, or of others, though no caller does that.
#[derive(Debug, Clone)]
struct Case {
    ours: BTreeSet<GatewayName>,
    removals: BTreeSet<GatewayName>,
    vanished: bool,
    limits: Limits,
    approved: BTreeSet<GatewayName>,
    recent: BTreeSet<GatewayName>,
}

impl Case {
    fn judge(&self) -> Verdict {
        judge(
            &self.ours,
            &self.removals,
            self.vanished,
            &self.limits,
            &self.approved,
            &self.recent,
        )
    }

    /// Some removals are done. Those without approval count as recent.
    fn killed(&self, killed: &BTreeSet<GatewayName>) -> Self {
        Self {
            ours: &self.ours - killed,
            removals: &self.removals - killed,
            recent: &self.recent | &(killed - &self.approved),
            ..self.clone()
        }
    }
}

fn any_case() -> impl Strategy<Value = Case> {
    let limits = prop::option::of(0..12usize).prop_map(|max_removals| Limits { max_removals });
    (1..40usize).prop_flat_map(move |of| {
        let parts = (some(of), some(of), any::<bool>(), limits.clone(), some(of), some(of));
        parts.prop_map(|(ours, removals, vanished, limits, approved, recent)| Case {
            ours,
            removals,
            vanished,
            limits,
            approved,
            recent,
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_removals_are_never_held(case in any_case()) {
        let case = Case { removals: gateways([]), ..case };
        prop_assert!(is_go(&case.judge()));
    }

    #[test]
    fn to_approve_what_a_hold_names_releases_it(case in any_case()) {
        if let Verdict::Hold(hold) = case.judge() {
            prop_assert!(hold.removals.is_subset(&case.removals) && hold.removals.is_disjoint(&case.approved));
            let approved = &case.approved | &hold.removals;
            let case = Case { approved, ..case.clone() };
            prop_assert!(is_go(&case.judge()));
        }
        let approved = case.removals.clone();
        let case = Case { approved, ..case };
        prop_assert!(is_go(&case.judge()));
    }

    #[test]
    fn one_removal_more_never_lets_a_held_plan_go(case in any_case(), more in 0..40usize) {
        let before = case.judge();
        let after = Case { removals: &case.removals | &gateways([more]), ..case.clone() }.judge();
        prop_assert!(is_go(&before) || !is_go(&after), "{before:?} → {after:?}");
    }

    #[test]
    fn one_approval_more_never_holds_a_plan_that_goes(case in any_case(), more in 0..40usize) {
        let before = case.judge();
        let after = Case { approved: &case.approved | &gateways([more]), ..case.clone() }.judge();
        prop_assert!(!is_go(&before) || is_go(&after), "{before:?} → {after:?}");
    }

    #[test]
    fn one_that_went_lately_more_never_lets_a_held_plan_go(case in any_case(), more in 0..40usize) {
        // Recent gateways that are not counted as ours may raise the default limit.
        let limits = Limits { max_removals: Some(case.limits.max_removals.unwrap_or(5)) };
        let case = Case { limits, ..case };
        let before = case.judge();
        let after = Case { recent: &case.recent | &gateways([more]), ..case.clone() }.judge();
        prop_assert!(is_go(&before) || !is_go(&after), "{before:?} → {after:?}");
    }

    #[test]
    fn the_verdict_does_not_change_while_what_is_approved_is_killed(case in any_case(), killed in some(40)) {
        let killed: BTreeSet<_> = &(&killed & &case.removals) & &case.approved;
        prop_assert_eq!(case.judge(), case.killed(&killed).judge());
    }

    #[test]
    fn removals_that_go_still_go_when_some_of_them_are_done(case in any_case(), killed in some(40)) {
        let case = Case { removals: &case.removals & &case.ours, ..case };
        if is_go(&case.judge()) {
            prop_assert!(is_go(&case.killed(&(&killed & &case.removals)).judge()));
        }
    }

    #[test]
    fn no_more_go_than_the_limit_however_small_the_portions(size in 1..60usize, limits in prop::option::of(0..12usize), portions in prop::collection::vec(some(60), 1..20)) {
        let limits = Limits { max_removals: limits };
        let all = gateways(0..size);
        let (mut ours, mut recent) = (all.clone(), gateways([]));
        for portion in portions {
            let removals = &portion & &ours;
            if is_go(&judge(&ours, &removals, false, &limits, &gateways([]), &recent)) {
                ours = &ours - &removals;
                recent = &recent | &removals;
            }
        }
        prop_assert!(recent.len() <= limits.of(size), "{} of {size}", recent.len());
        prop_assert!(size < 2 || !ours.is_empty());
    }
}

#[test]
fn every_hold_has_both_languages() {
    let reasons = [
        HoldReason::TooMany { limit: 10 },
        HoldReason::All,
        HoldReason::StoreVanished,
        HoldReason::UnknownKey,
    ];
    for (reason, earlier) in reasons
        .into_iter()
        .flat_map(|reason| [0, 1, 7].map(|earlier| (reason, earlier)))
    {
        let held = Held {
            removals: 40,
            weight: Weight { ours: 50, earlier },
            reason,
        };
        held.message().check();
        held.summary_message().check();
    }
}
