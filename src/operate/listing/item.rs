//! One gateway in the index: what filters, sorting and search look at.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::gateways::Validity;
use super::super::status::Condition;
use super::fleet::Fleet;
use crate::desired::Current;
use crate::gateway::{Document, Gateway};
use crate::observed::Row;

/// The state of a gateway over all its switches: the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ListState {
    /// Calls fail.
    Down,
    /// It should be on a switch, and isn't.
    Missing,
    /// It registers for the first time.
    Trying,
    /// An IP trunk without pings, or a switch that can't be reached.
    Unknown,
    /// Calls can use it.
    Up,
    /// No switch has it or is to have it.
    Idle,
}

/// A gateway of a domain, or one that a switch runs without us.
#[derive(Debug, Clone)]
pub(in crate::operate) struct Item {
    pub(in crate::operate) name: Arc<str>,
    /// `None`: it is not desired.
    pub(in crate::operate) domain: Option<Arc<str>>,
    pub(super) text: Texts,
    pub(super) validity: Option<Validity>,
    /// What is served under its name, if that is ours.
    pub(super) served: Option<Arc<crate::gateway::Entry>>,
    /// The carrier that it belongs to, if it is served.
    pub(in crate::operate) carrier: Option<Arc<str>>,
    pub(in crate::operate) on: Vec<OnSwitch>,
    pub(super) state: ListState,
    /// Since when it is in its worst state. Here, because sorting looks at it of every item.
    pub(super) since: Option<Timestamp>,
    /// The slowest ping.
    pub(super) ping_ms: Option<f64>,
}

/// The gateway on one switch.
#[derive(Debug, Clone)]
pub(in crate::operate) struct OnSwitch {
    pub(in crate::operate) switch: Arc<str>,
    pub(in crate::operate) condition: Condition,
    pub(super) row: Option<Arc<Row>>,
}

/// What an operator wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Texts {
    pub(super) description: Option<String>,
    pub(super) carrier: Option<Arc<str>>,
    pub(super) profile: Option<Arc<str>>,
    pub(super) tags: Vec<String>,
    pub(super) enabled: bool,
    /// Everything that a search looks in, in lower case.
    haystack: String,
}

/// Words that many gateways have. Each is in memory once, which is where all their items find it.
#[derive(Default)]
pub(super) struct Words(HashSet<Arc<str>>);

/// More different words than anybody has carriers and profiles.
const MAX_WORDS: usize = 10_000;

impl Words {
    pub(super) fn share(&mut self, word: String) -> Arc<str> {
        if let Some(known) = self.0.get(word.as_str()) {
            return known.clone();
        }
        let word: Arc<str> = word.into();
        if self.0.len() >= MAX_WORDS {
            self.0.retain(|word| Arc::strong_count(word) > 1);
        }
        if self.0.len() < MAX_WORDS {
            self.0.insert(word.clone());
        }
        word
    }
}

impl ListState {
    pub const ALL: [Self; 6] = [
        Self::Down,
        Self::Missing,
        Self::Trying,
        Self::Unknown,
        Self::Up,
        Self::Idle,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Missing => "missing",
            Self::Trying => "trying",
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Idle => "idle",
        }
    }

    /// The worst of its conditions. Without any it is idle; or missing, if it is to run on exactly one switch.
    pub(in crate::operate) fn over(conditions: impl Iterator<Item = Condition>, is_on_one: bool) -> Self {
        match conditions.min() {
            Some(worst) => worst.into(),
            None if is_on_one => Self::Missing,
            None => Self::Idle,
        }
    }
}

impl From<Condition> for ListState {
    fn from(condition: Condition) -> Self {
        match condition {
            Condition::Down => Self::Down,
            Condition::Missing => Self::Missing,
            Condition::Trying => Self::Trying,
            Condition::Unknown => Self::Unknown,
            Condition::Up => Self::Up,
        }
    }
}

impl Texts {
    pub(super) fn of(name: &str, value: &[u8], words: &mut Words) -> Self {
        let Ok(document) = Document::parse(value) else {
            return Self {
                enabled: true,
                haystack: name.to_lowercase(),
                ..Self::default()
            };
        };
        let profile = document.text("profile").filter(|profile| !profile.is_empty());
        let mut texts = Self {
            description: document.text("description"),
            carrier: document.text("carrier").map(|carrier| words.share(carrier)),
            profile: profile.map(|profile| words.share(profile)),
            tags: document.texts("tags"),
            enabled: document.is_enabled(),
            haystack: String::new(),
        };
        let params = ["realm", "proxy", "username"].map(|name| document.param(name));
        let parts = [Some(name), texts.description.as_deref(), texts.carrier.as_deref()]
            .into_iter()
            .flatten()
            .map(str::to_owned)
            .chain(params.into_iter().flatten())
            .chain(texts.tags.iter().cloned());
        // Parts are on lines of their own, so that no search matches across two.
        texts.haystack = parts.collect::<Vec<_>>().join("\n").to_lowercase();
        texts
    }

    /// For a gateway that only a switch knows.
    pub(super) fn of_row(name: &str, row: &Row, words: &mut Words) -> Self {
        Self {
            profile: row.profile.clone().map(|profile| words.share(profile)),
            enabled: true,
            haystack: name.to_lowercase(),
            ..Self::default()
        }
    }

    /// `needle` in lower case.
    pub(super) fn contains(&self, needle: &memchr::memmem::Finder<'_>) -> bool {
        needle.find(self.haystack.as_bytes()).is_some()
    }
}

impl Item {
    /// Only what was written is known.
    pub(super) fn new(name: &Arc<str>, domain: Option<Arc<str>>, text: Texts) -> Self {
        Self {
            name: name.clone(),
            domain,
            text,
            validity: None,
            served: None,
            carrier: None,
            on: Vec::new(),
            state: ListState::Idle,
            since: None,
            ping_ms: None,
        }
    }

    /// Sets what each switch does with it.
    pub(super) fn observe(&mut self, fleet: &Fleet) {
        let wanted = self
            .served
            .as_ref()
            .map(|entry| &entry.gateway)
            .filter(|_| self.is_served());
        let on = fleet.switches().filter_map(|(switch, rows)| {
            let row = match self.is_owner() {
                true => rows.rows.get(&self.name).cloned(),
                false => None,
            };
            let is_wanted = wanted.is_some_and(|gateway| gateway.serves(Some(switch)));
            if row.is_none() && !is_wanted {
                return None;
            }
            let pings = wanted.is_some_and(|gateway| gateway.param("ping").is_some());
            let condition = Condition::of(row.as_deref(), pings, rows.watched);
            Some(OnSwitch {
                switch: switch.clone(),
                condition,
                row,
            })
        });
        self.on = on.collect();
        let conditions = self.on.iter().map(|on| on.condition);
        self.state = ListState::over(conditions, self.is_on_one());
        let worst = self.on.iter().min_by_key(|on| on.condition);
        let row = worst.and_then(|on| on.row.as_ref());
        self.since = row.map(|row| row.usable_since.unwrap_or(row.since));
        let pings = self.on.iter().filter_map(|on| on.row.as_ref()?.ping_ms);
        self.ping_ms = pings.max_by(f64::total_cmp);
    }

    /// What runs under its name on a switch is this gateway, and not that of another domain.
    fn is_owner(&self) -> bool {
        self.domain.is_none() || self.validity != Some(Validity::Shadowed)
    }

    /// Whether it is to run on exactly one switch.
    pub(in crate::operate) fn is_on_one(&self) -> bool {
        let served = self.served.as_ref().filter(|_| self.is_served());
        served.is_some_and(|entry| entry.gateway.is_on_one())
    }

    fn is_served(&self) -> bool {
        matches!(self.validity, Some(Validity::Valid | Validity::Kept))
    }
}

/// How a gateway of Redis stands.
pub(super) fn validity(
    current: &Current,
    domain: &str,
    name: &str,
    texts: &Texts,
) -> (Validity, Option<Arc<crate::gateway::Entry>>) {
    let served = current.desired.get(name).cloned();
    let ours = served.filter(|entry| *entry.gateway.domain == *domain);
    let refused = current.desired.refused().get(name);
    let validity = match &ours {
        Some(entry) if entry.kept.is_some() => Validity::Kept,
        Some(_) => Validity::Valid,
        None if refused.is_some_and(|refused| *refused.domain == *domain) => Validity::Invalid,
        None if !texts.enabled => Validity::Disabled,
        None if current.desired.get(name).is_some() || refused.is_some() => Validity::Shadowed,
        None => Validity::Invalid,
    };
    (validity, ours)
}

/// The profile that a gateway is in.
pub(super) fn profile<'a>(texts: &'a Texts, served: Option<&'a Gateway>, default: &'a str) -> &'a str {
    let written = texts.profile.as_deref();
    served
        .map(|gateway| gateway.profile.as_str())
        .or(written)
        .unwrap_or(default)
}
