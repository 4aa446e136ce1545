//! Counts refusals in a row. Pure.

use crate::observed::Row;
use crate::registration::{Refused, State};

/// Answers to a REGISTER that a retry won't change. FreeSWITCH reports 401 and 407 only if the carrier asked
/// again after it got the password.
const FINAL: [&str; 5] = ["401", "403", "404", "407", "410"];
/// More are not counted.
const MOST: u32 = 1000;

/// After an event; `answer` is its SIP status. `before` is the previous row of the same gateway.
pub(super) fn after_event(before: Option<&Row>, row: &Row, answer: Option<&str>) -> Option<Refused> {
    let kept = kept(before, row)?;
    let is_final = answer.is_some_and(|answer| FINAL.contains(&answer));
    let refused = match row.state {
        Some(State::Failed) if is_final => Refused {
            in_a_row: (kept.in_a_row + 1).min(MOST),
            code: row.status.clone(),
            phrase: row.phrase.clone(),
            ..kept
        },
        Some(State::Failed | State::Timeout) => none_in_a_row(kept),
        _ => kept,
    };
    some(refused)
}

/// A snapshot or an answer about one gateway counts nothing.
pub(super) fn after_snapshot(before: Option<&Row>, row: &Row) -> Option<Refused> {
    kept(before, row).and_then(some)
}

fn kept(before: Option<&Row>, row: &Row) -> Option<Refused> {
    if row.state == Some(State::Reged) {
        return None;
    }
    let is_accepted = |row: &Row| matches!(row.state, Some(State::Register | State::Reged));
    let was_registered = before.is_some_and(is_accepted);
    let known = before.and_then(|before| before.refused.clone());
    let known = known.unwrap_or(Refused {
        in_a_row: 0,
        code: None,
        phrase: None,
        up_until: None,
    });
    let kept = Refused {
        up_until: was_registered.then_some(row.seen).or(known.up_until),
        ..known
    };
    Some(match row.state {
        Some(State::Register | State::Down | State::Noreg) => none_in_a_row(kept),
        _ => kept,
    })
}

/// `None` if it says nothing.
fn some(refused: Refused) -> Option<Refused> {
    (refused.in_a_row > 0 || refused.up_until.is_some()).then_some(refused)
}

fn none_in_a_row(refused: Refused) -> Refused {
    Refused {
        in_a_row: 0,
        code: None,
        phrase: None,
        ..refused
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    /// The rows after these states, each with its SIP status, a second apart.
    fn after(events: &[(&str, &str)]) -> Option<Refused> {
        let mut before: Option<Row> = None;
        for (second, (state, answer)) in (0..).zip(events) {
            let answer = (!answer.is_empty()).then_some(*answer);
            let mut row = Row {
                state: Some(State::from(*state)),
                status: answer.map(str::to_owned),
                ..Row::unknown(Timestamp::from_second(second).unwrap())
            };
            row.refused = after_event(before.as_ref(), &row, answer);
            before = Some(row);
        }
        before?.refused
    }

    fn in_a_row(events: &[(&str, &str)]) -> u32 {
        after(events).map_or(0, |refused| refused.in_a_row)
    }

    const CYCLE: [(&str, &str); 4] = [("TRYING", ""), ("FAILED", "403"), ("FAIL_WAIT", ""), ("UNREGED", "")];

    #[test]
    fn refusals_in_a_row_are_counted_until_anything_else_happens() {
        let three = [CYCLE, CYCLE, CYCLE].concat();
        let refused = after(&three).unwrap();
        assert_eq!((refused.in_a_row, refused.code.as_deref()), (3, Some("403")));
        assert_eq!(refused.up_until, None);
        for (state, answer) in [
            ("FAILED", "503"),
            ("FAILED", ""),
            ("TIMEOUT", ""),
            ("REGISTER", ""),
            ("DOWN", ""),
        ] {
            let other = [&three[..], &[(state, answer)]].concat();
            assert_eq!(in_a_row(&other), 0, "{state} {answer}");
            assert_eq!(in_a_row(&[&other[..], &CYCLE[..]].concat()), 1);
        }
        for answer in ["401", "404", "407", "410"] {
            assert_eq!(in_a_row(&[&three[..], &[("FAILED", answer)]].concat()), 4);
        }
        assert_eq!(after(&[&three[..], &[("REGISTER", ""), ("REGED", "")]].concat()), None);
        assert_eq!(after(&[("NOREG", "")]), None);
    }

    #[test]
    fn when_it_was_registered_last_stays_known() {
        let healthy = [("REGED", ""), ("TRYING", ""), ("REGISTER", ""), ("REGED", "")];
        assert_eq!(after(&healthy), None);
        let refused = after(&[&healthy[..], &CYCLE[..], &CYCLE[..], &[("FAILED", "503")]].concat()).unwrap();
        assert_eq!(refused.up_until, Some(Timestamp::from_second(4).unwrap()));
        assert_eq!(refused.in_a_row, 0);
        // It was accepted, and unregistered before it was REGED.
        let accepted = after(&[&CYCLE[..], &[("REGISTER", ""), ("DOWN", "")]].concat()).unwrap();
        assert_eq!(accepted.up_until, Some(Timestamp::from_second(5).unwrap()));
    }
}
