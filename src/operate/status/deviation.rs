//! Why a gateway on a switch is not what Redis wants.

use std::fmt;

use crate::carriers::Parked;
use crate::control::Conflict;
use crate::gateway::ProfileName;
use crate::language::{Bilingual, Language, Message};
use crate::operate::recorded::failure;
use crate::shown::shown;

const TIME: &str = "%Y-%m-%d %H:%M:%S UTC";

/// `Display` is what a person reads, [`Note`](super::Note) what programs get.
#[derive(Debug, Clone, PartialEq)]
pub enum Deviation {
    /// The switch can't be reached, and this is its last known state.
    SwitchUnreachable,
    SwitchNotConnected,
    /// The new value is refused. What runs stays.
    NewValueRefused {
        problem: Message,
    },
    /// trunkd serves the last valid version of the gateway.
    Kept {
        problem: Message,
    },
    /// The carrier refused the edit, so the version before runs.
    RolledBack {
        problem: Message,
    },
    /// The edit was tried with others of its carrier, which don't work.
    EditHeld {
        problem: Message,
    },
    /// The edit is tried with others of its carrier first.
    EditWaits {
        problem: Message,
    },
    /// An action on it failed.
    ActionFailed {
        problem: String,
    },
    Conflict {
        conflict: Conflict,
    },
    ProfileNotRunning {
        profile: ProfileName,
    },
    /// Its carrier refuses it, or a person parked it.
    Parked {
        parked: Parked,
    },
    /// It is desired, but not on the switch.
    Missing {
        blocker: Option<Blocker>,
    },
    /// It runs with an older revision.
    Outdated {
        blocker: Blocker,
    },
    /// It runs, but is no longer desired.
    Unwanted {
        blocker: Blocker,
    },
    /// It runs, and is to run on another switch alone.
    Elsewhere {
        switch: String,
        blocker: Blocker,
    },
    /// It runs on this switch alone, which is not connected, and no other one has it yet.
    NotTakenOver,
    /// It runs, trunkd did not start it, and Redis doesn't want it.
    NotOurs,
}

/// What keeps a change from being made.
#[derive(Debug, Clone, PartialEq)]
pub enum Blocker {
    /// No trunkd is connected to the switch.
    NoTrunkd,
    Held {
        held: Message,
    },
    Paused,
    Mode {
        mode: String,
    },
    /// Others register with its carrier first.
    Pace {
        carrier: String,
        per_second: Option<u32>,
    },
    /// Nothing: it is in progress.
    InProgress,
    /// No trunkd reconciles the switch.
    NoReconciler,
}

impl Deviation {
    /// Whether it needs attention.
    pub fn is_failure(&self) -> bool {
        match self {
            Self::SwitchUnreachable | Self::SwitchNotConnected | Self::NotOurs | Self::EditWaits { .. } => false,
            // What a person parks is as he wants it.
            Self::Parked { parked } => parked.answer().is_some(),
            Self::NewValueRefused { .. }
            | Self::Kept { .. }
            | Self::RolledBack { .. }
            | Self::EditHeld { .. }
            | Self::ActionFailed { .. }
            | Self::Conflict { .. }
            | Self::ProfileNotRunning { .. }
            | Self::Missing { .. }
            | Self::Outdated { .. }
            | Self::Unwanted { .. }
            | Self::Elsewhere { .. }
            | Self::NotTakenOver => true,
        }
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SwitchUnreachable => f.write_str("switch out of reach: last known state"),
            Self::SwitchNotConnected => f.write_str("switch not connected"),
            Self::NewValueRefused { problem } => write!(f, "kept: new value refused, {}", problem.en()),
            Self::Kept { problem } => write!(f, "kept: {}", problem.en()),
            Self::RolledBack { problem } | Self::EditHeld { problem } | Self::EditWaits { problem } => {
                f.write_str(problem.en())
            }
            Self::ActionFailed { problem } => f.write_str(problem),
            Self::Conflict { conflict } => conflict.fmt(f),
            Self::ProfileNotRunning { profile } => write!(
                f,
                "profile {profile} does not run on this switch; `sofia profile {profile} start` starts it"
            ),
            Self::Parked { parked } => match (parked.answer(), parked.next_try) {
                (Some(answer), Some(_)) if !parked.is_stopped() => {
                    write!(f, "parked: the carrier answered {}; it tries again now", shown(&answer))
                }
                (Some(answer), Some(at)) => {
                    let at = at.strftime(TIME);
                    write!(f, "parked: the carrier answers {}; next try at {at}", shown(&answer))
                }
                _ => write!(f, "parked by {}, until it is unparked or edited", shown(&parked.by)),
            },
            Self::Missing { blocker: None } => f.write_str("desired, and not on this switch"),
            Self::Missing { blocker: Some(blocker) } => write!(f, "desired, and not on this switch: {blocker}"),
            Self::Outdated { blocker } => write!(f, "the edit is not on this switch: {blocker}"),
            Self::Unwanted { blocker } => write!(f, "no longer desired: {blocker}"),
            Self::Elsewhere { switch, blocker } => write!(f, "is to run on {} alone: {blocker}", shown(switch)),
            Self::NotTakenOver => f.write_str("switch not connected, and no other one has taken it over"),
            Self::NotOurs => f.write_str("not ours, and not among the desired gateways"),
        }
    }
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTrunkd => f.write_str("no trunkd is connected to it"),
            Self::Held { held } => f.write_str(held.en()),
            Self::Paused => f.write_str("paused"),
            Self::Mode { mode } => write!(f, "reconcile.mode is {mode:?}"),
            Self::Pace { carrier, per_second } => {
                let carrier = shown(carrier);
                match per_second {
                    Some(pace) => write!(f, "others register first with {carrier}, {pace} a second"),
                    None => write!(f, "others wait for an answer of {carrier} first"),
                }
            }
            Self::InProgress => f.write_str("under way"),
            Self::NoReconciler => f.write_str("no reconciler looks at it"),
        }
    }
}

impl Bilingual for Deviation {
    fn chinese(&self) -> String {
        match self {
            Self::SwitchUnreachable => "无法连接该 FreeSWITCH：这是最后已知的状态".to_owned(),
            Self::SwitchNotConnected => "未连接该 FreeSWITCH".to_owned(),
            Self::NewValueRefused { problem } => {
                format!("保留原值：新值被拒绝，{}", problem.in_language(Language::Zh))
            }
            Self::Kept { problem } => format!("保留原值：{}", problem.in_language(Language::Zh)),
            Self::RolledBack { problem } | Self::EditHeld { problem } | Self::EditWaits { problem } => {
                problem.in_language(Language::Zh).to_owned()
            }
            Self::ActionFailed { problem } => failure(problem).in_language(Language::Zh).to_owned(),
            Self::Conflict { conflict } => conflict.chinese(),
            Self::ProfileNotRunning { profile } => {
                format!("该 FreeSWITCH 上的 profile {profile} 没有运行；可用 `sofia profile {profile} start` 启动")
            }
            Self::Parked { parked } => match (parked.answer(), parked.next_try) {
                (Some(answer), Some(_)) if !parked.is_stopped() => {
                    format!("已停放：运营商的应答为 {}；正在重试", shown(&answer))
                }
                (Some(answer), Some(at)) => {
                    let at = at.strftime(TIME);
                    format!("已停放：运营商的应答为 {}；下次尝试：{at}", shown(&answer))
                }
                _ => format!("由 {} 停放，直到取消停放或修改", shown(&parked.by)),
            },
            Self::Missing { blocker: None } => "应有此网关，但该 FreeSWITCH 上没有".to_owned(),
            Self::Missing { blocker: Some(blocker) } => {
                format!("应有此网关，但该 FreeSWITCH 上没有：{}", blocker.chinese())
            }
            Self::Outdated { blocker } => format!("修改尚未在该 FreeSWITCH 上生效：{}", blocker.chinese()),
            Self::Unwanted { blocker } => format!("已不再需要：{}", blocker.chinese()),
            Self::Elsewhere { switch, blocker } => {
                format!("应只在 {} 上运行：{}", shown(switch), blocker.chinese())
            }
            Self::NotTakenOver => "未连接该 FreeSWITCH，也没有其他 FreeSWITCH 接管它".to_owned(),
            Self::NotOurs => "不是由 trunkd 下发的，也不在所需的网关之中".to_owned(),
        }
    }
}

impl Bilingual for Blocker {
    fn chinese(&self) -> String {
        match self {
            Self::NoTrunkd => "没有 trunkd 连接到它".to_owned(),
            Self::Held { held } => held.in_language(Language::Zh).to_owned(),
            Self::Paused => "已暂停".to_owned(),
            Self::Mode { mode } => format!("reconcile.mode 为 {mode:?}"),
            Self::Pace { carrier, per_second } => {
                let carrier = shown(carrier);
                match per_second {
                    Some(pace) => format!("其他网关先向 {carrier} 注册，每秒 {pace} 个"),
                    None => format!("其他网关先等待 {carrier} 的应答"),
                }
            }
            Self::InProgress => "正在进行".to_owned(),
            Self::NoReconciler => "没有 trunkd 负责它".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_both_languages() {
        let profile = || ProfileName::parse("external-7").unwrap();
        let refused = || Message::new("param.realm: has no host", "param.realm：没有主机部分");
        let blockers = [
            Blocker::NoTrunkd,
            Blocker::Held {
                held: Message::new("held: removes all 7", "已暂缓：要删除全部 7 个"),
            },
            Blocker::Paused,
            Blocker::Mode {
                mode: "observe".to_owned(),
            },
            Blocker::Pace {
                carrier: "sip.example.net".to_owned(),
                per_second: Some(5),
            },
            Blocker::Pace {
                carrier: "sip.example.net".to_owned(),
                per_second: None,
            },
            Blocker::InProgress,
            Blocker::NoReconciler,
        ];
        let blocked = blockers.iter().flat_map(|blocker| {
            let blocker = || blocker.clone();
            [
                Deviation::Missing {
                    blocker: Some(blocker()),
                },
                Deviation::Outdated { blocker: blocker() },
                Deviation::Unwanted { blocker: blocker() },
                Deviation::Elsewhere {
                    switch: "fs2".to_owned(),
                    blocker: blocker(),
                },
            ]
        });
        let others = [
            Deviation::SwitchUnreachable,
            Deviation::SwitchNotConnected,
            Deviation::NewValueRefused { problem: refused() },
            Deviation::Kept { problem: refused() },
            Deviation::ActionFailed {
                problem: "`sofia status` had no answer within 5s".to_owned(),
            },
            Deviation::Conflict {
                conflict: Conflict::Ghost {
                    gateway: "gw1".parse().unwrap(),
                    profile: profile(),
                },
            },
            Deviation::ProfileNotRunning { profile: profile() },
            Deviation::Missing { blocker: None },
            Deviation::NotTakenOver,
            Deviation::NotOurs,
            Deviation::Parked {
                parked: Parked::by("r1", "user:alice", jiff::Timestamp::UNIX_EPOCH),
            },
        ];
        for deviation in others.into_iter().chain(blocked) {
            deviation.message().check();
        }
        for blocker in &blockers {
            blocker.message().check();
        }
    }
}
