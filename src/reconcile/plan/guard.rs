//! Decides whether the removals of a plan may happen or need approval. Pure: no async, no I/O, no
//! clock.
//!
//! A flood of removals is more often a mistake (a FLUSHALL, a wrong database, a broken script) than
//! intent. Starts and restarts are not removals: they are paced, not held.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::gateway::GatewayName;
use crate::language::{Bilingual, Message};

/// How many gateways may be removed without approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Per switch within the window; 0 holds every removal. `None`: 5 or 20 % of ours (rounded up),
    /// whichever is larger.
    pub max_removals: Option<usize>,
}

impl Limits {
    fn of(self, ours: usize) -> usize {
        self.max_removals.unwrap_or_else(|| ours.div_ceil(5).max(5))
    }

    /// How many more of `ours` may be removed after `recent` removals.
    pub fn left(self, ours: usize, recent: usize) -> usize {
        self.of(ours).saturating_sub(recent)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub enum Verdict {
    Go,
    Hold(Hold),
}

/// A plan that is held. `Display` is one line with the fix; [`Hold::summary`] leaves the fix out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hold {
    /// Exactly what needs approval: the removals that are not approved yet.
    pub removals: BTreeSet<GatewayName>,
    #[serde(flatten)]
    pub weight: Weight,
    pub reason: HoldReason,
}

/// A [`Hold`] without the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Restarts instead, under [`HoldReason::UnknownKey`].
    pub removals: usize,
    pub weight: Weight,
    pub reason: HoldReason,
}

/// What the removals of a plan are measured against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Weight {
    /// How many of our gateways the switch has, including recent removals and excluding approved
    /// ones.
    pub ours: usize,
    /// How many other gateways were removed recently without approval.
    pub earlier: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HoldReason {
    TooMany {
        limit: usize,
    },
    /// All of ours, two or more.
    All,
    /// Redis has no domain left, but had some before.
    StoreVanished,
    /// Too many, counting domains that the reader doesn't see. The numbers are those of the others.
    AllDomains,
    /// The running gateways carry revisions made with an unknown key. These restarts are of
    /// gateways that may not have changed.
    UnknownKey,
}

impl HoldReason {
    /// The stable reason code, as in JSON.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooMany { .. } => "too_many",
            Self::All => "all",
            Self::StoreVanished => "store_vanished",
            Self::AllDomains => "all_domains",
            Self::UnknownKey => "unknown_key",
        }
    }
}

impl Hold {
    pub fn held(&self) -> Held {
        Held {
            removals: self.removals.len(),
            weight: self.weight,
            reason: self.reason,
        }
    }

    /// `held: removes 40 of 50 (more than 10)`.
    pub fn summary(&self) -> String {
        self.held().summary()
    }
}

impl Held {
    /// `held: removes 40 of 50 (more than 10)`.
    pub fn summary(&self) -> String {
        let (removals, Weight { ours, earlier }) = (self.removals, self.weight);
        let others = match earlier {
            0 => String::new(),
            1 => " after another one within reconcile.removals_window".to_owned(),
            earlier => format!(" after {earlier} others within reconcile.removals_window"),
        };
        match self.reason {
            HoldReason::TooMany { limit } => format!("held: removes {removals} of {ours}{others} (more than {limit})"),
            HoldReason::All if earlier == 0 => format!("held: removes all {ours}"),
            HoldReason::All => format!("held: removes the last {removals} of {ours}{others}"),
            HoldReason::StoreVanished => {
                format!("held: removes {removals} of {ours}, because every domain is gone from Redis")
            }
            HoldReason::AllDomains => format!(
                "held: removes {removals} of {ours}; all changes together, also those in other domains, need approval"
            ),
            HoldReason::UnknownKey => format!(
                "held: restarts {removals} of {ours}, because they were started under another trunkd:key than \
                 Redis holds"
            ),
        }
    }
}

impl Held {
    /// [`Self::summary`] in both languages.
    pub fn summary_message(&self) -> Message {
        Message::new(self.summary(), self.chinese_summary())
    }

    fn chinese_summary(&self) -> String {
        let (removals, Weight { ours, earlier }) = (self.removals, self.weight);
        let others = match earlier {
            0 => String::new(),
            1 => "，而 reconcile.removals_window 之内已删除过另一个".to_owned(),
            earlier => format!("，而 reconcile.removals_window 之内已删除过另外 {earlier} 个"),
        };
        match self.reason {
            HoldReason::TooMany { limit } => {
                format!("已暂缓：要删除 {ours} 个中的 {removals} 个{others}（超过 {limit} 个）")
            }
            HoldReason::All if earlier == 0 => format!("已暂缓：要删除全部 {ours} 个"),
            HoldReason::All => format!("已暂缓：要删除 {ours} 个中的最后 {removals} 个{others}"),
            HoldReason::StoreVanished => {
                format!("已暂缓：要删除 {ours} 个中的 {removals} 个，因为 Redis 中已没有任何域")
            }
            HoldReason::AllDomains => {
                format!("已暂缓：要删除 {ours} 个中的 {removals} 个；所有变更合计（包括其他域的变更）需要批准")
            }
            HoldReason::UnknownKey => {
                format!("已暂缓：要重启 {ours} 个中的 {removals} 个，因为启动它们时的 trunkd:key 与 Redis 中的不同")
            }
        }
    }
}

impl Bilingual for Held {
    fn chinese(&self) -> String {
        let undo = match self.reason {
            HoldReason::TooMany { .. } | HoldReason::All | HoldReason::AllDomains => "撤销修改",
            HoldReason::StoreVanished => "用 `trunkd restore` 恢复各个域",
            HoldReason::UnknownKey => "换回原来的密钥",
        };
        format!("{}；可用 `trunkd apply` 放行，或者{undo}", self.chinese_summary())
    }
}

impl Bilingual for Hold {
    fn chinese(&self) -> String {
        self.held().chinese()
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.held().fmt(f)
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let undo = match self.reason {
            HoldReason::TooMany { .. } | HoldReason::All | HoldReason::AllDomains => "undo the edit",
            HoldReason::StoreVanished => "`trunkd restore` puts the domains back",
            HoldReason::UnknownKey => "put the old key back",
        };
        write!(f, "{}; `trunkd apply` releases it, or {undo}", self.summary())
    }
}

/// Judges the removals of one switch. `ours` are its gateways that carry a revision.
/// `store_vanished` is whether Redis has no domain left but had some before. `approved` are the
/// names whose removal an operator approved with `trunkd apply`. `recent` are those removed within
/// the window without approval, even if they are back.
///
/// An approved removal counts as done: it is subtracted from the removals and from ours. A recent
/// removal counts as still to be done. So the verdict is the same before, during and after the
/// kills, and a flood in small portions is still a flood. The remaining removals are held if they
/// are
/// - any at all, when the store vanished;
/// - all of ours, if ours are two or more;
/// - more than the limit.
pub fn judge(
    ours: &BTreeSet<GatewayName>,
    removals: &BTreeSet<GatewayName>,
    store_vanished: bool,
    limits: &Limits,
    approved: &BTreeSet<GatewayName>,
    recent: &BTreeSet<GatewayName>,
) -> Verdict {
    let pending: BTreeSet<_> = removals.difference(approved).cloned().collect();
    let goes = |name: &GatewayName| pending.contains(name) || (removals.contains(name) && approved.contains(name));
    let stay: Vec<_> = ours.iter().filter(|name| !goes(name)).collect();
    let earlier = recent.difference(&pending).count();
    let weight = Weight {
        ours: stay.iter().filter(|name| !recent.contains(**name)).count() + pending.len() + earlier,
        earlier,
    };
    match weigh(pending.len(), stay.len(), weight, store_vanished, limits) {
        None => Verdict::Go,
        Some(reason) => Verdict::Hold(Hold {
            removals: pending,
            weight,
            reason,
        }),
    }
}

/// Judges restarts of gateways whose revision was made with an unknown key. They may not have
/// changed, and a lost key is more likely than many edits. The limit is that of removals, and all
/// of two or more are always held.
pub(super) fn judge_unknown_key(ours: usize, restarts: BTreeSet<GatewayName>, limits: &Limits) -> Option<Hold> {
    let count = restarts.len();
    let is_flood = count > limits.of(ours) || (count >= 2 && count >= ours);
    is_flood.then_some(Hold {
        removals: restarts,
        weight: Weight { ours, earlier: 0 },
        reason: HoldReason::UnknownKey,
    })
}

/// [`judge`] for this number of removals, none of them approved, with `stay` gateways left after
/// them.
pub fn weigh(
    removals: usize,
    stay: usize,
    weight: Weight,
    store_vanished: bool,
    limits: &Limits,
) -> Option<HoldReason> {
    let limit = limits.of(weight.ours);
    if removals == 0 {
        None
    } else if store_vanished {
        Some(HoldReason::StoreVanished)
    } else if weight.ours >= 2 && stay == 0 {
        Some(HoldReason::All)
    } else if removals + weight.earlier > limit {
        Some(HoldReason::TooMany { limit })
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
