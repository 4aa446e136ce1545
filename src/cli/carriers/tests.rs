use crate::operate::carriers::{CarrierOnSwitch, OutOnSwitch, RegisterRate};

use super::super::terminal::width_of;
use super::*;

fn carrier(name: &str) -> CarrierStatus {
    CarrierStatus {
        name: name.to_owned(),
        gateways: 12,
        state: [("up", 10), ("down", 2)].into(),
        registers: RegisterRate {
            per_second: 0.5,
            limit_per_second: Some(5),
            limit_in_flight: None,
        },
        refused: [("403".to_owned(), 12), ("503".to_owned(), 1)].into(),
        ..CarrierStatus::default()
    }
}

fn out(name: &str) -> CarrierStatus {
    let out = OutOnSwitch {
        since: Timestamp::UNIX_EPOCH,
        failing: Some(3),
        of: Some(5),
    };
    let on = CarrierOnSwitch {
        switch: "fs1".to_owned(),
        gateways: 5,
        state: [("down", 3)].into(),
        parked: 0,
        waiting: 0,
        out: Some(out),
        registers_per_second: 0.0,
        refused: [].into(),
    };
    CarrierStatus {
        parked: 1,
        waiting: 300,
        switches: vec![on],
        ..carrier(name)
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(7800).unwrap()
}

#[test]
fn each_carrier_has_a_line_that_fits_the_terminal() {
    let list = CarrierList {
        items: vec![carrier("sip.example.net"), out(&"long".repeat(20))],
        others: Some(carrier("other")),
        total: 9,
    };
    let whole = text(&list, None, now());
    assert!(whole.contains("sip.example.net"), "{whole}");
    assert!(whole.contains("10 up, 2 down"), "{whole}");
    assert!(whole.contains("OUT on fs1 for 2 h 10 min: 3 of 5 fail; 1 parked; 300 wait for its pace"));
    assert!(whole.contains("\"other\" is the sum of 7 more"), "{whole}");
    let size = Size { columns: 80, lines: 24 };
    for line in text(&list, Some(size), now()).lines() {
        assert!(width_of(line) <= 80, "{line}");
    }
    assert_eq!(
        text(&CarrierList::default(), None, now()),
        "No gateway of a carrier is served.\n"
    );
}

#[test]
fn a_line_of_the_status_says_what_is_wrong() {
    assert_eq!(
        line(&carrier("sip.example.net"), now()),
        "sip.example.net: 10 up, 2 down; 0.5/5 REGISTERs a second; refused within the hour: 403: 12, 503: 1"
    );
    assert!(line(&out("b.test"), now()).ends_with("1 parked; 300 wait for its pace"));
}
