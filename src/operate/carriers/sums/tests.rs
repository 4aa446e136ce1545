use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::*;
use crate::carriers::{CarrierOut, Parked};
use crate::control::Waiting;
use crate::settings::CarrierSettings;

fn member<'a>(carrier: &'a str, gateway: &'a str, on: &[(&'a str, Condition)]) -> Member<'a> {
    Member {
        carrier: Cow::Borrowed(carrier),
        gateway,
        on: on.to_vec(),
        is_on_one: false,
    }
}

fn registers(sent: f64, refused: &[(&str, u64)]) -> Registers {
    let refused = refused.iter().map(|(code, count)| ((*code).to_owned(), *count));
    Registers {
        sent,
        refused: refused.collect(),
    }
}

/// On fs1 `b` is parked, `c` waits, and "big.test" is out.
fn report() -> Report {
    let out = CarrierOut {
        failing: 3,
        of: 5,
        since: Timestamp::UNIX_EPOCH,
    };
    let waiting = Waiting {
        per_second: Some(5),
        gateways: BTreeSet::from(["c".to_owned()]),
    };
    Report {
        parked: [("b".to_owned(), Parked::by("r1", "user:alice", Timestamp::UNIX_EPOCH))].into(),
        waiting: [("big.test".to_owned(), waiting)].into(),
        carriers_out: [("big.test".to_owned(), out)].into(),
        ..Report::default()
    }
}

fn members() -> Vec<Member<'static>> {
    use Condition::{Down, Missing, Up};
    vec![
        member("big.test", "a", &[("fs1", Up), ("fs2", Up)]),
        member("big.test", "b", &[("fs1", Down), ("fs2", Up)]),
        member("big.test", "c", &[("fs1", Missing)]),
        member("big.test", "d", &[]),
        member("small.test", "e", &[("fs2", Up)]),
        member("tiny.test", "f", &[("fs2", Up)]),
        member("tiny.test", "g", &[("fs2", Down)]),
    ]
}

fn sum_of(settings: &[CarrierSettings], sees_all: bool, query: &CarrierQuery) -> CarrierList {
    let (carriers, report) = (Carriers::new(settings), report());
    let on_fs1 = [
        ("a".to_owned(), registers(30.0, &[])),
        ("b".to_owned(), registers(15.0, &[("403", 4)])),
    ];
    let on_fs2 = [
        ("b".to_owned(), registers(0.0, &[("403", 1), ("503", 2)])),
        ("g".to_owned(), registers(6.0, &[("404", 9)])),
        ("not ours".to_owned(), registers(60.0, &[("403", 99)])),
    ];
    let registers = [
        ("fs1".to_owned(), HashMap::from(on_fs1)),
        ("fs2".to_owned(), HashMap::from(on_fs2)),
    ];
    let sources = Sources {
        carriers: &carriers,
        reports: [("fs1", &report)].into(),
        registers: &registers.into(),
        calls: None,
        sees_all,
    };
    sum(members(), &sources, query)
}

#[test]
fn a_carrier_has_the_sum_of_its_gateways_over_its_switches() {
    let paced = CarrierSettings::paced("big.test", Some(5), Some(20));
    let list = sum_of(&[paced], true, &CarrierQuery::default());
    let names: Vec<_> = list.items.iter().map(|carrier| &*carrier.name).collect();
    assert_eq!(names, ["big.test", "tiny.test", "small.test"]);
    assert!(list.others.is_none() && list.total == 3);

    let big = &list.items[0];
    assert_eq!((big.gateways, big.parked, big.waiting), (4, 1, 1));
    assert_eq!(big.state, [("up", 1), ("down", 1), ("missing", 1), ("idle", 1)].into());
    let limits = (big.registers.limit_per_second, big.registers.limit_in_flight);
    assert_eq!((big.registers.per_second, limits), (0.75, (Some(5), Some(20))));
    assert_eq!(big.refused, [("403".to_owned(), 5), ("503".to_owned(), 2)].into());
    assert_eq!(big.out_since, Some(Timestamp::UNIX_EPOCH));
    assert_eq!(big.call_stats, None);
    assert!(big.needs_attention());

    let (fs1, fs2) = (&big.switches[0], &big.switches[1]);
    assert_eq!((&*fs1.switch, fs1.gateways, fs1.parked, fs1.waiting), ("fs1", 3, 1, 1));
    assert_eq!(fs1.out.unwrap().of, Some(5));
    assert_eq!(fs1.registers_per_second, 0.75);
    assert_eq!((fs2.gateways, fs2.parked, fs2.out), (2, 0, None));
    assert_eq!(fs2.state, [("up", 2)].into());

    let tiny = &list.items[1];
    assert_eq!(
        (tiny.registers.per_second, tiny.registers.limit_per_second),
        (0.1, None)
    );
    assert_eq!(tiny.switches.len(), 1);
    assert!(!list.items[2].needs_attention());
}

#[test]
fn the_rest_is_one_sum_and_those_of_the_settings_come_first() {
    let named = [
        CarrierSettings::paced("small.test", Some(1), None),
        CarrierSettings::paced("misspelt.test", Some(1), None),
    ];
    let query = CarrierQuery { name: None, limit: 3 };
    let list = sum_of(&named, true, &query);
    let names: Vec<_> = list
        .items
        .iter()
        .map(|carrier| (&*carrier.name, carrier.gateways))
        .collect();
    assert_eq!(names, [("big.test", 4), ("small.test", 1), ("misspelt.test", 0)]);
    let others = list.others.unwrap();
    assert_eq!((&*others.name, others.gateways, list.total), ("other", 2, 4));
    assert_eq!(others.refused, [("404".to_owned(), 9)].into());
}

#[test]
fn one_carrier_alone_can_be_asked_for() {
    let named = [CarrierSettings::paced("empty.test", Some(1), None)];
    let only = |name: &str| {
        let query = CarrierQuery {
            name: Some(name.to_owned()),
            ..CarrierQuery::default()
        };
        let list = sum_of(&named, true, &query);
        list.items.into_iter().map(|carrier| carrier.name).collect::<Vec<_>>()
    };
    assert_eq!(only("empty.test"), ["empty.test"]);
    assert_eq!(only("nobody"), Vec::<String>::new());
}

#[test]
fn who_sees_some_domains_sees_no_number_of_the_others() {
    let named = [CarrierSettings::paced("empty.test", Some(1), None)];
    let list = sum_of(&named, false, &CarrierQuery::default());
    assert!(list.items.iter().all(|carrier| carrier.name != "empty.test"));
    let out = list.items[0].switches[0].out.unwrap();
    assert_eq!((out.failing, out.of, out.since), (None, None, Timestamp::UNIX_EPOCH));
}

#[test]
fn a_gateway_on_exactly_one_switch_that_none_has_is_missing_as_in_the_list() {
    let (carriers, registers) = (Carriers::new(&[]), RegistersBySwitch::new());
    let sources = Sources {
        carriers: &carriers,
        reports: BTreeMap::new(),
        registers: &registers,
        calls: None,
        sees_all: true,
    };
    let on_one = Member {
        is_on_one: true,
        ..member("big.test", "a", &[])
    };
    let list = sum(
        vec![on_one, member("big.test", "b", &[])],
        &sources,
        &CarrierQuery::default(),
    );
    assert_eq!(list.items[0].state, [("missing", 1), ("idle", 1)].into());
}
