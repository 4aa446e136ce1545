//! Counts of gateways with a link to them.

use super::address::gateways_url;
use super::texts::Texts;
use super::words;
use crate::operate::ByWord;
use crate::operate::listing::ListState;

/// A count with a link to the gateways.
pub(super) struct Chip {
    pub(super) word: &'static str,
    pub(super) label: String,
    pub(super) count: usize,
    pub(super) url: String,
}

/// Those of each state, within the filter `of`.
pub(super) fn states(t: Texts, states: &ByWord, of: (&str, &str)) -> Vec<Chip> {
    let chip = |(state, count): (ListState, usize)| Chip {
        word: state.as_str(),
        label: t.get(words::state(state)).into_owned(),
        count,
        url: gateways_url(&[("state", state.as_str()), of]),
    };
    counted(states).map(chip).collect()
}

/// The states that any gateway is in.
pub(super) fn counted(states: &ByWord) -> impl Iterator<Item = (ListState, usize)> {
    ListState::ALL
        .into_iter()
        .filter_map(|state| Some((state, *states.get(state.as_str())?)))
}
