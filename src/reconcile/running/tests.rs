use super::*;
use crate::gateway::{ProfileFacts, ProfileName, RawDomain, Rules};

const KEY: RevisionKey = RevisionKey::new([7; 32]);

/// What FreeSWITCH runs under the Core-UUID `run`.
struct Switch(HashMap<Arc<str>, String>);

impl RunningSource for Switch {
    fn revisions(&self, core_uuid: &str) -> Option<HashMap<Arc<str>, String>> {
        (core_uuid == "run").then(|| self.0.clone())
    }

    fn usable(&self) -> HashSet<Arc<str>> {
        self.0.keys().filter(|name| &***name != "is-older").cloned().collect()
    }

    fn starts(&self) {}
}

fn desired() -> Desired {
    let profiles = ["external", "internal"].map(|name| (ProfileName::parse(name).unwrap(), ProfileFacts::default()));
    let rules = Rules::new(ProfileName::parse("external").unwrap(), profiles.into());
    let gateway = |more: &str| format!(r#"{{"param":{{"register":"false"}}{more}}}"#).into_bytes();
    let fields = [
        ("runs", ""),
        ("is-older", ""),
        ("is-not-there", ""),
        ("elsewhere", r#","nodes":["fs2"]"#),
        ("inside", r#","profile":"internal""#),
    ];
    let fields = fields.map(|(name, more)| (name.as_bytes().to_vec(), gateway(more)));
    Desired::build(&[("acme".to_owned(), RawDomain::hash(fields))].into(), &rules, None)
}

fn running(desired: &Desired) -> Running {
    let right = |name: &str| revision(&desired.get(name).unwrap().gateway, &KEY);
    let runs = [
        ("runs", right("runs")),
        ("is-older", "older".to_owned()),
        ("theirs", String::new()),
    ];
    let running = Running::default();
    let switch = Switch(runs.map(|(name, revision)| (name.into(), revision)).into());
    running.add("fs1", Arc::new(switch));
    running
}

const ASKS: Rescan<'static> = Rescan {
    switch: "fs1",
    core_uuid: Some("run"),
    profile: "External",
};

#[test]
fn what_is_missing_is_what_does_not_run_in_the_wanted_version() {
    let desired = desired();
    let running = running(&desired);
    running.is_kept_complete("fs1", true);
    let missing = |asks| {
        let names = running.missing(asks, &desired, &KEY).unwrap();
        names.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(missing(ASKS), ["is-not-there", "is-older"]);
    let inside = Rescan {
        profile: "internal",
        ..ASKS
    };
    assert!(
        running.missing(inside, &desired, &KEY).is_none(),
        "all of them are missing"
    );
}

#[test]
fn nothing_is_left_out_while_it_is_not_known_or_nobody_would_start_it() {
    let desired = desired();
    let running = running(&desired);
    let is_known = |asks| running.missing(asks, &desired, &KEY).is_some();
    assert!(!is_known(ASKS), "trunkd does not say yet that it would start it");
    running.is_kept_complete("fs1", true);
    running.is_kept_complete("fs2", true);
    assert!(is_known(ASKS));
    let others = [
        Rescan { switch: "fs2", ..ASKS },
        Rescan {
            core_uuid: Some("another"),
            ..ASKS
        },
        Rescan {
            core_uuid: None,
            ..ASKS
        },
    ];
    for asks in others {
        assert!(!is_known(asks), "{asks:?}");
    }
}

#[test]
fn what_was_usable_before_a_boot_is_known_where_the_rest_is_started_by_itself() {
    let running = running(&desired());
    assert_eq!(running.before_boot("fs1"), None, "nothing would start the rest");
    running.is_kept_complete("fs1", true);
    let usable = running.before_boot("fs1").unwrap();
    assert!(usable.contains("runs") && !usable.contains("is-older"));
    running.is_kept_complete("fs1", false);
    assert_eq!(running.before_boot("fs1"), None);
    assert_eq!(running.before_boot("fs2"), None);
}
