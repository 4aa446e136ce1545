//! Edits that are not carried out: the carrier refused them, or others are tried first. In their place
//! runs the version that worked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Document, GatewayName, shown};
use crate::language::{Message, Text, message, text};

/// An edit that was released is tried within this time.
const RELEASED_LASTS: SignedDuration = SignedDuration::from_hours(1);
/// Changed keys that a sentence names.
const MAX_NAMED: usize = 3;

/// What becomes of one edit of a gateway. It counts as long as Redis has the value of that edit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    pub domain: String,
    /// [`Rollback::digest`] of the edited value.
    pub edit: String,
    pub phase: Phase,
    /// The value that runs in its place.
    pub good: StoredValue,
    /// When that one last worked.
    pub worked_at: Timestamp,
    /// When this was decided.
    pub at: Timestamp,
    /// Where the edit was tried.
    pub switch: String,
    /// What the carrier said about it: `403 Forbidden`. Empty if it was not asked.
    #[serde(default)]
    pub answer: String,
    /// If others of a carrier were tried first: how that went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Tried>,
}

/// What becomes of an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The carrier refused it, so the version before runs.
    RolledBack,
    /// It waits until others of its carrier work.
    Waiting,
    /// Others of its carrier were tried, and don't work.
    Held,
    /// It is carried out, without waiting for others.
    Released,
    /// The carrier refuses the version before too, so the edit stays.
    GaveUp,
}

/// How edits went that were tried before others of their carrier.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    pub carrier: String,
    pub tried: usize,
    pub failed: usize,
}

/// A gateway's value. It holds passwords.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoredValue(Box<str>);

impl StoredValue {
    /// `None` if it is no text, as a gateway's value always is.
    pub fn new(value: &[u8]) -> Option<Self> {
        Some(Self(std::str::from_utf8(value).ok()?.into()))
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for StoredValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredValue")
    }
}

impl Tried {
    /// `2 of 2 first ones were refused: 403 Forbidden`. `why` is empty if nobody knows.
    pub fn outcome(&self, why: &str) -> Message {
        let (tried, failed, why) = (self.tried, self.failed, shown(why));
        match why.chars().next() {
            Some('0'..='9') => message!(
                "{failed} of {tried} first ones were refused: {why}",
                "先试行的 {tried} 个中有 {failed} 个被拒绝：{why}"
            ),
            Some(_) => message!(
                "{failed} of {tried} first ones don't work: {why}",
                "先试行的 {tried} 个中有 {failed} 个不可用：{why}"
            ),
            None => message!(
                "{failed} of {tried} first ones don't work",
                "先试行的 {tried} 个中有 {failed} 个不可用"
            ),
        }
    }
}

impl Phase {
    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RolledBack => "rolled_back",
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::Released => "released",
            Self::GaveUp => "gave_up",
        }
    }

    /// Whether the version before runs in place of the edit.
    pub fn keeps_old(self) -> bool {
        matches!(self, Self::RolledBack | Self::Waiting | Self::Held)
    }
}

impl Rollback {
    /// Tells one value from another.
    pub fn digest(value: &[u8]) -> String {
        HEXLOWER.encode(&Sha256::digest(value))
    }

    /// The edit is to be carried out after all.
    pub fn released(&self, at: Timestamp) -> Self {
        Self {
            phase: Phase::Released,
            at,
            ..self.clone()
        }
    }

    /// Whether it is about this value of the domain's gateway.
    pub fn is_about(&self, domain: &str, value: &[u8]) -> bool {
        *self.domain == *domain && self.edit == Self::digest(value)
    }

    /// Whether the edit had the time to be carried out.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.phase == Phase::Released && now.duration_since(self.at) > RELEASED_LASTS
    }

    /// `rolled back: 403 Forbidden with the new param.password; the version that worked until … runs`.
    pub(super) fn reason(&self, edited: &[u8]) -> Message {
        let (answer, until) = (shown(&self.answer), self.worked_at);
        match (self.phase, &self.canary) {
            (Phase::Waiting, canary) => {
                let carrier = shown(canary.as_ref().map_or("", |tried| &tried.carrier));
                message!(
                    "the edit waits: others of carrier {carrier} are tried first",
                    "修改等待中：先在运营商 {carrier} 的其他网关上试行"
                )
            }
            (Phase::Held, Some(tried)) => message!(
                "the edit is held: {outcome}; the version that worked until {until:.0} runs",
                "修改已暂缓：{outcome}；运行的是在 {until:.0} 之前可用的版本",
                outcome = tried.outcome(&self.answer)
            ),
            _ => {
                let what = self.changed(edited);
                message!(
                    "rolled back: {answer} with the new {what}; the version that worked until {until:.0} runs",
                    "已回滚：使用新的{what}时收到 {answer}；运行的是在 {until:.0} 之前可用的版本",
                    what = what
                )
            }
        }
    }

    pub(super) fn fix(&self) -> Text {
        match self.phase {
            Phase::Waiting => text(
                "nothing needs to be done: it follows when they work",
                "无需操作：它们可用之后会自动跟进",
            ),
            _ => text(
                "correct the value; if the carrier was wrong, `trunkd apply` tries this one again",
                "请改正该值；如果问题在运营商一侧，可用 `trunkd apply` 再次尝试此值",
            ),
        }
    }

    /// The keys that the edit changed.
    fn changed(&self, edited: &[u8]) -> Message {
        let changes = Document::byte_changes(Some(self.good.as_bytes()), Some(edited));
        let names: Vec<_> = changes.iter().map(|change| shown(&change.field)).collect();
        match names.len() {
            0 => text("value", "值").into(),
            1..=MAX_NAMED => {
                let (en, zh) = (names.join(", "), names.join("、"));
                message!("{en}", " {zh} ")
            }
            _ => text("version", "版本").into(),
        }
    }
}

/// The edits that are not, or not simply, carried out, by gateway. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rollbacks(Arc<BTreeMap<GatewayName, Arc<Rollback>>>);

impl Rollbacks {
    pub fn get(&self, name: &GatewayName) -> Option<&Arc<Rollback>> {
        self.0.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&GatewayName, &Arc<Rollback>)> {
        self.0.iter()
    }

    pub fn count(&self, phase: Phase) -> usize {
        self.0.values().filter(|rollback| rollback.phase == phase).count()
    }

    /// What is decided about this value of the domain's gateway.
    pub fn about(&self, domain: &str, name: &GatewayName, value: &[u8]) -> Option<&Arc<Rollback>> {
        self.get(name).filter(|rollback| rollback.is_about(domain, value))
    }

    /// The gateways about which `other` says something else.
    pub(super) fn differing(&self, other: &Self) -> BTreeSet<GatewayName> {
        if Arc::ptr_eq(&self.0, &other.0) {
            return BTreeSet::new();
        }
        let names = self.0.keys().chain(other.0.keys());
        let differs = |name: &&GatewayName| self.get(name) != other.get(name);
        names.filter(differs).cloned().collect()
    }
}

impl FromIterator<(GatewayName, Rollback)> for Rollbacks {
    fn from_iter<T: IntoIterator<Item = (GatewayName, Rollback)>>(all: T) -> Self {
        let all = all.into_iter();
        Self(Arc::new(
            all.map(|(name, rollback)| (name, Arc::new(rollback))).collect(),
        ))
    }
}
