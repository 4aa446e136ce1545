use super::*;
use crate::gateway::{ProfileFacts, RawDomain, Rules};

fn listed<'a>(name: &'a str, state: &'a State, revision: Option<Option<&'a str>>) -> Listed<'a> {
    Listed {
        seen: Seen::default(),
        name,
        profile: Some("external"),
        state: Some(state),
        revision,
    }
}

#[test]
fn what_is_on_its_way_or_refused_is_left_alone() {
    let ours = Some(Some("r"));
    let known = Known::new(
        ["external"],
        [],
        [
            listed("stays-up", &State::Reged, ours),
            listed("goes", &State::Down, ours),
            listed("refused", &State::Reged, ours),
            listed("unasked", &State::Reged, None),
            listed("bad name", &State::Reged, None),
        ],
    );
    assert_eq!(known.unsettled.len(), 2);
    let external = ProfileName::parse("external").unwrap();
    let rules = Rules::new(external.clone(), [(external, ProfileFacts::default())].into());
    let fields = [(b"refused".to_vec(), b"{".to_vec())];
    let raw = [("acme".to_owned(), RawDomain::hash(fields))].into();
    let desired = Desired::build(&raw, &rules, None);
    let wants = BTreeMap::new();
    let differences = Differences::between(&wants, &known.actual);
    let plan = known.plan(&differences, &desired, &wants, &BTreeSet::new());
    let removed: Vec<_> = plan.removals().into_iter().map(|name| name.to_string()).collect();
    assert_eq!(removed, ["stays-up"]);
}
