//! What somebody wants to see of a list.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::super::gateways::Validity;
use super::super::status::SwitchNotes;
use super::item::{Item, ListState, OnSwitch};
use crate::language::Bilingual;
use crate::registration::State;

/// Which gateways, in which order. An empty list of words selects everything.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    pub domain: Option<String>,
    /// Words that all must occur in name, description, carrier, realm, proxy, username or tags.
    pub search: Option<String>,
    /// Groups (`up`, `down`, `trying`, `idle`, …), `parked`, or FreeSWITCH's own states (`REGED`).
    pub states: Vec<String>,
    /// Only gateways that this switch has or is to have; `states` then means those on it.
    pub switch: Option<String>,
    pub profile: Option<String>,
    pub carrier: Option<String>,
    pub tag: Option<String>,
    pub validity: Vec<Validity>,
    pub sort: Sort,
    pub direction: Direction,
    pub limit: usize,
    /// Where the page before ended.
    pub after: Option<Cursor>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    #[default]
    Name,
    Domain,
    /// Worst first.
    State,
    /// Longest in its state first.
    Since,
    PingMs,
    Profile,
    Carrier,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Direction {
    #[default]
    Ascending,
    Descending,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    #[error("there is no state {word:?}")]
    State { word: String },
    #[error("after is no cursor")]
    Cursor,
}

impl Bilingual for QueryError {
    fn chinese(&self) -> String {
        match self {
            Self::State { word } => format!("没有状态 {word:?}"),
            Self::Cursor => "after 不是有效的游标".to_owned(),
        }
    }
}

/// What a gateway is sorted by. Gateways without a value come last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum SortKey<'a> {
    Number(i64),
    Text(Cow<'a, str>),
    Nothing(()),
}

/// The last gateway of a page: sort key, name, domain. Stays right while others edit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor(
    pub(super) SortKey<'static>,
    pub(super) String,
    pub(super) Option<String>,
);

impl Cursor {
    /// # Errors
    /// [`QueryError::Cursor`].
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| QueryError::Cursor)?;
        serde_json::from_slice(&json).map_err(|_| QueryError::Cursor)
    }

    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    pub(super) fn of(item: &Item, sort: Sort) -> Self {
        Self(
            sort_key(item, sort).into_owned(),
            item.name.to_string(),
            item.domain.as_ref().map(ToString::to_string),
        )
    }
}

impl Sort {
    pub const ALL: [(&'static str, Self); 7] = [
        ("name", Self::Name),
        ("domain", Self::Domain),
        ("state", Self::State),
        ("since", Self::Since),
        ("ping_ms", Self::PingMs),
        ("profile", Self::Profile),
        ("carrier", Self::Carrier),
    ];

    /// `name`, or `-name` for the other direction.
    pub fn parse(text: &str) -> Option<(Self, Direction)> {
        let (word, direction) = match text.strip_prefix('-') {
            Some(word) => (word, Direction::Descending),
            None => (text, Direction::Ascending),
        };
        let known = Self::ALL.into_iter().find(|(name, _)| *name == word);
        known.map(|(_, sort)| (sort, direction))
    }
}

impl SortKey<'_> {
    fn into_owned(self) -> SortKey<'static> {
        match self {
            Self::Number(number) => SortKey::Number(number),
            Self::Text(text) => SortKey::Text(Cow::Owned(text.into_owned())),
            Self::Nothing(()) => SortKey::Nothing(()),
        }
    }
}

pub(super) fn sort_key(item: &Item, sort: Sort) -> SortKey<'_> {
    fn text(text: Option<&str>) -> SortKey<'_> {
        text.map_or(SortKey::Nothing(()), |text| SortKey::Text(Cow::Borrowed(text)))
    }
    match sort {
        Sort::Name => SortKey::Nothing(()),
        Sort::Domain => text(item.domain.as_deref()),
        Sort::State => SortKey::Number(item.state as i64),
        Sort::Since => item
            .since
            .map_or(SortKey::Nothing(()), |since| SortKey::Number(since.as_millisecond())),
        Sort::PingMs => item.ping_ms.map_or(SortKey::Nothing(()), |ms| {
            // In microseconds: an integer has an order that everybody agrees on.
            #[allow(clippy::cast_possible_truncation, reason = "a ping takes less than centuries")]
            SortKey::Number((ms * 1000.0) as i64)
        }),
        Sort::Profile => text(item.text.profile.as_deref()),
        Sort::Carrier => text(item.text.carrier.as_deref()),
    }
}

/// Gateways that are parked. They are down, too.
const PARKED: &str = "parked";

/// A word of `states`.
pub(super) enum StateWord {
    Group(Vec<ListState>),
    Exact(State),
    Parked,
}

impl StateWord {
    pub(super) fn parse(word: &str) -> Result<Self, QueryError> {
        if word == "down" {
            return Ok(Self::Group(vec![ListState::Down, ListState::Missing]));
        }
        if word == PARKED {
            return Ok(Self::Parked);
        }
        if let Some(state) = ListState::ALL.into_iter().find(|state| state.as_str() == word) {
            return Ok(Self::Group(vec![state]));
        }
        match State::from(word) {
            State::Unknown(_) => Err(QueryError::State { word: word.to_owned() }),
            state => Ok(Self::Exact(state)),
        }
    }

    /// Of the gateway over all its switches, or on one.
    pub(super) fn selects(&self, item: &Item, on: Option<&OnSwitch>, notes: &SwitchNotes) -> bool {
        match (self, on) {
            (Self::Group(states), None) => states.contains(&item.state),
            (Self::Group(states), Some(on)) => states.contains(&on.condition.into()),
            (Self::Exact(state), None) => item.on.iter().any(|on| has_state(on, state)),
            (Self::Exact(state), Some(on)) => has_state(on, state),
            (Self::Parked, on) => is_parked(item, on, notes),
        }
    }
}

/// On any of its switches, or on one.
pub(super) fn is_parked(item: &Item, on: Option<&OnSwitch>, notes: &SwitchNotes) -> bool {
    let here = |on: &OnSwitch| notes.is_parked(&on.switch, &item.name);
    on.map_or_else(|| item.on.iter().any(here), here)
}

fn has_state(on: &OnSwitch, state: &State) -> bool {
    on.row.as_ref().is_some_and(|row| row.state.as_ref() == Some(state))
}
