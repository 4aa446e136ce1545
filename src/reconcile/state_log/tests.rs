use super::*;
use crate::gateway::{GatewayName, ProfileName};
use crate::reconcile::plan::{HoldReason, Weight};

#[test]
fn a_hold_that_grows_is_the_same_hold() {
    let held = |removals, reason| Held {
        removals,
        weight: Weight { ours: 50, earlier: 0 },
        reason,
    };
    let mut log = StateLog::default();
    log.update("fs1", Some(&held(11, HoldReason::TooMany { limit: 10 })), &[]);
    let first = log.keys().join(" ");
    log.update("fs1", Some(&held(12, HoldReason::TooMany { limit: 10 })), &[]);
    assert_eq!(log.keys().join(" "), first);
    log.update_hold("fs1", Some(&held(50, HoldReason::All)));
    assert_ne!(log.keys().join(" "), first);
    log.update("fs1", None, &[]);
    assert!(log.keys().is_empty());
}

#[test]
fn a_profile_that_does_not_run_is_told_of_once_however_many_gateways_wait_for_it() {
    let name = |name| GatewayName::parse(name).unwrap();
    let waits = |gateways: &[&'static str]| Conflict::ProfileNotRunning {
        profile: ProfileName::parse("later").unwrap(),
        gateways: gateways.iter().map(|gateway| name(gateway)).collect(),
    };
    let mut log = StateLog::default();
    log.update("fs1", None, &[waits(&["a"])]);
    let first = log.keys().join(" ");
    log.update("fs1", None, &[waits(&["a", "b"])]);
    assert_eq!(log.keys().join(" "), first);
    // While the switch is out of sight, nothing is known to be resolved.
    log.update_hold("fs1", None);
    assert_eq!(log.keys().join(" "), first);
}
