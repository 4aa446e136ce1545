use super::*;
use crate::gateway::{ProfileFacts, RawDomain, Rules};

fn listed<'a>(name: &'a str, state: &'a State, revision: Option<Option<&'a str>>) -> Listed<'a> {
    Listed {
        seen: Seen::default(),
        name,
        profile: Some("external"),
        state: Some(state),
        registration: None,
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
        Instant::now(),
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

#[test]
fn a_gateway_that_stays_down_was_unregistered_and_an_edit_restarts_it() {
    const WITHIN: Duration = Duration::from_secs(15);
    let began = Instant::now();
    let later = |seconds| began + Duration::from_secs(seconds);
    let name = GatewayName::parse("gw1").unwrap();
    let down = |revision| listed("gw1", &State::Down, Some(Some(revision)));
    let mut known = Known::new(["external"], [], [down("r")], began);
    known.settle(later(14), WITHIN);
    assert!(known.unsettled.contains(&name));
    known.set(name.clone(), &down("r"), later(14));
    known.settle(later(15), WITHIN);
    assert!(known.unsettled.is_empty());
    known.set(name.clone(), &down("r"), later(16));
    known.settle(later(16), WITHIN);
    assert!(known.unsettled.is_empty());
    assert!(known.clone().settled().unsettled.is_empty());

    // It came back and is killed.
    known.set(name.clone(), &listed("gw1", &State::Reged, Some(Some("r"))), later(20));
    known.set(name.clone(), &down("r"), later(30));
    known.settle(later(31), WITHIN);
    assert!(known.unsettled.contains(&name));
    assert!(known.settled().unsettled.is_empty());
}
