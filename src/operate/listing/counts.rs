//! Gateways counted by state and validity.

use serde::Serialize;
use utoipa::ToSchema;

use super::super::by_word::ByWord;
use super::super::gateways::Validity;
use super::item::ListState;

/// How many gateways there are, by word.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Counts {
    /// By state: `up`, `down`, `missing`, `trying`, `unknown`, `idle`. The filter on the state is left out.
    #[schema(value_type = BTreeMap<String, usize>)]
    pub state: ByWord,
    /// How many are parked: they are among the others. The filter on the state is left out.
    pub parked: usize,
    /// By validity: `valid`, `disabled`, `kept`, `invalid`, `shadowed`, `not_ours`. The filter on validity is
    /// left out.
    #[schema(value_type = BTreeMap<String, usize>)]
    pub validity: ByWord,
}

/// Counts in the making: by the place of a state in [`ListState::ALL`] and of a validity in
/// [`Validity::ALL`]. The last place is for gateways that are not desired.
#[derive(Default)]
pub(super) struct Tally {
    state: [usize; ListState::ALL.len()],
    parked: usize,
    validity: [usize; Validity::ALL.len() + 1],
}

impl Tally {
    pub(super) fn add_state(&mut self, state: ListState) {
        self.state[state as usize] += 1;
    }

    pub(super) fn add_parked(&mut self, is_parked: bool) {
        self.parked += usize::from(is_parked);
    }

    pub(super) fn add_validity(&mut self, validity: Option<Validity>) {
        self.validity[validity.map_or(Validity::ALL.len(), |validity| validity as usize)] += 1;
    }

    pub(super) fn counts(self) -> Counts {
        let states = ListState::ALL.map(ListState::as_str);
        let validities = Validity::ALL.map(Validity::as_str).into_iter().chain(["not_ours"]);
        let by_word = |(word, count): (&'static str, usize)| (count > 0).then_some((word, count));
        Counts {
            state: states.into_iter().zip(self.state).filter_map(by_word).collect(),
            parked: self.parked,
            validity: validities.zip(self.validity).filter_map(by_word).collect(),
        }
    }
}
