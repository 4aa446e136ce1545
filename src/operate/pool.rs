//! The switches, as far as gateways that run on exactly one need them: which may get some, and why others
//! may not.

use std::collections::{BTreeMap, BTreeSet};

use crate::control::{Control, Drained, Report};
use crate::gateway::{Gateway, OnOne, Placed};
use crate::language::{Language, Message, Text, message, text};
use crate::placement::choose;
use crate::settings::{ReconcileMode, Settings};
use crate::shown::shown;

/// Switches named in one sentence.
const MAX_NAMED: usize = 5;

#[derive(Debug, Default)]
pub(super) struct SwitchPool {
    /// By name. Other trunkd may have switches in their settings that ours don't have.
    pub(super) switches: BTreeMap<String, PoolSwitch>,
}

#[derive(Debug)]
pub(super) struct PoolSwitch {
    pub(super) weight: u32,
    /// Whether a trunkd is connected to it.
    pub(super) is_connected: bool,
    pub(super) is_paused: bool,
    /// Whether trunkd changes it by itself, as far as is known.
    is_ours: bool,
    pub(super) drained: Option<Drained>,
}

/// Why a switch may not get gateways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closed {
    Unknown,
    Drained,
    Paused,
    NotConnected,
    NotOurs,
}

impl Closed {
    fn text(self) -> Text {
        match self {
            Self::Unknown => text("is no known switch", "不是已知的 FreeSWITCH"),
            Self::Drained => text("is drained", "正在排空"),
            Self::Paused => text("is paused", "已暂停"),
            Self::NotConnected => text("is not connected", "未连接"),
            Self::NotOurs => text(
                "is not changed by trunkd (`reconcile.mode`)",
                "不由 trunkd 更改（`reconcile.mode`）",
            ),
        }
    }
}

impl PoolSwitch {
    fn closed(&self) -> Option<Closed> {
        match () {
            () if self.drained.is_some() => Some(Closed::Drained),
            () if self.is_paused => Some(Closed::Paused),
            () if !self.is_connected => Some(Closed::NotConnected),
            () if !self.is_ours => Some(Closed::NotOurs),
            () => None,
        }
    }
}

impl SwitchPool {
    /// Those of the settings, and those that were seen: each with whether a trunkd is connected to it.
    pub(super) fn new<'a>(
        settings: &'a Settings,
        control: &Control,
        reports: &BTreeMap<String, Report>,
        seen: impl Iterator<Item = (&'a str, bool)>,
    ) -> Self {
        let configured = settings
            .switches
            .iter()
            .map(|switch| (switch.name.as_str(), switch.weight));
        let weights: BTreeMap<_, _> = configured.collect();
        let seen: BTreeMap<_, _> = seen.collect();
        let names: BTreeSet<_> = weights.keys().chain(seen.keys()).copied().collect();
        let is_ours = |report: &Report| report.mode == ReconcileMode::Apply.as_str();
        let switches = names.into_iter().map(|name| {
            let switch = PoolSwitch {
                weight: weights.get(name).copied().unwrap_or(1),
                is_connected: seen.get(name).copied().unwrap_or_default(),
                is_paused: control.is_paused(name),
                is_ours: reports.get(name).is_none_or(is_ours),
                drained: control.drained.get(name).cloned(),
            };
            (name.to_owned(), switch)
        });
        Self {
            switches: switches.collect(),
        }
    }

    /// Whether it may get gateways.
    pub(super) fn is_open(&self, switch: &str) -> bool {
        self.switches
            .get(switch)
            .is_some_and(|switch| switch.closed().is_none())
    }

    pub(super) fn open(&self) -> impl Iterator<Item = (&str, u32)> {
        let open = self.switches.iter().filter(|(_, switch)| switch.closed().is_none());
        open.map(|(name, switch)| (name.as_str(), switch.weight))
    }

    /// The switch that a gateway is on, or comes to: what the placer will decide. `None` if no switch may have
    /// it now, or it runs on all of them.
    pub(super) fn owner<'a>(
        &'a self,
        gateway: &Gateway,
        placed: Option<&'a Placed>,
        has_it: impl Fn(&str) -> bool,
    ) -> Option<&'a str> {
        let rule = gateway.placement.as_deref()?;
        let best = || choose(&gateway.name, rule, self.open());
        match placed.map(Placed::ends_at) {
            Some(there) if rule.allows(there) => Some(there),
            Some(there) => best().or(Some(there)),
            None => choose(&gateway.name, rule, self.open().filter(|(switch, _)| has_it(switch))).or_else(best),
        }
    }

    /// Why a gateway of this rule has no switch yet.
    pub(super) fn why_unplaced(&self, rule: &OnOne) -> Message {
        if self.open().any(|(switch, _)| rule.allows(switch)) {
            return text(
                "its switch is not chosen yet: the trunkd that serves does that within seconds",
                "尚未为它选定 FreeSWITCH：运行中的 trunkd 会在几秒内选定",
            )
            .into();
        }
        let why = self.obstacles(rule, None);
        message!(
            "no live switch may have it: {why}",
            "没有在线的 FreeSWITCH 可以运行它：{why}",
            why = why
        )
    }

    /// Why no switch but `except` may have a gateway of this rule: `fs2 is drained, fs3 is not connected`.
    pub(super) fn obstacles(&self, rule: &OnOne, except: Option<&str>) -> Message {
        if self.switches.is_empty() {
            return text(
                "no switch is known: name yours in [[switch]] of the settings",
                "没有已知的 FreeSWITCH：请在设置的 [[switch]] 中写上您的 FreeSWITCH",
            )
            .into();
        }
        let allowed: Vec<&str> = match &rule.nodes {
            Some(nodes) => nodes.iter().map(String::as_str).collect(),
            None => self.switches.keys().map(String::as_str).collect(),
        };
        let others = allowed.into_iter().filter(|switch| Some(*switch) != except);
        let closed = others.filter_map(|switch| match self.switches.get(switch) {
            None => Some((switch, Closed::Unknown)),
            Some(known) => known.closed().map(|closed| (switch, closed)),
        });
        let closed: Vec<_> = closed.collect();
        if closed.is_empty() {
            return text("it may run on no other switch", "它不能在其他 FreeSWITCH 上运行").into();
        }
        let named = |language| {
            let part = |(switch, closed): &(&str, Closed)| {
                let switch = shown(switch);
                match language {
                    Language::En => format!("{switch} {}", closed.text().en),
                    Language::Zh => format!("{switch} {}", closed.text().zh),
                }
            };
            let mut parts: Vec<_> = closed.iter().take(MAX_NAMED).map(part).collect();
            parts.extend((closed.len() > MAX_NAMED).then(|| "…".to_owned()));
            parts
        };
        Message::new(named(Language::En).join(", "), named(Language::Zh).join("，"))
    }
}

/// Whether a switch gets this gateway, whose [`SwitchPool::owner`] is known.
pub(super) fn will_serve(gateway: &Gateway, owner: Option<&str>, switch: &str) -> bool {
    match gateway.is_on_one() {
        true => owner == Some(switch),
        false => gateway.serves(Some(switch)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::{Move, PlacedFor, ProfileName, Rules, parse};

    const DAY: &str = "2026-11-26T10:00:00Z";

    fn pool(switches: &[(&str, Option<Closed>)]) -> SwitchPool {
        let switches = switches.iter().map(|(name, closed)| {
            let is = |what| *closed == Some(what);
            let drained = Drained {
                at: DAY.parse().unwrap(),
                by: "cli:root".to_owned(),
            };
            let switch = PoolSwitch {
                weight: 1,
                is_connected: !is(Closed::NotConnected),
                is_paused: is(Closed::Paused),
                is_ours: !is(Closed::NotOurs),
                drained: is(Closed::Drained).then_some(drained),
            };
            ((*name).to_owned(), switch)
        });
        SwitchPool {
            switches: switches.collect(),
        }
    }

    fn gateway(more: &str) -> Gateway {
        let rules = Rules::new(ProfileName::parse("external").unwrap(), Default::default());
        let value = format!(r#"{{"param":{{"realm":"sip.test","register":"false"}},"placement":"one"{more}}}"#);
        parse("acme", b"gw1", value.as_bytes(), &rules).gateway.unwrap()
    }

    fn placed(switch: &str, step: Option<Move>) -> Placed {
        Placed {
            switch: switch.to_owned(),
            epoch: 1,
            since: DAY.parse().unwrap(),
            reason: PlacedFor::First,
            by: String::new(),
            step,
        }
    }

    #[test]
    fn the_reason_names_each_switch_that_may_not_have_it() {
        let pool = pool(&[
            ("fs1", None),
            ("fs2", Some(Closed::Drained)),
            ("fs3", Some(Closed::NotConnected)),
            ("fs4", Some(Closed::NotOurs)),
        ]);
        let said = |more: &str, except| {
            let message = pool.obstacles(gateway(more).placement.as_deref().unwrap(), except);
            message.check();
            message.en().to_owned()
        };
        assert_eq!(
            said(r#","nodes":["fs1"]"#, Some("fs1")),
            "it may run on no other switch"
        );
        assert_eq!(
            said(r#","nodes":["fs1","fs2","fs3","fs9"]"#, Some("fs1")),
            "fs2 is drained, fs3 is not connected, fs9 is no known switch"
        );
        let nothing = SwitchPool::default();
        let unplaced = gateway("");
        let message = nothing.obstacles(unplaced.placement.as_deref().unwrap(), None);
        assert!(message.en().contains("[[switch]]"), "{}", message.en());
        assert!(said("", Some("fs1")).ends_with("fs4 is not changed by trunkd (`reconcile.mode`)"));
    }

    #[test]
    fn a_gateway_without_a_switch_waits_for_a_choice_or_for_a_live_switch() {
        let pool = pool(&[("fs1", None), ("fs2", Some(Closed::Drained))]);
        let said = |more: &str| {
            let message = pool.why_unplaced(gateway(more).placement.as_deref().unwrap());
            message.check();
            message.en().to_owned()
        };
        assert!(said("").starts_with("its switch is not chosen yet"));
        assert_eq!(
            said(r#","nodes":["fs2"]"#),
            "no live switch may have it: fs2 is drained"
        );
    }

    #[test]
    fn the_owner_is_where_it_is_or_goes_and_else_the_best_open_switch() {
        let pool = pool(&[("fs1", None), ("fs2", None), ("fs3", Some(Closed::Paused))]);
        let owner = |more: &str, placed: Option<&Placed>, has: &str| {
            let owner = pool.owner(&gateway(more), placed, |switch| switch == has);
            owner.map(str::to_owned)
        };
        let best = owner("", None, "").unwrap();
        let other = if best == "fs1" { "fs2" } else { "fs1" };
        assert_eq!(owner("", None, other).as_deref(), Some(other), "it stays where it runs");
        assert_eq!(owner("", Some(&placed(other, None)), "").as_deref(), Some(other));
        let leaving = placed("fs1", Some(Move::Leaving { to: "fs2".to_owned() }));
        assert_eq!(owner("", Some(&leaving), "").as_deref(), Some("fs2"));
        let edited = r#","nodes":["fs2"]"#;
        assert_eq!(owner(edited, Some(&placed("fs1", None)), "").as_deref(), Some("fs2"));
        let closed = r#","nodes":["fs3"]"#;
        assert_eq!(owner(closed, None, ""), None);
        assert_eq!(owner(closed, Some(&placed("fs1", None)), "").as_deref(), Some("fs1"));
    }
}
