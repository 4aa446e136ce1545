//! Gateways counted by state and validity.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::super::gateways::Validity;
use super::item::ListState;

/// How many there are of each word.
pub(super) type ByWord = BTreeMap<&'static str, usize>;

/// How many gateways there are, by word.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Counts {
    /// By state: `up`, `down`, `missing`, `trying`, `unknown`, `idle`. The filter on the state is left out.
    #[schema(value_type = BTreeMap<String, usize>)]
    pub state: ByWord,
    /// By validity: `valid`, `disabled`, `kept`, `invalid`, `shadowed`, `not_ours`. The filter on validity is
    /// left out.
    #[schema(value_type = BTreeMap<String, usize>)]
    pub validity: ByWord,
}

impl Counts {
    pub(super) fn add_validity(&mut self, validity: Option<Validity>) {
        let word = validity.map_or("not_ours", Validity::as_str);
        *self.validity.entry(word).or_default() += 1;
    }

    pub(super) fn add_state(&mut self, state: ListState) {
        *self.state.entry(state.as_str()).or_default() += 1;
    }
}
