use super::*;
use crate::gateway::{ProfileName, RawDomain, Rules};
use crate::settings::CarrierSettings;

const IP_TRUNK: &str = r#"{"param":{"realm":"ip.test","register":false}}"#;

/// Gateways with these values.
fn desired(gateways: &[(&str, &str)]) -> Desired {
    let rules = Rules::new(ProfileName::parse("external").unwrap(), Default::default());
    let fields = gateways
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    Desired::build(&[("acme".to_owned(), RawDomain::hash(fields))].into(), &rules, None)
}

fn rules(slice: usize, carriers: &[CarrierSettings]) -> BootRules {
    BootRules {
        slice,
        carriers: Carriers::new(carriers),
    }
}

fn names(first: Option<BTreeSet<GatewayName>>) -> Option<Vec<String>> {
    Some(first?.iter().map(ToString::to_string).collect())
}

#[test]
fn those_that_were_usable_come_first_and_few_come_whole() {
    let all = desired(&[("a", IP_TRUNK), ("b", IP_TRUNK), ("c", IP_TRUNK), ("d", IP_TRUNK)]);
    let usable: HashSet<Arc<str>> = ["d".into(), "gone".into()].into();
    let first = |slice| names(rules(slice, &[]).first(&all, "fs1", "External", &usable, &BTreeSet::new()));
    assert_eq!(first(2), Some(vec!["a".to_owned(), "d".to_owned()]));
    assert_eq!(first(4), None);
    assert_eq!(first(0), None);
}

#[test]
fn what_registers_with_a_paced_carrier_is_left_to_the_executor() {
    let value = |more: &str| format!(r#"{{"param":{{"realm":"sip.test","username":"u","password":"p"}}{more}}}"#);
    let (here, there, other) = (
        value(""),
        value(r#","nodes":["fs2"]"#),
        value(r#","profile":"internal""#),
    );
    let all = desired(&[
        ("ip", r#"{"param":{"realm":"sip.test","register":false}}"#),
        ("account", &here),
        ("elsewhere", &there),
        ("in-other-profile", &other),
    ]);
    let first = |carrier: CarrierSettings| {
        names(rules(0, &[carrier]).first(&all, "fs1", "external", &HashSet::new(), &BTreeSet::new()))
    };
    let paced = CarrierSettings::paced("sip.test", Some(5), None);
    assert_eq!(first(paced.clone()), Some(vec!["ip".to_owned()]));
    let in_flight = CarrierSettings::paced("sip.test", None, Some(5));
    assert_eq!(first(in_flight), Some(vec!["ip".to_owned()]));
    let not_at_boot = CarrierSettings {
        pace_boot: false,
        ..paced
    };
    assert_eq!(first(not_at_boot), None);
    assert_eq!(first(CarrierSettings::paced("sip.test", None, None)), None);
}

#[test]
fn what_is_parked_is_left_out() {
    let all = desired(&[("a", IP_TRUNK), ("b", IP_TRUNK)]);
    let parked = [GatewayName::parse("a").unwrap(), GatewayName::parse("gone").unwrap()].into();
    let first = rules(0, &[]).first(&all, "fs1", "external", &HashSet::new(), &parked);
    assert_eq!(names(first), Some(vec!["b".to_owned()]));
}
