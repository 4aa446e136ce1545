use super::*;

fn row(state: State) -> Row {
    Row {
        state: Some(state),
        ..Row::unknown(Timestamp::UNIX_EPOCH)
    }
}

fn condition(row: &Row) -> Condition {
    Condition::of(Some(row), false, true)
}

#[test]
fn a_gateway_without_a_row_is_missing_only_if_the_switch_can_be_seen() {
    assert_eq!(Condition::of(None, false, true), Condition::Missing);
    assert_eq!(Condition::of(None, false, false), Condition::Unknown);
}

#[test]
fn a_row_that_says_usable_decides_whatever_its_state() {
    let says = |usable, ping_every| Row {
        usable,
        ping_every,
        ..row(State::Noreg)
    };
    assert_eq!(condition(&says(Some(true), None)), Condition::Up);
    assert_eq!(condition(&says(Some(false), None)), Condition::Down);
    assert_eq!(condition(&says(None, Some(0))), Condition::Unknown);
}

#[test]
fn a_row_of_an_older_trunkd_is_judged_by_its_state_and_ping() {
    assert_eq!(condition(&row(State::Reged)), Condition::Up);
    assert_eq!(condition(&row(State::Failed)), Condition::Down);
    assert_eq!(condition(&row(State::Noreg)), Condition::Unknown);
    let pinged = |ping| Row {
        ping: Some(ping),
        ..row(State::Noreg)
    };
    assert_eq!(Condition::of(Some(&pinged(PingStatus::Up)), true, true), Condition::Up);
    assert_eq!(
        Condition::of(Some(&pinged(PingStatus::Down)), true, true),
        Condition::Down
    );
}

#[test]
fn a_first_registration_is_trying_and_a_retry_after_a_refusal_is_down() {
    assert_eq!(condition(&row(State::Trying)), Condition::Trying);
    let accepted = Row {
        status: Some("200".to_owned()),
        ..row(State::Register)
    };
    assert_eq!(condition(&accepted), Condition::Trying);
    let refused = Row {
        status: Some("403".to_owned()),
        ..row(State::Trying)
    };
    assert_eq!(condition(&refused), Condition::Down);
}

#[test]
fn failing_gateways_come_first_and_the_worst_of_them_leads() {
    let on = OnSwitch {
        switch: "fs1",
        watched: true,
    };
    let gateway = |condition, failing| Gateway {
        failing,
        ..Gateway::from_row(on, String::new(), None, condition)
    };
    let mut gateways = [
        gateway(Condition::Up, false),
        gateway(Condition::Unknown, false),
        gateway(Condition::Up, true),
        gateway(Condition::Missing, true),
        gateway(Condition::Down, true),
    ];
    gateways.sort_by_key(Gateway::rank);
    let order = gateways.map(|gateway| (gateway.condition, gateway.failing));
    assert_eq!(
        order,
        [
            (Condition::Down, true),
            (Condition::Missing, true),
            (Condition::Up, true),
            (Condition::Unknown, false),
            (Condition::Up, false),
        ]
    );
}
