use proptest::prelude::*;

use super::*;

const START: u64 = 1_795_633_493;

fn failed(direction: Direction, cause: &str) -> Call {
    Call {
        direction,
        outcome: Outcome::Failed(cause.into()),
    }
}

fn answered(direction: Direction, seconds: u32) -> Call {
    Call {
        direction,
        outcome: Outcome::Answered { seconds },
    }
}

/// The same from a list of all calls.
fn naive(span: Span, calls: &[(u64, Call)], now: u64) -> Figures {
    let mut figures = Figures::default();
    for (at, call) in calls {
        if at / span.slot_seconds() + span.slots() <= now / span.slot_seconds() {
            continue;
        }
        let tally = match call.direction {
            Direction::In => &mut figures.inbound,
            Direction::Out => &mut figures.outbound,
        };
        match call.outcome {
            Outcome::Answered { seconds } => {
                tally.answered += 1;
                tally.seconds += u64::from(seconds);
            }
            Outcome::Failed(cause) => {
                tally.failed += 1;
                *figures.causes.entry(cause).or_default() += 1;
            }
        }
    }
    figures
}

fn any_call() -> impl Strategy<Value = Call> {
    let direction = prop_oneof![Just(Direction::In), Just(Direction::Out)];
    let outcome = prop_oneof![
        (0..10_000u32).prop_map(|seconds| Outcome::Answered { seconds }),
        prop::sample::select(&["USER_BUSY", "NO_ANSWER", "NEW_IN_2030"][..])
            .prop_map(|cause| Outcome::Failed(cause.into())),
    ];
    (direction, outcome).prop_map(|(direction, outcome)| Call { direction, outcome })
}

fn any_span() -> impl Strategy<Value = Span> {
    prop::sample::select(&Span::ALL[..])
}

/// Seconds until the next call: mostly few.
fn any_wait() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..40u64, 2 => 0..4_000u64, 1 => 0..100_000u64]
}

proptest! {
    #[test]
    fn a_window_counts_what_a_list_of_all_calls_counts(
        span in any_span(),
        calls in prop::collection::vec((any_wait(), any_call()), 0..200),
        later in any_wait(),
    ) {
        let (mut window, mut all, mut now) = (Window::new(span), Vec::new(), START);
        for (wait, call) in calls {
            now += wait;
            window.add(&call, now);
            all.push((now, call));
            prop_assert_eq!(window.figures(now), naive(span, &all, now));
        }
        now += later;
        let expected = naive(span, &all, now);
        prop_assert_eq!(&window.figures(now), &expected);
        let restored = Window::from_saved(span, window.to_saved(), now);
        prop_assert_eq!(&restored.figures(now), &expected);
        window.forget_old(now);
        prop_assert_eq!(&restored, &window);
        prop_assert_eq!(&window.figures(now), &expected);
    }

    #[test]
    fn a_window_is_bounded_whatever_happens(
        span in any_span(),
        calls in prop::collection::vec((0..2_000u64, any::<bool>(), 0..Cause::ALL.len()), 0..2_000),
    ) {
        let (mut window, mut now) = (Window::new(span), START);
        for (wait, inbound, cause) in calls {
            // The clock may be set back, too.
            now = if wait > 1_900 { now - 5_000 } else { now + wait / 40 };
            let direction = if inbound { Direction::In } else { Direction::Out };
            window.add(&failed(direction, Cause::ALL[cause]), now);
            // One more kind for the other causes of each direction.
            prop_assert!(window.len() <= span.slots() as usize * 2 * (MAX_KINDS + 2));
        }
    }
}

#[test]
fn asr_is_of_all_calls_and_acd_of_the_answered_ones() {
    let mut window = Window::new(Span::FiveMinutes);
    assert_eq!((window.figures(START).asr(), window.figures(START).acd()), (None, None));
    window.add(&failed(Direction::Out, "NO_ANSWER"), START);
    let figures = window.figures(START);
    assert_eq!((figures.asr(), figures.acd()), (Some(0.0), None));
    for seconds in [60, 120, 0] {
        window.add(&answered(Direction::Out, seconds), START);
    }
    let figures = window.figures(START);
    assert_eq!((figures.asr(), figures.acd()), (Some(0.75), Some(60.0)));
}

#[test]
fn causes_without_room_share_one_and_no_call_is_lost() {
    let mut window = Window::new(Span::Hour);
    for cause in Cause::ALL {
        window.add(&failed(Direction::Out, cause), START);
    }
    let figures = window.figures(START);
    assert_eq!(figures.failed(), Cause::ALL.len() as u64);
    assert_eq!(figures.causes.len(), MAX_KINDS);
    assert!(figures.causes[&Cause::OTHER] > 1);
}

#[test]
fn a_clock_that_was_set_back_a_little_loses_nothing_and_one_that_was_far_ahead_forgets() {
    let mut window = Window::new(Span::Hour);
    window.add(&answered(Direction::In, 5), START);
    window.add(&answered(Direction::In, 5), START - 120);
    assert_eq!(window.figures(START - 120).answered(), 2);
    let year = 365 * 24 * 3600;
    window.add(&answered(Direction::In, 5), START + year);
    window.add(&answered(Direction::In, 5), START + 10);
    assert_eq!(window.figures(START + 10).answered(), 1);
    assert_eq!(window.figures(START + 2 * 3600).answered(), 0);
}
