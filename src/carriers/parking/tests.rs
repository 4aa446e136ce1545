use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const RULES: Rules = Rules {
    after: 5,
    first_wait: Duration::from_secs(3600),
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn refused(state: State, in_a_row: u32, up_until: Option<Timestamp>) -> Registration {
    Registration {
        state: Some(state),
        down_since: Some(at(0)),
        has_failed: true,
        refused: Some(Refused {
            in_a_row,
            code: Some("403".to_owned()),
            phrase: Some("Forbidden".to_owned()),
            up_until,
        }),
    }
}

#[test]
fn a_gateway_is_parked_after_five_refusals_or_ten_if_it_was_up_within_the_hour() {
    let parks = |in_a_row, up_until, now| refused(State::FailWait, in_a_row, up_until).is_to_park(RULES, at(now));
    assert!(!parks(4, None, 100));
    assert!(parks(5, None, 100));
    assert!(!parks(9, Some(at(0)), 3599));
    assert!(parks(10, Some(at(0)), 3599));
    assert!(parks(5, Some(at(0)), 3600));
    // An answer may be on its way.
    for state in [State::Trying, State::Unreged, State::Register, State::Down] {
        assert!(!refused(state, 5, None).is_to_park(RULES, at(100)));
    }
    let off = Rules { after: 0, ..RULES };
    assert!(!refused(State::FailWait, 1000, None).is_to_park(off, at(100)));
}

#[test]
fn waits_double_up_to_a_day() {
    let hours: Vec<_> = (0..8).map(|tries| RULES.wait(tries).as_secs() / 3600).collect();
    assert_eq!(hours, [1, 2, 4, 8, 16, 24, 24, 24]);
    assert_eq!(RULES.wait(u32::MAX), Duration::from_secs(24 * 3600));
}

fn next(parked: &Parked, sight: Sight<'_>, now: i64) -> Option<Step> {
    parked.next(true, sight, RULES, at(now))
}

#[test]
fn a_parked_gateway_is_unregistered_waits_tries_and_is_parked_again_or_comes_back() {
    let waiting = refused(State::FailWait, 5, None);
    let down = refused(State::Down, 0, None);
    let parked = Parked::refused("r1", &waiting, RULES, at(0));
    assert_eq!(parked.answer().as_deref(), Some("403 Forbidden"));

    // Whatever trunkd was in the middle of when it died.
    assert_eq!(next(&parked, Sight::Unregistered(&waiting), 0), Some(Step::Unregister));
    assert_eq!(
        next(&parked, Sight::Unregistered(&refused(State::Trying, 5, None)), 0),
        None
    );
    assert_eq!(
        next(&parked, Sight::Registered, 0),
        Some(Step::Unpark(Unparked::Registered))
    );
    assert_eq!(next(&parked, Sight::Unregistered(&down), 0), Some(Step::Confirm));
    assert_eq!(next(&parked, Sight::Absent, 0), Some(Step::Confirm));
    // Its carrier accepted it after that was decided and before it was unregistered.
    let accepted = refused(State::Down, 0, Some(at(1)));
    assert_eq!(next(&parked, Sight::Unregistered(&accepted), 2), Some(Step::Try));
    let again = parked.again(&waiting, RULES, at(100));
    assert_eq!(next(&again, Sight::Unregistered(&accepted), 102), Some(Step::Confirm));

    let parked = parked.in_phase(Phase::Waiting);
    assert_eq!(next(&parked, Sight::Unregistered(&down), 3599), None);
    assert_eq!(next(&parked, Sight::Absent, 3599), None);
    let registering = refused(State::Trying, 0, None);
    for sight in [Sight::Registered, Sight::Unregistered(&registering)] {
        assert_eq!(next(&parked, sight, 10), Some(Step::Unpark(Unparked::ByHand)));
    }
    assert_eq!(next(&parked, Sight::Unregistered(&down), 3600), Some(Step::Try));
    assert_eq!(next(&parked, Sight::Absent, 3600), Some(Step::Try));
    assert_eq!(
        parked.next(false, Sight::Absent, RULES, at(0)),
        Some(Step::Unpark(Unparked::Edited))
    );

    let trying = parked.in_phase(Phase::Trying);
    assert_eq!(next(&trying, Sight::Unregistered(&down), 3600), Some(Step::Register));
    assert_eq!(
        next(&trying, Sight::Registered, 3601),
        Some(Step::Unpark(Unparked::Registered))
    );
    // A server that is overloaded says nothing about the account.
    assert_eq!(
        next(&trying, Sight::Unregistered(&refused(State::FailWait, 0, None)), 3601),
        None
    );
    let again = refused(State::FailWait, 1, None);
    assert_eq!(next(&trying, Sight::Unregistered(&again), 3601), Some(Step::ParkAgain));
    let parked = trying.again(&again, RULES, at(3601));
    assert_eq!((parked.tries, parked.phase, parked.since), (1, Phase::Stopping, at(0)));
    assert_eq!(parked.next_try, Some(at(3601 + 7200)));

    let off = Rules { after: 0, ..RULES };
    let waiting = parked.in_phase(Phase::Waiting);
    assert_eq!(waiting.next(true, Sight::Absent, off, at(3700)), Some(Step::Try));
    assert_eq!(
        trying.next(true, Sight::Unregistered(&again), off, at(3700)),
        Some(Step::Unpark(Unparked::Off))
    );
}

#[test]
fn what_a_person_parks_stays_parked() {
    let parked = Parked::by("r1", "user:alice", at(0));
    assert_eq!(
        parked.next(true, Sight::Registered, RULES, at(1)),
        Some(Step::Unregister)
    );
    let parked = parked.in_phase(Phase::Waiting);
    assert_eq!(parked.next(true, Sight::Absent, RULES, at(1_000_000)), None);
    let off = Rules { after: 0, ..RULES };
    assert_eq!(parked.next(true, Sight::Absent, off, at(1_000_000)), None);
}

#[test]
fn a_carrier_is_out_if_most_of_its_gateways_and_at_least_three_began_to_fail_together() {
    let out = |begins: &[i64], of: usize| {
        let failing = begins.iter().map(|second| ("sip.test".to_owned(), at(*second)));
        carriers_out(failing, |_| of).remove("sip.test")
    };
    assert_eq!(
        out(&[0, 100, 200], 5),
        Some(CarrierOut {
            failing: 3,
            of: 5,
            since: at(0)
        })
    );
    assert_eq!(out(&[0, 100, 200], 6), None);
    assert_eq!(out(&[0, 100], 2), None);
    assert_eq!(out(&[0, 200, 400], 3), None);
    // One has failed for days.
    assert_eq!(out(&[-500_000, 0, 10, 300], 4).map(|out| out.since), Some(at(0)));
}

#[test]
fn a_gateway_fails_from_its_first_try_in_vain_on_or_if_it_tries_for_a_minute() {
    let trying = |has_failed| Registration {
        has_failed,
        ..refused(State::Trying, 0, None)
    };
    assert_eq!(trying(false).failing_since(at(59)), None);
    assert_eq!(trying(false).failing_since(at(60)), Some(at(0)));
    assert_eq!(trying(true).failing_since(at(1)), Some(at(0)));
    assert_eq!(refused(State::Down, 5, None).failing_since(at(100)), None);
}

/// What a carrier answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Ok,
    Refusal,
    Busy,
}

/// A gateway of the model; it counts as ingest does.
#[derive(Debug, Clone)]
struct Model {
    answers: Vec<Answer>,
    registration: Option<Registration>,
}

impl Model {
    fn receive(&mut self, answer: Answer, now: Timestamp) {
        self.answers.push(answer);
        let before = self.registration.take();
        if answer == Answer::Ok {
            return;
        }
        let known = before.as_ref().and_then(|before| before.refused.clone());
        let was_up = before.is_none() && self.answers.len() > 1;
        let up_until = known
            .as_ref()
            .and_then(|known| known.up_until)
            .or(was_up.then_some(now));
        let in_a_row = match answer {
            Answer::Refusal => known.map_or(0, |known| known.in_a_row) + 1,
            Answer::Ok | Answer::Busy => 0,
        };
        self.registration = Some(Registration {
            state: Some(State::FailWait),
            down_since: before.and_then(|before| before.down_since).or(Some(now)),
            ..refused(State::FailWait, in_a_row, up_until)
        });
    }
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![1 => Just(Answer::Ok), 6 => Just(Answer::Refusal), 1 => Just(Answer::Busy)]
}

proptest! {
    #[test]
    fn parking_never_hits_a_healthy_trunk_whatever_the_order_of_answers(
        answers in prop::collection::vec((0..4usize, answer(), 1..400i64), 1..200),
    ) {
        let healthy = Model { answers: Vec::new(), registration: None };
        let mut models = vec![healthy; 4];
        let mut parked = BTreeSet::new();
        let mut second = 0;
        for (number, answer, after) in answers {
            second += after;
            let now = at(second);
            if parked.contains(&number) {
                continue;
            }
            models[number].receive(answer, now);
            let live = || models.iter().enumerate().filter(|(number, _)| !parked.contains(number));
            let failing = live().filter_map(|(_, model)| model.registration.as_ref()?.failing_since(now));
            let out = carriers_out(failing.map(|since| (String::new(), since)), |_| live().count());
            let to_park: Vec<_> = live()
                .filter(|(_, model)| model.registration.as_ref().is_some_and(|it| it.is_to_park(RULES, now)))
                .map(|(number, _)| number)
                .filter(|_| out.is_empty())
                .collect();
            for number in to_park {
                let last = models[number].answers.iter().rev().take(5);
                prop_assert_eq!(last.filter(|answer| **answer == Answer::Refusal).count(), 5);
                parked.insert(number);
            }
        }
    }
}
