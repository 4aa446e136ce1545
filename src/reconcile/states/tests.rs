use super::*;
use crate::gateway::{ProfileFacts, ProfileName, RawDomain, Rules};

fn desired(gateways: &[(&str, &str)]) -> Arc<Desired> {
    let external = ProfileName::parse("external").unwrap();
    let rules = Rules::new(external.clone(), [(external, ProfileFacts::default())].into());
    let value = |more: &str| format!(r#"{{"param":{{"register":"false"}}{more}}}"#).into_bytes();
    let fields = gateways
        .iter()
        .map(|(name, more)| (name.as_bytes().to_vec(), value(more)));
    Arc::new(Desired::build(
        &[("acme".to_owned(), RawDomain::hash(fields))].into(),
        &rules,
        None,
    ))
}

const FS1: &str = r#","nodes":["fs1"]"#;
const FS2: &str = r#","nodes":["fs2"]"#;

#[test]
fn a_switch_loses_what_it_had_and_has_no_more() {
    let from = desired(&[
        ("all", ""),
        ("gone", ""),
        ("moves", FS1),
        ("stays", FS1),
        ("theirs", FS2),
    ]);
    let to = desired(&[("all", ""), ("moves", FS2), ("stays", FS1)]);
    let step = Step::new(&from, &to);
    let lost = |switch| step.lost(switch).map(|lost| lost.name.to_string()).collect::<Vec<_>>();
    assert_eq!(lost("fs1"), ["gone", "moves"]);
    assert_eq!(lost("fs2"), ["gone", "theirs"]);
    assert_eq!(lost("fs3"), ["gone"]);
    assert_eq!(
        (
            step.before(&from, "fs1"),
            step.before(&from, "fs2"),
            step.before(&from, "fs3")
        ),
        (4, 3, 2)
    );
}

#[test]
fn states_have_one_name_if_they_have_the_same_gateways_for_the_same_switches() {
    let (one, other) = (desired(&[("a", ""), ("b", FS1)]), desired(&[("a", FS1)]));
    let mut names = StateNames::default();
    let first = names.of(&one);
    let second = names.of(&other);
    assert_ne!(first, second);
    assert_eq!(names.of(&one), first, "the way there does not matter");
    assert_eq!(
        StateNames::default().of(&desired(&[("b", FS1), ("a", r#","enabled":true"#)])),
        first
    );
    assert_ne!(StateNames::default().of(&desired(&[("a", ""), ("b", FS2)])), first);
}
