//! What an event says about a REGISTER, to be counted. Pure.

use crate::event_socket::{GatewayEvent, Subclass};
use crate::observed::Register;
use crate::registration::State;

/// `before` is the state of the same gateway before the event.
pub(super) fn after_event(before: Option<&State>, event: &GatewayEvent) -> Option<Register> {
    if event.subclass != Subclass::State {
        return None;
    }
    let after = event.state.as_ref()?;
    let register = Register {
        sequence: event.sequence,
        is_sent: is_sent(before, after),
        refused: code(after, event.status.as_deref()),
    };
    (register.is_sent || register.refused.is_some()).then_some(register)
}

/// A gateway that registers again, before it expires, fires no TRYING (FACTS 39).
fn is_sent(before: Option<&State>, after: &State) -> bool {
    match after {
        State::Trying => before != Some(&State::Trying),
        State::Register | State::Failed | State::Timeout => before == Some(&State::Reged),
        _ => false,
    }
}

/// The final response that made a registration fail. Of the events of one attempt only this one
/// carries it (FACTS 39).
fn code(after: &State, status: Option<&str>) -> Option<u16> {
    let code = status.filter(|_| *after == State::Failed)?;
    code.parse().ok().filter(|code| (300..1000).contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many REGISTERs these states say were sent.
    fn sent(states: &[&str]) -> usize {
        let states: Vec<_> = states.iter().map(|state| State::from(*state)).collect();
        let before = std::iter::once(None).chain(states.iter().map(Some));
        before
            .zip(&states)
            .filter(|(before, after)| is_sent(*before, after))
            .count()
    }

    #[test]
    fn each_attempt_counts_once() {
        assert_eq!(sent(&["TRYING", "REGISTER", "REGED"]), 1);
        assert_eq!(sent(&["REGED", "REGISTER", "REGED", "REGISTER", "REGED"]), 2, "again");
        let refused = ["TRYING", "FAILED", "FAIL_WAIT", "UNREGED"];
        assert_eq!(sent(&[refused, refused].concat()), 2);
        assert_eq!(sent(&["TRYING", "TIMEOUT", "FAILED", "FAIL_WAIT"]), 1);
        assert_eq!(sent(&["REGED", "FAILED", "FAIL_WAIT", "UNREGED"]), 1);
        assert_eq!(sent(&["TRYING", "TRYING", "REGISTER"]), 1, "a ping said the same again");
        assert_eq!(sent(&["UNREGED", "DOWN", "NOREG"]), 0);
    }

    #[test]
    fn only_a_final_answer_of_a_carrier_is_a_refusal() {
        assert_eq!(code(&State::Failed, Some("403")), Some(403));
        assert_eq!(code(&State::Failed, Some("904")), Some(904));
        assert_eq!(code(&State::Failed, None), None);
        assert_eq!(code(&State::Register, Some("200")), None);
        assert_eq!(code(&State::Failed, Some("x")), None);
    }
}
